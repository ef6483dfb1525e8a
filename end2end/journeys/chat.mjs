// A turn with every kind of tool, the review by mouse and keyboard, and what the model is told afterwards.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { sdist } from '../support/archives.mjs';
import { badgeOf, editorShows, entry, hunk, isSaved, isUnsaved, openFile, openProject, send, signIn, turnEnded, typeOnTop } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const call = (name, args) => ({ name, arguments: args });

const TURN = [
  { text: 'Let me look at the **package** first.', tool_calls: [call('list_files', {}), call('read_file', { path: 'six.py', start_line: 1, end_line: 40 }), call('search', { query: 'ensure_text' })] },
  {
    text: 'Now three edits and a note.',
    tool_calls: [
      call('edit_file', { path: 'six.py', old_text: '__version__ = "1.17.0"', new_text: '__version__ = "1.17.1"' }),
      call('edit_file', { path: 'six.py', old_text: 'def add_move(move):', new_text: 'def add_move(move):  # unwanted' }),
      call('edit_file', { path: 'six.py', old_text: 'def python_2_unicode_compatible(klass):', new_text: 'def python_2_unicode_compatible(klass):  # from the agent' }),
      call('write_file', { path: 'NOTES.md', content: 'Written by the agent.\n' }),
    ],
    interleave: true,
  },
  { text: 'I check that it still imports.', tool_calls: [call('run_command', { command: 'python3 -c "import six; print(six.__version__)"' })] },
  { text: 'Done: see the `change set`.', usage: { prompt_tokens: 321, completion_tokens: 45 } },
];

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.importArchive('six', 'six.tar.gz', readFileSync(sdist()));
  const before = await rest.read(project, 'six.py');
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);
  const chat = page.locator('section.chat');

  await journey.step('a turn streams text and calls tools', async () => {
    await model.script(...TURN.map((step) => ({ pace_ms: 4, ...step })));
    await send(page, 'Bump the version and tidy up');
    await chat.getByText('Let me look at the package first.').waitFor();
    assert.equal(await chat.locator('strong', { hasText: 'package' }).count(), 1, 'markdown is drawn');
    for (const tool of ['list_files', 'read_file', 'search']) await chat.locator('.tool b', { hasText: tool }).waitFor();
  });

  await journey.step('a command waits for approval and then runs', async () => {
    const card = page.getByRole('region', { name: 'Approval' });
    await card.getByText('Run this command?').waitFor();
    assert.match(await card.innerText(), /import six/);
    assert.equal(await rest.read(project, 'six.py'), before, 'nothing has reached the project');
    await card.getByRole('button', { name: /Run once/ }).click();
    await chat.getByText('Done: see the').waitFor();
    await turnEnded(page);
    const told = JSON.stringify((await model.requests()).at(-1).body.messages.at(-1));
    assert.match(told, /1\.17\.1/, 'the command ran on the branch and its output was told');
    assert.equal(await rest.read(project, 'six.py'), before);
    assert.equal(await page.locator('.tool').filter({ hasText: 'failed' }).count(), 0);
  });

  await journey.step('the change set is reviewed hunk by hunk', async () => {
    await entry(page, 'NOTES.md').waitFor();
    await chat.getByRole('button', { name: 'Review 4 changes' }).click();
    await page.getByRole('heading', { name: '4 changes in 2 files' }).waitFor();
    const version = await hunk(page, '1.17.1');
    const unwanted = await hunk(page, '# unwanted');
    const third = await hunk(page, '# from the agent');
    const note = await hunk(page, 'Written by the agent.');
    for (const open of [version, unwanted, third, note]) await badgeOf(open, 'Open');
    await journey.shot(page, 'review-open');
    await version.getByRole('button', { name: /^Accept/ }).click();

    await unwanted.focus();
    await page.keyboard.press('r');
    await third.focus();
    await page.keyboard.press('e');
    const field = page.getByLabel('Text to write instead');
    await field.waitFor();
    const mine = (await field.inputValue()).replace('# from the agent', '# from a person');
    await field.fill(mine);
    await field.press('Control+Enter');
    await page.getByLabel('Why rejected, told to the agent').fill('not needed here');
    await page.getByText('3 of 4 hunks decided').waitFor();
    await note.focus();
    await page.keyboard.press('a');
    await page.getByText('4 of 4 hunks decided').waitFor();
    assert.equal(await rest.read(project, 'six.py'), before, 'nothing is written before Apply');
    await page.getByRole('button', { name: /Apply 4 decisions/ }).click();
    await page.getByText('All decided').waitFor();
  });

  await journey.step('the project holds exactly what was decided', async () => {
    const expected = before
      .replace('__version__ = "1.17.0"', '__version__ = "1.17.1"')
      .replace('def python_2_unicode_compatible(klass):', 'def python_2_unicode_compatible(klass):  # from a person');
    assert.equal(await rest.read(project, 'six.py'), expected);
    assert.equal(await rest.read(project, 'NOTES.md'), 'Written by the agent.\n');
    await page.getByRole('button', { name: 'Back to the editor' }).click();
    await openFile(page, 'NOTES.md');
    await editorShows(page, 'Written by the agent.');
  });

  await journey.step('the next request carries exactly what was decided', async () => {
    await model.script({ text: 'Understood.' });
    await send(page, 'And now?');
    await chat.getByText('Understood.').waitFor();
    await turnEnded(page);
    const { messages } = (await model.requests()).at(-1).body;
    const notes = messages.filter((message) => message.role === 'user' && textOf(message).startsWith('Review of your changes'));
    assert.equal(notes.length, 1, 'told once');
    const told = textOf(notes[0]);
    assert.match(told, /2 accepted, 1 edited, 1 rejected/);
    const parts = told.split(/\n(?=\d+\. )/).slice(1);
    assert.equal(parts.length, 4);
    const part = (text) => parts.find((each) => each.includes(text));
    assert.match(part('+__version__ = "1.17.1"'), /six\.py.*accepted as proposed/);
    assert.match(part('+Written by the agent.'), /NOTES\.md.*accepted as proposed/);
    assert.match(part('# unwanted'), /rejected; it is not in the project[^]*not needed here/);
    const edited = part('# from the agent');
    assert.match(edited, /edited[^]*The person wrote instead:[^]*# from a person/);
    assert.ok(messages.findIndex((m) => m === notes[0]) < messages.findLastIndex((m) => m.role === 'user'), 'before the new prompt');
    await page.getByText('You decided 4 hunks: 2 accepted, 1 edited, 1 rejected').waitFor();
  });

  await journey.step('an accepted change over unsaved text is named as what it is', async () => {
    const edit = { path: 'NOTES.md', old_text: 'Written by the agent.', new_text: 'Written twice by the agent.' };
    await model.script({ tool_calls: [call('read_file', { path: 'NOTES.md' })] }, { tool_calls: [call('edit_file', edit)] }, { text: 'Noted.' });
    await send(page, 'Once more in the notes');
    await chat.getByText('Noted.').waitFor();
    await turnEnded(page);
    await typeOnTop(page, 'typed meanwhile\n');
    await isUnsaved(page, 'NOTES.md');
    await chat.getByRole('button', { name: 'Review 1 change', exact: true }).click();
    await (await hunk(page, 'Written twice')).focus();
    await page.keyboard.press('a');
    await page.getByRole('button', { name: /Apply 1 decision/ }).click();
    await page.getByText('All decided').waitFor();
    await page.getByRole('button', { name: 'Back to the editor' }).click();
    const bar = page.getByRole('alert').filter({ hasText: 'An accepted proposal changed this file.' });
    await bar.waitFor();
    await editorShows(page, 'typed meanwhile', 'what was typed to be still there');
    await bar.getByRole('button', { name: 'Take theirs' }).click();
    await editorShows(page, 'Written twice by the agent.');
    await isSaved(page, 'NOTES.md');
  });

  await journey.step('a declined command is told to the model', async () => {
    await model.script({ tool_calls: [call('run_command', { command: 'rm -rf .' })] }, { text: 'Then not.' });
    await send(page, 'Clean up');
    const card = page.getByRole('region', { name: 'Approval' });
    await card.getByRole('button', { name: /^Decline/ }).click();
    await card.getByLabel('Why not, told to the agent').fill('keep my files');
    await card.getByRole('button', { name: /Decline and tell/ }).click();
    await chat.getByText('Then not.').waitFor();
    await turnEnded(page);
    assert.match(JSON.stringify((await model.requests()).at(-1).body.messages.at(-1)), /keep my files/);
  });

  await journey.step('a provider that is busy is asked again', async () => {
    await model.reset();
    await model.script({ status: 429, retry_after: 0.2 }, { text: 'Patience pays.' });
    await send(page, 'Are you busy?');
    await chat.getByText('Patience pays.').waitFor();
    await turnEnded(page);
    assert.equal((await model.requests()).length, 2);
  });

  await journey.step('a stream that is cut or garbled ends in words', async () => {
    await model.reset();
    const broken = { text: 'This sentence will never be finished, because the line breaks.', cut_after_chars: 24 };
    await model.script({ when: 'Cut me off', steps: Array(6).fill(broken) });
    const cut = await failure(page, chat, 'Cut me off');
    assert.match(cut, /\w+ \w+ \w+/);
    const garbled = { text: 'This one is garbled.', malformed: true };
    await model.script({ when: 'Garble it', steps: Array(6).fill(garbled) });
    const words = await failure(page, chat, 'Garble it');
    assert.match(words, /\w+ \w+ \w+/);
    assert.ok(!/panick|unwrap|serde|line 1 column/i.test(cut + words), `written for a person: ${cut} / ${words}`);
    await journey.shot(page, 'chat-failures');
    await model.script({ text: 'Back again.' });
    await send(page, 'Still there?');
    await chat.getByText('Back again.').waitFor();
    await turnEnded(page);
  });

  await journey.step('the agent can be stopped', async () => {
    await model.script({ text: 'on and on '.repeat(400), pace_ms: 30 });
    await send(page, 'Talk for long');
    await chat.getByText('on and on').first().waitFor();
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await chat.locator('.stopcard').last().getByRole('heading', { name: 'Stopped' }).waitFor();
    await turnEnded(page);
  });

  await journey.step('a message has limits of its own', async () => {
    await model.reset();
    await chat.getByRole('button', { name: 'Limits of this message', exact: true }).click();
    const limits = chat.getByRole('group', { name: 'Limits of this message' });
    const steps = limits.getByLabel('Steps that this message may take');
    const money = limits.getByLabel('US dollars that this message may cost');
    await until(() => money.evaluate((field) => field === document.activeElement), 'the first field to have the focus');
    await steps.fill('0');
    await limits.getByText('Choose 1 to 500 steps').waitFor();
    await steps.fill('1');
    await money.fill('0.50');
    await limits.getByLabel('Tokens that this message may use').fill('300 000');
    await model.script({ tool_calls: [call('list_files', {})] });
    await send(page, 'Look around');
    await chat.locator('.stopcard').last().getByText('The turn reached the limit of 1 step that its message set.').waitFor();
    await turnEnded(page);
    assert.equal((await model.requests()).length, 1, 'the model was asked once');
    await limits.waitFor({ state: 'hidden' });
    const { items } = await rest.get(`/api/projects/${project}/conversations`);
    const { turns } = await rest.get(`/api/conversations/${items[0].id}`);
    assert.deepEqual(turns.at(-1).budget, { tokens: 300_000, steps: 1, usd_micros: 500_000 });
  });

  await journey.step('a prompt without a conversation ends in a review', async () => {
    await model.reset();
    await page.getByRole('button', { name: 'Generate changes from a prompt' }).click();
    const dialog = page.getByRole('dialog', { name: 'Generate changes' });
    await dialog.getByLabel('Temperature').fill('3');
    await dialog.getByRole('button', { name: 'Generate', exact: true }).click();
    await dialog.getByText('Write what the agent should do.').waitFor();
    await dialog.getByText('Choose 0 to 2.').waitFor();
    await journey.shot(page, 'generate-wrong');
    await dialog.getByLabel('Temperature').fill('0.5');
    await dialog.getByLabel('Prompt').fill('Talk first');
    await model.script({ text: 'on and on '.repeat(400), pace_ms: 30 });
    await dialog.getByRole('button', { name: 'Generate', exact: true }).click();
    const at_work = page.getByRole('dialog', { name: 'Generating changes' });
    await at_work.getByText('on and on').first().waitFor();
    await journey.shot(page, 'generate-at-work');
    await at_work.getByRole('button', { name: 'Stop', exact: true }).click();
    await at_work.getByRole('button', { name: 'Change the prompt' }).click();
    assert.equal(await dialog.getByLabel('Prompt').inputValue(), 'Talk first', 'the prompt is still there');

    await dialog.getByLabel('Prompt').fill('Write a page');
    await model.reset();
    await model.script({ tool_calls: [call('write_file', { path: 'GENERATED.md', content: 'Generated.\n' })] }, { text: 'It is written.' });
    await dialog.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.getByRole('heading', { name: '1 change in 1 file' }).waitFor();
    await (await hunk(page, 'Generated.')).focus();
    await page.keyboard.press('a');
    await page.getByRole('button', { name: /Apply 1 decision/ }).click();
    await page.getByText('All decided').waitFor();
    assert.equal(await rest.read(project, 'GENERATED.md'), 'Generated.\n');
    await page.getByRole('button', { name: 'Show the run' }).click();
    const block = page.locator('article.run').filter({ has: page.locator('code', { hasText: 'Write a page' }) }).first();
    await block.getByText('Done', { exact: true }).waitFor();
    await block.getByRole('button', { name: 'Review the changes' }).click();
    await page.getByRole('heading', { name: '1 change in 1 file' }).waitFor();
  });

  await journey.step('the palette begins one as well', async () => {
    await page.getByRole('button', { name: /^Leave the review/ }).click();
    await page.keyboard.press('Control+Shift+P');
    const palette = page.getByRole('combobox', { name: 'Go to a file or run a command' });
    await palette.fill('>generate changes');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Generate changes' }).getByLabel('Prompt').waitFor();
    await page.keyboard.press('Escape');
  });
}

function textOf(message) {
  return typeof message.content === 'string' ? message.content : message.content.map((part) => part.text ?? '').join('');
}

/** Sends a prompt whose turn fails and answers what the page says about it. */
async function failure(page, chat, prompt) {
  const cards = chat.locator('.stopcard');
  const known = await cards.count();
  await send(page, prompt);
  await until(async () => (await cards.count()) > known, `the failure of “${prompt}” to be shown`, { timeout: 45_000 });
  await turnEnded(page);
  const card = cards.last();
  await card.getByText('The turn failed').waitFor();
  return card.locator('p').first().innerText();
}
