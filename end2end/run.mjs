// Runs every journey against the server binary, a few at once, each lane with a Chromium of its own (a headless one has one
// clipboard): node end2end/run.mjs [name…]; JOURNEYS_AT_ONCE says how many.
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { Journey } from './support/journey.mjs';
import { artefacts, root, stopAll } from './support/processes.mjs';

const JOURNEY_LIMIT = 300_000;
// Most of a journey is waiting for what is shown.
const lanes = Math.max(1, Number(process.env.JOURNEYS_AT_ONCE ?? os.availableParallelism()));
const folder = path.join(root, 'end2end/journeys');
const wanted = process.argv.slice(2);
const known = (await readdir(folder)).filter((file) => file.endsWith('.mjs')).map((file) => path.basename(file, '.mjs')).sort();
const names = wanted.length > 0 ? wanted : known;
for (const name of names) if (!known.includes(name)) throw new Error(`no journey is named ${name}; there are ${known.join(', ')}`);

await mkdir(path.join(artefacts, 'screens'), { recursive: true });
if (wanted.length === 0) await clearArtefacts();
const report = { passed: 0, failed: 0, failures: [], steps: [] };
const started = Date.now();
// A promise that a failed step left behind is refused when its page closes: said, and not the end of the other journeys.
process.on('unhandledRejection', (error) => {
  report.failed += 1;
  report.failures.push({ journey: '-', step: 'left behind', reason: String(error?.stack ?? error) });
  console.log(`not ok - nobody waited for: ${String(error?.stack ?? error).slice(0, 2000)}`);
});
// The longest walks first, so that no lane ends long after the others: those that look at every page, then the longest texts.
const lengths = new Map(await Promise.all(names.map(async (name) => [name, name.startsWith('looks') ? Infinity : (await stat(path.join(folder, `${name}.mjs`))).size])));
const left = [...names].sort((one, other) => (lengths.get(one) < lengths.get(other) ? 1 : -1));
try {
  await Promise.all(Array.from({ length: Math.min(lanes, names.length) }, walkLane));
} catch (error) {
  report.failed += 1;
  report.failures.push({ journey: '-', step: 'start', reason: String(error.stack ?? error) });
  console.log(`not ok - ${error.message}`);
} finally {
  await stopAll();
}
await writeFile(path.join(artefacts, 'result.json'), `${JSON.stringify(report, null, 2)}\n`);
console.log(`${report.passed} steps passed, ${report.failed} failed, ${seconds(started)}`);
process.exit(report.failed > 0 || report.passed === 0 ? 1 : 0);

async function walkLane() {
  let browser;
  try {
    while (left.length > 0) {
      if (!browser?.isConnected()) browser = await launch();
      await take(left.shift(), browser);
    }
  } finally {
    await browser?.close().catch(() => {});
  }
}

/** What the tests of the contract leave is theirs: they may be running. */
async function clearArtefacts() {
  for (const name of await readdir(artefacts)) if (name !== 'contract') await rm(path.join(artefacts, name), { recursive: true, force: true });
  await mkdir(path.join(artefacts, 'screens'));
}

function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM_PATH || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

async function take(name, browser) {
  const began = Date.now();
  const journey = new Journey(name, browser, report);
  let late;
  try {
    const { default: walk } = await import(path.join(folder, `${name}.mjs`));
    const limit = new Promise((_, reject) => {
      late = setTimeout(() => reject(new Error(`took longer than ${JOURNEY_LIMIT / 1000} s`)), JOURNEY_LIMIT);
    });
    await Promise.race([walk(journey), limit]);
    await journey.step('no errors in the console', () => journey.noErrors());
    console.log(`ok ${name}, ${journey.passed} steps, ${seconds(began)}`);
  } catch (error) {
    report.failed += 1;
    const reason = String(error.message ?? error).trim();
    report.failures.push({ journey: name, step: journey.doing, reason: String(error.stack ?? error), console: journey.problems });
    console.log(`not ok ${name}, at “${journey.doing ?? 'its beginning'}”, ${seconds(began)}\n  ${reason.replaceAll('\n', '\n  ').slice(0, 3000)}`);
    // The first ones say the most; the result file has them all.
    for (const problem of journey.problems.slice(0, 3)) console.log(`  ${problem.split('\n').slice(0, 3).join('\n  ').slice(0, 400)}`);
    for (const line of await journey.lastWords()) console.log(`  ${line.slice(0, 400)}`);
    await journey.shootFailure();
  } finally {
    clearTimeout(late);
    await journey.close();
  }
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
