// Signing in with an account elsewhere: signing up by it, linking it to an account, signing in, taking it off again.
import assert from 'node:assert/strict';
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { inspect } from '../support/inspect.mjs';
import { PHONE } from '../support/journey.mjs';
import { alive, signIn } from '../support/pages.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';

const CLIENT = 'cloudxdevai';
const SECRET = 'a secret of this journey';

/** An OpenID Connect issuer with a page on which one chooses who one is. */
async function issuer() {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'ES256' };
  const codes = new Map();
  let url;
  const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const token = (claims) => {
    const text = `${part({ alg: 'ES256', kid: 'one' })}.${part(claims)}`;
    const signature = sign('sha256', Buffer.from(text), { key: createPrivateKey(keys.privateKey.export({ format: 'pem', type: 'pkcs8' })), dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  };
  const redeem = (form, authorization) => {
    const wanted = `Basic ${Buffer.from(`${CLIENT}:${encodeURIComponent(SECRET).replaceAll('%20', '+')}`).toString('base64')}`;
    const grant = codes.get(form.get('code'));
    codes.delete(form.get('code'));
    const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    if (authorization !== wanted || !grant || grant.get('code_challenge') !== challenge || grant.get('redirect_uri') !== form.get('redirect_uri')) return undefined;
    const now = Math.floor(Date.now() / 1000);
    const who = grant.get('who');
    return token({ iss: url, aud: CLIENT, sub: `person-${who}`, nonce: grant.get('nonce'), iat: now, exp: now + 300, preferred_username: who, email: `${who}@example.org`, email_verified: true });
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const asked = new URL(request.url, url);
    const json = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    switch (asked.pathname) {
      case '/.well-known/openid-configuration':
        return json(200, { issuer: url, authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}/token`, jwks_uri: `${url}/keys` });
      case '/keys':
        return json(200, { keys: [jwk] });
      case '/authorize': {
        const links = ['ada', 'cleo', 'nobody'].map((who) => `<p><a href="/choose?${new URLSearchParams({ ...Object.fromEntries(asked.searchParams), who }).toString().replaceAll('&', '&amp;')}">Be ${who}</a></p>`);
        return response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><html lang="en"><title>Acme</title><link rel="icon" href="data:,"><h1>Acme</h1>${links.join('')}`);
      }
      case '/choose': {
        const back = new URL(asked.searchParams.get('redirect_uri'));
        back.searchParams.set('state', asked.searchParams.get('state'));
        if (asked.searchParams.get('who') === 'nobody') {
          back.searchParams.set('error', 'access_denied');
        } else {
          const code = randomBytes(16).toString('hex');
          codes.set(code, asked.searchParams);
          back.searchParams.set('code', code);
        }
        return response.writeHead(303, { location: back.href }).end();
      }
      case '/token': {
        const given = redeem(new URLSearchParams(body), request.headers.authorization);
        return given ? json(200, { access_token: 'x', token_type: 'Bearer', id_token: given }) : json(400, { error: 'invalid_grant' });
      }
      default:
        return response.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  url = `http://127.0.0.1:${server.address().port}`;
  return { url, stop: () => server.close() };
}

export default async function (journey) {
  const acme = await issuer();
  journey.helpers.push(acme);
  const { base } = await journey.server({ OIDC_ISSUER: acme.url, OIDC_CLIENT_ID: CLIENT, OIDC_CLIENT_SECRET: SECRET, OIDC_NAME: 'Acme' });
  await Rest.signUp(base, 'ada');
  const choose = async (page, who) => {
    await page.getByRole('heading', { name: 'Acme' }).waitFor();
    await page.getByRole('link', { name: `Be ${who}` }).click();
  };

  await journey.step('somebody new signs up at the provider before the browser half has loaded', async () => {
    const profile = await journey.profile({ base, allow: [/ERR_FAILED.*\/pkg\//, /Failed to fetch dynamically imported module/, /preload/] });
    await profile.route(/\/pkg\/.*\.(wasm|js)$/, (route) => route.abort());
    const page = await profile.newPage();
    await page.goto('/signup');
    await page.getByRole('link', { name: 'Continue with Acme' }).click();
    await choose(page, 'cleo');
    await page.waitForURL((url) => url.pathname === '/');
    await page.getByRole('heading', { name: 'Welcome, cleo' }).waitFor();
    await profile.close();
  });

  const guest = await journey.page({ base, size: PHONE });
  await journey.step('a refusal at the provider is told on the login page', async () => {
    await guest.goto('/login?next=/settings');
    await alive(guest);
    await guest.getByRole('link', { name: 'Continue with Acme' }).click();
    await choose(guest, 'nobody');
    await guest.waitForURL('**/login?**');
    await guest.getByRole('alert').getByText('Access was not granted at Acme').waitFor();
    assert.deepEqual(await inspect(guest, 'sign-in'), []);
  });

  await journey.step('an address that has an account here does not open it', async () => {
    await guest.getByRole('link', { name: 'Continue with Acme' }).click();
    await choose(guest, 'ada');
    await guest.waitForURL('**/login?**');
    await guest.getByRole('alert').getByText('Sign in to it first, then link Acme').waitFor();
    assert.equal((await guest.context().cookies()).filter((cookie) => cookie.name.endsWith('cxd_session')).length, 0);
  });

  const ada = await journey.page({ base, allow: [/status of 422/] });
  await journey.step('the owner links it under Settings, Security', async () => {
    await signIn(ada, 'ada');
    await ada.goto('/settings/security');
    await alive(ada);
    await ada.getByRole('button', { name: 'Link Acme' }).click();
    const linking = ada.getByRole('dialog', { name: 'Link Acme' });
    const password = linking.getByLabel('Your password');
    await password.fill('not the password');
    await linking.getByRole('button', { name: 'Continue' }).click();
    await linking.getByText('This is not your current password.').waitFor();
    await password.fill(PASSWORD);
    await linking.getByRole('button', { name: 'Continue' }).click();
    await choose(ada, 'ada');
    await ada.waitForURL('**/settings/security?linked=oidc**');
    await ada.getByText('Acme is linked.').waitFor();
    await ada.getByRole('region', { name: 'Sign-in providers' }).getByText('ada@example.org').waitFor();
  });

  await journey.step('from then on it signs in and goes where one wanted to', async () => {
    await guest.goto('/login?next=/settings');
    await alive(guest);
    await guest.getByRole('link', { name: 'Continue with Acme' }).click();
    await choose(guest, 'ada');
    await guest.waitForURL('**/settings');
  });

  await journey.step('unlinked, it does not any more', async () => {
    await ada.goto('/settings/security');
    await alive(ada);
    await ada.getByRole('button', { name: 'Unlink ada at Acme' }).click();
    const dialog = ada.getByRole('dialog', { name: 'Unlink this identity' });
    await dialog.getByRole('button', { name: 'Unlink' }).click();
    await ada.getByText('Acme was unlinked').waitFor();
    await ada.getByRole('button', { name: 'Unlink ada at Acme' }).waitFor({ state: 'detached' });
    const stranger = await journey.page({ base });
    await stranger.goto('/login');
    await stranger.getByRole('link', { name: 'Continue with Acme' }).click();
    await choose(stranger, 'ada');
    await stranger.getByRole('alert').getByText('Sign in to it first, then link Acme').waitFor();
  });
}
