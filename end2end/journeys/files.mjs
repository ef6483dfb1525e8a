// The tree as people use it: several files at once, by mouse and by keys; uploads that survive; what is deleted comes back; and what
// a file was before.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deflateSync } from 'node:zlib';
import { connected, editorShows, entry, isSaved, isUnsaved, openFile, openProject, signIn, tree, typeOnTop } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { PHONE } from '../support/journey.mjs';

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('parcels');
  for (const [path, text] of [
    ['README.md', '# Parcels\n'],
    ['src/main.py', 'print("one")\n'],
    ['src/rates.py', 'RATE = 1\n'],
    ['src/zones.py', 'ZONES = []\n'],
    ['docs/guide.md', 'Guide\n'],
    ['notes.txt', 'first\n'],
  ]) {
    await rest.write(project, path, text);
  }
  const page = await journey.page({
    base,
    allow: [/status of (404|409|412|503)/, /ERR_INTERNET_DISCONNECTED/, /ERR_FAILED/],
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  await signIn(page, 'ada');
  await openProject(page, project);
  const toast = (text) => page.locator('.toast').filter({ hasText: text });
  const undo = (text) => toast(text).getByRole('button', { name: 'Undo' }).click();
  const gone = (path) => until(async () => !(await rest.exists(project, path)), `${path} to be gone`);
  const there = (path) => until(() => rest.exists(project, path), `${path} to be there`);
  const uploads = page.getByRole('region', { name: 'Uploads' });

  await journey.step('files and folders dropped into a folder are uploaded', async () => {
    const drop = await page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File(['dropped\n'], 'dropped.txt', { type: 'text/plain' }));
      data.items.add(new File([new Uint8Array(3 * 1024 * 1024).fill(7)], 'large.bin'));
      return data;
    });
    await entry(page, 'docs').dispatchEvent('dragover', { dataTransfer: drop });
    await until(async () => (await entry(page, 'docs').getAttribute('data-drop')) === 'true', 'the folder to offer itself');
    await entry(page, 'docs').dispatchEvent('drop', { dataTransfer: drop });
    await there('docs/dropped.txt');
    await there('docs/large.bin');
    assert.equal(await rest.read(project, 'docs/dropped.txt'), 'dropped\n');
    await entry(page, 'docs/large.bin').waitFor();
    await toast('Uploaded 2 files').waitFor();
  });

  await journey.step('a folder dropped from the desktop is uploaded with all that is in it', async () => {
    const desktop = await mkdtemp(path.join(tmpdir(), 'cloudxdevai-drop-'));
    try {
      await mkdir(path.join(desktop, 'album/deep/deeper'), { recursive: true });
      await writeFile(path.join(desktop, 'album/list.txt'), 'list\n');
      // More than a browser hands out at once.
      for (let n = 0; n < 120; n += 1) await writeFile(path.join(desktop, `album/deep/deeper/${n}.txt`), `${n}\n`);
      // Empty ones, of which a project has room for one.
      for (const name of ['Quiet', 'quiet']) await mkdir(path.join(desktop, 'album', name));
      const box = await entry(page, 'docs').boundingBox();
      const browser = await page.context().newCDPSession(page);
      const at = { x: box.x + box.width / 2, y: box.y + box.height / 2, data: { items: [], files: [path.join(desktop, 'album')], dragOperationsMask: 1 } };
      for (const type of ['dragEnter', 'dragOver', 'drop']) await browser.send('Input.dispatchDragEvent', { type, ...at });
      await there('docs/album/deep/deeper/119.txt');
      await until(async () => (await rest.get(`/api/projects/${project}/tree`)).items.filter((item) => item.path.startsWith('docs/album/') && item.kind === 'file').length === 121, 'all files of the folder');
      assert.equal(await rest.read(project, 'docs/album/list.txt'), 'list\n');
      await toast('Uploaded 121 files').waitFor();
      await uploads.getByText(/The empty folder docs\/album\/[Qq]uiet was not made/).waitFor();
      const quiet = async () => (await rest.get(`/api/projects/${project}/tree`)).items.filter((item) => /^docs\/album\/quiet$/i.test(item.path)).length;
      await until(async () => (await quiet()) === 1, 'the other one to be made all the same');
    } finally {
      await rm(desktop, { recursive: true, force: true });
    }
  });

  await journey.step('a picked folder keeps its shape, and .git stays out', async () => {
    const folder = await page.evaluateHandle(() => {
      const input = document.querySelector('input[aria-label="Folder to upload"]');
      const file = (path, text) => {
        const made = new File([text], path.split('/').at(-1));
        Object.defineProperty(made, 'webkitRelativePath', { value: path });
        return made;
      };
      const files = [file('kit/a.txt', 'a'), file('kit/deep/b.txt', 'b'), file('kit/.git/config', 'x')];
      const list = Object.assign(Object.create(FileList.prototype), {});
      Object.defineProperty(list, 'length', { value: files.length });
      Object.defineProperty(list, 'item', { value: (i) => files[i] });
      Object.defineProperty(input, 'files', { value: list, configurable: true });
      input.dispatchEvent(new Event('change', { bubbles: true }));
      return true;
    });
    await folder.dispose();
    await until(async () => (await rest.get(`/api/projects/${project}/tree`)).items.some((item) => item.path.endsWith('kit/deep/b.txt')), 'the folder');
    await uploads.getByText('Left out .git').waitFor();
    const paths = (await rest.get(`/api/projects/${project}/tree`)).items.map((item) => item.path);
    assert.ok(!paths.some((path) => path.includes('.git/')), paths.join(' '));
    await uploads.getByRole('button', { name: 'Dismiss the notes' }).click();
  });

  await journey.step('what is there already is not replaced without being asked about', async () => {
    await entry(page, 'notes.txt').click();
    const give = (text) => page.getByLabel('Files to upload').setInputFiles([{ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from(text) }]);
    await give('second\n');
    const asked = uploads.getByRole('group', { name: 'notes.txt exists already' });
    await asked.waitFor();
    await journey.shot(page, 'upload-exists');
    assert.equal(await rest.read(project, 'notes.txt'), 'first\n');
    await asked.getByRole('button', { name: 'Keep both' }).click();
    await there('notes (2).txt');
    assert.equal(await rest.read(project, 'notes (2).txt'), 'second\n');
    await give('third\n');
    await asked.getByRole('button', { name: 'Replace' }).click();
    await until(async () => (await rest.read(project, 'notes.txt')) === 'third\n', 'it to be replaced');
    await undo('Uploaded notes.txt');
    await until(async () => (await rest.read(project, 'notes.txt')) === 'first\n', 'the upload to be taken back');
    await editorShows(page, 'first');
  });

  await journey.step('a large upload stops, survives a reload and goes on where it was', async () => {
    const bytes = Buffer.alloc(13 * 1024 * 1024, 'abcdefgh');
    const disk = await mkdtemp(path.join(tmpdir(), 'cloudxdevai-film-'));
    const onDisk = async (folder, content) => {
      const file = path.join(disk, folder, 'film.bin');
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, content);
      return file;
    };
    const file = await onDisk('first', bytes);
    let pieces = 0;
    await page.route('**/api/uploads/*', async (route) => {
      if (route.request().method() !== 'PATCH') return route.continue();
      pieces += 1;
      if (pieces === 2) return route.abort('internetdisconnected');
      if (pieces > 2) return route.abort('failed');
      return route.continue();
    });
    await entry(page, 'README.md').click();
    await page.getByLabel('Files to upload').setInputFiles([file]);
    await uploads.getByText('Connection lost, goes on by itself').waitFor();
    await page.unroute('**/api/uploads/*');
    page.once('dialog', (dialog) => dialog.accept());
    await page.reload();
    await connected(page);
    await uploads.getByText('Choose the file again to go on').waitFor();
    await uploads.getByText('4.2 MB of 14 MB are there').waitFor();
    const sent = [];
    page.on('request', (request) => request.method() === 'PATCH' && sent.push(Number(request.headers()['upload-offset'])));
    const choose = async (chosen) => {
      const chooser = page.waitForEvent('filechooser');
      await uploads.getByRole('button', { name: 'Choose the file' }).click();
      await (await chooser).setFiles([chosen]);
    };
    await choose(await onDisk('shorter', bytes.subarray(1)));
    await uploads.getByText(/film\.bin has .*, the upload began with/).waitFor();
    // As long as it was, and another one all the same.
    const other = await onDisk('other', Buffer.alloc(bytes.length, 'hgfedcba'));
    await utimes(other, new Date(), new Date(Date.now() - 60_000));
    await choose(other);
    await uploads.getByText('film.bin was changed since the upload began with it').waitFor();
    assert.deepEqual(sent, [], 'nothing of it is sent');
    await choose(file);
    await there('film.bin');
    assert.ok(sent.length > 0 && Math.min(...sent) === 4 * 1024 * 1024, `it went on at ${sent.join(', ')}`);
    const stored = await fetch(base + rest.fileAddress(project, 'film.bin'), { headers: { authorization: `Bearer ${rest.token}` } });
    assert.ok(bytes.equals(Buffer.from(await stored.arrayBuffer())), 'byte for byte');
    await rm(disk, { recursive: true, force: true });
  });

  const pieces = '**/api/uploads/*';
  /**
   * Sends a file whose first piece arrives and whose second is kept on its way; answers it with the address that it goes to. What is
   * kept goes on when the route is taken away.
   */
  const sendHalf = async (name) => {
    const file = { name, mimeType: 'application/octet-stream', buffer: Buffer.alloc(9 * 1024 * 1024, name) };
    let keep;
    let isKept = false;
    const kept = new Promise((resolve) => (keep = resolve));
    await page.route(pieces, (route) => {
      const isSecond = route.request().method() === 'PATCH' && route.request().headers()['upload-offset'] !== '0';
      if (!isSecond || isKept) return route.continue();
      isKept = true;
      return keep(route);
    });
    await entry(page, 'README.md').click();
    await page.getByLabel('Files to upload').setInputFiles([file]);
    const route = await kept;
    return { route, bytes: file.buffer, address: new URL(route.request().url()).pathname };
  };
  const arrived = async (path, bytes) => {
    await there(path);
    const stored = await fetch(base + rest.fileAddress(project, path), { headers: { authorization: `Bearer ${rest.token}` } });
    assert.ok(bytes.equals(Buffer.from(await stored.arrayBuffer())), `${path}, byte for byte`);
  };

  await journey.step('an upload pauses, and goes on where it was', async () => {
    const { bytes, address } = await sendHalf('paused.bin');
    await uploads.getByRole('button', { name: 'Pause paused.bin' }).click();
    await uploads.getByText(/^Paused, .* of 9.4 MB$/).waitFor();
    assert.equal((await rest.get(address)).received, 4 * 1024 * 1024);
    assert.ok(!(await rest.exists(project, 'paused.bin')), 'nothing is seen of it yet');
    const next = page.waitForRequest((request) => request.method() === 'PATCH');
    await uploads.getByRole('button', { name: 'Go on with paused.bin' }).click();
    assert.equal((await next).headers()['upload-offset'], String(4 * 1024 * 1024));
    await arrived('paused.bin', bytes);
    await toast('Uploaded paused.bin').waitFor();
    await page.unroute(pieces);
  });

  await journey.step('a cancelled upload leaves nothing, here and on the server', async () => {
    const { address } = await sendHalf('cancelled.bin');
    const dropped = page.waitForResponse((answer) => answer.request().method() === 'DELETE' && answer.url().endsWith(address));
    await uploads.getByRole('button', { name: 'Cancel cancelled.bin' }).click();
    assert.equal((await dropped).status(), 204);
    await uploads.getByText('cancelled.bin').waitFor({ state: 'detached' });
    assert.equal((await rest.call('GET', address)).status, 404);
    assert.ok(!(await rest.exists(project, 'cancelled.bin')));
    await page.unroute(pieces);
  });

  await journey.step('an upload that is refused says so, and is tried again', async () => {
    const { route, bytes, address } = await sendHalf('again.bin');
    await rest.expect(204, 'DELETE', address);
    await route.continue();
    await uploads.getByRole('listitem').filter({ hasText: 'again.bin' }).getByRole('alert').waitFor();
    assert.ok(!(await rest.exists(project, 'again.bin')));
    await uploads.getByRole('button', { name: 'Try again' }).click();
    await arrived('again.bin', bytes);
    await toast('Uploaded again.bin').waitFor();
    await page.unroute(pieces);
  });

  await journey.step('several files are chosen and dragged to another folder, and back by undo', async () => {
    await entry(page, 'src').click();
    await entry(page, 'src/rates.py').waitFor();
    await entry(page, 'src/rates.py').click({ modifiers: ['Control'] });
    await entry(page, 'src').click({ modifiers: ['Control'] });
    await entry(page, 'src/zones.py').click({ modifiers: ['Control'] });
    assert.equal(await tree(page).locator('[aria-selected=true]').count(), 2);
    await entry(page, 'src/zones.py').dragTo(entry(page, 'docs'));
    await there('docs/zones.py');
    await there('docs/rates.py');
    await gone('src/rates.py');
    await entry(page, 'docs/rates.py').waitFor();
    await undo('Moved 2 items to docs');
    await there('src/rates.py');
    await gone('docs/rates.py');
    await entry(page, 'src/rates.py').waitFor();
  });

  await journey.step('by keys: a range, cut and paste, and a copy beside itself', async () => {
    await entry(page, 'src/main.py').click();
    await entry(page, 'src/main.py').focus();
    await page.keyboard.press('Shift+ArrowDown');
    assert.equal(await tree(page).locator('[aria-selected=true]').count(), 2);
    await page.keyboard.press('Control+x');
    await entry(page, 'docs').focus();
    await page.keyboard.press('Control+v');
    await there('docs/main.py');
    await there('docs/rates.py');
    await undo('Moved 2 items to docs');
    await there('src/main.py');
    await entry(page, 'notes.txt').focus();
    await page.keyboard.press('Control+c');
    await page.keyboard.press('Control+v');
    await toast('Copied notes copy.txt').waitFor();
    await entry(page, 'notes copy.txt').waitFor();
  });

  await journey.step('the paths of all that is chosen are copied, by the menu and by its key', async () => {
    const copied = (text) => until(() => page.evaluate((text) => navigator.clipboard.readText().then((held) => held === text), text), `${text} to be copied`);
    await openFile(page, 'src/main.py');
    await entry(page, 'src/zones.py').click({ modifiers: ['Control'] });
    assert.equal(await tree(page).locator('[aria-selected=true]').count(), 2);
    await entry(page, 'src/zones.py').click({ button: 'right' });
    const item = page.getByRole('menuitem', { name: 'Copy paths' });
    assert.equal(await item.locator('kbd').innerText(), 'Alt Shift C');
    await item.click();
    await page.getByRole('menu').waitFor({ state: 'detached' });
    await copied('src/main.py\nsrc/zones.py');
    await page.evaluate(() => navigator.clipboard.writeText('something else'));
    await entry(page, 'src/zones.py').focus();
    await page.keyboard.press('Shift+Alt+KeyC');
    await copied('src/main.py\nsrc/zones.py');
    // The row that has the focus alone, when it is not among what is chosen.
    await entry(page, 'notes.txt').focus();
    await page.keyboard.press('Shift+Alt+KeyC');
    await copied('notes.txt');
    await entry(page, 'README.md').click({ button: 'right' });
    await page.getByRole('menuitem', { name: /^Copy path\b/ }).click();
    await page.getByRole('menu').waitFor({ state: 'detached' });
    await copied('README.md');
  });

  await journey.step('the open file is shown in the tree, also where its folder is folded', async () => {
    await openFile(page, 'src/main.py');
    await entry(page, 'src').focus();
    await page.keyboard.press('ArrowLeft');
    await entry(page, 'src/main.py').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'More for the files' }).click();
    await page.getByRole('menuitem', { name: 'Show the open file' }).click();
    await until(() => entry(page, 'src/main.py').evaluate((row) => row === document.activeElement), 'its row to have the focus');
    assert.equal(await tree(page).locator('[aria-selected=true]').getAttribute('data-path'), 'src/main.py');
  });

  await journey.step('what was chosen and is folded away is not deleted along', async () => {
    const chosen = () => tree(page).locator('[aria-selected=true]').count();
    await rest.write(project, 'spare.txt', 'spare\n');
    await entry(page, 'spare.txt').waitFor();
    await openFile(page, 'src/rates.py');
    await entry(page, 'spare.txt').click({ modifiers: ['Control'] });
    assert.equal(await chosen(), 2);
    await entry(page, 'src').focus();
    await page.keyboard.press('ArrowLeft');
    await entry(page, 'src/rates.py').waitFor({ state: 'detached' });
    await until(async () => (await chosen()) === 1, 'one to be chosen still');
    assert.ok(await entry(page, 'src').evaluate((row) => row === document.activeElement), 'the focus stays');
    await entry(page, 'spare.txt').focus();
    await page.keyboard.press('Delete');
    await gone('spare.txt');
    assert.ok(await rest.exists(project, 'src/rates.py'));
    await entry(page, 'spare.txt').waitFor({ state: 'detached' });
    await entry(page, 'src').focus();
    await page.keyboard.press('ArrowRight');
    await entry(page, 'src/rates.py').waitFor();
  });

  await journey.step('a clash of names is asked about once', async () => {
    await rest.write(project, 'docs/notes.txt', 'other\n');
    await entry(page, 'docs/notes.txt').waitFor();
    await entry(page, 'notes.txt').focus();
    await page.keyboard.press('Shift+F10');
    await page.getByRole('menuitem', { name: 'Copy to…' }).click();
    await page.getByRole('menu').waitFor({ state: 'detached' });
    const dialog = page.getByRole('dialog', { name: 'Copy notes.txt' });
    await dialog.getByLabel('Folder', { exact: true }).fill('docs');
    await dialog.getByRole('button', { name: 'Copy here' }).click();
    const clash = page.getByRole('dialog', { name: 'notes.txt exists in docs already' });
    await clash.getByRole('button', { name: 'Keep both' }).click();
    await toast('Copied notes (2).txt to docs').waitFor();
    assert.ok(await rest.exists(project, 'docs/notes (2).txt'));
    assert.equal(await rest.read(project, 'docs/notes.txt'), 'other\n');
  });

  await journey.step('a new name is typed in the tree; one that is taken stays to be mended', async () => {
    await entry(page, 'notes copy.txt').focus();
    await page.keyboard.press('F2');
    const field = page.locator('input.tree-name');
    await field.fill('README.md');
    await field.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'This name is taken' }).waitFor();
    await field.fill('a:b <ü>.txt');
    await field.press('Enter');
    await there('a:b <ü>.txt');
    await entry(page, 'a:b <ü>.txt').waitFor();
    await entry(page, 'a:b <ü>.txt').press('Control+z');
    await there('notes copy.txt');
  });

  await journey.step('the filter keeps the folders above, and the tree is walked by letters', async () => {
    await page.getByLabel('Filter', { exact: true }).fill('ZONES');
    await entry(page, 'notes.txt').waitFor({ state: 'detached' });
    await entry(page, 'src/zones.py').waitFor();
    await page.getByLabel('Filter', { exact: true }).fill('');
    await entry(page, 'README.md').focus();
    await page.keyboard.type('notes');
    await until(() => page.evaluate(() => /(^|\/)notes[^/]*$/.test(document.activeElement?.dataset.path ?? '')), 'a row by its letters');
  });

  await journey.step('what is deleted is in the trash, and comes back from there', async () => {
    await entry(page, 'src').focus();
    await page.keyboard.press('Delete');
    await entry(page, 'src').waitFor({ state: 'detached' });
    await gone('src/main.py');
    await page.getByRole('button', { name: 'More for the files' }).click();
    await page.getByRole('menuitem', { name: 'Show the trash' }).click();
    await page.getByRole('menu').waitFor({ state: 'detached' });
    const trash = page.getByRole('list', { name: 'Deleted files' });
    const row = trash.getByRole('listitem').filter({ hasText: '3 files' });
    await row.waitFor();
    await journey.shot(page, 'trash');
    await row.getByText('Something else has this name now').waitFor({ state: 'detached' });
    // Somebody has taken the name meanwhile: nothing of theirs is touched.
    await rest.write(project, 'src', 'a file now\n');
    await row.getByText('Something else has this name now').waitFor();
    await row.getByRole('button', { name: 'Restore src' }).click();
    await there('src/main.py');
    assert.equal(await rest.read(project, 'src (2)'), 'a file now\n');
    await page.getByRole('button', { name: 'Back to the files' }).click();
    await entry(page, 'src').waitFor();
  });

  await journey.step('every version of a file is kept, compared and restored', async () => {
    await rest.write(project, 'README.md', '# Parcels\n\nSecond\n');
    await rest.write(project, 'README.md', '# Parcels\n\nThird\n');
    await entry(page, 'README.md').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'History of this file' }).click();
    const versions = page.getByRole('list', { name: 'Versions, newest first' });
    await versions.getByRole('button', { name: /Version 3/ }).waitFor();
    assert.match(await versions.innerText(), /Changed by ada[^]*Made by ada/);
    await versions.getByRole('button', { name: /Version 2/ }).click();
    const compare = page.getByRole('region', { name: 'Versions of README.md' });
    await until(async () => (await compare.locator('.monaco-diff-editor').innerText()).includes('Second'), 'the difference');
    await journey.shot(page, 'history');
    await compare.getByLabel('To').selectOption('3');
    await compare.getByLabel('From').selectOption('1');
    await until(async () => (await compare.locator('.monaco-diff-editor').innerText()).includes('Third'), 'any two versions');
    await compare.getByLabel('To').selectOption('2');
    await compare.getByRole('button', { name: 'Restore version 2' }).click();
    await until(async () => (await rest.read(project, 'README.md')).includes('Second'), 'the version to be back');
    await versions.getByRole('button', { name: /Version 4/ }).waitFor();
    await undo('Restored version 2 of README.md');
    await until(async () => (await rest.read(project, 'README.md')).includes('Third'), 'the restoring to be taken back');
    await page.getByRole('button', { name: 'Back to the files' }).click();
  });

  await journey.step('a move is told in the history', async () => {
    await openFile(page, 'notes.txt');
    await entry(page, 'notes.txt').dragTo(entry(page, 'docs'), { modifiers: [] });
    const clash = page.getByRole('dialog', { name: 'notes.txt exists in docs already' });
    await clash.getByRole('button', { name: 'Keep both' }).click();
    await there('docs/notes (3).txt');
    await entry(page, 'docs/notes (3).txt').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'History of this file' }).click();
    await page.getByRole('button', { name: 'Before that: notes.txt' }).waitFor();
    await page.getByRole('button', { name: 'Back to the files' }).click();
  });

  await journey.step('others’ changes are marked until they are looked at', async () => {
    await rest.post('/api/auth/register', { email: 'bea@example.org', username: 'bea', password: 'correct horse battery' }, 201);
    const bea = await Rest.signedIn(base, 'bea');
    const people = await rest.call('PUT', `/api/projects/${project}/members/${(await bea.get('/api/users/me')).id}`, { json: { role: 'editor' } });
    assert.ok(people.status < 300, people.text);
    await bea.write(project, 'docs/guide.md', 'Guide, by bea\n');
    await entry(page, 'docs/guide.md').getByText('changed since you looked at it').waitFor({ state: 'attached' });
    await entry(page, 'docs/guide.md').click();
    await entry(page, 'docs/guide.md').getByText('changed since you looked at it').waitFor({ state: 'detached' });
  });

  await journey.step('pictures, documents and bytes are shown, and never as pages', async () => {
    await put(rest, project, 'dot.png', png(12, 8));
    await put(rest, project, 'paper.pdf', Buffer.from(pdf('Hello from a page'), 'latin1'));
    await put(rest, project, 'data.bin', Buffer.from(Array.from({ length: 150_000 }, (_, at) => at % 256)));
    await entry(page, 'dot.png').click();
    const image = page.getByRole('img', { name: 'dot.png' });
    await image.waitFor();
    await page.getByText('12 × 8').waitFor();
    assert.match(await image.getAttribute('src'), /^blob:/);
    await journey.shot(page, 'preview-image');
    await entry(page, 'data.bin').click();
    await page.getByLabel('Content of the file').getByText('00000000  00 01 02 03').waitFor();
    await page.getByRole('button', { name: 'Last' }).click();
    await page.getByText('131 072 to 150 000 of 150 000 bytes'.replaceAll(' 0', ' 0')).or(page.getByText(/131.072 to 150.000 of 150.000 bytes/)).first().waitFor();
    await page.getByLabel('Go to byte').fill('0x10000');
    await page.getByLabel('Go to byte').press('Enter');
    await page.getByLabel('Content of the file').getByText('00010000  00 01').waitFor();
    await put(rest, project, 'tone.wav', tone());
    await entry(page, 'tone.wav').click();
    await until(() => page.locator('audio[aria-label="tone.wav"]').evaluate((audio) => audio.duration > 0.4), 'the sound to be read');
    await put(rest, project, 'clip.webm', await film(page));
    await entry(page, 'clip.webm').click();
    await until(() => page.locator('video[aria-label="clip.webm"]').evaluate((video) => video.videoWidth === 64), 'the film to be read');
    await journey.shot(page, 'preview-video');
    await entry(page, 'paper.pdf').click();
    await page.getByText('1 page', { exact: true }).waitFor();
    assert.equal(await page.locator('iframe.pdf').getAttribute('sandbox'), 'allow-scripts');
    await page.frameLocator('iframe.pdf').locator('canvas').waitFor();
    await journey.shot(page, 'preview-pdf');
  });

  await journey.step('a drawing is edited as text and looked at as a picture, in which nothing runs', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="12"><script>parent.ran = top.ran = 1</script><rect width="24" height="12"/></svg>\n';
    await put(rest, project, 'sign.svg', svg);
    await openFile(page, 'sign.svg');
    await editorShows(page, '<svg');
    const preview = page.locator('.preview-head').getByRole('button', { name: 'Preview' });
    await preview.click();
    const picture = page.getByRole('img', { name: 'sign.svg' });
    await picture.waitFor();
    await page.getByText('24 × 12').waitFor();
    await page.getByText('Version 1 as a picture', { exact: true }).waitFor();
    assert.match(await picture.getAttribute('src'), /^blob:/);
    assert.equal(await page.evaluate(() => window.ran), undefined, 'its script does not run');
    await journey.shot(page, 'preview-svg');
    await rest.write(project, 'sign.svg', svg.replace('width="24" height="12">', 'width="30" height="12">'));
    await page.getByText('30 × 12').waitFor();
    await preview.click();
    await editorShows(page, 'width="30"');
    await typeOnTop(page, '<!-- typed -->');
    await isUnsaved(page, 'sign.svg');
    await preview.click();
    await page.getByText('Version 2 as a picture, without what is not saved yet').waitFor();
    await preview.click();
    await editorShows(page, 'typed');
    await page.keyboard.press('Control+s');
    await isSaved(page, 'sign.svg');
  });

  await journey.step('a file over 5 MB is edited in a lighter mode', async () => {
    await put(rest, project, 'long.log', Buffer.alloc(6_000_000, 'one line of a long log, as they are\n'));
    await openFile(page, 'long.log');
    await editorShows(page, 'one line of a long log');
    await page.locator('footer.status').getByText('Light', { exact: true }).waitFor();
    await typeOnTop(page, 'above it all\n');
    await isUnsaved(page, 'long.log');
    await page.keyboard.press('Control+s');
    await isSaved(page, 'long.log');
    const start = await rest.call('GET', rest.fileAddress(project, 'long.log'), { headers: { range: 'bytes=0-20' } });
    assert.deepEqual([start.status, start.text], [206, 'above it all\none line']);
  });

  await journey.step('a file of 70 MB is read by its parts, and nobody writes it', async () => {
    await put(rest, project, 'huge.csv', Buffer.concat([Buffer.from('number;name\n'), Buffer.alloc(70_000_000, '1234;parcel\n'), Buffer.from('the end of it\n')]));
    const parts = [];
    const note = (answer) => answer.url().includes('huge.csv') && parts.push([answer.status(), Number(answer.headers()['content-length'])]);
    page.on('response', note);
    await entry(page, 'huge.csv').click();
    const content = page.getByLabel('Content of the file');
    await content.getByText('number;name').waitFor();
    await page.getByText('Read only', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Last', exact: true }).click();
    await content.getByText('the end of it').waitFor();
    page.off('response', note);
    assert.equal(parts.length, 2, JSON.stringify(parts));
    assert.ok(parts.every(([status, size]) => status === 206 && size <= 64 * 1024), JSON.stringify(parts));
    await journey.shot(page, 'huge-file');
  });

  await journey.step('a folder comes as zip', async () => {
    const answer = await fetch(`${base}/api/projects/${project}/archive?path=docs`, { headers: { authorization: `Bearer ${rest.token}` } });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-disposition'), /attachment; filename="docs\.zip"/);
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(bytes.readUInt32LE(0), 0x04034b50, 'a zip archive');
    assert.ok(bytes.includes('docs/guide.md'));
    await entry(page, 'docs').focus();
    await page.keyboard.press('ContextMenu');
    const download = page.waitForEvent('download');
    await page.getByRole('menuitem', { name: 'Download as zip' }).click();
    assert.equal((await download).suggestedFilename(), 'docs.zip');
    // Several come in one archive, which is called as the folder they are in.
    await entry(page, 'docs/dropped.txt').click();
    await entry(page, 'docs/guide.md').click({ modifiers: ['Control'] });
    await entry(page, 'docs/guide.md').click({ button: 'right' });
    const several = page.waitForEvent('download');
    await page.getByRole('menuitem', { name: 'Download 2 items as zip' }).click();
    assert.equal((await several).suggestedFilename(), 'docs.zip');
  });

  await journey.step('on a phone', async () => {
    const phone = await journey.page({ base, size: PHONE });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    await phone.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: 'Files' }).click();
    await entry(phone, 'README.md').waitFor();
    await phone.getByRole('button', { name: 'More for the files' }).click();
    await phone.getByRole('menuitem', { name: 'Show the trash' }).click();
    await phone.getByRole('heading', { name: 'Trash' }).waitFor();
    await journey.shot(phone, 'trash-phone');
    await phone.getByRole('button', { name: 'Back to the files' }).click();
    await entry(phone, 'README.md').click({ button: 'right' });
    await journey.shot(phone, 'menu-phone');
    await phone.getByRole('menuitem', { name: 'History of this file' }).click();
    await phone.getByRole('list', { name: 'Versions, newest first' }).getByRole('button', { name: /Version 2/ }).click();
    await phone.getByRole('button', { name: 'Restore version 2' }).waitFor();
    await journey.shot(phone, 'history-phone');
    assert.ok((await phone.evaluate(() => document.documentElement.scrollWidth)) <= PHONE.width, 'nothing is cut off');
  });
}

