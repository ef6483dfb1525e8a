// The tree of a project of 50 000 files: from the answer to the first rows, from the navigation, and what filtering and scrolling cost.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { signIn, tree } from '../support/pages.mjs';
import { Journey } from '../support/journey.mjs';
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
    await page.addInitScript(noteFirstRow);
    await signIn(page, rest.user.username);
    const [fromAnswer, fromNavigation] = [[], []];
    for (let round = 0; round < 5; round += 1) {
      await page.goto(`/projects/${project}`);
      await tree(page).getByRole('treeitem').first().waitFor({ timeout: 60_000 });
      const seen = await page.evaluate(() => {
        const answer = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/fn/files/tree')).at(-1);
        return { row: window.firstRow, answered: answer.responseEnd };
      });
      fromAnswer.push(seen.row - seen.answered);
      fromNavigation.push(seen.row);
    }
    report.add('50 000 files: tree usable after the answer', median(fromAnswer), 300, milliseconds);
    report.add('50 000 files: tree usable after navigation', median(fromNavigation), 1500, milliseconds);
    report.add('50 000 files: a key in the filter', await untilFiltered(page), 100, milliseconds);
    report.add('50 000 files: an arrow key, all unfolded', await untilMoved(page), 50, milliseconds);
  } finally {
    await journey.close();
  }
}

/** Notes when the first row of the tree was painted. */
function noteFirstRow() {
  new MutationObserver((_, observer) => {
    if (!document.querySelector('[role=tree][aria-label="Project files"] [role=treeitem]')) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (window.firstRow = performance.now())));
  }).observe(document, { subtree: true, childList: true });
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
