// The tree of a project of 50 000 files: from the navigation to the first rows and to the whole tree, from its request, and what filtering,
// scrolling and quick open cost.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { signIn, tree } from '../support/pages.mjs';
import { Journey } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { median, milliseconds } from './figures.mjs';

const FILES = 50_000;
const SCRIPT = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_STORED) as z:
    for i in range(${FILES}):
        z.writestr(f"many/part-{i // 500:03d}/dir-{i // 50 % 10}/module_{i:05d}.py", f"N = {i}\\n")
`;

/** Imports the project and answers its id. */
export async function importMany(rest) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'cloudxdevai-many-'));
  try {
    const file = path.join(folder, 'many.zip');
    execFileSync('python3', ['-c', SCRIPT, file]);
    return await rest.importArchive('many', 'many.zip', readFileSync(file), { timeout: 600_000 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function treeOfMany(browser, server, rest, project, report) {
  const journey = new Journey('bench-tree', browser, { steps: [], passed: 0 });
  try {
    const page = await journey.page({ base: server.base });
    await page.addInitScript(noteTree);
    await signIn(page, rest.user.username);
    const [fromRequest, fromAnswer, fromNavigation, firstRows] = [[], [], [], []];
    for (let round = 0; round < 5; round += 1) {
      await page.goto(`/projects/${project}`);
      await page.waitForFunction(() => window.wholeTree, undefined, { timeout: 60_000 });
      const seen = await page.evaluate(() => {
        const answer = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/fn/files/tree')).at(-1);
        return { row: window.firstRow, whole: window.wholeTree, asked: answer.startTime, answered: answer.responseEnd };
      });
      fromRequest.push(seen.whole - seen.asked);
      fromAnswer.push(seen.whole - seen.answered);
      fromNavigation.push(seen.whole);
      firstRows.push(seen.row);
    }
    report.add('50 000 files: tree usable after its request', median(fromRequest), 300, milliseconds);
    // The first time the server reads the list from its database; it keeps it for those who come later.
    console.log(`  of which ${milliseconds(median(fromAnswer))} after the whole answer had come; ${milliseconds(fromRequest[0])} the first time`);
    console.log(`  the first rows stand ${milliseconds(median(firstRows))} after navigation, before the rest is asked for`);
    report.add('50 000 files: tree usable after navigation', median(fromNavigation), 1500, milliseconds);
    report.add('50 000 files: a key in the filter', await untilFiltered(page), 100, milliseconds);
    report.add('50 000 files: an arrow key, all unfolded', await untilMoved(page), 50, milliseconds);
    await quickOpen(page, report);
  } finally {
    await journey.close();
  }
}

/** Notes when the first row of the tree was painted, and when all of it was there: its foot then counts the files. */
function noteTree() {
  const noteAt = (name) => requestAnimationFrame(() => setTimeout(() => (window[name] ??= performance.now())));
  new MutationObserver((_, observer) => {
    if (document.querySelector('[role=tree][aria-label="Project files"] [role=treeitem]')) noteAt('firstRow');
    if (!document.querySelector('.tree-foot')?.textContent.trim()) return;
    observer.disconnect();
    noteAt('wholeTree');
  }).observe(document, { subtree: true, childList: true, characterData: true });
}

/** From an input to the next paint, as the median over some letters. */
async function untilFiltered(page) {
  const field = page.getByLabel('Filter', { exact: true });
  const times = [];
  for (const text of ['m', 'mo', 'mod', 'modu', 'module_4']) {
    times.push(
      await field.evaluate(async (input, value) => {
        const began = performance.now();
        input.value = value;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
        return performance.now() - began;
      }, text),
    );
  }
  return median(times);
}

/** With every row unfolded by a filter that all of them match. */
async function untilMoved(page) {
  await page.getByLabel('Filter', { exact: true }).fill('part');
  const times = [];
  await tree(page).getByRole('treeitem').first().focus();
  for (let round = 0; round < 10; round += 1) {
    times.push(
      await page.evaluate(async () => {
        const began = performance.now();
        document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true, cancelable: true }));
        await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
        return performance.now() - began;
      }),
    );
  }
  return median(times);
}

/** What is typed into quick open, letter by letter. Every one of them is a search over all paths. */
const SOUGHT = ['module_49999', 'part07dir3', 'mod 1234', 'py'];

/** From a real key to the paint after it, with the results of what stands in the field then. */
async function quickOpen(page, report) {
  await page.getByLabel('Filter', { exact: true }).fill('');
  await page.evaluate(() => {
    window.keyTimes = [];
    const note = (event) => {
      if (!(event.target instanceof HTMLInputElement) || event.target.getAttribute('role') !== 'combobox') return;
      requestAnimationFrame(() => setTimeout(() => window.keyTimes.push(performance.now() - event.timeStamp)));
    };
    // The key itself, not what the page makes of it: waiting for its turn counts.
    document.addEventListener('keydown', note, { capture: true });
  });
  const palette = page.getByRole('dialog', { name: 'Command palette' });
  const [field, first] = [palette.getByRole('combobox'), palette.getByRole('option').first()];
  const [times, opened] = [[], []];
  for (const text of SOUGHT) {
    const began = performance.now();
    await page.keyboard.press('Control+p');
    await first.waitFor();
    opened.push(performance.now() - began);
    await page.evaluate(() => (window.keyTimes.length = 0));
    for (let at = 1; at <= text.length; at += 1) {
      await page.keyboard.press(text[at - 1] === ' ' ? 'Space' : text[at - 1]);
      await page.waitForFunction((count) => window.keyTimes.length >= count, at);
    }
    if ((await field.inputValue()) !== text) throw new Error(`${await field.inputValue()} stands in quick open instead of ${text}`);
    times.push(...(await page.evaluate(() => window.keyTimes)));
    if (text === SOUGHT[0]) await until(async () => (await first.innerText()).includes('module_49999'), 'the file that was sought');
    await page.keyboard.press('Escape');
    await field.waitFor({ state: 'hidden' });
  }
  console.log(`  quick open shows its list after ${milliseconds(opened[0])} the first time, ${milliseconds(median(opened.slice(1)))} later`);
  report.add('50 000 files: a key in quick open, median', median(times), 50, milliseconds);
  report.add(`50 000 files: a key in quick open, worst of ${times.length}`, Math.max(...times), 50, milliseconds);
}
