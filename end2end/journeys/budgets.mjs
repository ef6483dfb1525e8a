// Budgets: an administrator sets one, it stops a turn with a sentence, is raised, and the turn goes on; usage shows as chart and table.
import assert from 'node:assert/strict';
import { alive, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const PHONE = { width: 390, height: 844 };

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const ada = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await ben.project('paid');
  await ben.write(project, 'greet.py', "print('hello')\n");
  await setPrice(ada);
  const admin = await journey.page({ base, allow: [/status of 409/] });
  await signIn(admin, 'ada');
  const page = await journey.page({ base });
  await signIn(page, 'ben');
  const chat = page.locator('section.chat');
  const budgets = admin.getByRole('group', { name: 'Budgets' });

  await journey.step('an administrator sets what each person may use', async () => {
    await admin.goto('/admin/budgets');
    await alive(admin);
    await admin.getByText('No budgets').waitFor();
    await journey.shot(admin, 'budgets-empty');
    await admin.getByRole('button', { name: 'Set a budget' }).click();
    const dialog = admin.getByRole('dialog', { name: 'Set a budget' });
    await dialog.getByLabel('Whose').selectOption('user_default');
    await dialog.getByLabel('US dollars').fill('lots');
    await dialog.getByRole('button', { name: 'Save the budget' }).click();
    await dialog.getByText('Write an amount such as 25 or 0.50').waitFor();
    await dialog.getByLabel('US dollars').fill('0.10');
    await dialog.getByRole('button', { name: 'Save the budget' }).click();
    await budgets.getByRole('row', { name: /Each person/ }).locator('td').filter({ hasText: '$0.10' }).waitFor();
  });

  await journey.step('what is left shows on top, and a notice from four fifths on', async () => {
    await openProject(page, project);
    await page.locator('a.budget').getByText('$0.10 left').waitFor();
    await model.script({ text: 'The first answer.', usage: { prompt_tokens: 30_000, completion_tokens: 2_500 } });
    await send(page, 'Begin');
    await chat.getByText('The first answer.').waitFor();
    await page.locator('.toast', { hasText: /This month's budget of your account is 85.% used/ }).waitFor();
    await turnEnded(page);
    await chat.getByText(/This month's budget of your account is 85.% used: \$0\.0[12]\d* left\. An administrator can raise it\./).waitFor();
    await page.locator('a.budget').getByText(/^\$0\.0[12]\d* left$/).waitFor();
    await journey.shot(page, 'budgets-notice');
  });

  await journey.step('a turn that does not fit stops with a sentence', async () => {
    const asked = (await model.requests()).length;
    await send(page, 'Go on');
    await chat.getByText(/This month's budget of your account does not cover the worst case of the next answer: \$0\.0[12]\d* of \$0\.10 is left, and it may cost up to \$0\.\d+\. An administrator can raise it\./).first().waitFor();
    await turnEnded(page);
    assert.equal((await model.requests()).length, asked, 'the model was not asked');
    await journey.shot(page, 'budgets-stop');
  });

  await journey.step('the administrator raises it, and the next message goes through', async () => {
    await admin.reload();
    await alive(admin);
    await budgets.getByRole('row', { name: /Each person/ }).getByRole('button', { name: 'Change' }).click();
    const dialog = admin.getByRole('dialog', { name: 'Budget: Each person' });
    assert.equal(await dialog.getByLabel('US dollars').inputValue(), '0.10');
    await dialog.getByLabel('US dollars').fill('5');
    await dialog.getByRole('button', { name: 'Save the budget' }).click();
    await budgets.getByRole('row', { name: /Each person/ }).locator('td').filter({ hasText: '$5.00' }).waitFor();
    await model.script({ text: 'The second answer, without a count.' });
    await send(page, 'And now');
    await chat.getByText('The second answer, without a count.').waitFor();
    await turnEnded(page);
    await page.locator('a.budget').getByText(/^\$4\.\d\d left$/).waitFor({ timeout: 30_000 });
    assert.equal(await chat.locator('.chat-budget').count(), 0, 'the notice is gone');
  });

  await journey.step('a budget that somebody else has changed meanwhile is not overwritten unseen', async () => {
    await budgets.getByRole('row', { name: /Each person/ }).getByRole('button', { name: 'Change' }).click();
    const dialog = admin.getByRole('dialog', { name: 'Budget: Each person' });
    await dialog.getByLabel('US dollars').fill('7');
    await ada.expect(200, 'PUT', '/api/admin/budgets', { json: { scope: 'user_default', usd_micros: 6_000_000 } });
    await dialog.getByRole('button', { name: 'Save the budget' }).click();
    await dialog.getByText('Changed meanwhile by you, elsewhere.').waitFor();
    await dialog.getByText('It is $6.00 now. Saving replaces it with your entries.').waitFor();
    assert.equal(await dialog.getByLabel('US dollars').inputValue(), '7', 'what is typed stays');
    await journey.shot(admin, 'budgets-changed-elsewhere');
    await dialog.getByRole('button', { name: 'Show what is saved now' }).click();
    assert.equal(await dialog.getByLabel('US dollars').inputValue(), '6.00');
    await dialog.getByLabel('US dollars').fill('5');
    await dialog.getByRole('button', { name: 'Save the budget' }).click();
    await budgets.getByRole('row', { name: /Each person/ }).locator('td').filter({ hasText: '$5.00' }).waitFor();
  });

  await journey.step('what a turn and an answer used shows on demand', async () => {
    const dialog = page.getByRole('dialog', { name: 'Tokens and cost' });
    const calls = dialog.getByRole('group', { name: 'Usage by call' });
    await chat.getByRole('button', { name: 'Tokens and cost of this turn' }).first().click();
    await dialog.getByText(/^The whole turn: 30.000 tokens in, 2.500 out, \$0\.0\d\d*\.$/).waitFor();
    await calls.getByRole('row', { name: /Answer 1/ }).waitFor();
    assert.equal(await calls.locator('tbody tr').count(), 1);
    await journey.shot(page, 'usage-turn');
    await dialog.getByRole('button', { name: 'Close' }).click();
    await dialog.waitFor({ state: 'hidden' });
    const answer = chat.locator('.entry', { hasText: 'The second answer, without a count.' });
    await answer.hover();
    await answer.getByRole('button', { name: 'More about this answer' }).click();
    await page.getByRole('menuitem', { name: 'Tokens and cost' }).click();
    await dialog.getByText(/^This answer: .* tokens in, .* out, about \$/).waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    await chat.getByText(/^about (under )?\$[\d.]+, .* tokens in, .* out in this turn/).waitFor();
  });

  await journey.step('a conversation has a budget of its own', async () => {
    await chat.getByRole('button', { name: 'Budgets of this conversation' }).click();
    const dialog = page.getByRole('dialog', { name: 'Budgets of this conversation' });
    await dialog.getByText('Your account, each month').waitFor();
    await dialog.getByLabel('Tokens').fill('1000');
    await dialog.getByRole('button', { name: 'Save the budget' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await send(page, 'Too much');
    await chat.getByText(/The budget of this conversation does not cover the worst case of the next answer: 0 of 1.000 tokens are left.*You can raise it in the chat's budget\./).first().waitFor();
    await turnEnded(page);
  });

  await journey.step('usage shows as a chart and as a table', async () => {
    await page.goto('/settings#usage');
    await alive(page);
    const card = page.getByRole('region', { name: 'Usage of models' });
    const chart = card.getByRole('img', { name: /^Cost per day from .* in all, most on/ });
    await chart.waitFor();
    assert.ok(await chart.locator('rect.c1').count() >= 1, 'what was billed');
    assert.ok(await chart.locator('rect.c1e').count() >= 1, 'what was estimated, hatched');
    await card.getByRole('group', { name: 'Usage by model' }).getByRole('row', { name: /scripted/ }).waitFor();
    await journey.shot(page, 'usage-own');
    await card.getByRole('button', { name: 'Show as table' }).click();
    const days = card.getByRole('group', { name: 'Usage by day' });
    assert.equal(await days.locator('tbody tr').count(), 30);
    await card.getByLabel('Days').selectOption('7');
    await until(async () => (await days.locator('tbody tr').count()) === 7, 'the table to be of seven days');
    await card.getByRole('button', { name: 'Show as chart' }).click();
    await card.getByLabel('Measure').selectOption('tokens');
    await card.getByRole('img', { name: /^Tokens per day/ }).waitFor();
    await card.getByLabel('Summed up by').selectOption('Turn');
    await card.getByRole('row', { name: /Begin/ }).waitFor();
    const told = await ben.get('/api/usage?group_by=turn');
    assert.equal(told.total.calls, 2, 'refused calls are none');
  });

  await journey.step('administrators see who used what, but not what was asked', async () => {
    await admin.goto('/admin/usage');
    await alive(admin);
    const card = admin.getByRole('region', { name: 'Usage of models' });
    await card.getByLabel('Summed up by').selectOption('Person');
    await card.getByRole('group', { name: 'Usage by person' }).getByRole('row', { name: /ben/ }).waitFor();
    await journey.shot(admin, 'usage-admin');
    await card.getByRole('group', { name: 'Usage by person' }).getByRole('button', { name: 'ben' }).click();
    await card.getByText('Only ben').waitFor();
    await card.getByRole('img', { name: /^Cost per day/ }).waitFor();
    await card.getByRole('button', { name: 'Show everybody' }).click();
    await card.getByText('Only ben').waitFor({ state: 'hidden' });
    assert.equal((await ada.call('GET', '/api/admin/usage?group_by=turn')).status, 422);
    assert.equal((await ben.call('GET', '/api/admin/usage')).status, 403);
  });

  await journey.step('an owner limits a project', async () => {
    await page.goto(`/projects/${project}/settings`);
    await alive(page);
    const card = page.getByRole('region', { name: 'Budget of models' });
    await card.getByText('This project has no budget of its own.').waitFor();
    await card.getByLabel('US dollars').fill('2.50');
    await card.getByRole('button', { name: 'Save the budget' }).click();
    await card.getByText('Set by the owner, each month').waitFor();
    const told = await ben.get(`/api/projects/${project}/budgets`);
    assert.deepEqual([told.items[0].scope, told.items[0].usd_micros], ['project_own', 2_500_000]);
    await page.getByRole('region', { name: 'Usage of models' }).getByRole('img').waitFor();
  });

  await journey.step('on a phone and in the dark', async () => {
    const phone = await journey.page({ base, dark: true, size: PHONE });
    await signIn(phone, 'ada');
    for (const [where, what] of [['/admin/budgets', 'Budgets'], ['/admin/usage', 'Usage of models']]) {
      await phone.goto(where);
      await alive(phone);
      await phone.getByRole('region', { name: what }).locator('table, svg.chart').first().waitFor();
      await journey.shot(phone, `phone-${what.split(' ')[0].toLowerCase()}`);
      const wide = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${where} is ${wide} px too wide`);
    }
  });
}

/** One dollar a million tokens in, twenty two out; answers of at most 1000 tokens. */
async function setPrice(admin) {
  const { models } = await admin.get('/api/admin/models');
  const scripted = models.find((each) => each.name === 'scripted');
  const settings = { ...scripted.current.settings, max_output: 1000, prices: { input: 1_000_000, output: 22_000_000, cached: 100_000 } };
  await admin.expect(200, 'PATCH', `/api/admin/models/${scripted.id}`, { json: { revision: scripted.revision, settings } });
}
