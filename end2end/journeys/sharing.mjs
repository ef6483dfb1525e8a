// Sharing: who comes in and as what, who is here now, the end of access, and how much may be kept.
import assert from 'node:assert/strict';
import { alive, connected, openFile, openProject, signIn } from '../support/pages.mjs';
import { PHONE } from '../support/journey.mjs';
import { Rest } from '../support/rest.mjs';
import { until } from '../support/processes.mjs';

const shareButton = (page) => page.getByRole('button', { name: /^Share:/ });
const dialog = (page) => page.getByRole('dialog', { name: /^Share / });
const member = (page, name) => page.locator('.share-row').filter({ hasText: name });

async function openShare(page) {
  await shareButton(page).click();
  await dialog(page).getByRole('heading', { name: /^Members/ }).waitFor();
  return dialog(page);
}

async function invite(page, who, role) {
  await page.getByLabel('User name or e-mail address').fill(who);
  await page.getByLabel('Role', { exact: true }).selectOption(role);
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
}

export default async function (journey) {
  const { base } = await journey.server();
  const ada = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  await Rest.signUp(base, 'cleo');
  const project = await ben.project('ledger');
  await ben.write(project, 'notes.txt', 'first line\n');
  const allow = [/status of (403|404|413|422)/, /\/api\/live/];
  const owner = await journey.page({ base, allow });
  await signIn(owner, 'ben');
  const guest = await journey.page({ base, allow });
  await signIn(guest, 'cleo');

  await journey.step('an owner invites by name and by address', async () => {
    await openProject(owner, project);
    const box = await openShare(owner);
    await box.getByText('Nobody else is here now').waitFor();
    await invite(owner, 'nobody-here', 'viewer');
    await box.getByText(/Nobody here has this name/).waitFor();
    await invite(owner, 'cleo', 'viewer');
    await member(box, 'cleo').waitFor();
    await invite(owner, 'dora@example.org', 'editor');
    await box.getByRole('heading', { name: 'Waiting', exact: true }).waitFor();
    await member(box, 'dora@example.org').getByText('Editor', { exact: true }).waitFor();
    await until(() => box.getByRole('radio', { name: /^Shared/ }).isChecked(), 'inviting to make it a shared project');
    await journey.shot(owner, 'share-dialog');
    await owner.keyboard.press('Escape');
    await box.waitFor({ state: 'hidden' });
  });

  await journey.step('a viewer finds it, reads it and is told why nothing can be changed', async () => {
    await guest.goto('/');
    await alive(guest);
    await guest.getByRole('link', { name: /^Mine/ }).click();
    await guest.getByText('You own no project yet').waitFor();
    await guest.getByRole('link', { name: /^Shared with me/ }).click();
    const row = guest.getByRole('row').filter({ hasText: 'ledger' });
    await row.getByRole('cell', { name: /^Viewer/ }).waitFor();
    await row.getByRole('link', { name: 'ledger' }).click();
    await connected(guest);
    const badge = guest.locator('.role-badge');
    await badge.getByText('Viewer').waitFor();
    assert.match(await badge.getAttribute('title'), /you can read its files, not change them/);
    assert.ok(await guest.getByRole('banner').getByRole('button', { name: 'Run', exact: true }).isDisabled());
    await openFile(guest, 'notes.txt');
  });

  await journey.step('people see each other', async () => {
    await owner.getByRole('img', { name: 'cleo is here' }).waitFor({ timeout: 20_000 });
    await guest.getByRole('img', { name: 'ben is here' }).waitFor({ timeout: 20_000 });
    const second = await guest.context().newPage();
    await second.goto(`/projects/${project}`);
    await connected(second);
    assert.equal(await owner.locator('.people .avatar').count(), 1, 'two tabs are one person');
    await second.close();
  });

  await journey.step('another role holds at once, and can be taken back', async () => {
    const box = await openShare(owner);
    await box.getByText('Here now: cleo').waitFor();
    await member(box, 'cleo').getByLabel('Role of cleo').selectOption('editor');
    await guest.locator('.role-badge').waitFor({ state: 'detached' });
    await guest.getByRole('banner').getByRole('button', { name: 'Run', exact: true }).and(guest.locator(':enabled')).waitFor();
    await box.getByRole('status').getByText('cleo is editor now').waitFor();
    await box.getByRole('button', { name: 'Undo' }).click();
    await guest.locator('.role-badge').getByText('Viewer').waitFor();
    await owner.keyboard.press('Escape');
  });

  await journey.step('whoever signs up with an address that waits is let in by the owner', async () => {
    const dora = await Rest.signUp(base, 'dora');
    assert.equal((await dora.call('GET', `/api/projects/${project}`)).status, 404, 'an address that was only typed opens nothing');
    const box = await openShare(owner);
    await box.getByText('dora signed up with this address').waitFor();
    await box.getByRole('button', { name: 'Let dora in' }).click();
    await box.getByRole('status').getByText('dora is in the project now').waitFor();
    await box.getByRole('heading', { name: 'Waiting', exact: true }).waitFor({ state: 'hidden' });
    await member(box, 'dora').waitFor();
    assert.equal((await dora.get(`/api/projects/${project}`)).role, 'editor');
    await owner.keyboard.press('Escape');
  });

  await journey.step('who leaves is gone within half a minute', async () => {
    const left = Date.now();
    await guest.goto('/');
    await owner.getByRole('img', { name: 'cleo is here' }).waitFor({ state: 'detached', timeout: 30_000 });
    assert.ok(Date.now() - left < 30_000);
  });

  await journey.step('access ends where the page is open', async () => {
    await openProject(guest, project);
    await owner.getByRole('img', { name: 'cleo is here' }).waitFor({ timeout: 20_000 });
    const box = await openShare(owner);
    await member(box, 'cleo').getByRole('button', { name: 'Actions for cleo' }).click();
    const began = Date.now();
    await owner.getByRole('menuitem', { name: 'Take out of the project' }).click();
    await guest.getByRole('dialog', { name: 'You have no access to this project any more' }).waitFor({ timeout: 10_000 });
    assert.ok(Date.now() - began < 6_000, `it took ${Date.now() - began} ms`);
    await journey.shot(guest, 'share-access-ended');
    await guest.getByRole('dialog').getByRole('link', { name: 'All projects' }).click();
    await alive(guest);
    await guest.goto(`/projects/${project}`);
    await guest.getByText('404').or(guest.getByRole('heading', { name: /not here|no such|nothing/i })).first().waitFor();
  });

  await journey.step('a public project is read by everybody who is signed in', async () => {
    const open = dialog(owner);
    await open.getByRole('radio', { name: /^Public/ }).click();
    await open.getByRole('status').getByText('The project is public now').waitFor();
    await owner.keyboard.press('Escape');
    await guest.goto('/');
    await alive(guest);
    await guest.getByRole('link', { name: /^Public/ }).click();
    await guest.getByRole('link', { name: 'ledger' }).click();
    await connected(guest);
    await guest.locator('.role-badge').getByText('Viewer').waitFor();
    const box = await openShare(guest);
    assert.equal(await box.getByRole('button', { name: 'Invite' }).count(), 0, 'only owners invite');
    assert.equal(await box.getByText('example.org').count(), 0, 'addresses are for owners');
    await guest.keyboard.press('Escape');
  });

  await journey.step('an administrator sets limits for all and for one', async () => {
    const admin = await journey.page({ base, allow });
    await signIn(admin, 'ada');
    await admin.goto('/admin/storage');
    await alive(admin);
    const field = admin.getByLabel('Files of a project', { exact: true });
    await field.fill('much');
    await admin.getByRole('button', { name: 'Save limits' }).click();
    await admin.locator('#f-project_bytes-note').getByText(/Write a size/).waitFor();
    await field.fill('1 MiB');
    await admin.getByRole('button', { name: 'Save limits' }).click();
    await admin.locator('.toast').getByText(/^Saved/).waitFor();
    await journey.shot(admin, 'admin-storage');
    await admin.goto('/admin/users');
    await alive(admin);
    await admin.getByRole('button', { name: 'Actions for ben' }).click();
    await admin.getByRole('menuitem', { name: 'Storage limits' }).click();
    const box = admin.getByRole('dialog', { name: 'Storage of ben' });
    await box.getByRole('meter').first().waitFor();
    await box.getByLabel('Size of the files').fill('2 MiB');
    await box.getByRole('button', { name: 'Save limits' }).click();
    await admin.locator('.toast').getByText(/storage limits of ben/).waitFor();
    const id = (await ben.get('/api/users/me')).id;
    assert.equal((await ada.get(`/api/admin/users/${id}/quota`)).bytes.limit, 2 << 20);
    await admin.context().close();
  });

  await journey.step('limits show before they are hit, and say what to do when they are', async () => {
    await ben.write(project, 'big.bin', 'x'.repeat(900_000));
    await owner.goto(`/projects/${project}/settings`);
    await alive(owner);
    await owner.getByRole('heading', { name: 'Storage', exact: true }).waitFor();
    await owner.getByText('Nearly full').first().waitFor();
    await journey.shot(owner, 'project-settings-sharing');
    await openProject(owner, project);
    await owner.getByText('The storage is nearly full.').waitFor();
    const refused = await ben.call('PUT', `/api/projects/${project}/files/more.bin`, { body: 'y'.repeat(300_000), headers: { 'if-none-match': '*' } });
    assert.equal(refused.status, 413);
    assert.match(refused.json.detail, /at most 1 MiB.*Nothing was changed/);
    await owner.goto('/');
    await alive(owner);
    await owner.getByRole('heading', { name: 'Your storage' }).waitFor();
    await journey.shot(owner, 'dashboard-storage');
  });

  await journey.step('a project is handed over and left', async () => {
    await openProject(owner, project);
    const box = await openShare(owner);
    assert.equal(await member(box, 'ben').getByRole('button', { name: 'Leave' }).count(), 0, 'the last owner stays');
    await member(box, 'dora').getByRole('button', { name: 'Actions for dora' }).click();
    await owner.getByRole('menuitem', { name: 'Hand the project over' }).click();
    await box.getByRole('button', { name: 'Hand it over' }).click();
    await box.getByRole('status').getByText('dora owns the project now').waitFor();
    await member(box, 'ben').getByRole('button', { name: 'Leave' }).click();
    await box.getByRole('button', { name: 'Leave the project' }).click();
    await owner.waitForURL((url) => url.pathname === '/');
    assert.equal((await ben.call('GET', `/api/projects/${project}/members`)).json.items.length, 1);
  });

  await journey.step('sharing works on a phone', async () => {
    const phone = await journey.page({ base, allow, size: PHONE, hasTouch: true });
    await signIn(phone, 'dora');
    await phone.getByText(/Owner · Public/).waitFor();
    await openProject(phone, project);
    await shareButton(phone).tap();
    const box = dialog(phone);
    await member(box, 'dora').waitFor();
    const wide = await box.evaluate((element) => element.scrollWidth - element.clientWidth);
    assert.ok(wide <= 0, `the dialog is ${wide} px too wide`);
    await journey.shot(phone, 'share-phone');
    await invite(phone, 'cleo', 'reviewer');
    await member(box, 'cleo').waitFor();
    await until(async () => (await member(box, 'cleo').getByLabel('Role of cleo').inputValue()) === 'reviewer', 'the role to show');
  });
}
