// Administration: people, jobs and health.
import assert from 'node:assert/strict';
import { alive, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

export default async function (journey) {
  const { base } = await journey.server();
  const ada = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await ben.project('of ben');
  const page = await journey.page({ base, allow: [/status of (409|422)/] });
  await signIn(page, 'ada');

  await journey.step('people are listed, found, and given the administrator role', async () => {
    await page.goto('/admin/users');
    await alive(page);
    const row = page.getByRole('row').filter({ hasText: 'ben@example.org' });
    await row.waitFor();
    await page.getByLabel('Search users').fill('nobody');
    await page.getByText('No user matches').waitFor();
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

  await journey.step('nobody takes the last administrator away', async () => {
    await page.getByLabel('Search users').fill('');
    await page.getByRole('row').filter({ hasText: 'ada@example.org' }).getByRole('button', { name: 'Actions for ada' }).click();
    assert.equal(await page.getByRole('menuitem', { name: 'Disable account' }).getAttribute('aria-disabled'), 'true');
    await page.keyboard.press('Escape');
    const refused = await ada.call('PATCH', `/api/admin/users/${ada.user.id}`, { json: { state: 'disabled' } });
    assert.ok([403, 409, 422].includes(refused.status) && refused.json.detail.length > 10, refused.text);
  });

  await journey.step('jobs are shown while they run and can be stopped', async () => {
    const run = await ben.startRun(project, 'sleep 600');
    await ben.events(`run:${run.id}`, { done: (event) => event.kind === 'run_started' });
    await page.getByRole('navigation', { name: 'Administration' }).getByRole('link', { name: /^Jobs/ }).click();
    await page.getByRole('heading', { name: 'Jobs', level: 1 }).waitFor();
    const row = page.getByRole('row').filter({ hasText: 'sandbox_exec' });
    await row.getByText('Running').waitFor();
    assert.match(await row.innerText(), /ben/);
    await row.getByRole('button', { name: 'Stop' }).click();
    await row.getByText('Stopped').waitFor();
    const ended = await ben.finishedRun(run.id);
    assert.deepEqual([ended.state, ended.exit.left_alive], ['cancelled', 0]);
  });

  await journey.step('health names each part with what was found', async () => {
    await page.getByRole('navigation', { name: 'Administration' }).getByRole('link', { name: /^Health/ }).click();
    const lines = page.locator('ul.health > li');
    await lines.first().waitFor();
    const shown = await lines.allInnerTexts();
    for (const part of ['database', 'sandbox']) {
      assert.ok(shown.some((line) => line.toLowerCase().includes(part)), `${part} in ${shown.join(' | ')}`);
    }
    for (const line of shown) assert.match(line, /\S+\s+[^]{8,}(Healthy|Attention|Failing)/, line);
    const told = await ada.get('/api/admin/health');
    assert.equal(told.checks.length, shown.length);
    await page.goto('/admin');
    await page.getByRole('heading', { name: 'Queue' }).waitFor();
  });

  await journey.step('a stranger gets nothing', async () => {
    for (const where of ['users', 'jobs', 'health']) {
      assert.equal((await ben.call('GET', `/api/admin/${where}`)).status, 403, where);
      assert.equal((await new Rest(base).call('GET', `/api/admin/${where}`)).status, 401, where);
    }
    const readyz = await until(() => fetch(`${base}/readyz`), 'readiness');
    assert.equal(readyz.status, 200);
  });
}
