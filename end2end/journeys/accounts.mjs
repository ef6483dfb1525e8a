// Accounts: forms that work before the browser half has loaded, roles, and being shown out.
import assert from 'node:assert/strict';
import { alive, assertInvalid, fillSignup, signIn } from '../support/pages.mjs';
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
    await ada.getByRole('button', { name: 'Sign out' }).click();
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
    const refused = await ben.goto('/admin');
    assert.ok([200, 403, 404].includes(refused.status()));
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
}

async function invalidOnceMarked(page, label) {
  await page.locator('[aria-invalid=true]').first().waitFor();
  return assertInvalid(page, label);
}
