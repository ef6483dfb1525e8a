// What the conversation shows: safe markdown, code that can be used, tool cards, questions, plans, and a stop that leaves nothing.
import assert from 'node:assert/strict';
import { until } from '../support/processes.mjs';
import { PHONE } from '../support/journey.mjs';
import { editor, editorShows, openFile, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { Rest } from '../support/rest.mjs';

const call = (name, args) => ({ name, arguments: args });

const UNSAFE = `# Findings

Raw <img src=x onerror="window.__pwned=1"> and <script>window.__pwned=2</script> stay words.

<div onclick="window.__pwned=3">a block</div>

![a picture](https://example.org/spy.png) and [a page](https://example.org/page), but not [this](javascript:window.__pwned=4).

| a | b |
|---|---|
| 1 | 2 |

- [x] done
- [ ] open
`;

const CODE = 'Put this in:\n\n```python\nprint("from the chat")\n```\n\nAnd a new file:\n\n```text docs/new.txt\nfirst\nsecond\n```\n\nThat is all.';

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('cards');
  await rest.write(project, 'main.py', 'one = 1\ntwo = 2\n');
  const asked = [];
  const page = await journey.page({ base, permissions: ['clipboard-read', 'clipboard-write'] });
  page.on('request', (request) => asked.push(request.url()));
  await signIn(page, 'ada');
  await openProject(page, project);
  const chat = page.locator('section.chat');
  const log = chat.getByRole('log');
  const answers = () => log.locator('.md').last();

  await journey.step('what a model writes is drawn and never run', async () => {
    await model.script({ text: UNSAFE, chunk_chars: 7, pace_ms: 2 });
    await send(page, 'What did you find');
    await answers().getByText('open').waitFor();
    await turnEnded(page);
    const drawn = answers();
    assert.equal(await drawn.locator('img, script, [onclick], [style]').count(), 0);
    assert.match(await drawn.innerText(), /<script>window\.__pwned=2<\/script>/);
    assert.equal(await drawn.locator('table td').count(), 2);
    const links = await drawn.locator('a').evaluateAll((all) => all.map((a) => [a.textContent, a.href, a.rel, a.target]));
    assert.deepEqual(links, [
      ['a picture', 'https://example.org/spy.png', 'noreferrer noopener', '_blank'],
      ['a page', 'https://example.org/page', 'noreferrer noopener', '_blank'],
    ]);
    assert.equal(await page.evaluate(() => window.__pwned), undefined);
    assert.deepEqual(asked.filter((url) => url.includes('example.org')), [], 'nothing is fetched from elsewhere');
  });

  await journey.step('an answer streamed in pieces is drawn as when it is read again', async () => {
    const streamed = await answers().innerText();
    await page.reload();
    await answers().getByText('Findings').waitFor();
    assert.equal(await answers().innerText(), streamed);
  });

  await journey.step('code is copied, and inserted at the cursor', async () => {
    await openFile(page, 'main.py');
    await editor(page).locator('.view-lines').click({ position: { x: 200, y: 30 } });
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('ArrowDown');
    await model.script({ text: CODE, chunk_chars: 5, pace_ms: 2 });
    await send(page, 'Give me code');
    await answers().getByText('That is all.').waitFor();
    await turnEnded(page);
    const first = answers().locator('.code').first();
    await first.getByRole('button', { name: 'Copy code' }).click();
    await page.getByText('Copied the code').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'print("from the chat")\n');
    await first.getByRole('button', { name: 'Insert at the cursor' }).click();
    await editorShows(page, 'one = 1\nprint("from the chat")\ntwo = 2');
    await page.keyboard.press('Control+z');
    await editorShows(page, 'one = 1\ntwo = 2');
  });

  await journey.step('code is opened as a change and reviewed before it is written', async () => {
    const named = answers().locator('.code').nth(1);
    assert.match(await named.locator('.code-bar').innerText(), /docs\/new\.txt/);
    await named.getByRole('button', { name: 'Open as a change' }).click();
    await page.getByRole('heading', { name: '1 change in 1 file' }).waitFor();
    assert.equal(await rest.exists(project, 'docs/new.txt'), false);
    await page.getByRole('button', { name: /^Accept/ }).first().click();
    await page.getByRole('button', { name: /Apply 1 decision/ }).click();
    await page.getByText('All decided').waitFor();
    assert.equal(await rest.read(project, 'docs/new.txt'), 'first\nsecond\n');
    await page.getByRole('button', { name: 'Back to the editor' }).click();
  });

  await journey.step('code that names no file is asked which it is for', async () => {
    const ask = page.getByRole('dialog', { name: 'Open as a change' });
    const unnamed = answers().locator('.code').first().getByRole('button', { name: 'Open as a change' });
    await unnamed.click();
    assert.equal(await ask.getByLabel('File').inputValue(), 'main.py', 'the file on top is offered');
    await ask.getByLabel('File').fill('../main.py');
    await ask.getByRole('button', { name: 'Show the change' }).click();
    await ask.getByText('could leave the project').waitFor();
    await ask.getByLabel('File').fill('tools/greet.py');
    await ask.getByRole('button', { name: 'Show the change' }).click();
    await page.getByRole('heading', { name: '1 change in 1 file' }).waitFor();
    await page.getByText('From the conversation: tools/greet.py, by ada').waitFor();
    await page.getByRole('button', { name: /^Accept/ }).first().click();
    await page.getByRole('button', { name: /Apply 1 decision/ }).click();
    await page.getByText('All decided').waitFor();
    assert.equal(await rest.read(project, 'tools/greet.py'), 'print("from the chat")\n');
    await page.getByRole('button', { name: 'Back to the editor' }).click();
    await unnamed.click();
    await ask.getByRole('button', { name: 'Show the change' }).click();
    await page.getByRole('heading', { name: '1 change in 1 file' }).waitFor();
    await page.locator('.review .hunk').filter({ hasText: 'from the chat' }).waitFor();
    await journey.shot(page, 'chat-code-change');
    await page.getByRole('button', { name: /Leave the review/ }).click();
    assert.equal(await rest.read(project, 'main.py'), 'one = 1\ntwo = 2\n');
    await page.locator('.ribbon', { hasText: 'Code from the conversation proposes' }).getByText('1 change').waitFor();
  });

  await journey.step('tool cards are folded and tell arguments, output and time', async () => {
    await page.getByLabel('How much the agent may do').selectOption('auto');
    const seq = call('run_command', { command: 'seq 1 40', timeout_s: 20 });
    await model.script({ text: 'I count.', tool_calls: [seq, call('read_file', { path: 'main.py', start_line: 1, end_line: 2 })] }, { text: 'Counted.' });
    await send(page, 'Count');
    await chat.getByText('Counted.').waitFor();
    await turnEnded(page);
    const card = log.locator('.tool').filter({ hasText: 'seq 1 40' });
    assert.equal(await card.getAttribute('aria-expanded'), 'false');
    await until(async () => /\d (ms|s)/.test(await card.innerText()), 'how long it took');
    await card.click();
    const body = log.locator('.tool-out').last();
    await body.getByText('at most 20 s').waitFor();
    await body.getByText('Output').waitFor();
    await body.getByRole('button', { name: /Show all \d+ lines/ }).click();
    await body.getByText('40').first().waitFor();
    await journey.shot(page, 'chat-tool-card');
    await card.click();
    await body.waitFor({ state: 'detached' });
    await page.getByLabel('How much the agent may do').selectOption('ask');
  });

  await journey.step('the agent asks, and an option or own words are told to it', async () => {
    const question = { question: 'Which database should I use?', options: ['SQLite', 'PostgreSQL'] };
    await model.script({ tool_calls: [call('ask_user', question)] }, { tool_calls: [call('ask_user', { question: 'What shall it be called?' })] }, { text: 'Both answered.' });
    await send(page, 'Set it up');
    const card = page.getByRole('region', { name: 'Question of the agent' });
    await card.getByText('Which database').waitFor();
    await journey.shot(page, 'chat-question');
    await card.getByRole('button', { name: 'PostgreSQL' }).click();
    await card.getByText('What shall it be called?').waitFor();
    assert.match(JSON.stringify((await model.requests()).at(-1).body.messages.at(-1)), /answered: PostgreSQL/);
    assert.equal(await card.getByRole('button', { name: 'Answer' }).isDisabled(), true);
    await card.getByLabel('Your answer').fill('ledger');
    await card.getByLabel('Your answer').press('Enter');
    await chat.getByText('Both answered.').waitFor();
    await turnEnded(page);
    assert.match(JSON.stringify((await model.requests()).at(-1).body.messages.at(-1)), /answered: ledger/);
  });

  await journey.step('a plan is shown as steps, and going on with it is one click', async () => {
    await page.getByLabel('How much the agent may do').selectOption('plan');
    await model.script({ tool_calls: [call('propose_plan', { steps: ['Read the parser.', 'Change two lines in main.py.', 'Run the tests.'] })] }, { text: 'That is the plan.' });
    await send(page, 'Plan it');
    const plan = log.getByRole('region', { name: 'Plan' });
    await plan.getByText('Change two lines in main.py.').waitFor();
    await chat.getByText('That is the plan.').waitFor();
    await turnEnded(page);
    assert.equal(await plan.locator('li').count(), 3);
    await journey.shot(page, 'chat-plan');
    await model.script({ text: 'Going on.' });
    await plan.getByRole('button', { name: 'Go on with this plan' }).click();
    await chat.getByText('Going on.').waitFor();
    await turnEnded(page);
    const { body } = (await model.requests()).at(-1);
    assert.match(JSON.stringify(body.messages), /Go on with this plan\./);
    assert.ok(body.tools.some((tool) => tool.function.name === 'edit_file'), 'the turn may change things');
    await plan.getByRole('button', { name: 'Go on with this plan' }).waitFor({ state: 'detached' });
    await page.getByLabel('How much the agent may do').selectOption('ask');
  });

  await journey.step('a stop tells that no process is left', async () => {
    await page.getByLabel('How much the agent may do').selectOption('auto');
    await model.script({ tool_calls: [call('run_command', { command: 'sleep 300 & sleep 301' })] });
    await send(page, 'Sleep');
    await log.locator('.tool').filter({ hasText: 'sleep 301' }).waitFor();
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    const stopped = log.locator('.stopcard').last();
    await stopped.getByText('0 processes left').waitFor();
    await turnEnded(page);
    await page.getByLabel('How much the agent may do').selectOption('ask');
  });

  await journey.step('in the dark and on a phone', async () => {
    const dark = await journey.page({ base, dark: true });
    await signIn(dark, 'ada');
    await openProject(dark, project);
    await dark.getByRole('region', { name: 'Plan' }).waitFor();
    await dark.getByRole('region', { name: 'Plan' }).scrollIntoViewIfNeeded();
    await journey.shot(dark, 'chat-cards-dark');
    const phone = await journey.page({ base, size: PHONE, hasTouch: true, isMobile: true });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    const talk = phone.locator('section.chat');
    await talk.getByRole('region', { name: 'Plan' }).waitFor();
    await talk.locator('.tool').first().scrollIntoViewIfNeeded();
    const height = (await talk.locator('.tool').first().boundingBox()).height;
    assert.ok(height >= 44, `a card can be hit with a thumb: ${height}`);
    await talk.locator('.tool').first().tap();
    await journey.shot(phone, 'chat-cards-phone');
    assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than the screen');
  });
}
