// The list of projects: the first visit with its sample, what the list tells, and what it is asked for by its address.
import assert from 'node:assert/strict';
import { inspect } from '../support/inspect.mjs';
import { alive, connected, entry, signIn } from '../support/pages.mjs';
import { PHONE } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

export default async function (journey) {
  const { base } = await journey.server();
  const ada = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const page = await journey.page({ base });
  const names = () => page.locator('a.proj-name').allInnerTexts();
  let sample;

  await journey.step('the first visit offers a sample and every way to start', async () => {
    for (const dark of [false, true]) {
      const phone = await journey.page({ base, dark, size: PHONE, hasTouch: true });
      await signIn(phone, 'ben');
      await phone.getByRole('heading', { name: 'Welcome, ben' }).waitFor();
      await look(journey, phone, `dashboard-first-phone-${dark ? 'dark' : 'light'}`);
    }
    await signIn(page, 'ada');
    await page.getByText(/Python, 9 files, 10 tests, one of them failing on purpose/).waitFor();
    assert.equal(await page.getByText('a scripted model plays the agent').count(), 0, 'no scripted model is promised where there is none');
    await look(journey, page, 'dashboard-first');
    const dialog = page.getByRole('dialog', { name: 'New project' });
    for (const [name, sign] of [
      ['Empty A blank project', 'Description'],
      ['From git A public address, from hosts that an administrator opened', 'Address'],
      ['Archive zip or tar.gz', 'Archive'],
      ['Folder From this computer', 'Choose folder'],
    ]) {
      const way = page.getByRole('button', { name });
      await way.focus();
      await page.keyboard.press('Enter');
      await dialog.getByLabel(sign, { exact: sign === 'Archive' }).or(dialog.getByRole('button', { name: sign })).first().waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      await until(() => way.evaluate((element) => element === document.activeElement), `${name} to have the focus again`);
    }
  });

  await journey.step('the sample becomes a project of one\'s own, by keyboard', async () => {
    await page.getByRole('button', { name: 'Open the sample' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/projects/*');
    sample = page.url().split('/').at(-1);
    await connected(page);
    await entry(page, 'tests').waitFor();
    const project = await ada.get(`/api/projects/${sample}`);
    assert.deepEqual([project.role, project.visibility, project.file_count], ['owner', 'private', 9]);
    assert.deepEqual(Object.keys(project.languages), ['Python']);
    assert.equal((await ben.call('GET', `/api/projects/${sample}`)).status, 404);
  });

  await journey.step('a row tells language, who changed it last, and what runs', async () => {
    const web = await ada.project('shop-window');
    await ada.write(web, 'app.ts', 'export const price = 4;\n'.repeat(20));
    await ada.write(web, 'style.css', 'a { color: red; }\n'.repeat(3));
    await page.goto('/');
    await alive(page);
    const row = page.getByRole('row').filter({ hasText: 'shop-window' });
    await row.getByText('TypeScript', { exact: true }).waitFor();
    assert.match(await row.locator('[title^=TypeScript]').getAttribute('title'), /^TypeScript \d+%, CSS \d+%$/);
    assert.equal(await row.locator('.langs i').count(), 2);
    await row.getByText('You', { exact: true }).waitFor();
    await page.getByRole('row').filter({ hasText: 'Tally (sample)' }).getByText('As the sample was').waitFor();
    const run = await ada.startRun(web, 'sleep 120');
    const running = page.getByRole('region', { name: 'Running now' });
    await running.getByText('sleep 120').waitFor({ timeout: 25_000 });
    await row.getByText('1 running').waitFor();
    await look(journey, page, 'dashboard-running');
    await running.getByRole('button', { name: 'Stop' }).click();
    await running.waitFor({ state: 'detached', timeout: 25_000 });
    assert.equal((await ada.finishedRun(run.id)).state, 'cancelled');
  });

  await journey.step('recent conversations lead to where they were', async () => {
    const first = await ada.post(`/api/projects/${sample}/conversations`, { title: 'Honour refunds' }, 201);
    await ada.post(`/api/projects/${sample}/conversations`, { title: 'Another one' }, 201);
    await page.goto('/');
    await alive(page);
    const recent = page.getByRole('region', { name: 'Recent conversations' });
    await recent.getByText('Tally (sample), nothing was asked yet').first().waitFor();
    assert.equal(await recent.getByRole('listitem').count(), 2);
    await recent.getByRole('link', { name: 'Honour refunds' }).click();
    await page.waitForURL(`**/projects/${sample}`);
    await connected(page);
    await page.locator('section.chat').getByText('Honour refunds').first().waitFor();
    assert.equal(first.project_id, sample);
    const guest = await journey.page({ base });
    await signIn(guest, 'ben');
    await guest.getByRole('heading', { name: 'Welcome, ben' }).waitFor();
    await guest.getByText('from hosts that an administrator opened').waitFor();
    assert.equal(await guest.getByText('Honour refunds').count(), 0, 'they are nobody else\'s');
  });

  await journey.step('what is listed is in the address, and comes rendered', async () => {
    const shared = await ben.project('depot-forecast');
    await ben.post(`/api/projects/${shared}/members`, { who: 'ada', role: 'editor' }, 201);
    await ben.expect(200, 'PATCH', `/api/projects/${shared}`, { json: { visibility: 'shared' } });
    await page.goto('/?of=shared');
    await alive(page);
    assert.deepEqual(await names(), ['depot-forecast']);
    await page.getByRole('link', { name: /^All/ }).click();
    await until(async () => (await names()).length === 3, 'all projects to be listed');
    assert.equal(new URL(page.url()).search, '');
    await page.goBack();
    await until(async () => (await names()).join() === 'depot-forecast', 'the way back');
    await page.goto('/?sort=name&direction=asc');
    await alive(page);
    assert.deepEqual(await names(), ['depot-forecast', 'shop-window', 'Tally (sample)']);
    await page.getByRole('searchbox', { name: 'Search projects' }).fill('python');
    await until(async () => (await names()).join() === 'Tally (sample)', 'a language to be found');
    await page.getByRole('searchbox', { name: 'Search projects' }).fill('nothing has this name');
    await page.getByText('No project matches').waitFor();
    await page.getByRole('button', { name: 'Show all projects' }).click();
    await until(async () => (await names()).length === 3, 'all projects to be listed again');
    const html = await (await page.request.get('/?of=mine&q=shop', { headers: { accept: 'text/html' } })).text();
    assert.ok(html.includes('shop-window') && !html.includes('class="proj-name" href="/projects/' + sample), 'the server renders what is asked for');
  });

  await journey.step('the month and every way to start stand beside it', async () => {
    const month = page.getByRole('region', { name: new Date().toLocaleString('en', { month: 'long', timeZone: 'UTC' }) });
    await month.getByText('$0.00', { exact: true }).waitFor();
    await month.getByText('No budget limits what your models cost.').waitFor();
    await ada.expect(200, 'PUT', '/api/admin/budgets', { json: { scope: 'user_default', usd_micros: 50_000_000 } });
    await page.reload();
    await alive(page);
    await month.getByText('of $50.00').waitFor();
    await month.getByRole('meter', { name: 'Budget used' }).waitFor();
    await page.getByRole('button', { name: 'Other ways to start' }).focus();
    await page.keyboard.press('Enter');
    for (const name of ['Import archive', 'Import from git', 'Import a folder', 'Open the sample']) await page.getByRole('menuitem', { name }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'New project' }).getByLabel('Address').waitFor();
    await page.keyboard.press('Escape');
    await month.getByRole('link', { name: /^Details/ }).click();
    await page.waitForURL('**/settings/usage');
  });

  await journey.step('on a phone nothing is wider than the screen', async () => {
    for (const dark of [false, true]) {
      const phone = await journey.page({ base, dark, size: PHONE, hasTouch: true });
      await signIn(phone, 'ada');
      await phone.getByText('Owner · Private · TypeScript').waitFor();
      await phone.getByLabel('Order').selectOption('name.asc');
      await until(async () => (await phone.locator('a.proj-name').first().innerText()) === 'depot-forecast', 'the order to change');
      await look(journey, phone, `dashboard-phone-${dark ? 'dark' : 'light'}`);
    }
  });
}

/** A picture, and no serious finding. */
async function look(journey, page, name) {
  await page.evaluate(() => document.fonts.ready);
  await journey.shot(page, name);
  assert.deepEqual(await inspect(page, name), []);
}
