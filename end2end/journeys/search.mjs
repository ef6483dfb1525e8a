// Search through the project: by key, with the hands on the keyboard, and a replacement that is reviewed before it is written.
import assert from 'node:assert/strict';
import { editorShows, openFile, openProject, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { PHONE } from '../support/journey.mjs';

const CLIENT = `class Client:
    def fetch(self, retries=3):
        return self.retry(retries)

    def retry(self, count):
        return count
`;

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('rates');
  await rest.write(project, 'src/client.py', CLIENT);
  await rest.write(project, 'src/server.py', 'from client import Client\n\nRETRIES = 5\n');
  await rest.write(project, 'notes/retry.md', 'How often do we retry?\n');
  // A wrong expression is refused by the server, which the browser notes.
  const page = await journey.page({ base, allow: [/status of 422/] });
  await signIn(page, 'ada');
  await openProject(page, project);
  const panel = (window) => window.getByRole('region', { name: 'Search' });
  const field = (window) => panel(window).getByRole('searchbox', { name: 'Search', exact: true });
  const list = (window) => window.getByRole('tree', { name: 'Found lines' });
  const lines = (window) => list(window).locator('[role=treeitem][aria-level="2"]');
  const focused = (window, selector) => window.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);

  await journey.step('a key takes the selection along and finds it everywhere', async () => {
    await page.getByRole('treeitem', { name: /^src/ }).click();
    await openFile(page, 'src/client.py');
    await editorShows(page, 'def retry');
    await page.locator('.ed-host:not([hidden]) .view-line').filter({ hasText: 'def retry' }).getByText('retry', { exact: true }).first().dblclick();
    await page.keyboard.press('Control+Shift+F');
    await until(() => focused(page, '[aria-label="Search"]'), 'the field to have the focus');
    assert.equal(await field(page).inputValue(), 'retry');
    await panel(page).getByText('3 lines in 2 files').waitFor();
    await journey.shot(page, 'search');
  });

  await journey.step('the lines are walked and opened by keys', async () => {
    await page.keyboard.press('ArrowDown');
    await until(() => focused(page, '.sr-file'), 'the first file to have the focus');
    await page.keyboard.press('ArrowDown');
    await until(() => focused(page, '.sr-line'), 'its line to have the focus');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await until(async () => (await lines(page).count()) === 2, 'the first file to be folded');
    await page.keyboard.press('End');
    await until(() => focused(page, '.sr-line'), 'the last line to have the focus');
    await page.keyboard.press('Enter');
    await page.locator('footer.status').getByText('Line 5,').waitFor();
    await page.keyboard.press('F4');
    await page.locator('.tab[aria-selected=true][title="notes/retry.md"]').waitFor();
  });

  await journey.step('switches, patterns and a wrong expression', async () => {
    await field(page).fill('RETR');
    await panel(page).getByText('5 lines in 3 files').waitFor();
    await panel(page).getByRole('button', { name: 'Upper and lower case matter' }).click();
    await panel(page).getByText('1 line in 1 file').waitFor();
    await panel(page).getByRole('button', { name: 'Upper and lower case matter' }).click();
    await panel(page).getByRole('button', { name: 'Regular expression' }).click();
    await field(page).fill('retr(y|ies');
    await panel(page).getByText('at character 5: unclosed group').waitFor();
    await field(page).fill('retr(y|ies)');
    await panel(page).getByRole('button', { name: /^Choose files by patterns/ }).click();
    await panel(page).getByRole('textbox', { name: 'Only in' }).fill('*.py');
    await panel(page).getByText('4 lines in 2 files').waitFor();
    await panel(page).getByRole('combobox', { name: 'Lines of context' }).selectOption('1');
    await list(page).locator('li.sr-line[role=presentation]').first().waitFor();
    await panel(page).getByRole('combobox', { name: 'Lines of context' }).selectOption('0');
  });

  await journey.step('a replacement is shown, reviewed and applied', async () => {
    await page.keyboard.press('Control+Shift+H');
    await until(() => focused(page, '[aria-label="Search"]'), 'the field to have the focus');
    await panel(page).getByRole('textbox', { name: 'Replace by' }).fill('attempt$1');
    await list(page).locator('ins').first().waitFor();
    await journey.shot(page, 'search-replace');
    await list(page).getByRole('treeitem', { name: /server\.py/ }).focus();
    await until(() => focused(page, '.sr-file[aria-selected=true]'), 'the file to be the one that keys act on');
    await page.keyboard.press('Delete');
    await panel(page).getByText('1 file left out').waitFor();
    await panel(page).getByRole('button', { name: 'Review replacements in 1 file' }).click();
    const review = page.getByRole('region', { name: 'Review', exact: true });
    await review.getByText('Replace “retr(y|ies)” by “attempt$1”').waitFor();
    assert.equal(await rest.read(project, 'src/client.py'), CLIENT, 'nothing is written yet');
    await journey.shot(page, 'search-review');
    await review.getByRole('button', { name: /^Accept the \d+ open$/ }).click();
    await review.getByRole('button', { name: /^Apply/ }).click();
    await review.getByText('All decided.').waitFor();
    assert.equal(await rest.read(project, 'src/client.py'), CLIENT.replaceAll('retries', 'attempties').replaceAll('retry', 'attempty'));
    assert.equal(await rest.read(project, 'src/server.py'), 'from client import Client\n\nRETRIES = 5\n');
    await review.getByRole('button', { name: 'Back to the editor' }).click();
    await panel(page).getByRole('heading', { name: 'Search' }).waitFor();
  });

  await journey.step('symbols and files are gone to by name', async () => {
    await page.keyboard.press('Control+P');
    const palette = page.getByRole('dialog', { name: 'Command palette' });
    await palette.getByRole('combobox').fill('clpy');
    await palette.getByRole('option', { name: 'src/client.py' }).waitFor();
    await page.keyboard.press('Enter');
    await editorShows(page, 'class Client');
    await page.keyboard.press('Control+Shift+O');
    await palette.getByRole('option', { name: /fetch method/ }).waitFor();
    await palette.getByRole('combobox').fill('@attem');
    await palette.getByRole('option', { name: /attempty method/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.locator('footer.status').getByText('Line 5,').waitFor();
    await page.getByRole('button', { name: /the cursor is in Client › attempty/ }).waitFor();
  });

  await journey.step('on a phone, in the dark', async () => {
    const phone = await journey.page({ base, size: PHONE, dark: true });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    await phone.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: 'Files' }).click();
    await phone.getByRole('group', { name: 'View' }).getByRole('button', { name: 'Search' }).click();
    await field(phone).fill('client');
    await panel(phone).getByText('2 lines in 2 files').waitFor();
    await journey.shot(phone, 'search-phone');
    await lines(phone).first().click();
    await editorShows(phone, 'Client');
  });
}
