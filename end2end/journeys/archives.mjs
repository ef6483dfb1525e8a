// Projects on their way in and out: an export that shows its progress and comes back equal, a folder, a git repository.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { sdist } from '../support/archives.mjs';
import { alive, openProject, entry, signIn } from '../support/pages.mjs';
import { root, scratchFolder } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const HOST = 'git.example.test';

export default async function (journey) {
  const folder = await scratchFolder('archives');
  chmodSync(folder, 0o755);
  const isRoot = process.getuid?.() === 0;
  const hosts = path.join(folder, 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost ${HOST}\n`);
  const { base } = await journey.server({ SANDBOX_OPEN_ADDRESSES: '127.0.0.1' }, isRoot ? { hosts } : {});
  const ada = await Rest.signUp(base, 'ada');
  const page = await journey.page({ base, allow: [/status of 4\d\d/, /ERR_FAILED/] });
  const source = readFileSync(sdist());
  const project = await ada.importArchive('six', path.basename(sdist()), source);
  await ada.write(project, 'README.rst', 'Mine\n');
  await ada.write(project, 'notes.txt', 'kept\n');
  await signIn(page, 'ada');

  const paths = async (id) => (await ada.get(`/api/projects/${id}/tree`)).items.map((item) => [item.path, item.checksum, item.mode]);
  const dialog = page.getByRole('dialog');
  const opened = async () => {
    await page.waitForURL(/\/projects\/[0-9a-f-]{36}$/);
    return page.url().split('/').at(-1);
  };
  let archive;
  const local = path.join(folder, 'parcel-rates');
  const choose = async (where, by = 'Choose folder') => {
    await page.getByRole('button', { name: 'New project' }).first().click();
    await dialog.getByRole('button', { name: 'Folder', exact: true }).click();
    const [picker] = await Promise.all([page.waitForEvent('filechooser'), dialog.getByRole('button', { name: by }).click()]);
    await picker.setFiles(where);
  };
  const batches = '**/api/imports/*/files';
  /** Begins an import whose second batch never arrives; answers its id. */
  const sendHalf = async () => {
    await page.goto('/');
    await alive(page);
    let sent = 0;
    await page.route(batches, async (route) => {
      sent += 1;
      if (sent === 1) await route.continue();
    });
    await choose(local);
    const begun = page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/imports');
    await dialog.getByRole('button', { name: 'Import files' }).click();
    const { id } = await (await begun).json();
    await dialog.getByText('Sending, 200 of 231 files').waitFor();
    assert.equal((await ada.get(`/api/imports/${id}`)).files, 200);
    return id;
  };
  const isGone = async (id) => (await ada.call('GET', `/api/imports/${id}`)).status === 404;

  await journey.step('an archive with history is made in the settings and downloaded', async () => {
    await page.goto(`/projects/${project}/settings`);
    await alive(page);
    const card = page.getByRole('region', { name: 'Export' });
    await card.getByText('No archive yet.').waitFor();
    await card.getByRole('button', { name: 'Make archive' }).click();
    const link = card.getByRole('link', { name: /^six-history-.*\.zip$/ });
    await link.waitFor();
    await card.getByText(/^With history, /).waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    archive = path.join(folder, download.suggestedFilename());
    await download.saveAs(archive);
    await journey.shot(page, 'export-settings');
  });

  await journey.step('importing it makes an equal project', async () => {
    await page.goto('/');
    await alive(page);
    await page.getByRole('button', { name: 'Other ways to start' }).click();
    await page.getByRole('menuitem', { name: 'Import archive' }).click();
    await dialog.getByLabel('Archive').setInputFiles(archive);
    await dialog.getByLabel('Name').fill('six again');
    await dialog.getByRole('button', { name: 'Import archive' }).click();
    const copy = await opened();
    assert.deepEqual(await paths(copy), await paths(project));
    const history = async (id) => (await ada.get(`/api/projects/${id}/history?path=README.rst`)).items.map((v) => [v.version, v.checksum, v.created_by.name]);
    assert.deepEqual(await history(copy), await history(project));
    await entry(page, 'notes.txt').waitFor();
  });

  await journey.step('the list of projects exports too, and what was made can be deleted', async () => {
    await page.goto('/');
    await alive(page);
    await page.getByRole('button', { name: 'Actions for six', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Export' }).click();
    await dialog.getByRole('link', { name: /^six-history-/ }).waitFor();
    await dialog.getByLabel('Files only').check();
    await dialog.getByRole('button', { name: 'Make archive' }).click();
    await dialog.getByRole('link', { name: /^six-\d{4}-.*\.zip$/ }).waitFor();
    await journey.shot(page, 'export-dialog');
    for (let left = 2; left > 0; left -= 1) {
      await dialog.getByRole('button', { name: /^Delete six-/ }).first().click();
      await page.waitForFunction((n) => document.querySelectorAll('dialog[open] .export-row').length === n, left - 1);
    }
    assert.deepEqual((await ada.get(`/api/projects/${project}/exports`)).items, []);
    await dialog.getByRole('button', { name: 'Close' }).click();
  });

  await journey.step('what still waits can be stopped, and leaves nothing', async () => {
    // With one place, and that taken, exports and imports wait.
    await ada.expect(200, 'PUT', '/api/admin/settings/runs', { json: { jobs_per_user: 1 } });
    const run = await ada.startRun(project, 'sleep 100');
    await ada.events(`run:${run.id}`, { done: (event) => event.kind === 'run_started' });
    await page.goto(`/projects/${project}/settings`);
    await alive(page);
    const card = page.getByRole('region', { name: 'Export' });
    await card.getByRole('button', { name: 'Make archive' }).click();
    await card.getByText('Waiting for a worker').waitFor();
    await card.getByRole('progressbar', { name: 'Export' }).waitFor({ state: 'attached' });
    await journey.shot(page, 'export-waits');
    await card.getByRole('button', { name: 'Stop' }).click();
    await card.getByText('No archive yet.').waitFor();

    await page.goto('/');
    await alive(page);
    await page.getByRole('button', { name: 'Other ways to start' }).click();
    await page.getByRole('menuitem', { name: 'Import archive' }).click();
    await dialog.getByLabel('Archive').setInputFiles(archive);
    await dialog.getByRole('button', { name: 'Import archive' }).click();
    await dialog.getByText('Waiting for a worker').waitFor();
    await journey.shot(page, 'import-waits');
    await dialog.getByRole('button', { name: 'Stop' }).click();
    await dialog.getByText('Stopped. Nothing was imported.').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await ada.post(`/api/runs/${run.id}/cancel`);
    await ada.finishedRun(run.id);
    await ada.expect(200, 'PUT', '/api/admin/settings/runs', { json: {} });
    assert.equal((await ada.get('/api/projects')).items.length, 2);
  });

  await journey.step('a folder becomes a project, also when a batch gets lost on its way', async () => {
    mkdirSync(path.join(local, 'src', 'deep'), { recursive: true });
    writeFileSync(path.join(local, 'README.md'), '# Parcel rates\n');
    for (let n = 0; n < 230; n += 1) writeFileSync(path.join(local, 'src', 'deep', `file-${n}.txt`), `number ${n}\n`);
    await page.getByRole('button', { name: 'New project' }).first().click();
    await dialog.getByRole('button', { name: 'Folder', exact: true }).click();
    await dialog.getByRole('button', { name: 'Import files' }).click();
    await dialog.getByText('Choose a folder or some files.').waitFor();
    const [picker] = await Promise.all([page.waitForEvent('filechooser'), dialog.getByRole('button', { name: 'Choose folder' }).click()]);
    await picker.setFiles(local);
    await dialog.getByText('231 files of parcel-rates').waitFor();
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'parcel-rates');
    await journey.shot(page, 'import-folder');
    let lost = 0;
    await page.route(batches, (route) => {
      lost += 1;
      return lost === 1 ? route.abort() : route.continue();
    });
    await dialog.getByRole('button', { name: 'Import files' }).click();
    await dialog.getByText('The server did not answer, trying again').waitFor();
    const made = await opened();
    await page.unroute(batches);
    const listed = (await paths(made)).map(([name]) => name);
    assert.ok(listed.includes('README.md') && listed.includes('src/deep/file-229.txt'), listed.slice(0, 5).join());
    assert.equal((await ada.get(`/api/projects/${made}`)).file_count, 231);
    assert.equal(await ada.read(made, 'src/deep/file-17.txt'), 'number 17\n');
  });

  await journey.step('a folder that is stopped while it is sent leaves nothing', async () => {
    const projects = (await ada.get('/api/projects')).items.length;
    const id = await sendHalf();
    await dialog.getByRole('progressbar', { name: 'Import' }).waitFor({ state: 'attached' });
    await journey.shot(page, 'import-folder-sending');
    await dialog.getByRole('button', { name: 'Stop' }).click();
    await dialog.getByText('Stopped. Nothing was imported.').waitFor();
    await page.unroute(batches);
    assert.ok(await isGone(id));
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    assert.equal((await ada.get('/api/projects')).items.length, projects);
  });

  await journey.step('it can be stopped while its job waits, too', async () => {
    const projects = (await ada.get('/api/projects')).items.length;
    await ada.expect(200, 'PUT', '/api/admin/settings/runs', { json: { jobs_per_user: 1 } });
    const run = await ada.startRun(project, 'sleep 100');
    await ada.events(`run:${run.id}`, { done: (event) => event.kind === 'run_started' });
    await choose(local);
    await dialog.getByRole('button', { name: 'Import files' }).click();
    await dialog.getByText('Waiting for a worker').waitFor();
    assert.equal(await dialog.getByRole('progressbar', { name: 'Import' }).getAttribute('aria-valuenow'), '90');
    await dialog.getByRole('button', { name: 'Stop' }).click();
    await dialog.getByText('Stopped. Nothing was imported.').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await ada.post(`/api/runs/${run.id}/cancel`);
    await ada.finishedRun(run.id);
    await ada.expect(200, 'PUT', '/api/admin/settings/runs', { json: {} });
    assert.equal((await ada.get('/api/projects')).items.length, projects);
  });

  await journey.step('a page that is left takes its unfinished import along', async () => {
    const id = await sendHalf();
    page.once('dialog', (asked) => asked.accept());
    await page.goto('/');
    await page.unroute(batches);
    for (let tries = 0; !(await isGone(id)); tries += 1) {
      assert.ok(tries < 100, 'the import is still there');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  await journey.step('files that no project can have are listed before the project opens', async () => {
    const odd = path.join(folder, 'odd');
    mkdirSync(odd);
    for (const name of ['Same.txt', 'other.txt', 'same.txt']) writeFileSync(path.join(odd, name), `${name}\n`);
    await page.goto('/');
    await alive(page);
    await choose(odd);
    await dialog.getByRole('button', { name: 'Import files' }).click();
    await dialog.getByText('The project was made, but not with all files.').waitFor();
    const list = dialog.getByRole('group', { name: 'Files that were left out' });
    await list.getByText('1 file was left out:').waitFor();
    assert.match(await list.innerText(), /same\.txt[^]*differs from it only in upper and lower case/i);
    await journey.shot(page, 'import-left-out');
    await dialog.getByRole('button', { name: 'Open project' }).click();
    const made = await opened();
    assert.equal((await paths(made)).length, 2);
  });

  await journey.step('some files become a project, without a folder around them', async () => {
    await page.goto('/');
    await alive(page);
    await choose([path.join(local, 'README.md'), path.join(local, 'src/deep/file-7.txt')], 'Choose files');
    await dialog.getByText(/^2 files, /).waitFor();
    await dialog.getByLabel('Name').fill('two files');
    await dialog.getByRole('button', { name: 'Import files' }).click();
    const made = await opened();
    assert.deepEqual((await paths(made)).map(([name]) => name).sort(), ['README.md', 'file-7.txt']);
    assert.equal(await ada.read(made, 'file-7.txt'), 'number 7\n');
  });

  await journey.step('a repository of a closed host is refused by name, without an account in its address', async () => {
    await page.goto('/');
    await alive(page);
    await page.getByRole('button', { name: 'New project' }).first().click();
    await dialog.getByRole('button', { name: 'Git', exact: true }).click();
    await dialog.getByLabel('Address').fill('https://ada:secret@git.example.org/team/tool.git');
    await dialog.getByRole('button', { name: 'Import repository' }).click();
    await dialog.getByText(/Leave the name and the password out/).waitFor();
    await dialog.getByLabel('Address').fill('https://git.example.org/team/tool.git');
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'tool');
    await dialog.getByRole('button', { name: 'Import repository' }).click();
    await dialog.getByText(/add git\.example\.org to the hosts/).waitFor();
    await journey.shot(page, 'import-git-refused');
  });

  await journey.step('a repository is cloned once its host is open', async () => {
    if (!isRoot) return;
    const port = await gitServer(folder);
    await ada.expect(200, 'PUT', '/api/admin/settings/runs', { json: { egress: [`${HOST}:${port}`] } });
    await dialog.getByLabel('Address').fill(`http://${HOST}:${port}/team/tally.git`);
    await dialog.getByRole('button', { name: 'Import repository' }).click();
    const made = await opened();
    assert.deepEqual((await paths(made)).map(([name]) => name), ['README.md', 'main.py']);
    assert.equal((await ada.get(`/api/projects/${made}/history?path=main.py`)).items[0].origin, 'git');
    await openProject(page, made);
    await entry(page, 'main.py').waitFor();
  });
}

/** Serves a small repository until this process ends; answers the port. */
async function gitServer(folder) {
  const work = path.join(folder, 'work');
  mkdirSync(work);
  const git = (cwd, ...args) => execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', ...args], { cwd, stdio: 'pipe' });
  git(work, 'init', '-q', '-b', 'main');
  writeFileSync(path.join(work, 'README.md'), '# Tally\n');
  writeFileSync(path.join(work, 'main.py'), 'print(1)\n');
  git(work, 'add', '.');
  git(work, 'commit', '-qm', 'all');
  mkdirSync(path.join(folder, 'served', 'team'), { recursive: true });
  git(path.join(folder, 'served', 'team'), 'clone', '-q', '--bare', work, 'tally.git');
  const server = spawn('python3', [path.join(root, 'end2end/support/git-server.py'), path.join(folder, 'served')], { stdio: ['ignore', 'pipe', 'ignore'] });
  process.on('exit', () => server.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.stdout.once('data', (line) => resolve(Number(line)));
  });
}
