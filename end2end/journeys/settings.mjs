// The person's settings: sections by keyboard, what the editor and the keys make of them, tokens, sessions, and the end of an account.
import assert from 'node:assert/strict';
import { inspectThemes } from '../support/inspect.mjs';
import { alive, editor, entry, openFile, openProject, signIn } from '../support/pages.mjs';
import { DESK, PHONE } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';

const SECTIONS = ['Profile', 'Security', 'Sessions', 'Tokens', 'Appearance', 'Editor', 'Keys', 'Models', 'Usage', 'Account'];

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('One');
  const other = await rest.project('Two');
  await rest.write(project, 'plain.txt', '');
  await rest.write(project, 'style/.editorconfig', 'root = true\n[*]\nindent_style = tab\n');
  await rest.write(project, 'style/tabs.txt', '');
  const profile = await journey.profile({ base, allow: [/status of (401|403|409|422)/] });
  const page = await profile.newPage();
  await signIn(page, 'ada');

  await journey.step('sections are reached by keyboard', async () => {
    await page.goto('/settings');
    await alive(page);
    const nav = page.getByRole('navigation', { name: 'Settings' });
    await nav.getByRole('link', { name: SECTIONS[0] }).focus();
    for (const section of SECTIONS) {
      await until(() => page.evaluate((name) => document.activeElement?.textContent.trim() === name, section), `the focus to be on ${section}`);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { level: 1, name: section, exact: true }).waitFor();
      assert.equal(await nav.getByRole('link', { name: section, exact: true }).getAttribute('aria-current'), 'page');
      await page.keyboard.press('Tab');
    }
  });

  await journey.step('former places of the page lead to their sections', async () => {
    await page.goto('/settings#usage');
    await page.waitForURL('**/settings/usage');
    await page.getByRole('region', { name: 'Usage of models' }).waitFor();
  });

  await journey.step('what usage is asked for is in the address', async () => {
    const card = page.getByRole('region', { name: 'Usage of models' });
    await alive(page);
    await card.getByLabel('Days').selectOption('7');
    await page.waitForURL('**/settings/usage?days=7');
    await card.getByLabel('Measure').selectOption('tokens');
    await page.waitForURL('**/settings/usage?days=7&measure=tokens');
    await page.reload();
    await alive(page);
    const shown = async () => [await card.getByLabel('Days').inputValue(), await card.getByLabel('Measure').inputValue()];
    assert.deepEqual(await shown(), ['7', 'tokens'], 'after a reload');
    await page.goBack();
    await until(async () => (await shown()).join() === '7,', 'the measure before');
    await page.goBack();
    await until(async () => (await shown()).join() === ',', 'the days before');
  });

  await journey.step('the profile changes the name and the initials', async () => {
    await page.goto('/settings');
    await alive(page);
    await page.getByLabel('Full name').fill('Ada Lovelace');
    await page.getByRole('button', { name: 'Save profile' }).click();
    await page.getByRole('status').filter({ hasText: 'Saved' }).waitFor();
    assert.equal(await page.locator('.avatar--l').innerText(), 'AL');
    assert.equal((await rest.get('/api/users/me')).full_name, 'Ada Lovelace');
  });

  const settings = await profile.newPage();
  const saved = () => settings.locator('.pref-note').getByText('Saved').waitFor();
  await journey.step('the tab size is the editor’s, and .editorconfig goes before it', async () => {
    await settings.goto('/settings/editor');
    await alive(settings);
    await settings.getByLabel('Tab size').fill('8');
    await settings.getByLabel('Tab size').press('Enter');
    await saved();
    assert.equal((await rest.get('/api/users/me/preferences')).editor.tab_size, 8);
    await openProject(page, project);
    await openFile(page, 'plain.txt');
    await indent('plain.txt', ' '.repeat(8));
    await entry(page, 'style').click();
    await openFile(page, 'style/tabs.txt');
    await indent('style/tabs.txt', '\t');
  });

  async function indent(path, wanted) {
    await editor(page).locator('.view-lines').click({ position: { x: 100, y: 10 } });
    await page.keyboard.press('Control+a');
    await page.keyboard.press('Delete');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Control+s');
    await until(async () => (await rest.read(project, path)) === wanted, `${path} to hold ${JSON.stringify(wanted)}`);
  }

  await journey.step('other tabs follow at once', async () => {
    await openFile(page, 'plain.txt');
    await settings.getByLabel('Tab size').fill('3');
    await settings.getByLabel('Tab size').press('Enter');
    await until(async () => (await rest.get('/api/users/me/preferences')).editor.tab_size === 3, 'the tab size to be kept');
    await settings.getByRole('group', { name: 'Line numbers' }).getByRole('button', { name: 'Off' }).click();
    await editor(page).locator('.line-numbers').first().waitFor({ state: 'detached' });
    await indent('plain.txt', '   ');
    await settings.getByRole('group', { name: 'Line numbers' }).getByRole('button', { name: 'On', exact: true }).click();
    await editor(page).locator('.line-numbers').first().waitFor();
    await settings.goto('/settings/appearance');
    await alive(settings);
    await settings.getByLabel('Font size of the editor').fill('20');
    await settings.getByLabel('Font size of the editor').press('Enter');
    await until(async () => (await editor(page).locator('.view-lines').evaluate((lines) => getComputedStyle(lines).fontSize)) === '20px', 'the font to be larger');
  });

  await journey.step('a key is changed by pressing it, and used', async () => {
    await settings.goto('/settings/keys');
    await alive(settings);
    await settings.getByRole('searchbox', { name: 'Search commands and keys' }).fill('show the tests');
    const row = settings.locator('.key-row').filter({ hasText: 'Show the tests' });
    const change = row.getByRole('button', { name: 'Change the keys of: Show the tests' });
    await change.focus();
    await settings.keyboard.press('Enter');
    const field = row.getByLabel('Press the new keys of: Show the tests');
    await until(() => field.evaluate((input) => document.activeElement === input), 'the focus to wait for keys');
    await settings.keyboard.press('F5');
    await row.getByText('The browser loads the page anew with it.').waitFor();
    await settings.keyboard.press('Control+b');
    await row.getByText('Ctrl B belongs to “Show or hide the files”.').waitFor();
    await settings.keyboard.press('F9');
    await row.locator('kbd').getByText('F9', { exact: true }).waitFor();
    await until(() => change.evaluate((button) => document.activeElement === button), 'the focus to be back');
    await until(async () => (await rest.get('/api/users/me/preferences')).keys['show-tests'] === 'f9', 'the key to be kept');

    await openProject(page, project);
    await openFile(page, 'plain.txt');
    await editor(page).locator('.view-lines').click();
    await page.keyboard.press('F9');
    await page.locator('#console-tab-tests[aria-selected=true]').waitFor();
    await page.keyboard.press('Control+Shift+p');
    const palette = page.getByRole('combobox', { name: 'Go to a file or run a command' });
    await palette.fill('>show the tests');
    await page.getByRole('option', { name: /Show the tests.*F9/ }).waitFor();
    await page.keyboard.press('Escape');
  });

  await journey.step('keys are taken from another command, and all are given back', async () => {
    const row = settings.locator('.key-row').filter({ hasText: 'Show the tests' });
    await row.getByRole('button', { name: 'Change the keys of: Show the tests' }).click();
    await until(() => row.getByLabel(/^Press the new keys/).evaluate((input) => document.activeElement === input), 'the focus to wait for keys');
    await settings.keyboard.press('Control+b');
    await row.getByRole('button', { name: 'Take it from there' }).click();
    await row.locator('kbd').getByText('B', { exact: true }).waitFor();
    await until(async () => (await rest.get('/api/users/me/preferences')).keys['toggle-side'] === '', 'the other command to have none');
    await settings.getByRole('button', { name: 'Reset all' }).click();
    await until(async () => Object.keys((await rest.get('/api/users/me/preferences')).keys).length === 0, 'the first keys to be back');
    await row.locator('.key-keys').getByText('None').waitFor();
  });

  await journey.step('a token is made, used within its bounds, and revoked', async () => {
    await settings.goto('/settings/tokens');
    await alive(settings);
    await settings.getByText('No tokens yet').waitFor();
    await settings.getByText(`${base}/api/projects`).first().waitFor();
    await settings.getByRole('button', { name: 'New token' }).click();
    const form = settings.getByRole('dialog', { name: 'New token' });
    await form.getByLabel('Name').fill('Nightly build');
    await form.getByLabel('Some projects').check();
    await form.getByRole('group', { name: 'Projects' }).getByLabel('One').check();
    await form.getByLabel('Ends after').selectOption('never');
    await form.getByText('It works until somebody revokes it').waitFor();
    await form.getByLabel('Ends after').selectOption('7');
    await form.getByRole('button', { name: 'Make token' }).click();
    const made = settings.getByRole('dialog', { name: 'Token Nightly build' });
    const secret = await made.getByLabel('Secret of the token').inputValue();
    assert.match(secret, /^cxd_/);
    await made.getByRole('button', { name: 'I have kept it' }).click();
    await made.waitFor({ state: 'hidden' });
    assert.ok(!(await settings.content()).includes(secret), 'the secret is shown once');

    const program = new Rest(base, secret);
    await program.expect(200, 'GET', `/api/projects/${project}`);
    await program.expect(404, 'GET', `/api/projects/${other}`);
    await program.expect(403, 'PATCH', `/api/projects/${project}`, { json: { name: 'Three' } });
    await settings.reload();
    await alive(settings);
    const row = settings.getByRole('list', { name: 'Tokens' }).getByRole('listitem').filter({ hasText: 'Nightly build' });
    await row.getByText('last used').waitFor();
    await row.getByText('One', { exact: true }).waitFor();
    await row.getByRole('button', { name: 'Revoke Nightly build' }).click();
    await settings.getByRole('dialog', { name: 'Revoke Nightly build' }).getByRole('button', { name: 'Revoke the token' }).click();
    await row.waitFor({ state: 'detached' });
    await program.expect(401, 'GET', `/api/projects/${project}`);
  });

  await journey.step('no section has a serious finding, in both themes and on a phone', async () => {
    const findings = [];
    for (const [sizeName, size] of [['desk', DESK], ['phone', PHONE]]) {
      const look = await journey.page({ base, size });
      await signIn(look, 'ada');
      for (const section of SECTIONS) {
        await look.goto(`/settings/${section.toLowerCase()}`);
        await alive(look);
        await look.getByRole('heading', { level: 1, name: section, exact: true }).waitFor();
        await look.getByRole('status', { name: 'Loading' }).first().waitFor({ state: 'detached' });
        findings.push(...(await inspectThemes(look, `settings-${section.toLowerCase()}-${sizeName}`, (...all) => journey.shot(...all))));
      }
      await look.context().close();
    }
    assert.deepEqual(findings, []);
  });

  await journey.step('the looks go for all browsers where that is chosen', async () => {
    await settings.goto('/settings/appearance');
    await alive(settings);
    await settings.getByRole('group', { name: 'Theme' }).getByRole('button', { name: 'Dark' }).click();
    await settings.getByRole('group', { name: 'Where this applies' }).getByRole('button', { name: 'All my browsers' }).click();
    await saved();
    await settings.getByRole('group', { name: 'Density' }).getByRole('button', { name: 'Compact' }).click();
    await until(async () => (await rest.get('/api/users/me/preferences')).appearance.density === 'compact', 'the density to be kept');
    const elsewhere = await journey.page({ base });
    await signIn(elsewhere, 'ada');
    const first = await (await elsewhere.goto('/')).text();
    assert.match(first, /<html[^>]*data-theme="dark"[^>]*data-density="compact"/, 'the first page has them');
    await elsewhere.context().close();
  });

  await journey.step('another session is signed out', async () => {
    const elsewhere = await journey.page({ base, allow: [/status of 401/] });
    await signIn(elsewhere, 'ada');
    await settings.goto('/settings/sessions');
    await alive(settings);
    const list = settings.getByRole('list', { name: 'Sessions' });
    await list.getByText('This one').waitFor();
    const rows = list.getByRole('listitem').filter({ hasText: 'Chrome on Linux' });
    const before = await rows.count();
    assert.ok(before >= 2, 'both browsers are listed');
    // The one seen last, but for this one, is the other browser.
    await rows.filter({ hasNotText: 'This one' }).first().getByRole('button').click();
    await until(async () => (await rows.count()) === before - 1, 'the list to be shorter');
    await settings.getByRole('button', { name: 'Sign out everywhere else' }).click();
    await settings.getByRole('dialog', { name: 'Sign out everywhere else' }).getByRole('button', { name: 'Sign out the others' }).click();
    await until(async () => (await list.getByRole('listitem').count()) === 1, 'only this one to be left');
    await elsewhere.goto('/');
    await elsewhere.waitForURL('**/login**');
    assert.equal((await rest.call('GET', '/api/users/me')).status, 401, 'programs are out too');
    await settings.reload();
    await settings.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor();
  });

  await journey.step('every session ends, this one too', async () => {
    const cleo = await Rest.signUp(base, 'cleo');
    const page = await journey.page({ base, allow: [/status of 401/] });
    await signIn(page, 'cleo');
    await page.goto('/settings/sessions');
    await alive(page);
    await page.getByRole('button', { name: 'Sign out everywhere', exact: true }).click();
    const ask = page.getByRole('dialog', { name: 'Sign out everywhere', exact: true });
    await ask.getByRole('button', { name: 'Sign out everywhere' }).click();
    await page.waitForURL('**/login**');
    assert.equal((await cleo.call('GET', '/api/users/me')).status, 401, 'programs are out too');
  });

  await journey.step('an account ends by its name and its password, once nothing stands in the way', async () => {
    const ben = await Rest.signUp(base, 'ben');
    const shared = await ben.project('Shared');
    await ben.post(`/api/projects/${shared}/members`, { who: 'ada', role: 'viewer' }, 201);
    const bens = await journey.page({ base, allow: [/status of (401|409|422)/] });
    await signIn(bens, 'ben');
    await bens.goto('/settings/account');
    await alive(bens);
    const download = bens.waitForEvent('download');
    await bens.getByRole('link', { name: 'Download' }).click();
    assert.match((await download).suggestedFilename(), /ben.*\.json$/);
    const end = bens.getByRole('button', { name: 'Delete my account' });
    await bens.getByLabel('Type ben to confirm').fill('bob');
    await bens.getByLabel('Password').fill(PASSWORD);
    await end.click();
    assert.equal(await bens.getByLabel('Type ben to confirm').evaluate((input) => input.validity.patternMismatch), true);
    await bens.getByLabel('Type ben to confirm').fill('ben');
    await end.click();
    await bens.getByRole('group', { name: 'What stands in the way' }).getByRole('link', { name: 'Shared' }).waitFor();
    await ben.expect(204, 'DELETE', `/api/projects/${shared}`);
    await end.click();
    await bens.waitForURL('**/login**');
    assert.equal((await ben.call('GET', '/api/users/me')).status, 401);
  });
}
