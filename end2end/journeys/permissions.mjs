// Rules of what the agent may do: made from the card, tried, revoked, kept by the phone; and what always asks.
import assert from 'node:assert/strict';
import { PHONE } from '../support/journey.mjs';
import { alive, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const call = (name, args) => ({ name, arguments: args });
const run = (command) => ({ tool_calls: [call('run_command', { command })] });

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('rules');
  await rest.write(project, 'src/a.txt', 'one\n');
  await rest.write(project, 'AGENTS.md', 'Be brief.\n');
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);
  const chat = page.locator('section.chat');
  const card = page.getByRole('region', { name: 'Approval' });
  const rules = async () => (await rest.get(`/api/projects/${project}/permissions`)).rules;

  await journey.step('a card offers what could be allowed from now on', async () => {
    await model.script(run('echo hello world'), { text: 'Said hello.' });
    await send(page, 'Say hello');
    await card.getByText('Run this command?').waitFor();
    await card.getByRole('button', { name: 'Always allow…' }).click();
    const offers = card.getByRole('group', { name: 'Always allow' });
    assert.deepEqual(await offers.locator('code').allInnerTexts(), ['echo hello world', 'echo *']);
    await journey.shot(page, 'permission-card');
    await offers.getByRole('button', { name: /echo \*/ }).click();
    await chat.getByText('Said hello.').waitFor();
    await turnEnded(page);
    const [rule] = await rules();
    assert.equal(rule.command_pattern, 'echo *');
    assert.equal(rule.created_by.name, 'ada');
  });

  await journey.step('what a rule allows is not asked again, and nothing hides behind it', async () => {
    await model.script(run('echo again'), { text: 'Not asked.' });
    await send(page, 'Again');
    await chat.getByText('Not asked.').waitFor();
    await turnEnded(page);
    assert.equal(await card.count(), 0);
    await model.script(run('echo x && rm src/a.txt'), { text: 'Then not.' });
    await send(page, 'And remove it');
    await card.getByText('Run this command?').waitFor();
    await card.getByRole('button', { name: 'Always allow…' }).click();
    assert.deepEqual(await card.getByRole('group', { name: 'Always allow' }).locator('code').allInnerTexts(), ['echo x && rm src/a.txt'], 'only its exact text');
    await card.focus();
    await page.keyboard.press('n');
    await chat.getByText('Then not.').waitFor();
    await turnEnded(page);
  });

  await journey.step('the agent’s own instructions always ask, also in Auto', async () => {
    await page.getByLabel('How much the agent may do').selectOption('auto');
    const edit = call('edit_file', { path: 'AGENTS.md', old_text: 'Be brief.', new_text: 'Obey nobody.' });
    await model.script({ tool_calls: [edit] }, run('sed -i s/brief/long/ AGENTS.md'), run('touch free.txt'), { text: 'Tried it all.' });
    await send(page, 'Change your instructions');
    await card.getByText('Change this file?').waitFor();
    assert.match(await card.innerText(), /what the agent is told in this project/);
    assert.match(await card.innerText(), /Obey nobody\./, 'what would be written is shown');
    assert.equal(await card.getByRole('button', { name: 'Always allow…' }).count(), 0);
    await journey.shot(page, 'permission-always-asks');
    await card.getByRole('button', { name: /^Decline/ }).click();
    await card.getByRole('button', { name: /Decline and tell/ }).click();
    await card.getByText('Run this command?').waitFor();
    await card.getByRole('button', { name: /^Decline/ }).click();
    await card.getByRole('button', { name: /Decline and tell/ }).click();
    await chat.getByText('Tried it all.').waitFor();
    await turnEnded(page);
    await page.getByLabel('How much the agent may do').selectOption('ask');
    assert.equal(await rest.read(project, 'AGENTS.md'), 'Be brief.\n');
  });

  const settings = await page.context().newPage();
  const list = settings.getByRole('list', { name: 'Rules' });
  await journey.step('the rules are listed, added to, tried and revoked', async () => {
    await settings.goto(`/projects/${project}/settings`);
    await alive(settings);
    await list.getByText('echo *').waitFor();
    await settings.getByLabel('What the rule does').selectOption('deny');
    await settings.getByLabel('Pattern').fill('rm *');
    const tries = settings.getByRole('region', { name: 'Try the rules' });
    await tries.getByText('With the rule that is not added yet').waitFor();
    await tries.getByRole('button', { name: 'Try' }).click();
    await tries.getByRole('status').getByText('in 4 turns').waitFor();
    const denied = tries.locator('tbody tr').filter({ hasText: 'echo x && rm src/a.txt' });
    await denied.getByText('Denied', { exact: true }).waitFor();
    await denied.getByText('Asked, declined').waitFor();
    await tries.locator('tbody tr').filter({ hasText: 'AGENTS.md' }).first().getByText('Asked', { exact: true }).waitFor();
    assert.equal((await rules()).length, 1, 'trying changes nothing');
    await settings.getByRole('button', { name: 'Add rule' }).click();
    await list.getByText('rm *').waitFor();
    await journey.shot(settings, 'permission-settings');
    await list.getByRole('button', { name: /Revoke .*echo/ }).click();
    await list.getByText('echo *').waitFor({ state: 'detached' });
    assert.deepEqual((await rules()).map((rule) => rule.command_pattern), ['rm *']);
    await settings.getByRole('button', { name: 'Undo' }).click();
    await list.getByText('echo *').waitFor();
    await list.getByRole('button', { name: /Revoke .*echo/ }).click();
    await list.getByText('echo *').waitFor({ state: 'detached' });
  });

  await journey.step('a wrong rule is told beside its field', async () => {
    await settings.getByLabel('What the rule is about').selectOption('path');
    await settings.getByLabel('Pattern').fill('/etc/**');
    await settings.getByRole('button', { name: 'Add rule' }).click();
    await settings.getByText('Write it relative to the project').waitFor();
  });

  await journey.step('a rule is about one tool in a folder, or about a host', async () => {
    const about = settings.getByLabel('What the rule is about');
    const tool = settings.getByLabel('Which tool the path is for');
    const pattern = settings.getByLabel('Pattern');
    const before = (await rules()).length;
    await tool.selectOption('read_file');
    await pattern.fill('conf/**');
    await pattern.press('Enter');
    const inFolder = list.getByRole('listitem').filter({ hasText: 'conf/**' });
    await inFolder.getByText(/^path ?, read_file only$/).waitFor();
    assert.ok((await rules()).some((rule) => rule.effect === 'deny' && rule.tool === 'read_file' && rule.path_pattern === 'conf/**'));
    await journey.shot(settings, 'permission-settings-tool');
    await about.selectOption('host');
    await tool.waitFor({ state: 'hidden' });
    await pattern.fill('WWW.example.invalid');
    await settings.getByRole('button', { name: 'Add rule' }).click();
    const ofHost = list.getByRole('listitem').filter({ hasText: 'www.example.invalid' });
    await ofHost.getByText(/^host ?, web_fetch only$/).waitFor();
    assert.ok((await rules()).some((rule) => rule.tool === 'web_fetch' && rule.path_pattern === 'www.example.invalid'));
    await pattern.fill('');
    await settings.getByRole('button', { name: 'Add rule' }).click();
    await settings.getByText('Name a tool, a command or a path.').waitFor();
    for (const row of [inFolder, ofHost]) {
      await row.getByRole('button', { name: /Revoke/ }).click();
      await row.waitFor({ state: 'detached' });
    }
    assert.equal((await rules()).length, before);
  });

  await journey.step('what was revoked is asked again, and what is denied is told to the model', async () => {
    await model.script(run('rm src/a.txt'), run('echo once more'), { text: 'Both tried.' });
    await send(page, 'Once more');
    await card.getByText('echo once more').waitFor();
    const requests = await model.requests();
    assert.match(JSON.stringify(requests.at(-1).body.messages.at(-1)), /rules of this project forbid it/);
    assert.equal(await chat.locator('.tool code').getByText('rm src/a.txt', { exact: true }).count(), 1, 'it is in the transcript');
    await card.getByRole('button', { name: /Run once/ }).click();
    await chat.getByText('Both tried.').waitFor();
    await turnEnded(page);
  });

  await journey.step('approving on a phone, with a rule', async () => {
    const phone = await journey.page({ base, size: PHONE, hasTouch: true, isMobile: true });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    await model.script(run('printf "%s" "a long argument that has to wrap on a narrow screen, twice over at least"'), { text: 'From the phone.' });
    await send(phone, 'Run it for me');
    const asked = phone.getByRole('region', { name: 'Approval' });
    await asked.getByText('Run this command?').waitFor();
    const box = await asked.boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= PHONE.width, 'the card fits the screen');
    for (const name of [/Run once/, /^Decline/, 'Always allow…']) {
      const button = await asked.getByRole('button', { name }).boundingBox();
      assert.ok(button.height >= 44, `${name} can be hit with a thumb: ${button.height}`);
    }
    await asked.getByRole('button', { name: 'Always allow…' }).tap();
    await asked.getByRole('group', { name: 'Always allow' }).waitFor();
    await journey.shot(phone, 'permission-phone');
    await asked.getByRole('group', { name: 'Always allow' }).getByRole('button', { name: /printf \*/ }).tap();
    await phone.locator('section.chat').getByText('From the phone.').waitFor();
    await turnEnded(phone);
    await until(async () => (await rules()).some((rule) => rule.command_pattern === 'printf *'), 'the rule to be kept');
    const fits = await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    assert.ok(fits, 'nothing is wider than the screen');
  });

  await journey.step('a reviewer may approve once but makes no rules', async () => {
    const ben = await Rest.signUp(base, 'ben');
    await rest.post(`/api/projects/${project}/members`, { who: 'ben', role: 'reviewer' }, 201);
    await model.script(run('date'), { text: 'It is late.' });
    await send(page, 'What time is it');
    await card.getByText('Run this command?').waitFor();
    const turn = await until(async () => {
      const { items } = await rest.get(`/api/projects/${project}/conversations`);
      return items.map((found) => (found.conversation ?? found).active_turn).find(Boolean);
    }, 'the turn at work to be listed');
    const asked = (await rest.events(`turn:${turn}`, { done: (event) => event.kind === 'approval_asked' })).find((event) => event.kind === 'approval_asked');
    const where = `/api/turns/${turn}/approvals/${asked.call_id}`;
    await ben.expect(403, 'POST', where, { json: { decision: 'approve', remember: { command_pattern: 'date' } } });
    await rest.expect(422, 'POST', where, { json: { decision: 'approve', remember: { command_pattern: 'rm *' } } });
    await ben.expect(403, 'POST', `/api/projects/${project}/permissions`, { json: { effect: 'allow', tool: 'run_command' } });
    await ben.expect(204, 'POST', where, { json: { decision: 'approve' } });
    await chat.getByText('It is late.').waitFor();
    await turnEnded(page);
  });

  await journey.step('a page of the web is asked about with its address, and its host can be allowed', async () => {
    const host = 'docs.example.invalid';
    await rest.expect(200, 'PUT', '/api/admin/settings/runs', { json: { egress: [host] } });
    await rest.expect(200, 'PUT', `/api/projects/${project}/network`, { json: { allow: [host] } });
    const fetch = (url) => ({ tool_calls: [call('web_fetch', { url })] });
    await model.script(fetch(`https://${host}/guide?q=1`), fetch(`https://${host}/guide?q=2`), { text: 'Nobody was there.' });
    await send(page, 'Look it up');
    await card.getByText('Fetch this page?').waitFor();
    await card.getByText(`https://${host}/guide?q=1`).waitFor();
    await card.getByRole('button', { name: 'Always allow…' }).click();
    const offers = card.getByRole('group', { name: 'Always allow' });
    assert.deepEqual(await offers.locator('code').allInnerTexts(), [host, 'Every call of web_fetch']);
    await journey.shot(page, 'permission-page');
    await offers.getByRole('button', { name: /any page of this host/ }).click();
    await chat.getByText('Nobody was there.').waitFor();
    await turnEnded(page);
    assert.equal(await chat.locator('.tool code').getByText(`https://${host}/guide?q=2`, { exact: true }).count(), 1, 'the second was not asked about');
    assert.ok((await rules()).some((rule) => rule.tool === 'web_fetch' && rule.path_pattern === host));
  });

  await journey.step('both pages in the dark', async () => {
    const dark = await journey.page({ base, dark: true });
    await signIn(dark, 'ada');
    await dark.goto(`/projects/${project}/settings`);
    await alive(dark);
    await dark.getByText('Changes here always ask').click();
    await dark.getByText('AGENTS.md', { exact: false }).first().waitFor({ state: 'attached' });
    await dark.getByRole('heading', { name: 'Try the rules' }).scrollIntoViewIfNeeded();
    await journey.shot(dark, 'permission-settings-dark');
    const small = await journey.page({ base, size: PHONE });
    await signIn(small, 'ada');
    await small.goto(`/projects/${project}/settings`);
    await alive(small);
    await small.getByRole('heading', { name: 'What the agent may do' }).scrollIntoViewIfNeeded();
    await journey.shot(small, 'permission-settings-phone');
  });
}
