// Administration: people, projects, jobs, what happened, settings and health, each by the names on the page.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { inspectThemes } from '../support/inspect.mjs';
import { alive, openProject, signIn } from '../support/pages.mjs';
import { DESK, PHONE } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';

const SECTIONS = [
  ['', 'Overview', 'Queue'],
  ['/users', 'Users', 'Users'],
  ['/projects', 'Projects', 'Projects'],
  ['/jobs', 'Jobs', 'Jobs'],
  ['/models', 'Models', 'Providers'],
  ['/budgets', 'Budgets', 'Budgets'],
  ['/usage', 'Usage', 'Usage of models'],
  ['/audit', 'Audit', 'Entries'],
  ['/health', 'Health', 'Server'],
  ['/accounts', 'Accounts', 'Accounts and signing in'],
  ['/runs', 'Runs', 'Limits of one run'],
  ['/storage', 'Storage', 'Storage'],
  ['/rates', 'Rate limits', 'Requests of one caller'],
];

export default async function (journey) {
  const { base } = await journey.server();
  const ada = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await ben.project('of ben');
  await ben.write(project, 'notes.txt', 'private\n');
  const profile = await journey.profile({ base, allow: [/status of (404|409|422)/], permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await profile.newPage();
  await signIn(page, 'ada');
  const nav = page.getByRole('navigation', { name: 'Administration' });
  const rowOf = (text) => page.getByRole('row').filter({ hasText: text });
  const hasFocus = (locator, what) => until(() => locator.evaluate((element) => element === document.activeElement), `the focus to be on ${what}`);

  await journey.step('people are listed, found, and given the administrator role', async () => {
    await page.goto('/admin/users');
    await alive(page);
    const row = rowOf('ben@example.org');
    await row.waitFor();
    await page.getByLabel('Search users').fill('nobody');
    await page.getByText('No user matches').waitFor();
    await page.waitForURL('**/admin/users?q=nobody');
    await page.getByLabel('Search users').fill('ben');
    await row.waitFor();
    await row.getByRole('button', { name: 'Actions for ben' }).click();
    await page.getByRole('menuitem', { name: 'Make administrator' }).click();
    await row.getByText('Administrator').waitFor();
    assert.equal((await ben.get('/api/admin/users')).items.length, 2, 'at the next request');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await row.getByText('Member').waitFor();
    assert.equal((await ben.call('GET', '/api/admin/users')).status, 403);
  });

  await journey.step('filters and order are in the address, and survive a reload and going back', async () => {
    await page.getByLabel('Search users').fill('');
    await rowOf('ada@example.org').waitFor();
    await page.getByLabel('Role', { exact: true }).selectOption('admin');
    await rowOf('ben@example.org').waitFor({ state: 'detached' });
    await page.waitForURL('**/admin/users?role=admin');
    await page.reload();
    await alive(page);
    await rowOf('ada@example.org').waitFor();
    assert.equal(await rowOf('ben@example.org').count(), 0);
    assert.equal(await page.getByLabel('Role', { exact: true }).inputValue(), 'admin');
    await page.goBack();
    await rowOf('ben@example.org').waitFor();
    await page.getByRole('link', { name: 'Name', exact: true }).click();
    await page.waitForURL('**/admin/users?sort=name&direction=asc');
    await page.locator('th[aria-sort=ascending]').getByText('Name').waitFor();
    await until(async () => (await page.locator('tbody tr').first().innerText()).includes('ada'), 'ada to come first');
    await page.getByRole('link', { name: 'Name', exact: true }).click();
    await until(async () => (await page.locator('tbody tr').first().innerText()).includes('ben'), 'ben to come first');
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
    assert.equal(download.suggestedFilename(), 'users.csv');
  });

  await journey.step('a person has a page of their own', async () => {
    await page.getByRole('link', { name: 'ben', exact: true }).click();
    await page.waitForURL(/\/admin\/users\?.*user=/);
    await page.getByRole('heading', { name: 'ben', exact: true }).waitFor();
    await page.getByText('1 session').waitFor();
    await page.getByRole('group', { name: 'Projects of this person' }).getByText('of ben').waitFor();
    await page.getByRole('button', { name: 'Actions for ben' }).click();
    await page.getByRole('menuitem', { name: 'Sign out everywhere' }).click();
    const ask = page.getByRole('dialog', { name: 'Sign ben out everywhere?' });
    await ask.getByRole('button', { name: 'Sign out everywhere' }).click();
    await page.locator('.toast').getByText('ben is signed out everywhere').waitFor();
    assert.equal((await ben.call('GET', '/api/users/me')).status, 401);
    await ben.signIn('ben');
    await page.getByRole('button', { name: 'Actions for ben' }).click();
    await page.getByRole('menuitem', { name: 'Link to reset the password' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Make the link' }).click();
    const link = page.getByRole('dialog', { name: 'Link for ben to set a password' });
    assert.match(await link.getByLabel('Link').inputValue(), new RegExp(`^${base}/`));
    await link.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('link', { name: 'All users' }).click();
    await rowOf('ada@example.org').waitFor();
    await rowOf('ben@example.org').waitFor();
    await rowOf('New password').getByRole('button', { name: 'Take back the link for ben' }).click();
    await rowOf('New password').waitFor({ state: 'detached' });
  });

  await journey.step('a change on the page of a person is in the list behind it', async () => {
    await page.goto('/admin/users');
    await alive(page);
    await page.getByRole('link', { name: 'ben', exact: true }).click();
    await page.getByRole('heading', { name: 'ben', exact: true }).waitFor();
    const actions = page.getByRole('button', { name: 'Actions for ben' });
    await actions.click();
    await page.getByRole('menuitem', { name: 'Disable account' }).click();
    const ask = page.getByRole('dialog', { name: 'Disable the account of ben?' });
    await ask.getByText('the account can be enabled again').waitFor();
    await ask.getByRole('button', { name: 'Disable account' }).click();
    await page.getByText('Disabled', { exact: true }).waitFor();
    await hasFocus(actions, 'the menu again');
    await page.getByRole('link', { name: 'All users' }).click();
    await rowOf('ben@example.org').getByText('Disabled').waitFor();
    await nav.getByRole('link', { name: 'Health' }).click();
    await page.getByRole('heading', { name: 'Health', level: 1 }).waitFor();
    const undone = page.waitForResponse((answer) => answer.url().includes('/fn/admin/update_user'));
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await undone;
    await nav.getByRole('link', { name: 'Users' }).click();
    await rowOf('ben@example.org').getByText('Active').waitFor();
    await ben.signIn('ben');
  });

  await journey.step('an Undo that is refused says so wherever one is by then', async () => {
    const fay = await Rest.signUp(base, 'fay');
    await page.reload();
    await alive(page);
    const row = rowOf('fay@example.org');
    await row.getByRole('button', { name: 'Actions for fay' }).click();
    await page.getByRole('menuitem', { name: 'Make administrator' }).click();
    await page.locator('.toast').getByText('fay is an administrator now').waitFor();
    await nav.getByRole('link', { name: /^Health/ }).click();
    await page.getByRole('heading', { name: 'Health', level: 1 }).waitFor();
    await fay.expect(204, 'DELETE', '/api/users/me', { json: { password: PASSWORD } });
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.locator('.toast').getByText('There is no such user').waitFor();
    await nav.getByRole('link', { name: 'Users' }).click();
    await rowOf('ben@example.org').waitFor();
    assert.equal(await row.count(), 0);
  });

  await journey.step('somebody is invited by a link, which can be taken back', async () => {
    await page.getByRole('button', { name: 'Invite', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Invite somebody' });
    await dialog.getByLabel('Days that it lasts').fill('500');
    await dialog.getByRole('button', { name: 'Make the link' }).click();
    await dialog.locator('#f-invite-days-note').getByText(/1 to 90/).waitFor();
    await dialog.getByLabel('Days that it lasts').fill('3');
    await dialog.getByLabel(/^E-mail address/).fill('cleo@example.org');
    await dialog.getByRole('button', { name: 'Make the link' }).click();
    const link = page.getByRole('dialog', { name: 'Invitation for cleo@example.org' });
    const address = await link.getByLabel('Link').inputValue();
    assert.match(address, /\/signup\?invite=/);
    await link.getByRole('button', { name: 'Copy the link' }).click();
    await page.locator('.toast').getByText('Copied the link').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), address);
    await link.getByRole('button', { name: 'Close' }).click();
    const open = rowOf('cleo@example.org');
    await open.getByRole('button', { name: 'Take back' }).click();
    await open.waitFor({ state: 'detached' });
  });

  await journey.step('the focus stays in a list while its rows go, and leaves with the last one', async () => {
    for (const name of ['dora', 'eve']) await ada.post('/api/admin/invitations', { email: `${name}@example.org` }, 201);
    await page.reload();
    await alive(page);
    const links = page.getByRole('group', { name: 'Open invitations and links' });
    const buttons = links.getByRole('button', { name: /^Take back the link for/ });
    await until(async () => (await buttons.count()) === 2, 'both links to be listed');
    await buttons.first().focus();
    await page.keyboard.press('Enter');
    await until(async () => (await buttons.count()) === 1, 'one link to be left');
    await hasFocus(buttons, 'the row that took the place');
    await page.keyboard.press('Enter');
    await links.waitFor({ state: 'detached' });
    await hasFocus(page.getByRole('heading', { name: 'Users', level: 2 }), 'the heading of the list');
  });

  await journey.step('nobody takes the last administrator away', async () => {
    await rowOf('ada@example.org').getByRole('button', { name: 'Actions for ada' }).click();
    assert.equal(await page.getByRole('menuitem', { name: 'Disable account' }).getAttribute('aria-disabled'), 'true');
    await page.keyboard.press('Escape');
    const refused = await ada.call('PATCH', `/api/admin/users/${ada.user.id}`, { json: { state: 'disabled' } });
    assert.ok([403, 409, 422].includes(refused.status) && refused.json.detail.length > 10, refused.text);
  });

  await journey.step('a private project is opened with a reason only, and its owner sees it', async () => {
    const owner = await journey.page({ base });
    await signIn(owner, 'ben');
    await openProject(owner, project);
    assert.equal((await ada.call('GET', `/api/projects/${project}`)).status, 404);
    await nav.getByRole('link', { name: 'Projects' }).click();
    const row = rowOf('of ben');
    await row.getByRole('button', { name: 'Actions for of ben' }).click();
    await page.getByRole('menuitem', { name: 'Open with a reason' }).click();
    const dialog = page.getByRole('dialog', { name: 'Open of ben to read it' });
    await dialog.getByLabel('Reason').fill('why');
    await dialog.getByRole('button', { name: 'Open for one hour' }).click();
    await dialog.locator('#f-open-reason-note').getByText(/Say in 10 to 500 characters/).waitFor();
    await dialog.getByLabel('Reason').fill('Ben asked why his disk is full.');
    await dialog.getByRole('button', { name: 'Open for one hour' }).click();
    await page.waitForURL(`**/projects/${project}`);
    await page.getByText('Ben asked why his disk is full.').waitFor();
    await owner.getByText(/An administrator, ada, opened this project until/).waitFor();
    await owner.getByText('Ben asked why his disk is full.').waitFor();
    await journey.shot(owner, 'project-opened-by-admin');
    const write = await ada.call('PUT', `/api/projects/${project}/files/x.txt`, { body: 'x', headers: { 'if-none-match': '*' } });
    assert.equal(write.status, 403);
    await page.goto('/admin/projects');
    await alive(page);
    await row.getByText(/^Open to you until/).waitFor();
    await row.getByRole('button', { name: 'Actions for of ben' }).click();
    await page.getByRole('menuitem', { name: 'Close it to me' }).click();
    await row.getByText(/^Open to you until/).waitFor({ state: 'detached' });
    assert.equal((await ada.call('GET', `/api/projects/${project}`)).status, 404);
    await owner.getByText(/An administrator, ada/).waitFor({ state: 'detached' });
    await owner.goto(`/projects/${project}/settings`);
    await alive(owner);
    await owner.getByRole('region', { name: 'Opened by administrators' }).getByText('Ben asked why his disk is full.').waitFor();
    await owner.context().close();
  });

  await journey.step('a project is deleted after a question, and comes back by Undo', async () => {
    const row = rowOf('of ben');
    await row.getByRole('button', { name: 'Actions for of ben' }).click();
    await page.getByRole('menuitem', { name: 'Delete project' }).click();
    await page.getByRole('dialog', { name: 'Delete of ben for everyone?' }).getByRole('button', { name: 'Delete project' }).click();
    await row.getByText('Deleted').waitFor();
    assert.equal((await ben.call('GET', `/api/projects/${project}`)).status, 404);
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await row.getByText('Deleted').waitFor({ state: 'detached' });
    assert.equal(await ben.read(project, 'notes.txt'), 'private\n');
  });

  /** Lines of the list that is shown, as a file. */
  async function downloaded() {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
    return (await readFile(await download.path(), 'utf8')).trim().split('\n');
  }

  await journey.step('jobs are shown while they run and can be stopped', async () => {
    await ben.finishedRun((await ben.startRun(project, 'true')).id);
    const run = await ben.startRun(project, 'sleep 600');
    await ben.events(`run:${run.id}`, { done: (event) => event.kind === 'run_started' });
    await nav.getByRole('link', { name: /^Jobs/ }).click();
    await page.getByRole('heading', { name: 'Jobs', level: 1 }).waitFor();
    await until(async () => (await rowOf('sandbox_exec').count()) === 2, 'both runs to be listed');
    await page.getByLabel('State of the jobs').selectOption('live');
    await page.waitForURL('**/admin/jobs?state=live');
    await until(async () => (await rowOf('sandbox_exec').count()) === 1, 'only what runs to be listed');
    const live = await downloaded();
    const { items } = await ada.get('/api/admin/jobs?live=true');
    assert.deepEqual(live.slice(1).map((line) => line.split(',')[0].replaceAll('"', '')).sort(), items.map((job) => job.id).sort(), 'the file has the rows of the filter');
    await page.getByLabel('State of the jobs').selectOption({ label: 'All states' });
    const row = rowOf('sandbox_exec').filter({ has: page.getByRole('button', { name: 'Stop' }) });
    await row.getByText('Running').waitFor();
    assert.match(await row.innerText(), /ben/);
    await row.getByRole('button', { name: 'Stop' }).click();
    const ask = page.getByRole('dialog', { name: 'Stop this job of ben?' });
    await ask.getByText('ben sees that it was stopped').waitFor();
    await ask.getByRole('button', { name: 'Cancel' }).click();
    await row.getByText('Running').waitFor();
    await row.getByRole('button', { name: 'Stop' }).click();
    await ask.getByRole('button', { name: 'Stop the job' }).click();
    await rowOf('sandbox_exec').getByText('Stopped').waitFor();
    const ended = await ben.finishedRun(run.id);
    assert.deepEqual([ended.state, ended.exit.left_alive], ['cancelled', 0]);
    await page.getByLabel('State of the jobs').selectOption('live');
    await page.getByText('No jobs here').waitFor();
    assert.equal((await downloaded()).length, 1, 'the names of the columns alone');
    await page.getByRole('button', { name: 'Try all given up again' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Try all again' }).click();
    await page.locator('.toast').getByText('0 jobs are in the queue again').waitFor();
  });

  await journey.step('the audit log is filtered, read and verified', async () => {
    await nav.getByRole('link', { name: 'Audit' }).click();
    await page.getByLabel('Kind of entries').selectOption({ label: 'Projects opened by administrators' });
    const others = page.locator('ol.audit > li').filter({ hasNotText: 'by admin' });
    await until(async () => (await others.count()) === 0, 'only entries of that kind');
    const entry = page.locator('ol.audit > li').filter({ hasText: 'Project opened by admin' });
    await entry.locator('summary').focus();
    await page.keyboard.press('Enter');
    await entry.getByText('Ben asked why his disk is full.').waitFor();
    assert.match(await entry.innerText(), /[0-9a-f]{64}/);
    await page.getByLabel('Search the log').fill('nothing like it');
    await page.getByText('No entry fits').waitFor();
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText('The chain holds').waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'JSON lines' }).click()]);
    assert.equal(download.suggestedFilename(), 'audit.jsonl');
  });

  await journey.step('settings of accounts hold at once and say who changed them', async () => {
    await nav.getByRole('link', { name: 'Accounts' }).click();
    await page.getByLabel('Who may make an account').selectOption({ label: 'Whoever has an invitation of an administrator' });
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.locator('.toast').getByText(/^Saved/).waitFor();
    await page.getByText(/^Changed last by ada/).waitFor();
    assert.equal((await ada.get('/api/admin/settings/accounts')).registration, 'invite');
    await page.getByLabel('Who has to have a second factor').selectOption({ label: 'Administrators' });
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    const ask = page.getByRole('dialog', { name: 'You have no second factor yourself' });
    await ask.getByRole('button', { name: 'Cancel' }).click();
    const now = await ada.get('/api/admin/settings/accounts');
    assert.equal(now.require_second_factor, 'nobody');
    await page.getByLabel('Who has to have a second factor').selectOption({ label: 'Nobody; everybody may' });
    const days = page.getByLabel('Days that a session lasts without use');
    await days.fill('0');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await hasFocus(page.getByRole('alert').filter({ hasText: 'One field needs another look. Nothing was saved.' }), 'what was refused');
    await ada.expect(200, 'PUT', '/api/admin/settings/accounts', { json: { ...now, session_days: 30 } });
    await days.fill('9');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('alert').getByText('Changed meanwhile by you, elsewhere').waitFor();
    assert.equal(await days.inputValue(), '9', 'what was typed is kept');
    assert.equal((await ada.get('/api/admin/settings/accounts')).session_days, 30);
    await page.getByRole('button', { name: 'Show what is saved now' }).click();
    assert.equal(await days.inputValue(), '30');
    await days.fill('8');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await until(async () => (await ada.get('/api/admin/settings/accounts')).session_days === 8, 'the days to be saved');
  });

  await journey.step('health names each part with what was found', async () => {
    await nav.getByRole('link', { name: /^Health/ }).click();
    const lines = page.locator('ul.health > li');
    await lines.first().waitFor();
    const shown = await lines.allInnerTexts();
    for (const part of ['database', 'sandbox']) {
      assert.ok(shown.some((line) => line.toLowerCase().includes(part)), `${part} in ${shown.join(' | ')}`);
    }
    for (const line of shown) assert.match(line, /\S+\s+[^]{8,}(Healthy|Attention|Failing)/, line);
    const told = await ada.get('/api/admin/health');
    assert.equal(told.checks.length, shown.length);
    await page.getByRole('region', { name: 'Server' }).getByText(told.version, { exact: true }).waitFor();
    await page.goto('/admin');
    await page.getByRole('heading', { name: 'Queue' }).waitFor();
  });

  await journey.step('a dialog can be used on a phone', async () => {
    const phone = await journey.page({ base, size: PHONE, allow: [/status of 422/] });
    await signIn(phone, 'ada');
    await phone.goto('/admin/users');
    await alive(phone);
    const invite = phone.getByRole('button', { name: 'Invite', exact: true });
    await invite.click();
    const dialog = phone.getByRole('dialog', { name: 'Invite somebody' });
    await dialog.getByLabel('Days that it lasts').fill('0');
    await dialog.getByRole('button', { name: 'Make the link' }).click();
    await dialog.getByRole('alert').getByText('One field needs another look').waitFor();
    await assertOnScreen(phone, dialog);
    await dialog.getByLabel('Days that it lasts').fill('3');
    await dialog.getByRole('button', { name: 'Make the link' }).click();
    const link = phone.getByRole('dialog', { name: 'Invitation', exact: true });
    await link.getByLabel('Link').waitFor();
    await assertOnScreen(phone, link);
    await phone.keyboard.press('Escape');
    await link.waitFor({ state: 'hidden' });
    await phone.getByRole('button', { name: 'Take back the link for Whoever has it' }).click();
    await phone.getByRole('group', { name: 'Open invitations and links' }).waitFor({ state: 'detached' });
    await phone.context().close();
  });

  await journey.step('a stranger gets nothing', async () => {
    for (const where of ['users', 'jobs', 'health', 'projects', 'audit', 'overview', 'users.csv']) {
      assert.equal((await ben.call('GET', `/api/admin/${where}`)).status, 403, where);
      assert.equal((await new Rest(base).call('GET', `/api/admin/${where}`)).status, 401, where);
    }
    const readyz = await until(() => fetch(`${base}/readyz`), 'readiness');
    assert.equal(readyz.status, 200);
  });

  for (const [sizeName, size] of [['desk', DESK], ['phone', PHONE]]) {
    await journey.step(`every section in both themes, ${sizeName}`, async () => {
      const look = await journey.page({ base, size });
      await signIn(look, 'ada');
      const findings = [];
      for (const [path, title, sign] of SECTIONS) {
        await look.goto(`/admin${path}`);
        await alive(look);
        await look.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
        await look.getByRole('heading', { name: sign }).first().waitFor();
        await until(async () => (await look.getByRole('status', { name: 'Loading' }).count()) === 0, `${title} to be there`);
        findings.push(...(await inspectThemes(look, `admin${path.replace('/', '-')}-${sizeName}`, (...all) => journey.shot(...all))));
      }
      assert.deepEqual(findings, []);
      await look.context().close();
    });
  }
}

/** All controls of a dialog can be seen and reached without scrolling sideways. */
async function assertOnScreen(page, dialog) {
  const { width, height } = page.viewportSize();
  for (const control of await dialog.locator('button, input').all()) {
    await control.scrollIntoViewIfNeeded();
    const box = await control.boundingBox();
    assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height, `${await control.evaluate((element) => element.outerHTML)} at ${JSON.stringify(box)}`);
  }
  assert.equal(await dialog.evaluate((element) => element.scrollWidth - element.clientWidth), 0, 'nothing is wider than the dialog');
}
