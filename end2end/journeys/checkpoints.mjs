// The project's past: kept by name and before turns, looked at before it is restored, undone, named, deleted, forked, and by keys alone.
import assert from 'node:assert/strict';
import { editorShows, openFile, openProject, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { PHONE } from '../support/journey.mjs';

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await rest.project('rates');
  for (const path of ['src/client.py', 'src/errors.py', 'notes.md']) await rest.write(project, path, `first text of ${path}\n`);
  await rest.write(project, '.gitignore', 'dist/\n');
  await rest.expect(201, 'POST', `/api/projects/${project}/members`, { json: { who: 'ben', role: 'editor' } });
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);
  const panel = (window) => window.getByRole('region', { name: 'Checkpoints' });
  const points = (window) => panel(window).getByRole('group', { name: 'Timeline' });
  const point = (window, name) => points(window).getByRole('button', { name });
  const row = (window, path) => panel(window).getByRole('list', { name: 'Files in this restore' }).getByRole('listitem').filter({ hasText: path });
  const tick = (window, path) => row(window, path).getByRole('checkbox', { name: `Restore ${path}` });

  await journey.step('the past opens by a key and is empty', async () => {
    await openFile(page, 'notes.md');
    await page.keyboard.press('F8');
    await panel(page).getByText('No checkpoints yet').waitFor();
    await panel(page).getByText('What is left out').click();
    await panel(page).getByText('node_modules/').waitFor();
    await panel(page).getByText('dist/', { exact: true }).waitFor();
    await page.keyboard.press('F8');
    await panel(page).waitFor({ state: 'detached' });
    await editorShows(page, 'first text of notes.md');
  });

  await journey.step('a checkpoint is made by the palette, with a name', async () => {
    await page.keyboard.press('Control+Shift+p');
    await page.getByRole('combobox', { name: 'Go to a file or run a command' }).fill('>make a check');
    await page.getByRole('option', { name: /Make a checkpoint/ }).click();
    const dialog = page.getByRole('dialog', { name: 'Make a checkpoint' });
    await dialog.getByRole('button', { name: 'Make checkpoint' }).click();
    await dialog.getByText('Give the checkpoint a name.').waitFor();
    await dialog.getByLabel('Name').fill('Works end to end');
    await dialog.getByLabel('Name').press('Enter');
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText('Kept as “Works end to end”').waitFor();
  });

  await journey.step('a turn of the agent makes one', async () => {
    await model.script({ text: 'Nothing to do.' });
    const conversation = await rest.conversation(project);
    const turn = await rest.startTurn(conversation, 'Tidy up the client');
    await rest.events(`turn:${turn}`);
    await page.getByRole('button', { name: 'Checkpoints', exact: true }).click();
    await point(page, /Before: Tidy up the client/).waitFor();
    await point(page, /Works end to end/).waitFor();
  });

  await journey.step('what a restore would do is shown first, and who it concerns', async () => {
    await rest.write(project, 'src/client.py', 'second text\n');
    await rest.write(project, 'src/retry.py', 'new\n');
    await ben.write(project, 'src/errors.py', 'by ben\n');
    await point(page, /Works end to end/).click();
    await panel(page).getByRole('heading', { name: /Restore to \d\d:\d\d, Works end to end/ }).waitFor();
    await panel(page).getByText('3 files would change').waitFor();
    await row(page, 'src/client.py').getByText('Goes back').waitFor();
    await row(page, 'src/retry.py').getByText('To trash').waitFor();
    await row(page, 'src/errors.py').getByText('Left alone').waitFor();
    await row(page, 'src/errors.py').getByText(/^Ben changed it at \d\d:\d\d\. Tick it to replace that too/i).waitFor();
    assert.deepEqual(await Promise.all(['src/client.py', 'src/retry.py', 'src/errors.py'].map((path) => tick(page, path).isChecked())), [true, true, false]);
    await until(async () => {
      const shown = (await panel(page).locator('.monaco-diff-editor').innerText()).replaceAll('\u00a0', ' ');
      return shown.includes('second text') && shown.includes('first text of src/client.py');
    }, 'the difference to be shown');
    await journey.shot(page, 'checkpoints');
  });

  await journey.step('what is chosen is restored, and the rest left alone', async () => {
    await panel(page).getByRole('button', { name: /Restore 2 files/ }).click();
    await page.getByText('Restored 2 files to “Works end to end”', { exact: true }).waitFor();
    assert.equal(await rest.read(project, 'src/client.py'), 'first text of src/client.py\n');
    assert.equal(await rest.read(project, 'src/errors.py'), 'by ben\n');
    assert.equal(await rest.exists(project, 'src/retry.py'), false);
    await panel(page).getByText('1 file would change').waitFor();
    await point(page, /Before a restore/).waitFor();
  });

  await journey.step('the restore is undone', async () => {
    await page.locator('.toast').filter({ hasText: 'Restored 2 files' }).getByRole('button', { name: 'Undo' }).click();
    await page.getByText('The restore was undone').waitFor();
    assert.equal(await rest.read(project, 'src/client.py'), 'second text\n');
    assert.equal(await rest.read(project, 'src/retry.py'), 'new\n');
    await panel(page).getByText('3 files would change').waitFor();
  });

  await journey.step('theirs is replaced when it is asked for, by keys alone', async () => {
    await page.keyboard.press('Escape');
    await points(page).getByRole('button', { name: /^Now/ }).focus();
    await page.keyboard.press('End');
    await until(() => point(page, /Works end to end/).evaluate((element) => element === document.activeElement), 'the oldest to have the focus');
    await page.keyboard.press('Enter');
    await panel(page).getByRole('checkbox', { name: /^All/ }).focus();
    await page.keyboard.press('Space');
    await page.keyboard.press('Space');
    await tick(page, 'src/errors.py').focus();
    await page.keyboard.press('Space');
    await row(page, 'src/errors.py').getByText(/that is replaced too/).waitFor();
    await panel(page).getByText('1 of 3 files chosen').waitFor();
    await page.keyboard.press('Control+Enter');
    await page.getByText('Restored 1 file to “Works end to end”', { exact: true }).waitFor();
    assert.equal(await rest.read(project, 'src/errors.py'), 'first text of src/errors.py\n');
    assert.equal(await rest.read(project, 'src/client.py'), 'second text\n');
  });

  await journey.step('an automatic one is named, another deleted', async () => {
    await point(page, /Before: Tidy up the client/).click();
    await panel(page).getByRole('button', { name: 'More about this checkpoint' }).click();
    await page.getByRole('menuitem', { name: 'Give it a name' }).click();
    const dialog = page.getByRole('dialog', { name: 'Name the checkpoint' });
    await dialog.getByLabel('Name').fill('Before tidying');
    await dialog.getByRole('button', { name: 'Save name' }).click();
    await point(page, /Before tidying/).waitFor();
    await panel(page).getByRole('button', { name: 'More about this checkpoint' }).click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await page.getByRole('dialog', { name: 'Delete “Before tidying”?' }).getByRole('button', { name: 'Delete checkpoint' }).click();
    await point(page, /Before tidying/).waitFor({ state: 'detached' });
  });

  await journey.step('the chat leads back to before a turn', async () => {
    await model.script({ text: 'Done.' });
    const conversation = await rest.conversation(project);
    await rest.events(`turn:${await rest.startTurn(conversation, 'Look once more')}`);
    await panel(page).getByRole('button', { name: 'Back to the editor' }).first().click();
    await page.reload();
    await page.locator('footer.status').getByText('Connected').waitFor({ state: 'attached' });
    const chat = page.locator('section.chat');
    await chat.getByText('Look once more').first().waitFor();
    await chat.getByRole('button', { name: 'Rewind to here' }).last().click();
    const dialog = page.getByRole('dialog', { name: 'Rewind to before this turn' });
    await dialog.getByText('The files are as they were before this turn.').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Checkpoints', exact: true }).first().click();
    await point(page, /Before: Look once more/).click();
    await panel(page).getByText('Nothing differs').waitFor();
  });

  await journey.step('a project is forked from one', async () => {
    await point(page, /Works end to end/).click();
    await panel(page).getByRole('button', { name: 'More about this checkpoint' }).click();
    await page.getByRole('menuitem', { name: 'Fork into a new project' }).click();
    const dialog = page.getByRole('dialog', { name: 'Fork rates' });
    await dialog.getByLabel('Name').fill('rates, my way');
    await dialog.getByRole('button', { name: 'Fork project' }).click();
    await page.waitForURL((url) => url.pathname.startsWith('/projects/') && !url.pathname.endsWith(project));
    await openFile(page, 'notes.md');
    await editorShows(page, 'first text of notes.md');
    const fork = new URL(page.url()).pathname.split('/')[2];
    assert.equal(await rest.read(fork, 'src/client.py'), 'first text of src/client.py\n');
    assert.equal(await rest.exists(fork, 'src/retry.py'), false);
  });

  await journey.step('a viewer looks and can’t restore', async () => {
    const cleo = await Rest.signUp(base, 'cleo');
    await rest.expect(201, 'POST', `/api/projects/${project}/members`, { json: { who: 'cleo', role: 'viewer' } });
    assert.ok(cleo.user.id);
    const window = await journey.page({ base });
    await signIn(window, 'cleo');
    await openProject(window, project);
    await window.getByRole('button', { name: 'Checkpoints', exact: true }).click();
    await point(window, /Works end to end/).click();
    await row(window, 'src/client.py').waitFor();
    assert.ok(await panel(window).getByRole('button', { name: /^Restore/ }).isDisabled());
  });

  await journey.step('on a phone the timeline leads to the plan and back', async () => {
    const phone = await journey.page({ base, size: PHONE, dark: true });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    await phone.getByRole('banner').getByRole('button', { name: /rates/ }).click();
    await phone.getByRole('menuitem', { name: 'Checkpoints' }).click();
    await point(phone, /Works end to end/).waitFor();
    await journey.shot(phone, 'checkpoints-phone');
    await point(phone, /Works end to end/).click();
    await row(phone, 'src/client.py').getByText('Goes back').waitFor();
    assert.ok((await phone.evaluate(() => document.documentElement.scrollWidth)) <= PHONE.width, 'nothing is cut off');
    await journey.shot(phone, 'checkpoints-phone-plan');
    await panel(phone).getByRole('button', { name: 'Back to the timeline' }).click();
    await point(phone, /Works end to end/).waitFor();
    await panel(phone).getByRole('button', { name: 'Back to the editor' }).click();
    await panel(phone).waitFor({ state: 'detached' });
  });
}
