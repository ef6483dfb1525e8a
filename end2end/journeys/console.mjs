// The Output tab: what a run used, what it changed, its output searched, kept and taken along; and the keys of the console.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connected, openProject, runCommand, signIn, terminalText } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const BUSY = `import time
end = time.monotonic() + 4
held = bytearray(30_000_000)
n = 0
while time.monotonic() < end:
    n += 1
    if n % 200_000 == 0:
        print(f"needle {n}", flush=True)
print("done", flush=True)
`;

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('console');
  await rest.write(project, 'busy.py', BUSY);
  await rest.write(project, 'notes.txt', 'one\ntwo\nthree\n');
  // A run can be cleared away while the page asks for it.
  const page = await journey.page({ base, allow: [/404.*\/fn\/runs\/get/] });
  await signIn(page, 'ada');
  await openProject(page, project);
  const tab = (name) => page.getByRole('tablist', { name: 'Run console' }).getByRole('tab', { name: new RegExp(`^${name}`) });

  await journey.step('what was scrolled away is found again', async () => {
    const long = await runCommand(page, 'seq 1 400');
    await long.getByText('Exit 0').waitFor();
    await until(async () => (await terminalText(long)).includes('400'), 'the last line');
    await long.locator('.run-term').hover();
    await page.mouse.wheel(0, -800);
    await long.getByRole('button', { name: 'Jump to latest' }).click();
    await until(async () => (await terminalText(long)).includes('400'), 'the last line again');
    await long.getByRole('button', { name: 'Jump to latest' }).waitFor({ state: 'detached' });
  });

  await journey.step('a command keeps its lines', async () => {
    const line = page.getByLabel('Command to run');
    await line.fill('for word in red green; do');
    await line.press('Shift+Enter');
    await line.pressSequentially('echo "seen $word"');
    await line.press('Shift+Enter');
    await line.pressSequentially('done');
    await line.press('Enter');
    const run = await until(async () => (await rest.get(`/api/projects/${project}/runs`)).items.find((run) => run.command.includes('seen')), 'the run');
    assert.equal(run.command.split('\n').length, 3);
    const lines = page.locator('article.run').filter({ hasText: 'for word in' }).first();
    await lines.getByText('Exit 0').waitFor();
    await until(async () => (await terminalText(lines)).includes('seen green'), 'both words');
    await line.press('ArrowUp');
    assert.equal((await line.inputValue()).split('\n').length, 3);
    await line.press('ArrowDown');
    assert.equal(await line.inputValue(), '', 'from the last line the arrow goes on to what was being typed');
  });

  let block;
  await journey.step('processor and memory are drawn while it runs, and stay', async () => {
    block = await runCommand(page, 'python3 busy.py');
    const cpu = block.getByRole('img', { name: /^CPU, percent of one processor: now/ });
    await cpu.waitFor({ timeout: 15_000 });
    await block.getByText('Exit 0').waitFor({ timeout: 30_000 });
    const said = await block.getByRole('img', { name: /^CPU/ }).getAttribute('aria-label');
    assert.match(said, /highest \d+ %, over \d+ s/);
    assert.ok(Number(/highest (\d+) %/.exec(said)[1]) > 30, said);
    assert.match(await block.getByRole('img', { name: /^Memory/ }).getAttribute('aria-label'), /highest [\d.]+ MB/);
    await journey.shot(page, 'console-run');
  });

  await journey.step('its output can be searched by Ctrl+F', async () => {
    await block.locator('.run-term').click();
    await page.keyboard.press('Control+f');
    const field = block.getByRole('searchbox', { name: 'Search in the output' });
    await until(() => field.evaluate((element) => element === document.activeElement), 'the field to have the focus');
    await field.fill('needle');
    await block.getByText(/^\d+ of \d+$/).waitFor();
    const first = await block.getByText(/^\d+ of \d+$/).innerText();
    await field.press('Enter');
    await until(async () => (await block.getByText(/^\d+ of \d+$/).innerText()) !== first, 'the next place');
    await field.fill('not in there');
    await block.getByText('Not found').waitFor();
    await field.press('Escape');
    await field.waitFor({ state: 'detached' });
  });

  await journey.step('all of it can be downloaded', async () => {
    const [download] = await Promise.all([page.waitForEvent('download'), block.getByRole('link', { name: 'Download the output' }).click()]);
    const text = await readFile(await download.path(), 'utf8');
    assert.match(text, /^needle 200000\n[^]*done\n$/);
  });

  await journey.step('a file that it changed is shown as it was before and after', async () => {
    const edit = await runCommand(page, "sed -i 's/two/zwei/' notes.txt && echo new > added.txt");
    await edit.getByText('Exit 0').waitFor();
    await edit.getByRole('button', { name: /^notes\.txt/ }).click();
    const dialog = page.getByRole('dialog', { name: 'notes.txt' });
    const side = (which) => dialog.locator(`.editor.${which} .view-lines`);
    await until(async () => (await side('original').innerText()).includes('two'), 'the text before');
    await until(async () => (await side('modified').innerText()).includes('zwei'), 'the text after');
    await journey.shot(page, 'console-diff');
    await dialog.getByRole('button', { name: 'Close' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await edit.getByRole('button', { name: /^added\.txt/ }).click();
    const added = page.getByRole('dialog', { name: 'added.txt' });
    await until(async () => (await added.locator('.editor.modified .view-lines').innerText()).includes('new'), 'the added text');
    await page.keyboard.press('Escape');
    await added.waitFor({ state: 'hidden' });
  });

  await journey.step('a run is repeated, and stopped by key', async () => {
    const first = await runCommand(page, 'echo again; sleep 30');
    await until(async () => (await terminalText(first)).includes('again'), 'it to print');
    await page.keyboard.press('Control+.');
    await first.getByText('Stopped, 0 left').waitFor();
    await first.getByRole('button', { name: 'Run again' }).click();
    const both = page.locator('article.run').filter({ hasText: 'echo again; sleep 30' });
    await until(async () => (await both.count()) === 2, 'a second run');
    await both.first().getByRole('button', { name: /^Stop/ }).click();
    await both.first().getByText('Stopped, 0 left').waitFor();
  });

  await journey.step('the tabs go by arrow keys, and the panel by Ctrl+J', async () => {
    await tab('Output').focus();
    for (const name of ['Tests', 'Terminal', 'Ports', 'Output']) {
      await page.keyboard.press('ArrowRight');
      await until(async () => (await tab(name).getAttribute('aria-selected')) === 'true', `the tab ${name}`);
    }
    await page.keyboard.press('Control+j');
    await page.locator('.console').waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+j');
    await page.locator('.console').waitFor();
    await page.getByRole('button', { name: 'Maximise panel' }).click();
    await until(async () => (await page.locator('.console').boundingBox()).height > 600, 'the panel to be high');
    await page.getByRole('button', { name: 'Maximise panel' }).click();
    await until(async () => (await page.locator('.console').boundingBox()).height < 400, 'the panel to be as before');
  });

  await journey.step('finished runs are hidden here, deleted ones are gone for everyone', async () => {
    const runs = page.locator('article.run');
    const before = await runs.count();
    const fold = runs.last().locator('.run-fold');
    if ((await fold.getAttribute('aria-expanded')) === 'false') await fold.click();
    await runs.last().getByRole('button', { name: 'Delete this run' }).click();
    await page.getByRole('dialog', { name: 'Delete this run?' }).getByRole('button', { name: 'Delete the run' }).click();
    await until(async () => (await runs.count()) === before - 1, 'the run to be gone');
    assert.equal((await rest.get(`/api/projects/${project}/runs`)).items.length, before - 1);
    await page.getByRole('button', { name: 'Hide the finished runs' }).click();
    await page.reload();
    await connected(page);
    await page.getByRole('button', { name: /^Show \d+ hidden run/ }).click();
    await until(async () => (await runs.count()) === before - 1, 'them to be shown again');
  });
}
