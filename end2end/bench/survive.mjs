// What must be over soon: a stop, the way back after the server was killed, and what reconnects leave behind. Also alone:
// node end2end/bench/survive.mjs
import path from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Journey } from '../support/journey.mjs';
import { connected, openProject, signIn } from '../support/pages.mjs';
import { processesWith, Server, stopAll, until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { median, megabytes, milliseconds, Report } from './figures.mjs';

const STOPS = 7;
const STOP_BAR = 1000;
const RECONNECT_BAR = 1000;
/** Seconds that the server is away: at once, and long enough that clients try less often. */
const AWAY = [0, 1, 5, 20];
const RECONNECTS = 1000;
/** Before anything is measured, until the allocator keeps what it needs. */
const WARM = 1000;
/** What counts as flat: 2 kB for each. */
const FLAT = 2e6;

/** From asking until no process of the run is on the machine, also none that ignores signals and has left its group. */
export async function stopRuns(rest, report) {
  const project = await rest.project('stops');
  const times = [];
  for (let round = 0; round < STOPS; round += 1) {
    const marker = `stopped${process.pid}x${Date.now()}`;
    const command = `trap '' TERM INT HUP; for i in 1 2 3; do sh -c "trap '' TERM; sleep 1000; echo ${marker}" & done; (setsid sh -c 'sleep 1000; echo ${marker}' &); sleep 1000; echo ${marker}`;
    const run = await rest.startRun(project, command);
    await until(async () => (await processesWith(marker)).length >= 5, 'the processes of the run');
    const began = performance.now();
    await rest.post(`/api/runs/${run.id}/cancel`);
    await until(async () => (await processesWith(marker)).length === 0, 'the processes to be gone', { every: 5 });
    times.push(performance.now() - began);
    await rest.finishedRun(run.id);
  }
  report.add('stop until nothing is left alive, median', median(times), STOP_BAR, milliseconds);
  report.add(`stop until nothing is left alive, worst of ${STOPS}`, Math.max(...times), STOP_BAR, milliseconds);
}

/** From the moment that the killed server answers again until an open page follows its events again. */
export async function comeBack(browser, server, rest, report) {
  const project = await rest.project('comes-back');
  const journey = new Journey('bench-survive', browser, { steps: [], passed: 0 });
  try {
    const page = await journey.page({ base: server.base, allow: [/ERR_/] });
    await signIn(page, rest.user.username);
    await openProject(page, project);
    await connected(page);
    for (const seconds of AWAY) {
      await server.stop('SIGKILL');
      await page.locator('footer.status').getByText(/Reconnecting|Offline/).waitFor();
      await pause(seconds * 1000);
      await server.launch();
      const began = performance.now();
      await connected(page);
      report.add(`page connected again, server away for ${seconds} s`, performance.now() - began, RECONNECT_BAR, milliseconds);
    }
  } finally {
    await journey.close();
  }
}

/** What the server holds more after a thousand streams were opened and dropped, one after the other. */
export async function manyReconnects(server, rest, report) {
  const project = await rest.project('reconnects');
  const reconnect = async () => {
    const dropped = new AbortController();
    const answer = await fetch(`${server.base}/api/live/project:${project}`, { headers: { authorization: `Bearer ${rest.token}` }, signal: dropped.signal });
    if (answer.status !== 200) throw new Error(`the stream answered ${answer.status}`);
    await answer.body.getReader().read();
    dropped.abort();
  };
  for (let n = 0; n < WARM; n += 1) await reconnect();
  const before = await settled(server);
  for (let n = 0; n < RECONNECTS; n += 1) await reconnect();
  report.add(`memory added by ${RECONNECTS} reconnects`, Math.max(0, (await settled(server)) - before), FLAT, megabytes);
}

/** Resident bytes, the least of some looks. */
async function settled(server) {
  let least = Infinity;
  for (let look = 0; look < 12; look += 1) {
    await pause(250);
    least = Math.min(least, await server.residentBytes());
  }
  return least;
}

if (path.resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const report = new Report();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const server = await Server.start({ LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false' }, 'bench-survive');
    const rest = await Rest.signUp(server.base, 'ada');
    await stopRuns(rest, report);
    await comeBack(browser, server, rest, report);
    await manyReconnects(server, rest, report);
  } finally {
    await browser.close();
    await stopAll();
  }
}
