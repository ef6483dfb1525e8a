// Prints each figure beside its bar, measured against the server binary: node end2end/bench/run.mjs
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { sdist } from '../support/archives.mjs';
import { artefacts, ModelServer, modelBinary, S3Server, s3Binary, Server, serverBinary, stopAll } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { streaming } from './chat.mjs';
import { Report } from './figures.mjs';
import { queriesOfAList, requestRates } from './http.mjs';
import { atRest, duringOutput, withSessions } from './memory.mjs';
import { firstByte, inBrowser } from './pages.mjs';
import { openReview } from './review.mjs';
import { searchBesideRipgrep } from './search.mjs';
import { sessions } from './sessions.mjs';
import { readRates, uploads } from './storage.mjs';
import { manyStreams } from './streams.mjs';
import { comeBack, manyReconnects, stopRuns } from './survive.mjs';
import { importMany, treeOfMany } from './tree.mjs';
import { firstToken, ownMeasurement, queueToStart, sandboxOverhead } from './work.mjs';

// Everything comes from one address here, in a hurry.
const QUIET = { LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false' };
/** Enough for the 500 streams that are measured, and for those that are asked beside them. */
const TURNS_AT_ONCE = 520;
/** Few, which all of the streams share. */
const DB_CONNECTIONS = '10';
/** Signs the tokens of the server whose rates are held against another program's. */
const SECRET = randomBytes(32).toString('hex');
const report = new Report();
await mkdir(artefacts, { recursive: true });
console.log(`${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, load ${os.loadavg()[0].toFixed(1)}`);

/** Many answers at once, on a server that lets one person have as many and has few connections to its database. */
async function streams(model, report) {
  const env = { ...QUIET, WORKER_CONCURRENCY: String(TURNS_AT_ONCE), DB_POOL_SIZE: DB_CONNECTIONS, ...model.env };
  const server = await Server.start(env, 'bench-streams');
  try {
    const rest = await Rest.signUp(server.base, 'ada');
    const limits = await rest.get('/api/admin/settings/runs');
    await rest.expect(200, 'PUT', '/api/admin/settings/runs', { json: { ...limits, jobs_per_user: TURNS_AT_ONCE } });
    await manyStreams(server, rest, model, report);
  } finally {
    await server.stop();
  }
}

/** One measurement that breaks down does not take the others along. */
async function measure(name, work) {
  try {
    await work();
  } catch (error) {
    report.skip(name, error.message.split('\n')[0]);
  }
}

try {
  const idle = await Server.start({ ...QUIET, JWT_SECRET_KEY: SECRET }, 'bench-idle');
  await measure('memory at rest', () => atRest(idle, report));
  const idleRest = await Rest.signUp(idle.base, 'ada');
  const idleProject = await idleRest.project('idle');
  await measure('memory with sessions', () => withSessions(idle, idleProject, report));
  await measure('requests per second of processor', () => requestRates(idle, SECRET, report));
  await measure('memory after reconnects', () => manyReconnects(idle, idleRest, report));
  await idle.stop();
  const told = await Server.start({ ...QUIET, LOG_LEVEL: 'info,sqlx::query=debug', LOG_FORMAT: 'json' }, `bench-queries-${Date.now()}`);
  await measure('queries of a list', () => queriesOfAList(told, report));
  await told.stop();

  const model = existsSync(modelBinary) ? await ModelServer.start() : undefined;
  const server = await Server.start({ ...QUIET, ...model?.env }, 'bench');
  const rest = await Rest.signUp(server.base, 'ada');
  const project = await rest.importArchive('six', 'six.tar.gz', readFileSync(sdist()));
  await measure('time to first byte', () => firstByte(server, rest, report));
  await measure('queue to process start', () => queueToStart(rest, project, report));
  await measure('stops', () => stopRuns(rest, report));
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
  await measure('search through 50 000 files', () => searchBesideRipgrep(process.env.SEARCH_BIN, report));
  await measure('terminal echo', () => ownMeasurement('terminal_echo', process.env.TERMINAL_ECHO_BIN, [serverBinary]));
  if (model) await measure('added to the first token', () => firstToken(rest, model, project, report));
  else report.skip('added to the first token', 'the example `model_server` is not built');
  if (model) await measure('500 streams at once', () => streams(model, report));
  else report.skip('500 streams at once', 'the example `model_server` is not built');

  const executablePath = process.env.CHROMIUM_PATH || '/usr/bin/chromium';
  if (existsSync(executablePath)) {
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] });
    await measure('pages in a browser', () => inBrowser(browser, server, rest, project, report));
    await measure('a review of 1000 hunks', () => openReview(browser, server, rest, report));
    await measure('the tree of 50 000 files', async () => treeOfMany(browser, server, rest, await importMany(rest), report));
    if (model) await measure('frames while an answer streams in', () => streaming(browser, server, rest, model, report));
    else report.skip('frames while an answer streams in', 'the example `model_server` is not built');
    await measure('conversations of 50 000 events', () => sessions(browser, report));
    await measure('the way back after kill -9', () => comeBack(browser, server, rest, report));
    await browser.close();
  } else {
    report.skip('everything in a browser', 'Chromium is not installed');
  }
} finally {
  await stopAll();
}
await writeFile(path.join(artefacts, 'bench.json'), `${JSON.stringify(report.figures, null, 2)}\n`);