function put(rest, project, path, body) {
  return rest.expect(201, 'PUT', rest.fileAddress(project, path), { body, headers: { 'if-none-match': '*' } });
}

/** A picture of one colour. */
function png(width, height) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc((width * 3 + 1) * height, 0x90);
  for (let y = 0; y < height; y += 1) rows[y * (width * 3 + 1)] = 0;
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function crc(bytes) {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

/** A document of one page with one line of text. */
function pdf(text) {
  const stream = `BT /F1 24 Tf 40 100 Td (${text}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  // Nothing in it is no text, which does not make it one.
  let out = '%PDF-1.4\n%\xe2\xe3\n';
  const places = objects.map((object, at) => {
    const place = out.length;
    out += `${at + 1} 0 obj\n${object}\nendobj\n`;
    return place;
  });
  const start = out.length;
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n`;
  for (const place of places) out += `${String(place).padStart(10, '0')} 00000 n \n`;
  return `${out}trailer << /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
}

/** Half a second of a tone, as a WAV file of 8-bit samples. */
function tone() {
  const rate = 8000;
  const samples = Buffer.from(Array.from({ length: rate / 2 }, (_, at) => 128 + Math.round(60 * Math.sin((at * 440 * 2 * Math.PI) / rate))));
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

/** A short film that the browser records of a canvas. */
async function film(page) {
  const base64 = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
    const draw = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/webm;codecs=vp8' });
    const pieces = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    const ended = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    for (let n = 0; n < 12; n += 1) {
      draw.fillStyle = `hsl(${n * 30} 80% 50%)`;
      draw.fillRect(0, 0, 64, 48);
      await new Promise(requestAnimationFrame);
    }
    recorder.stop();
    await ended;
    const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
  });
  return Buffer.from(base64, 'base64');
}
