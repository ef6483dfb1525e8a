// A real package is imported, edited from two windows at once, and its tree is worked on.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { sdist, zipOf } from '../support/archives.mjs';
import {
  alive, connected, editor, editorShows, editorText, entry, isSaved, isUnsaved, openFile, openProject, runCommand, signIn, tab, tree, typeOnTop,
} from '../support/pages.mjs';
import { scratchFolder, until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const profile = await journey.profile({ base, allow: [/status of (400|409|412|413|422)/] });
  // Two tabs of one window: the one in the background has no frames.
  const other = await profile.newPage();
  const page = await profile.newPage();
  const scratch = await scratchFolder('archives');
  let project;

  await journey.step('a hostile archive is refused and leaves nothing', async () => {
    const marker = `escaped-${process.pid}`;
    const hostile = zipOf(path.join(scratch, 'hostile.zip'), [['fine.txt', 'fine\n'], [`../../../../../../../../tmp/${marker}`, 'out\n']]);
    await signIn(page, 'ada');
    await importArchive(page, hostile, 'Archive zip or tar.gz');
    const words = await page.getByRole('dialog').getByRole('alert').filter({ hasText: /\w/ }).innerText();
    assert.match(words, /\.\.|path|outside|leave/i, `the error says what is wrong: ${words}`);
    assert.equal((await rest.get('/api/projects')).items.length, 0, 'no project is left');
    assert.ok(!existsSync(`/tmp/${marker}`) && !existsSync(path.join(os.tmpdir(), marker)), 'nothing was written outside');
    const broken = zipOf(path.join(scratch, 'broken.zip'), [['a.txt', 'a'.repeat(2000)]]);
    writeFileSync(broken, readFileSync(broken).subarray(0, 900));
    await page.getByLabel('Archive', { exact: true }).setInputFiles(broken);
    await page.getByRole('dialog').getByRole('button', { name: 'Import archive' }).click();
    await until(async () => {
      const now = await page.getByRole('dialog').getByRole('alert').filter({ hasText: /\w/ }).innerText();
      return now !== words;
    }, 'the broken archive to be refused');
    assert.equal((await rest.get('/api/projects')).items.length, 0);
  });

  await journey.step('a source archive is imported with progress', async () => {
    await page.reload();
    await alive(page);
    await page.evaluate(() => {
      window.progressSeen = [];
      new MutationObserver(() => {
        const bar = document.querySelector('[role=progressbar]');
        if (bar) window.progressSeen.push(bar.parentElement.textContent);
      }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    });
    await importArchive(page, sdist(), 'Archive zip or tar.gz');
    await page.waitForURL('**/projects/*');
    assert.ok((await page.evaluate(() => window.progressSeen.length)) > 0, 'progress was shown');
    project = page.url().split('/').at(-1);
    await connected(page);
  });

  await journey.step('the tree shows what was in it', async () => {
    for (const name of ['documentation', 'README.rst', 'setup.py', 'six.py', 'test_six.py']) await entry(page, name).waitFor();
    await entry(page, 'documentation').click();
    await entry(page, 'documentation/index.rst').waitFor();
    const known = await rest.get(`/api/projects/${project}/tree`);
    assert.ok(known.items.some((item) => item.path === 'six.py' && item.size > 30_000));
  });

  await journey.step('a file opens, is edited and saved', async () => {
    await openFile(page, 'six.py');
    await editorShows(page, 'Copyright (c) 2010');
    await typeOnTop(page, '# edited by ada\n');
    await isUnsaved(page, 'six.py');
    await page.keyboard.press('Control+s');
    await isSaved(page, 'six.py');
    const stored = await rest.read(project, 'six.py');
    assert.ok(stored.startsWith('# edited by ada\n# Copyright (c) 2010'), stored.slice(0, 80));
  });

  await journey.step('another window follows live', async () => {
    await openProject(other, project);
    await openFile(other, 'six.py');
    await editorShows(other, '# edited by ada');
    await typeOnTop(page, '# seen elsewhere\n');
    await page.keyboard.press('Control+s');
    await isSaved(page, 'six.py');
    await editorShows(other, '# seen elsewhere');
  });

  await journey.step('a change from elsewhere shows a conflict, and mine can be kept', async () => {
    await typeOnTop(page, '# mine\n');
    await isUnsaved(page, 'six.py');
    await typeOnTop(other, '# theirs\n');
    await other.keyboard.press('Control+s');
    await isSaved(other, 'six.py');
    const bar = page.getByRole('alert').filter({ hasText: 'saved this file in another window' });
    await bar.waitFor();
    await editorShows(page, '# mine', 'what was typed to be still there');
    await bar.getByRole('button', { name: 'Compare' }).click();
    const diff = page.locator('.monaco-diff-editor');
    await until(async () => {
      const shown = await diff.innerText();
      return shown.includes('theirs') && shown.includes('mine');
    }, 'both sides to be shown');
    await journey.shot(page, 'conflict-compare');
    await page.getByRole('button', { name: 'Close the comparison' }).click();
    await page.bringToFront();
    await bar.getByRole('button', { name: 'Keep mine' }).click();
    await isSaved(page, 'six.py');
    const stored = await rest.read(project, 'six.py');
    assert.ok(stored.startsWith('# mine\n') && !stored.includes('# theirs'), stored.slice(0, 80));
    await editorShows(other, '# mine');
  });

  await journey.step('theirs can be taken', async () => {
    await typeOnTop(page, '# to be dropped\n');
    await isUnsaved(page, 'six.py');
    await typeOnTop(other, '# newer\n');
    await other.keyboard.press('Control+s');
    const bar = page.getByRole('alert').filter({ hasText: 'saved this file in another window' });
    await bar.getByRole('button', { name: 'Take theirs' }).click();
    await editorShows(page, '# newer');
    await isSaved(page, 'six.py');
    assert.ok(!(await editorText(page)).includes('to be dropped'));
    assert.ok(!(await rest.read(project, 'six.py')).includes('to be dropped'));
  });

  await journey.step('two sides can be merged by hand', async () => {
    await typeOnTop(page, '# left\n');
    await isUnsaved(page, 'six.py');
    await rest.write(project, 'six.py', `# right\n${await rest.read(project, 'six.py')}`);
    const bar = page.getByRole('alert').filter({ hasText: 'saved this file in another window' });
    await bar.getByRole('button', { name: 'Merge' }).click();
    await page.getByRole('group', { name: 'Conflict 1 of 1' }).getByRole('button', { name: 'Take both' }).click();
    await bar.getByRole('button', { name: 'Save the merge' }).click();
    await isSaved(page, 'six.py');
    const stored = await rest.read(project, 'six.py');
    assert.ok(stored.startsWith('# left\n# right\n# newer\n'), stored.slice(0, 80));
  });

  await journey.step('a run that writes over unsaved text is named as what it is', async () => {
    await typeOnTop(page, '# typed before the run\n');
    await isUnsaved(page, 'six.py');
    const block = await runCommand(page, 'echo "# by a run" > six.py');
    await block.getByText('Exit 0').waitFor({ timeout: 30_000 });
    const bar = page.getByRole('alert').filter({ hasText: 'A run changed this file.' });
    await bar.waitFor();
    await editorShows(page, '# typed before the run', 'what was typed to be still there');
    assert.equal(await rest.read(project, 'six.py'), '# by a run\n');
    await bar.getByRole('button', { name: 'Take theirs' }).click();
    await editorShows(page, '# by a run');
    await isSaved(page, 'six.py');
    // Another save is a person's again.
    await typeOnTop(page, '# typed once more\n');
    await isUnsaved(page, 'six.py');
    await rest.write(project, 'six.py', '# by a person\n');
    const next = page.getByRole('alert').filter({ hasText: 'You saved this file in another window.' });
    await next.getByRole('button', { name: 'Take theirs' }).click();
    await editorShows(page, '# by a person');
    await isSaved(page, 'six.py');
  });

  await journey.step('files are made, renamed, deleted and brought back', async () => {
    await page.getByRole('button', { name: 'New folder' }).click();
    await name(page, 'notes');
    await entry(page, 'notes').waitFor();
    await entry(page, 'notes').click();
    await page.getByRole('button', { name: 'New file' }).click();
    await name(page, 'plan.md');
    await entry(page, 'notes/plan.md').waitFor();
    await tab(page, 'plan.md').waitFor();
    await entry(other, 'notes').waitFor();

    await entry(page, 'notes/plan.md').focus();
    await page.keyboard.press('F2');
    await name(page, 'ideas.md');
    await entry(page, 'notes/ideas.md').waitFor();
    await until(() => rest.exists(project, 'notes/ideas.md'), 'the new name to be stored');
    assert.ok(!(await rest.exists(project, 'notes/plan.md')));

    await entry(page, 'README.rst').focus();
    await page.keyboard.press('Delete');
    await entry(page, 'README.rst').waitFor({ state: 'detached' });
    await entry(other, 'README.rst').waitFor({ state: 'detached' });
    assert.ok(!(await rest.exists(project, 'README.rst')));
    await page.locator('.toast').filter({ hasText: 'README.rst' }).getByRole('button', { name: 'Undo' }).click();
    await entry(page, 'README.rst').waitFor();
    await entry(other, 'README.rst').waitFor();
    assert.ok((await rest.read(project, 'README.rst')).length > 100);
  });

  await journey.step('files are uploaded into the tree', async () => {
    await tree(page).evaluate((list) => list.scrollTo(0, 0));
    await entry(page, 'notes').click();
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 251));
    await page.getByLabel('Files to upload').setInputFiles([
      { name: 'blob.bin', mimeType: 'application/octet-stream', buffer: bytes },
      { name: 'grüße.txt', mimeType: 'text/plain', buffer: Buffer.from('Grüße\n') },
    ]);
    await until(() => rest.exists(project, 'notes/grüße.txt'), 'the upload to be stored');
    await until(() => rest.exists(project, 'notes/blob.bin'), 'the upload to be stored');
    const stored = await fetch(base + rest.fileAddress(project, 'notes/blob.bin'), { headers: { authorization: `Bearer ${rest.token}` } });
    assert.ok(bytes.equals(Buffer.from(await stored.arrayBuffer())), 'byte for byte');
    await until(async () => {
      if (!(await entry(page, 'notes/grüße.txt').isVisible())) await entry(page, 'notes').click();
      return entry(page, 'notes/grüße.txt').isVisible();
    }, 'the upload to show in the tree');
  });

  await journey.step('tabs come back after a reload', async () => {
    await openFile(page, 'setup.py');
    await editorShows(page, 'setup');
    await page.reload();
    await connected(page);
    await tab(page, 'six.py').waitFor();
    await editor(page).waitFor();
    await editorShows(page, 'setup');
  });
}

async function importArchive(page, file, button) {
  await alive(page);
  await page.getByRole('button', { name: button }).click();
  const dialog = page.getByRole('dialog', { name: 'New project' });
  await dialog.getByLabel('Archive', { exact: true }).setInputFiles(file);
  await until(async () => (await dialog.getByLabel('Name').inputValue()) !== '', 'the archive to name its project');
  await dialog.getByRole('button', { name: 'Import archive' }).click();
}

async function name(page, text) {
  const field = page.locator('input.tree-name');
  await field.fill(text);
  await field.press('Enter');
  await field.waitFor({ state: 'detached' });
}
