// An authenticator app, recovery codes and a passkey: set up, asked for at sign-in, taken away again.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { inspect } from '../support/inspect.mjs';
import { PHONE } from '../support/journey.mjs';
import { alive, assertInvalid, fillSignup, signIn } from '../support/pages.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';
import { codeOf } from '../support/totp.mjs';

async function noFindings(page, where) {
  assert.deepEqual(await inspect(page, where), []);
}

export default async function (journey) {
  const server = await journey.server();
  // Devices know a site by its name, and an address of numbers is none.
  const base = server.base.replace('127.0.0.1', 'localhost');
  const profile = await journey.profile({ base, allow: [/status of (401|403|409|422|429)/] });
  const page = await profile.newPage();
  const factor = page.locator('#second-factor');
  const passkeys = page.locator('#passkeys');
  const security = async () => {
    await page.goto('/settings/security');
    await alive(page);
  };
  const signOut = async () => {
    await page.goto('/settings/sessions');
    await alive(page);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.waitForURL('**/login**');
  };
  const givePassword = async () => {
    await page.goto('/login');
    await page.getByLabel('Username or e-mail').fill('ada');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('heading', { name: 'One more step' }).waitFor();
  };
  const isIn = async () => {
    await page.waitForURL((url) => url.pathname === '/');
    await page.getByRole('banner').waitFor();
  };
  let secret;
  let codes;

  await journey.step('somebody signs up', async () => {
    await page.goto('/signup');
    await alive(page);
    await fillSignup(page, { email: 'ada@example.org', username: 'ada', password: PASSWORD });
    await page.getByRole('button', { name: 'Create account' }).click();
    await isIn();
  });

  await journey.step('an authenticator app is set up', async () => {
    await security();
    await factor.getByRole('button', { name: 'Set up an authenticator app' }).click();
    await factor.getByRole('img', { name: 'QR code for your authenticator app' }).waitFor();
    secret = (await factor.locator('.totp-secret').innerText()).replaceAll(' ', '');
    assert.match(secret, /^[A-Z2-7]{32}$/);
    await noFindings(page, 'while setting up');
    await factor.getByLabel('Code that the app shows').fill('000000');
    await factor.getByLabel('Your password').fill('not the password');
    await factor.getByRole('button', { name: 'Turn on' }).click();
    await page.locator('#f-totp_password[aria-invalid=true]').waitFor();
    await assertInvalid(page, 'Your password');
    await factor.getByLabel('Your password').fill(PASSWORD);
    await factor.getByLabel('Code that the app shows').fill(codeOf(secret));
    await factor.getByLabel('Code that the app shows').press('Enter');
    await factor.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
    codes = await factor.locator('.recovery-codes li').allInnerTexts();
    assert.equal(codes.length, 10);
    const [download] = await Promise.all([page.waitForEvent('download'), factor.getByRole('link', { name: 'Download' }).click()]);
    const kept = readFileSync(await download.path(), 'utf8');
    assert.ok(codes.every((code) => kept.includes(code)), 'the file has them all');
    await noFindings(page, 'with recovery codes');
    await factor.getByRole('button', { name: 'I have kept them' }).click();
    await factor.getByText('10 recovery codes are left').waitFor();
  });

  await journey.step('signing in asks for a code', async () => {
    await signOut();
    await givePassword();
    assert.ok(!(await page.content()).includes(PASSWORD), 'the password does not come back');
    await noFindings(page, 'the second step');
    await page.getByLabel('Code').fill('000000');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('This code is not right').waitFor();
    await page.getByLabel('Code').fill(codeOf(secret, 1));
    await page.getByRole('button', { name: 'Continue' }).click();
    await isIn();
  });

  await journey.step('a recovery code signs in once', async () => {
    await signOut();
    await givePassword();
    await page.getByLabel('Code').fill(codes[0]);
    await page.getByRole('button', { name: 'Continue' }).click();
    await isIn();
    await security();
    await factor.getByText('9 recovery codes are left').waitFor();
  });

  const device = await profile.newCDPSession(page);
  await device.send('WebAuthn.enable');
  const { authenticatorId } = await device.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  const touch = (enabled) => device.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });

  // This device forgets what it is asked while nobody is there, so somebody comes before the page knows what to ask. Until then nobody
  // is, or the page's offer beside the name would be taken up.
  const usePasskey = async () => {
    await page.route('**/fn/auth/begin_passkey', async (route) => {
      await touch(true);
      await route.continue();
    });
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await isIn();
    await page.unroute('**/fn/auth/begin_passkey');
  };

  await journey.step('a passkey is added', async () => {
    await security();
    await passkeys.getByRole('button', { name: 'Add a passkey' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('Laptop');
    await dialog.getByLabel('Your password').fill(PASSWORD);
    await dialog.getByRole('button', { name: 'Continue on the device' }).click();
    await passkeys.getByText('Laptop').waitFor();
    await passkeys.getByText('never used').waitFor();
    await noFindings(page, 'with a passkey');
    await page.setViewportSize(PHONE);
    await noFindings(page, 'with a passkey on a phone');
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  await journey.step('the passkey signs in without a password', async () => {
    await touch(false);
    await signOut();
    await page.goto('/login');
    await alive(page);
    await usePasskey();
    await security();
    await passkeys.getByText(/used (now|just now|a few|\d)/).waitFor();
  });

  await journey.step('the passkey takes the place of a code', async () => {
    await touch(false);
    await signOut();
    await givePassword();
    await usePasskey();
  });

  await journey.step('both are taken away again', async () => {
    await security();
    await passkeys.getByRole('button', { name: 'Rename Laptop' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('Old laptop');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    await passkeys.getByRole('button', { name: 'Remove Old laptop' }).click();
    await dialog.getByLabel('Your password').fill(PASSWORD);
    await dialog.getByRole('button', { name: 'Remove' }).click();
    await passkeys.getByText('Old laptop').waitFor({ state: 'detached' });
    // In the device too: it would offer itself at the next sign-in.
    await device.send('WebAuthn.clearCredentials', { authenticatorId });
    await factor.getByRole('button', { name: 'Turn off' }).click();
    await dialog.getByLabel('Your password').fill(PASSWORD);
    await dialog.getByLabel('Code of the app, or a recovery code').fill(codes[1]);
    await dialog.getByRole('button', { name: 'Turn off' }).click();
    await factor.getByRole('button', { name: 'Set up an authenticator app' }).waitFor();
    await signOut();
    await signIn(page, 'ada');
  });

  await journey.step('who has to have one sets it up before anything else', async () => {
    const admin = await Rest.signedIn(server.base, 'ada');
    await admin.expect(200, 'PUT', '/api/admin/settings/accounts', { json: { require_second_factor: 'everybody' } });
    await page.goto('/');
    await page.waitForURL('**/settings/security');
    await factor.getByText('An administrator requires a second factor here').waitFor();
    await alive(page);
    await factor.getByRole('button', { name: 'Set up an authenticator app' }).click();
    const key = (await factor.locator('.totp-secret').innerText()).replaceAll(' ', '');
    await factor.getByLabel('Code that the app shows').fill(codeOf(key));
    await factor.getByLabel('Your password').fill(PASSWORD);
    await factor.getByRole('button', { name: 'Turn on' }).click();
    await factor.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
    await factor.getByRole('button', { name: 'I have kept them' }).click();
    await factor.getByRole('link', { name: 'Go on' }).click();
    await page.getByRole('heading', { name: 'Welcome, ada' }).waitFor();
  });
}
