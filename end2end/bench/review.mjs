// A change set of 1000 hunks: from the key that opens it until its first hunk is drawn and has the focus. Also alone:
// node end2end/bench/review.mjs
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { Journey } from '../support/journey.mjs';
import { connected, openProject, signIn } from '../support/pages.mjs';
import { Server, stopAll } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { median, milliseconds, Report } from './figures.mjs';

const HUNKS = 1000;
const BAR = 300;
const ROUNDS = 5;

/** Files whose changes are so far apart that each is a hunk. */
async function propose(rest, files) {
  const project = await rest.project(`review-${files}`);
  const text = Array.from({ length: (HUNKS / files) * 10 }, (_, n) => (n % 10 === 5 ? `    let needle_${n} = compute(${n}, needle);\n` : `    let value_${n} = compute(${n});\n`)).join('');
  for (let n = 0; n < files; n += 1) await rest.write(project, `src/part${n}.rs`, text);
  const set = await rest.post(`/api/projects/${project}/replace`, { q: 'needle', replacement: 'pin' });
  return { project, set };
}

export async function openReview(browser, server, rest, report) {
  const journey = new Journey('bench-review', browser, { steps: [], passed: 0 });
  try {
    const page = await journey.page({ base: server.base });
    await signIn(page, rest.user.username);
    for (const files of [40, 1]) {
      const { project, set } = await propose(rest, files);
      const hunks = set.files.flatMap((file) => file.hunks).length;
      if (hunks !== HUNKS) throw new Error(`${hunks} hunks were made`);
      await openProject(page, project);
      await connected(page);
      await page.locator('.rail .count', { hasText: /1.?000/ }).waitFor({ timeout: 30_000 });
      const times = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        times.push(await page.evaluate(untilOpen));
        await page.getByRole('button', { name: 'Leave the review; your marks are kept' }).click();
        await page.locator('.review').waitFor({ state: 'detached' });
      }
      report.add(`review of ${HUNKS} hunks in ${files === 1 ? '1 file' : `${files} files`} opens`, median(times), BAR, milliseconds);
    }
  } finally {
    await journey.close();
  }
}

/** In the page: milliseconds from the key to the frame behind the one in which the first hunk has its lines and the focus. */
function untilOpen() {
  return new Promise((resolve, reject) => {
    document.activeElement?.blur();
    const began = performance.now();
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'F7', bubbles: true, cancelable: true }));
    const look = () => {
      const first = document.querySelector('.review .hunk');
      if (first?.querySelector('.df .l') && document.activeElement === first) {
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
      } else if (performance.now() - began > 20_000) reject(new Error('the review did not open'));
      else requestAnimationFrame(look);
    };
    look();
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const report = new Report();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const server = await Server.start({ LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false' }, 'bench-review');
    await openReview(browser, server, await Rest.signUp(server.base, 'ada'), report);
  } finally {
    await browser.close();
    await stopAll();
  }
}
