// The editor: bytes that come back as they were, two groups, comparisons, saving by itself, drafts after a crash, and merges.
import assert from 'node:assert/strict';
import { connected, editor, editorShows, editorText, isSaved, isUnsaved, openFile, openProject, signIn, tab, typeOnTop } from '../support/pages.mjs';
import { PHONE } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const MIXED = 'one\r\ntwo\nthree\r\nfour\n\r\nsix\rseven';
const LINES = Array.from({ length: 30 }, (_, at) => `line ${at + 1}\n`).join('');

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('editor');
  const bytesOf = async (path) => {
    const answer = await fetch(base + rest.fileAddress(project, path), { headers: { authorization: `Bearer ${rest.token}` } });
    return Buffer.from(await answer.arrayBuffer());
  };
  const files = {
    'mixed.txt': MIXED,
    'windows.txt': Buffer.from('\uFEFFGrüße\r\nzwei\r\n'),
    'western.txt': Buffer.from('Gr\u00fc\u00dfe\n', 'latin1'),
    tool: '#!/usr/bin/env python3\nprint("hello")\n',
    'lines.txt': LINES,
    'other.txt': 'other\n',
    'style/.editorconfig': 'root = true\n[*]\nindent_style = tab\ntrim_trailing_whitespace = true\ninsert_final_newline = true\nend_of_line = crlf\n',
    'style/plain.txt': '',
  };
  for (const [path, body] of Object.entries(files)) await rest.write(project, path, body);
  const allow = [/status of (409|412)/, /ERR_CONNECTION_FAILED/];
  const profile = await journey.profile({ base, allow });
  const page = await profile.newPage();
  await signIn(page, 'ada');
  await openProject(page, project);
  const status = page.locator('footer.status');
  const stored = async (path, bytes, what) => {
    const wanted = Buffer.from(bytes);
    await until(async () => wanted.equals(await bytesOf(path)), what ?? `${path} to be stored byte for byte`).catch(async (error) => {
      assert.equal(JSON.stringify((await bytesOf(path)).toString('latin1')), JSON.stringify(wanted.toString('latin1')), error.message);
    });
  };
  /** What the browser has kept of a file, by each window that did. */
  const kept = (one, path) =>
    one.evaluate(
      ([begin, end]) => Object.entries({ ...localStorage }).flatMap(([key, value]) => (key.startsWith(begin) && key.endsWith(end) ? [value] : [])),
      [`draft:${project}:`, `:${path}`],
    );
  /** The beginnings of the texts that are too large for the plain storage. */
  const keptApart = (one) =>
    one.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.open('cloudxdevai', 1);
          request.onerror = () => reject(request.error);
          request.onupgradeneeded = () => request.result.createObjectStore('drafts');
          request.onsuccess = () => {
            const all = request.result.transaction('drafts').objectStore('drafts').getAll();
            all.onerror = () => reject(all.error);
            all.onsuccess = () => {
              request.result.close();
              resolve(all.result.map(({ value }) => value.slice(0, 100)));
            };
          };
        }),
    );
  const ribbonOf = (one) => one.getByRole('status').filter({ hasText: 'kept unsaved text' });
  const editorStarts = (text) => until(async () => (await editorText(page)).startsWith(text), `the text to start with ${text}`);
  const command = async (name) => {
    await page.keyboard.press('Control+Shift+p');
    const field = page.getByRole('combobox', { name: 'Go to a file or run a command' });
    await field.fill(`>${name}`);
    await page.getByRole('option', { name }).first().waitFor();
    await field.press('Enter');
    await field.waitFor({ state: 'hidden' });
  };

  await journey.step('mixed line ends survive an edit', async () => {
    await openFile(page, 'mixed.txt');
    await status.getByRole('button', { name: 'Line ends: Mixed line ends' }).waitFor();
    await typeOnTop(page, 'zero\n');
    await isUnsaved(page, 'mixed.txt');
    await page.keyboard.press('Control+s');
    await isSaved(page, 'mixed.txt');
    await stored('mixed.txt', `zero\r\n${MIXED}`, 'a new line to end as most do');
    // The words and the line break are two steps.
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Control+z');
    await editorStarts('one');
    await page.keyboard.press('Control+s');
    await stored('mixed.txt', MIXED);
  });

  await journey.step('a byte order mark, CRLF and another encoding stay as they are', async () => {
    await openFile(page, 'windows.txt');
    await editorShows(page, 'Grüße');
    await status.getByRole('button', { name: 'Line ends: CRLF' }).waitFor();
    await status.getByRole('button', { name: 'Encoding: UTF-8 with BOM' }).waitFor();
    await typeOnTop(page, 'null\n');
    await page.keyboard.press('Control+s');
    await stored('windows.txt', '\uFEFFnull\r\nGrüße\r\nzwei\r\n');
    await openFile(page, 'western.txt');
    await editorShows(page, 'Grüße');
    await typeOnTop(page, 'é');
    await page.keyboard.press('Control+s');
    await stored('western.txt', Buffer.from('\u00e9Gr\u00fc\u00dfe\n', 'latin1'));
  });

  await journey.step('line ends and encoding are changed in the status bar', async () => {
    await openFile(page, 'windows.txt');
    await status.getByRole('button', { name: /^Line ends/ }).click();
    await page.getByRole('menuitem', { name: 'LF, as on Linux and macOS' }).click();
    await isUnsaved(page, 'windows.txt');
    await status.getByRole('button', { name: /^Encoding/ }).click();
    await page.getByRole('menuitem', { name: 'UTF-8', exact: true }).click();
    await status.getByRole('button', { name: 'Encoding: UTF-8', exact: true }).waitFor();
    await editor(page).locator('.view-lines').click();
    await page.keyboard.press('Control+s');
    await stored('windows.txt', 'null\nGrüße\nzwei\n');
    await isSaved(page, 'windows.txt');
  });

  await journey.step('the language follows from the first line, and .editorconfig is kept', async () => {
    await openFile(page, 'tool');
    await status.getByText('Python').waitFor();
    await page.locator('[role=treeitem][data-path="style"]').click();
    await openFile(page, 'style/plain.txt');
    await editor(page).locator('.view-lines').click();
    await page.keyboard.press('Tab');
    await page.keyboard.insertText('indented   \nlast');
    await page.keyboard.press('Control+s');
    await stored('style/plain.txt', '\tindented\r\n\tlast\r\n');
  });

  await journey.step('a line is gone to, and text found and replaced', async () => {
    await openFile(page, 'lines.txt');
    await editor(page).locator('.view-lines').click();
    await page.keyboard.press('Control+g');
    await page.keyboard.type('25');
    await page.keyboard.press('Enter');
    await status.getByText('Line 25, column 1').waitFor();
    await page.locator('#main').focus();
    await command('Find and replace in the file');
    await page.locator('.find-widget.visible').waitFor();
    await page.locator('.find-widget textarea[aria-label=Find]').fill('line 30');
    await page.locator('.find-widget textarea[aria-label=Replace]').fill('row 30');
    await page.keyboard.press('Control+Alt+Enter');
    await isUnsaved(page, 'lines.txt');
    await journey.shot(page, 'editor-find');
    await page.keyboard.press('Escape');
    await editorShows(page, 'row 30');
    await page.keyboard.press('Control+z');
    await isSaved(page, 'lines.txt');
  });

  const second = page.locator('.ed-group[data-group="1"]');
  await journey.step('two groups show one file, and are there again after a reload', async () => {
    await editor(page).locator('.view-lines').click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Control+\\');
    await second.locator('.view-line').first().waitFor();
    await until(() => second.evaluate((group) => group.contains(document.activeElement)), 'the second group to have the keyboard');
    await page.keyboard.press('Control+Home');
    await page.keyboard.insertText('typed on the right\n');
    await editorShows(page, 'typed on the right', 'both to show one text');
    await page.keyboard.press('Control+s');
    await stored('lines.txt', `typed on the right\n${LINES}`);
    await journey.shot(page, 'editor-split');
    await page.reload();
    await connected(page);
    await second.locator('.view-line').first().waitFor();
    await editorShows(page, 'typed on the right');
    assert.equal(await second.getByRole('tab').count(), 1);
  });

  await journey.step('tabs are dragged from group to group', async () => {
    const first = page.locator('.ed-group[data-group="0"]');
    await first.getByRole('tab', { name: /^tool/ }).dragTo(second.locator('.tabs'));
    await second.getByRole('tab', { name: /^tool/ }).waitFor();
    assert.equal(await first.getByRole('tab', { name: /^tool/ }).count(), 0);
    await until(async () => (await second.locator('.view-lines').innerText()).includes('print'), 'its text to go along');
    await page.setViewportSize(PHONE);
    await until(async () => (await page.locator('.ed-group').count()) === 1, 'one group on a narrow screen');
    assert.ok((await page.locator('.ed-group .tab').count()) === 6, 'with the tabs of both');
    await page.setViewportSize({ width: 1440, height: 900 });
    await second.waitFor();
    await command('Put both halves of the editor together');
    await second.waitFor({ state: 'detached' });
    await tab(page, 'tool').waitFor();
  });

  await journey.step('a file is compared with an earlier version, and its text taken', async () => {
    await openFile(page, 'lines.txt');
    await command('Compare the file with a version');
    const diff = page.locator('.monaco-diff-editor');
    await until(async () => (await diff.locator('.editor.modified .view-lines').innerText()).replaceAll('\u00a0', ' ').includes('typed on the right'), 'the text as it is');
    const picker = page.getByRole('group', { name: 'Comparison' });
    await until(async () => (await picker.locator('option').count()) >= 3, 'the versions to be listed');
    await journey.shot(page, 'editor-compare');
    await picker.getByRole('combobox').selectOption('1');
    await picker.getByRole('button', { name: 'Use this text' }).click();
    await isUnsaved(page, 'lines.txt');
    await picker.getByRole('button', { name: 'Close the comparison' }).click();
    await page.keyboard.press('Control+s');
    await stored('lines.txt', LINES);
  });

  await journey.step('a file saves by itself after a moment, and when it is left', async () => {
    await status.getByRole('button', { name: 'Autosave off' }).click();
    await page.getByRole('menuitem', { name: 'After a second of rest' }).click();
    await openFile(page, 'other.txt');
    await typeOnTop(page, 'by itself\n');
    await stored('other.txt', 'by itself\nother\n');
    await isSaved(page, 'other.txt');
    await command('Autosave: when the keyboard leaves');
    await status.getByRole('button', { name: 'Autosave on leaving' }).waitFor();
    await typeOnTop(page, 'on leaving\n');
    await isUnsaved(page, 'other.txt');
    await page.getByLabel('Message to the agent').focus();
    await stored('other.txt', 'on leaving\nby itself\nother\n');
    await page.reload();
    await connected(page);
    await status.getByRole('button', { name: 'Autosave on leaving' }).waitFor();
    await status.getByRole('button', { name: 'Autosave on leaving' }).click();
    await page.getByRole('menuitem', { name: 'After a second of rest' }).click();
  });

  await journey.step('what saves by itself is tidied as .editorconfig asks, but for the line of the cursor', async () => {
    await tab(page, 'plain.txt').click();
    await editorShows(page, 'indented');
    await typeOnTop(page, '\n');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.insertText('first   \nsecond   ');
    await stored('style/plain.txt', 'first\r\nsecond   \r\n\tindented\r\n\tlast\r\n', 'the line of the cursor to keep its blanks');
    await isSaved(page, 'plain.txt');
    await page.keyboard.press('Control+s');
    await stored('style/plain.txt', 'first\r\nsecond\r\n\tindented\r\n\tlast\r\n', 'what is saved already to be tidied when asked');
    await isSaved(page, 'plain.txt');
  });

  await journey.step('saving by itself never goes over a conflict', async () => {
    const other = await profile.newPage();
    await openProject(other, project);
    await openFile(other, 'other.txt');
    await openFile(page, 'other.txt');
    await other.locator('footer.status').getByRole('button', { name: /^Autosave/ }).click();
    await other.getByRole('menuitem', { name: 'Off', exact: true }).click();
    await typeOnTop(other, 'typed there\n');
    await isUnsaved(other, 'other.txt');
    await typeOnTop(page, 'typed here\n');
    // The choice is the person's, so it holds in this window too.
    await page.keyboard.press('Control+s');
    await stored('other.txt', 'typed here\non leaving\nby itself\nother\n');
    await other.getByRole('alert').filter({ hasText: 'saved this file in another window' }).waitFor();
    await other.locator('footer.status').getByRole('button', { name: /^Autosave/ }).click();
    await other.getByRole('menuitem', { name: 'After a second of rest' }).click();
    await other.waitForTimeout(2_500);
    await stored('other.txt', 'typed here\non leaving\nby itself\nother\n', 'the conflict to stay undecided');
    await editorShows(other, 'typed there');
    await other.getByRole('button', { name: 'Take theirs' }).click();
    await editorShows(other, 'typed here');
    await other.close();
    await command('Autosave: off');
  });

  await journey.step('what was typed survives a crash, with the version it was based on', async () => {
    const other = await profile.newPage();
    await openProject(other, project);
    await openFile(other, 'lines.txt');
    await typeOnTop(other, 'typed before the crash\n');
    await isUnsaved(other, 'lines.txt');
    await until(async () => (await kept(other, 'lines.txt')).join().includes('before the crash'), 'the draft to be kept');
    // The page is not asked before it goes.
    await other.close({ runBeforeUnload: false });
    await rest.write(project, 'lines.txt', `${LINES}and one more\n`);
    const again = await profile.newPage();
    await openProject(again, project);
    await openFile(again, 'lines.txt');
    const ribbon = ribbonOf(again);
    await ribbon.getByText(/typed over version \d+/).waitFor();
    await journey.shot(again, 'editor-draft');
    await ribbon.getByRole('button', { name: 'Restore' }).click();
    await editorShows(again, 'typed before the crash');
    const bar = again.getByRole('alert').filter({ hasText: 'saved this file' });
    await bar.getByRole('button', { name: 'Merge' }).click();
    await bar.getByText('Nothing is in conflict').waitFor();
    await bar.getByRole('button', { name: 'Save the merge' }).click();
    await isSaved(again, 'lines.txt');
    await stored('lines.txt', `typed before the crash\n${LINES}and one more\n`);
    await again.close();
  });

  await journey.step('two windows keep apart what is typed, and nobody else is offered it', async () => {
    await rest.write(project, 'shared.txt', 'shared\n');
    await Rest.signUp(base, 'cara');
    await rest.expect(201, 'POST', `/api/projects/${project}/members`, { json: { who: 'cara', role: 'editor' } });
    const browser = await journey.profile({ base, allow });
    const opened = async () => {
      const one = await browser.newPage();
      await openProject(one, project);
      await openFile(one, 'shared.txt');
      await editorShows(one, 'shared');
      return one;
    };
    const signedIn = async (who) => {
      await browser.clearCookies();
      const one = await browser.newPage();
      await signIn(one, who);
      await one.close();
    };
    await signedIn('ada');
    const windows = [];
    for (const at of [1, 2]) {
      const one = await opened();
      windows.push(one);
      assert.equal(await ribbonOf(one).count(), 0, 'what an open window keeps is its own');
      await typeOnTop(one, `typed in window ${at}\n`);
      await isUnsaved(one, 'shared.txt');
      await until(async () => (await kept(one, 'shared.txt')).length === at, 'each window to keep its text');
    }
    for (const one of windows) await one.close({ runBeforeUnload: false });
    await signedIn('cara');
    const hers = await opened();
    assert.equal(await ribbonOf(hers).count(), 0, 'somebody else on this browser is not offered it');
    await hers.close();
    await signedIn('ada');
    const again = await opened();
    await ribbonOf(again).getByRole('button', { name: 'Discard' }).click();
    await until(async () => (await kept(again, 'shared.txt')).length === 1, 'one of them to be dropped');
    await ribbonOf(again).getByRole('button', { name: 'Restore' }).click();
    await editorShows(again, 'typed in window 1', 'the one of the first window to be left');
    await again.close({ runBeforeUnload: false });
  });

  await journey.step('a large text survives a crash as well', async () => {
    const large = 'a line of a large file, 1234567890 1234567890 1234567890\n'.repeat(7000);
    await rest.write(project, 'large.txt', large);
    const other = await profile.newPage();
    await openProject(other, project);
    await openFile(other, 'large.txt');
    await typeOnTop(other, 'typed into much\n');
    await isUnsaved(other, 'large.txt');
    await until(async () => (await kept(other, 'large.txt')).some((json) => JSON.parse(json).large && json.length < 1000), 'the text to be kept apart');
    await until(async () => (await keptApart(other)).some((text) => text.startsWith('typed into much')), 'the text to be in the database');
    await other.close({ runBeforeUnload: false });
    const again = await profile.newPage();
    await openProject(again, project);
    await openFile(again, 'large.txt');
    await ribbonOf(again).getByRole('button', { name: 'Restore' }).click();
    await editorShows(again, 'typed into much');
    await editor(again).locator('.view-lines').click();
    await again.keyboard.press('Control+s');
    await isSaved(again, 'large.txt');
    await stored('large.txt', `typed into much\n${large}`);
    await until(async () => (await keptApart(again)).length === 0, 'what is saved to be forgotten');
    assert.deepEqual(await kept(again, 'large.txt'), []);
    await again.close();
  });

  await journey.step('their side is taken as it is where it is no text, and mine is not lost', async () => {
    const bytes = Buffer.from([0, 1, 2, 255, 0, 7]);
    await rest.write(project, 'side.dat', 'a text still\n');
    await openFile(page, 'side.dat');
    await typeOnTop(page, 'typed by me\n');
    await isUnsaved(page, 'side.dat');
    await rest.write(project, 'side.dat', bytes);
    const bar = page.getByRole('alert').filter({ hasText: 'saved this file' });
    await bar.waitFor();
    assert.equal(await bar.getByRole('button', { name: 'Merge' }).count(), 0);
    await status.getByRole('button', { name: /^Autosave/ }).click();
    await page.getByRole('menuitem', { name: 'After a second of rest' }).click();
    await bar.getByRole('button', { name: 'Take theirs' }).click();
    await page.getByLabel('Content of the file').getByText('00 01 02 ff 00 07').waitFor();
    await page.keyboard.press('Control+s');
    await page.waitForTimeout(2_500);
    await stored('side.dat', bytes, 'their bytes to stay');
    assert.equal(await tab(page, 'side.dat').locator('.dot--unsaved').count(), 0);
    await command('Autosave: off');
    await journey.shot(page, 'editor-left-over');
    // It is there after a reload, and becomes a file of its own.
    await page.reload();
    await connected(page);
    await ribbonOf(page).getByRole('button', { name: 'Save as a new file' }).click();
    await stored('side.dat.txt', 'typed by me\na text still\n');
    await editorShows(page, 'typed by me');
    assert.deepEqual(await kept(page, 'side.dat'), []);
    await stored('side.dat', bytes);
  });

  await journey.step('a save without an answer is looked up before anything is said of it', async () => {
    await openFile(page, 'other.txt');
    const before = (await bytesOf('other.txt')).toString();
    const save = '**/fn/files/save';
    const done = async (route) => {
      await route.fetch();
      await route.abort('connectionfailed');
    };
    await page.route(save, done, { times: 1 });
    await typeOnTop(page, 'arrived\n');
    await page.keyboard.press('Control+s');
    await page.getByText('so it may be saved or not').first().waitFor();
    await isSaved(page, 'other.txt');
    await stored('other.txt', `arrived\n${before}`);
    assert.equal(await page.getByRole('alert').filter({ hasText: 'saved this file' }).count(), 0, 'it is no conflict with oneself');
    await page.route(save, (route) => route.abort('connectionfailed'), { times: 1 });
    await typeOnTop(page, 'late\n');
    await page.keyboard.press('Control+s');
    await page.getByText(/other\.txt was not saved: it is still at version \d+/).first().waitFor();
    await isUnsaved(page, 'other.txt');
    await page.keyboard.press('Control+s');
    await isSaved(page, 'other.txt');
    await stored('other.txt', `late\narrived\n${before}`);
  });

  await journey.step('both sides are merged: apart by themselves, together by choice', async () => {
    await page.bringToFront();
    await openFile(page, 'lines.txt');
    await editorShows(page, 'typed before the crash');
    const before = (await bytesOf('lines.txt')).toString();
    await editor(page).locator('.view-lines').click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Shift+End');
    await page.keyboard.insertText('first line by me');
    await page.keyboard.press('Control+g');
    await page.keyboard.type('12');
    await page.keyboard.press('Enter');
    await page.keyboard.insertText('put in by me\n');
    await isUnsaved(page, 'lines.txt');
    const theirs = before.replace('typed before the crash', 'first line by them').replace('line 20\n', 'line twenty\n');
    await rest.write(project, 'lines.txt', theirs);
    const bar = page.getByRole('alert').filter({ hasText: 'saved this file' });
    await bar.getByRole('button', { name: 'Merge' }).click();
    await bar.getByText('2 changes were put together. 1 conflict to decide.').waitFor();
    const save = bar.getByRole('button', { name: 'Save the merge' });
    assert.ok(await save.isDisabled(), 'not before every conflict is decided');
    await journey.shot(page, 'editor-merge');
    await bar.getByRole('button', { name: 'Next conflict' }).click();
    const conflict = page.getByRole('group', { name: 'Conflict 1 of 1' });
    await until(() => conflict.getByRole('button', { name: 'Take mine' }).evaluate((b) => b === document.activeElement), 'the first choice to have the keyboard');
    await conflict.getByRole('button', { name: 'Take both' }).click();
    await bar.getByText('The conflict is decided.').waitFor();
    await save.click();
    await isSaved(page, 'lines.txt');
    const wanted = before
      .replace('typed before the crash\n', 'first line by me\nfirst line by them\n')
      .replace('line 11\n', 'put in by me\nline 11\n')
      .replace('line 20\n', 'line twenty\n');
    await stored('lines.txt', wanted);
    await editorShows(page, 'first line by them');
  });

  await journey.step('a merge that comes too late is kept and merged once more', async () => {
    const before = (await bytesOf('lines.txt')).toString();
    await typeOnTop(page, 'on top by me\n');
    await isUnsaved(page, 'lines.txt');
    await rest.write(project, 'lines.txt', `${before}below by them\n`);
    const bar = page.getByRole('alert').filter({ hasText: 'saved this file' });
    await bar.getByRole('button', { name: 'Merge' }).click();
    await bar.getByText('Nothing is in conflict').waitFor();
    // Another file comes on top and goes; the merge waits.
    await tab(page, 'tool').click();
    await editorShows(page, 'print');
    await tab(page, 'lines.txt').click();
    await bar.getByText('Nothing is in conflict').waitFor();
    await rest.write(project, 'lines.txt', `${before}below by them\nand once more\n`);
    await bar.getByRole('button', { name: 'Save the merge' }).click();
    await bar.getByRole('button', { name: 'Merge', exact: true }).waitFor();
    await editorShows(page, 'on top by me');
    await bar.getByRole('button', { name: 'Merge', exact: true }).click();
    await bar.getByText('Nothing is in conflict').waitFor();
    await bar.getByRole('button', { name: 'Save the merge' }).click();
    await isSaved(page, 'lines.txt');
    await stored('lines.txt', `on top by me\n${before}below by them\nand once more\n`);
  });

  await journey.step('who may only look is told so, and becomes an editor while looking', async () => {
    const ben = await Rest.signUp(base, 'ben');
    await rest.expect(201, 'POST', `/api/projects/${project}/members`, { json: { who: 'ben', role: 'viewer' } });
    const his = await journey.page({ base, allow });
    await signIn(his, 'ben');
    await openProject(his, project);
    await openFile(his, 'other.txt');
    const note = his.locator('footer.status').getByText('Read-only');
    assert.match(await note.getAttribute('title'), /you are a viewer of this project/);
    await editor(his).locator('.view-lines').click();
    await his.keyboard.press('x');
    await his.getByRole('region', { name: 'Editor' }).getByText('Read-only: you are a viewer of this project.').waitFor();
    await journey.shot(his, 'editor-viewer');
    await rest.expect(200, 'PUT', `/api/projects/${project}/members/${ben.user.id}`, { json: { role: 'editor' } });
    await note.waitFor({ state: 'detached' });
    await typeOnTop(his, 'by ben\n');
    await his.keyboard.press('Control+s');
    await until(async () => (await bytesOf('other.txt')).toString().startsWith('by ben\n'), 'his text to be stored');
  });
}
