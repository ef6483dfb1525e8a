// Accounts: forms that work before the browser half has loaded, roles, and being shown out.
import assert from 'node:assert/strict';
import { alive, assertInvalid, fillSignup, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';

export default async function (journey) {
  const server = await journey.server();
  const { base } = server;

  await journey.step('signup works before the browser half has loaded', async () => {
    const profile = await journey.profile({ base, allow: [/ERR_FAILED.*\/pkg\//, /Failed to fetch dynamically imported module/, /preload/] });
    await profile.route(/\/pkg\/.*\.(wasm|js)$/, (route) => route.abort());
    const page = await profile.newPage();
    await page.goto('/');
    await page.waitForURL('**/signup');
    await page.getByText('It becomes the administrator').waitFor();
    await fillSignup(page, { email: 'ada at example', username: 'ada', password: 'short' });
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('Two fields need another look').waitFor();
    await assertInvalid(page, 'E-mail');
    await assertInvalid(page, 'Password');
    assert.equal(await page.getByLabel('E-mail').inputValue(), 'ada at example', 'what was typed stays');
    assert.equal(await page.getByLabel('Username').inputValue(), 'ada');
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '', 'the password does not');
    assert.ok(!page.url().includes('short'), 'a password never reaches an address');

    await fillSignup(page, { email: 'ada@example.org', username: 'ada', password: PASSWORD });
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.waitForURL((url) => url.pathname === '/');
    await page.getByRole('heading', { name: 'Welcome, ada' }).waitFor();
    await page.goto('/settings');
    await page.getByText('Administrator', { exact: true }).waitFor();
    await profile.close();
  });

  const ada = await journey.page({ base, allow: [/\/api\/.*login.* /, /status of (401|422)/] });
  await journey.step('login answers wrong input at once and keeps the name', async () => {
    await ada.goto('/settings');
    await ada.waitForURL('**/login**');
    await alive(ada);
    await ada.getByLabel('Username or e-mail').fill('ada');
    await ada.getByLabel('Password', { exact: true }).fill('not the password');
    await ada.getByRole('button', { name: 'Sign in' }).click();
    await ada.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
    assert.equal(await ada.getByLabel('Username or e-mail').inputValue(), 'ada');
    await ada.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await ada.getByRole('button', { name: 'Sign in' }).click();
    await ada.waitForURL('**/settings');
  });

  await journey.step('signing out ends the session', async () => {
    await ada.goto('/settings/sessions');
    await alive(ada);
    await ada.getByRole('button', { name: 'Sign out', exact: true }).click();
    await ada.waitForURL('**/login**');
    await ada.goto('/');
    await ada.waitForURL('**/login**');
    await signIn(ada, 'ada');
  });

  const ben = await journey.page({ base, allow: [/status of (401|403|404|422)/] });
  await journey.step('a second account is an ordinary member', async () => {
    await ben.goto('/signup');
    await alive(ben);
    await fillSignup(ben, { email: 'ada@example.org', username: 'ben', password: 'longer than eight' });
    await ben.getByRole('button', { name: 'Create account' }).click();
    assert.match(await invalidOnceMarked(ben, 'E-mail'), /account|taken|used/i);
    assert.equal(await ben.getByLabel('Username').inputValue(), 'ben');
    await fillSignup(ben, { email: 'ben@example.org', username: 'ben', password: PASSWORD });
    await ben.getByRole('button', { name: 'Create account' }).click();
    await ben.waitForURL((url) => url.pathname === '/');
    await ben.getByRole('heading', { name: 'Welcome, ben' }).waitFor();
    await ben.goto('/settings');
    await ben.getByText('Member', { exact: true }).waitFor();
    await ben.goto('/admin/users');
    await ben.getByRole('heading', { name: 'This page is not open to you' }).waitFor();
    assert.equal(await ben.getByRole('heading', { name: 'Users' }).count(), 0, 'administration is closed to members');
  });

  await journey.step('a disabled person is out at the next request', async () => {
    const token = await Rest.signedIn(base, 'ben');
    await ben.goto('/');
    await ada.goto('/admin/users');
    await alive(ada);
    const row = ada.getByRole('row').filter({ hasText: 'ben@example.org' });
    await row.getByRole('button', { name: 'Actions for ben' }).click();
    await ada.getByRole('menuitem', { name: 'Disable account' }).click();
    await ada.getByRole('dialog', { name: 'Disable the account of ben?' }).getByRole('button', { name: 'Disable account' }).click();
    await row.getByText('Disabled').waitFor();
    assert.equal((await token.call('GET', '/api/users/me')).status, 401, 'tokens are out too');
    await ben.reload();
    await ben.waitForURL('**/login**');
    await alive(ben);
    await ben.getByLabel('Username or e-mail').fill('ben');
    await ben.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await ben.getByRole('button', { name: 'Sign in' }).click();
    await ben.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
    assert.match(ben.url(), /\/login/);

    await row.getByRole('button', { name: 'Actions for ben' }).click();
    await ada.getByRole('menuitem', { name: 'Enable account' }).click();
    await row.getByText('Active').waitFor();
    await signIn(ben, 'ben');
  });

  await journey.step('a password that many people have is refused at its field', async () => {
    const stranger = await journey.page({ base, allow: [/status of (401|403|422)/] });
    await stranger.goto('/signup');
    await alive(stranger);
    await fillSignup(stranger, { email: 'cleo@example.org', username: 'cleo', password: 'password2026' });
    await stranger.getByRole('button', { name: 'Create account' }).click();
    assert.match(await invalidOnceMarked(stranger, 'Password'), /guessed/);
    await stranger.close();
  });

  const changed = 'another few words of mine';
  await journey.step('a changed password ends the other sessions', async () => {
    const elsewhere = await Rest.signedIn(base, 'ben');
    await ben.goto('/settings/security');
    await alive(ben);
    await ben.getByLabel('Current password').fill('not the password');
    await ben.getByLabel('New password').fill(changed);
    await ben.getByRole('button', { name: 'Change password' }).click();
    await invalidOnceMarked(ben, 'Current password');
    await ben.getByLabel('Current password').fill(PASSWORD);
    await ben.getByLabel('New password').fill(changed);
    await ben.getByRole('button', { name: 'Change password' }).click();
    await ben.getByText('Your other sessions have ended').waitFor();
    assert.equal((await elsewhere.call('GET', '/api/users/me')).status, 401, 'whoever was signed in elsewhere is out');
  });

  await journey.step('sessions are listed and ended', async () => {
    const elsewhere = await journey.page({ base, allow: [/status of (401|403|404)/] });
    await signIn(elsewhere, 'ben', changed);
    await ben.goto('/settings/sessions');
    await alive(ben);
    const list = ben.getByRole('list', { name: 'Sessions' });
    await list.getByText('This one').waitFor();
    await list.getByRole('button', { name: /^Sign out Chrome/ }).first().click();
    await until(async () => (await list.getByRole('button', { name: /^Sign out / }).count()) === 0, 'the other session to leave the list');
    await elsewhere.goto('/');
    await elsewhere.waitForURL('**/login**');
    await elsewhere.close();
  });

  await journey.step("an administrator's link sets a new password once", async () => {
    const admin = await Rest.signedIn(base, 'ada');
    const { id } = (await (await Rest.signedIn(base, 'ben', changed)).get('/api/users/me'));
    const { url_path } = await admin.post(`/api/admin/users/${id}/reset-link`, {}, 201);
    const page = await journey.page({ base, allow: [/status of (401|403|404|422)/] });
    await page.goto('/login');
    await page.getByRole('link', { name: 'Forgot the password?' }).click();
    await page.getByText('Ask an administrator for a link').waitFor();
    await page.goto(url_path);
    await page.getByText('for the account ben').waitFor();
    await page.getByLabel('New password').fill('short');
    await page.getByRole('button', { name: 'Set password' }).click();
    await invalidOnceMarked(page, 'New password');
    assert.ok(!page.url().includes('short'), 'a password never reaches an address');
    await page.getByLabel('New password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Set password' }).click();
    await page.waitForURL('**/login**');
    await page.getByText('The new password is set').waitFor();
    await page.goto(url_path);
    await page.getByText('Each works once').waitFor();
    await ben.goto('/');
    await ben.waitForURL('**/login**');
    await signIn(page, 'ben');
    await page.close();
  });

  await journey.step('an invitation opens the door once where sign-up needs one', async () => {
    const admin = await Rest.signedIn(base, 'ada');
    const settings = await admin.get('/api/admin/settings/accounts');
    await admin.expect(200, 'PUT', '/api/admin/settings/accounts', { json: { ...settings, registration: 'invite' } });
    const { url_path } = await admin.post('/api/admin/invitations', { email: 'dora@example.org' }, 201);
    const page = await journey.page({ base, allow: [/status of (401|403|404|422)/] });
    await page.goto('/signup');
    await page.getByText('Sign-up needs an invitation here').waitFor();
    await page.goto(url_path);
    await page.getByText('You are invited').waitFor();
    await fillSignup(page, { email: 'eve@example.org', username: 'dora', password: PASSWORD });
    await page.getByRole('button', { name: 'Create account' }).click();
    assert.match(await invalidOnceMarked(page, 'E-mail'), /another address/);
    await fillSignup(page, { email: 'dora@example.org', username: 'dora', password: PASSWORD });
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.waitForURL((url) => url.pathname === '/');
    await admin.expect(200, 'PUT', '/api/admin/settings/accounts', { json: settings });
    await page.close();
  });

  await journey.step('too many attempts are told on the form, without a script too', async () => {
    await ada.goto('/admin/rates');
    await alive(ada);
    await ada.getByLabel('Signing in, A minute').fill('5');
    await ada.getByLabel('Signing in, At once').fill('5');
    await ada.getByRole('button', { name: 'Save rates' }).click();
    await ada.locator('.toast').getByText(/^Saved/).waitFor();
    const page = await journey.page({ base, javaScriptEnabled: false });
    await page.goto('/login');
    const told = page.getByRole('alert').getByText(/There were too many/);
    // Empty fields are no wrong password, so that only the number of attempts counts.
    for (const end = Date.now() + 15_000; Date.now() < end && (await told.count()) === 0; ) {
      const loaded = page.waitForEvent('load');
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      await loaded;
    }
    assert.match(await told.innerText(), /Nothing was done; try again in \d+ s/);
    assert.equal(new URL(page.url()).pathname, '/login', 'it is the form, and not a raw answer');
    await page.close();
  });
}

async function invalidOnceMarked(page, label) {
  await page.locator('[aria-invalid=true]').first().waitFor();
  return assertInvalid(page, label);
}
