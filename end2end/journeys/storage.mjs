// Where a project's files are: chosen when it is made, moved there and back while it is used, and told when the storage is away.
import assert from 'node:assert/strict';
import { editorShows, entry, isUnsaved, openFile, openProject, signIn, typeOnTop } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { PHONE } from '../support/journey.mjs';

export default async function (journey) {
  const s3 = await journey.s3();
  const { base } = await journey.server(s3.env);
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('ledger');
  for (let number = 0; number < 20; number += 1) await rest.write(project, `books/${number}.txt`, `page ${number}\n`);
  const page = await journey.page({ base, allow: [/status of 503/] });
  await signIn(page, 'ada');
  const card = (window) => window.getByRole('region', { name: 'Where the files are' });

  await journey.step('settings say where the files are and where they could be', async () => {
    await page.goto(`/projects/${project}/settings`);
    await card(page).getByText("This server's disk").waitFor();
    await card(page).getByRole('button', { name: 'Move to S3 storage' }).waitFor();
    await card(page).scrollIntoViewIfNeeded();
    await journey.shot(page, 'storage-local');
  });

  await journey.step('a move ends on S3, by keyboard, and every file can be read', async () => {
    await card(page).getByRole('button', { name: 'Move to S3 storage' }).focus();
    await page.keyboard.press('Enter');
    await card(page).getByRole('button', { name: "Move to this server's disk" }).waitFor({ timeout: 30_000 });
    await card(page).getByText('S3 storage', { exact: true }).waitFor();
    assert.equal((await rest.get(`/api/projects/${project}/storage`)).backend, 's3');
    for (let number = 0; number < 20; number += 1) assert.equal(await rest.read(project, `books/${number}.txt`), `page ${number}\n`);
    await journey.shot(page, 'storage-s3');
  });

  await journey.step('it looks right in the dark on a phone', async () => {
    const phone = await journey.page({ base, size: PHONE, dark: true });
    await signIn(phone, 'ada');
    await phone.goto(`/projects/${project}/settings`);
    await card(phone).getByRole('button', { name: "Move to this server's disk" }).waitFor();
    await card(phone).scrollIntoViewIfNeeded();
    const beyond = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(beyond <= 0, `${beyond} pixels are cut off`);
    await journey.shot(phone, 'storage-phone');
  });

  await journey.step('while the storage is away a save says why, and nothing is changed', async () => {
    await openProject(page, project);
    await entry(page, 'books').click();
    await openFile(page, 'books/0.txt');
    await typeOnTop(page, 'typed while it was away\n');
    await s3.stop();
    const refused = await rest.call('PUT', rest.fileAddress(project, 'new.txt'), { body: 'new', headers: { 'if-none-match': '*' } });
    assert.equal(refused.status, 503, refused.text);
    assert.match(refused.json.detail, /S3 storage does not answer\. Nothing was changed/);
    assert.ok(!(await rest.exists(project, 'new.txt')));
    const health = await until(() => rest.get('/api/admin/health'), 'health');
    const check = health.checks.find((one) => one.name === 'file storage on S3');
    assert.equal(check.state, 'failed');
    assert.match(check.reason, /does not answer/);
  });

  await journey.step('what was typed stays in the editor, and in the browser over a reload', async () => {
    const version = (await rest.get(`/api/projects/${project}/tree`)).items.find((item) => item.path === 'books/0.txt').version;
    await page.keyboard.press('Control+s');
    await page.getByText(/S3 storage does not answer\. Nothing was changed/).first().waitFor();
    await isUnsaved(page, '0.txt');
    await editorShows(page, 'typed while it was away');
    const kept = () =>
      page.evaluate(
        (begin) => Object.entries({ ...localStorage }).some(([key, value]) => key.startsWith(begin) && key.endsWith(':books/0.txt') && value.includes('typed while it was away')),
        `draft:${project}:`,
      );
    await until(kept, 'the browser to keep it');
    await journey.shot(page, 'storage-away');
    page.once('dialog', (dialog) => dialog.accept());
    await page.reload();
    // What was read lately is still at hand on the server's disk.
    await page.getByText('This browser kept unsaved text of this file').waitFor();
    assert.ok(await kept(), 'until somebody decides');
    const now = (await rest.get(`/api/projects/${project}/tree`)).items.find((item) => item.path === 'books/0.txt').version;
    assert.equal(now, version, 'no half of it is stored');
  });

  await journey.step('a move that can not go on can be cancelled', async () => {
    const other = await rest.project('stays');
    await rest.write(other, 'a.txt', 'a');
    await page.goto(`/projects/${other}/settings`);
    await card(page).getByRole('button', { name: 'Move to S3 storage' }).click();
    await card(page).getByRole('button', { name: 'Cancel' }).click();
    await card(page).getByRole('button', { name: 'Move to S3 storage' }).waitFor({ timeout: 30_000 });
    assert.equal((await rest.get(`/api/projects/${other}/storage`)).backend, 'local');
    assert.equal(await rest.read(other, 'a.txt'), 'a');
  });
}
