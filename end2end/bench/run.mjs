// Prints each figure beside its bar, measured against the server binary: node end2end/bench/run.mjs
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { sdist } from '../support/archives.mjs';
import { artefacts, ModelServer, modelBinary, S3Server, s3Binary, Server, serverBinary, stopAll } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { Report } from './figures.mjs';
import { atRest, duringOutput, withSessions } from './memory.mjs';
import { firstByte, inBrowser } from './pages.mjs';
import { openReview } from './review.mjs';
import { readRates, uploads } from './storage.mjs';
import { importMany, treeOfMany } from './tree.mjs';
import { firstToken, ownMeasurement, queueToStart, sandboxOverhead } from './work.mjs';

const QUIET = { LOG_LEVEL: 'warn' };
const report = new Report();
await mkdir(artefacts, { recursive: true });
console.log(`${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, load ${os.loadavg()[0].toFixed(1)}`);

/** One measurement that breaks down does not take the others along. */
async function measure(name, work) {
  try {
    await work();
  } catch (error) {
    report.skip(name, error.message.split('\n')[0]);
  }
}

try {
  const idle = await Server.start(QUIET, 'bench-idle');
  await measure('memory at rest', () => atRest(idle, report));
  const idleRest = await Rest.signUp(idle.base, 'ada');
  const idleProject = await idleRest.project('idle');
  await measure('memory with sessions', () => withSessions(idle, idleProject, report));
  await idle.stop();

  const model = existsSync(modelBinary) ? await ModelServer.start() : undefined;
  const server = await Server.start({ ...QUIET, ...model?.env }, 'bench');
  const rest = await Rest.signUp(server.base, 'ada');
  const project = await rest.importArchive('six', 'six.tar.gz', readFileSync(sdist()));
  await measure('time to first byte', () => firstByte(server, rest, report));
  await measure('queue to process start', () => queueToStart(rest, project, report));
  await measure('memory during output', () => duringOutput(server, rest, project, report));
  const s3 = existsSync(s3Binary) ? await S3Server.start() : undefined;
  const files = await Server.start({ ...QUIET, ...s3?.env, STORAGE_FILE_SIZE_LIMIT: '300MB' }, 'bench-storage');
  await measure('uploads', () => uploads(files, s3, report));
  await measure('reads', () => readRates(files, report));
  await files.stop();
  await s3?.stop();
  await measure('sandbox overhead', () => sandboxOverhead(process.env.OVERHEAD_BIN, report));
  await measure('50 000 files', () => ownMeasurement('workspace', process.env.WORKSPACE_BIN));
  await measure('checkpoints', () => ownMeasurement('checkpoints', process.env.CHECKPOINTS_BIN));
  await measure('terminal echo', () => ownMeasurement('terminal_echo', process.env.TERMINAL_ECHO_BIN, [serverBinary]));
  if (model) await measure('added to the first token', () => firstToken(rest, model, project, report));
  else report.skip('added to the first token', 'the example `model_server` is not built');

  const executablePath = process.env.CHROMIUM_PATH || '/usr/bin/chromium';
  if (existsSync(executablePath)) {
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] });
    await measure('pages in a browser', () => inBrowser(browser, server, rest, project, report));
    await measure('a review of 1000 hunks', () => openReview(browser, server, rest, report));
    await measure('the tree of 50 000 files', async () => treeOfMany(browser, server, rest, await importMany(rest), report));
    await browser.close();
  } else {
    report.skip('pages in a browser', 'Chromium is not installed');
  }
} finally {
  await stopAll();
}
await writeFile(path.join(artefacts, 'bench.json'), `${JSON.stringify(report.figures, null, 2)}\n`);
