// Pages: time to first byte, bytes that a first visit loads, and when they can be used.
import http from 'node:http';
import { alive, signIn } from '../support/pages.mjs';
import { Journey } from '../support/journey.mjs';
import { kilobytes, median, milliseconds } from './figures.mjs';

/** The second half of the program, see frontend/js/late.js. */
const LATE = /\/frontend-late-[^/]*\.wasm$/;

/** Medians over one kept connection, one request after the other. */
export async function firstByte(server, rest, report) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (path, headers) =>
    new Promise((resolve, reject) => {
      const began = performance.now();
      http
        .get(server.base + path, { agent, headers: { accept: 'text/html', 'accept-encoding': 'br, gzip', ...headers } }, (answer) => {
          answer.once('data', () => (answer.took = performance.now() - began));
          answer.on('data', () => {});
          answer.on('end', () => (answer.statusCode === 200 ? resolve(answer.took) : reject(new Error(`${path} answered ${answer.statusCode}`))));
        })
        .on('error', reject);
    });
  for (const [name, path, headers] of [
    ['time to first byte, login', '/login', {}],
    ['time to first byte, dashboard', '/', { authorization: `Bearer ${rest.token}` }],
  ]) {
    const times = [];
    for (let round = 0; round < 60; round += 1) times.push(await ask(path, headers));
    report.add(name, median(times.slice(10)), 5, milliseconds);
  }
  agent.destroy();
}

/** What the browser transfers and how long it takes, each time with an empty cache but for `warm`. */
export async function inBrowser(browser, server, rest, project, report) {
  const journey = new Journey('bench', browser, { steps: [], passed: 0 });
  try {
    await measureLogin(journey, server, report);
    await measureEditor(journey, server, rest, project, report);
  } catch (error) {
    await journey.shootFailure();
    throw error;
  } finally {
    await journey.close();
  }
}

async function measureLogin(journey, server, report) {
  const page = await journey.page({ base: server.base });
  const count = await countBytes(page);
  const began = performance.now();
  await page.goto('/login');
  await alive(page);
  report.add('login page interactive, cold', performance.now() - began, 1000, milliseconds);
  await page.waitForLoadState('networkidle');
  report.add('bytes of the login page', count(), 250_000, kilobytes);
}

async function measureEditor(journey, server, rest, project, report) {
  // Signed in elsewhere, so that the cache is empty.
  const elsewhere = await journey.page({ base: server.base });
  await signIn(elsewhere, rest.user.username);
  const profile = await journey.profile({ base: server.base });
  await profile.addCookies(await elsewhere.context().cookies());
  await profile.addInitScript((key) => localStorage.setItem(key, JSON.stringify({ paths: ['six.py'], active: 'six.py' })), `tabs:${project}`);
  const page = await profile.newPage();
  const count = await countBytes(page);
  const took = await untilTyped(page, () => page.goto(`/projects/${project}`, { waitUntil: 'commit' }));
  await page.waitForLoadState('networkidle').catch(() => {});
  const needed = await page.evaluate(waitedForLate);
  const late = needed ? 0 : count(LATE);
  report.add('bytes of the open editor', count() - late, 1_600_000, kilobytes);
  console.log(needed ? '  The editor waited for the second half of the program; scripts/first-view.sh puts what it needed into the first.' : `  ${kilobytes(late)} follow once it is open`);
  report.add('editor accepts a key, cold', took, 1500, milliseconds);
  // A page with unsaved text asks before it goes, and answering that is sometimes lost.
  const saved = page.waitForResponse((response) => response.url().includes('/fn/files/save'));
  await page.keyboard.press('Control+s');
  await saved;
  await page.getByText('Saved', { exact: true }).first().waitFor();
  const warm = await untilTyped(page, () => page.reload({ waitUntil: 'commit' }));
  report.add('editor accepts a key, warm', warm, 600, milliseconds);
}

/** In the page: whether anything stood still until the second half was there. */
function waitedForLate() {
  return performance.getEntriesByType('resource').some((entry) => entry.initiatorType === 'xmlhttprequest' && entry.name.includes('/frontend-late-'));
}

/** Milliseconds from the start of a navigation until a typed character stands in the text. */
async function untilTyped(page, navigate) {
  const began = performance.now();
  await navigate();
  const input = page.locator('.ed-host .monaco-editor .native-edit-context, .ed-host .monaco-editor textarea.inputarea').first();
  await page.locator('.ed-host .view-line').first().waitFor();
  await input.focus();
  const mark = `q${Math.round(began)}`;
  await page.keyboard.insertText(mark);
  await page.locator('.ed-host .view-line').filter({ hasText: mark }).first().waitFor();
  return performance.now() - began;
}

/** Counts what comes over the wire, headers included: all of it, or what has an address like `pattern`. */
async function countBytes(page) {
  const wire = await page.context().newCDPSession(page);
  await wire.send('Network.enable');
  await wire.send('Network.setCacheDisabled', { cacheDisabled: false });
  const asked = new Map();
  const came = [];
  wire.on('Network.requestWillBeSent', (event) => asked.set(event.requestId, event.request.url));
  wire.on('Network.loadingFinished', (event) => came.push([asked.get(event.requestId) ?? '', event.encodedDataLength]));
  return (pattern = /^/) => came.reduce((total, [url, bytes]) => (pattern.test(url) ? total + bytes : total), 0);
}
