// Conversations that survive: a message queued and one that interrupts, rewind with undo, forks, search, export, a second window.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { PHONE } from '../support/journey.mjs';
import { alive, connected, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const call = (name, args) => ({ name, arguments: args });
const words = (word, count) => Array.from({ length: count }, (_, at) => `${word}${at}`).join(' ');

export default async function (journey) {
  const model = await journey.model();
  const server = await journey.server(model.env);
  const { base } = server;
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('sessions');
  await rest.write(project, 'rates.txt', 'one\n');
  // Two tabs of one window: the one in the background has no frames.
  const profile = await journey.profile({ base, acceptDownloads: true });
  const other = await profile.newPage();
  const page = await profile.newPage();
  await signIn(page, 'ada');
  await openProject(page, project);
  const chat = page.locator('section.chat');
  const queue = page.getByRole('region', { name: 'Messages that wait' });
  const field = page.getByLabel('Message to the agent');
  const said = (window) => window.locator('.said').last();
  const mine = (window) => window.locator('.me-text');
  const view = async () => {
    const { items } = await rest.get(`/api/projects/${project}/conversations`);
    return rest.get(`/api/conversations/${items[0].id}?limit=1000`);
  };
  const enqueue = async (text) => {
    await field.fill(text);
    await field.press('Control+Enter');
    await queue.getByText(text).waitFor();
  };

  await journey.step('what is written while the agent works waits, in every window', async () => {
    await model.script(
      { text: words('slow', 300), pace_ms: 25 },
      { text: 'The second answer.' },
    );
    await send(page, 'First question');
    await said(page).getByText('slow3').waitFor();
    await enqueue('Second question');
    await openProject(other, project);
    await other.getByRole('region', { name: 'Messages that wait' }).getByText('Second question').waitFor();
    await journey.shot(page, 'sessions-queue');
  });

  await journey.step('a message that waits is edited and survives a reload', async () => {
    await queue.getByRole('button', { name: 'Edit this message' }).click();
    const edit = page.getByLabel('The message that waits');
    await edit.fill('Second question, put better');
    await edit.press('Control+Enter');
    await queue.getByText('Second question, put better').waitFor();
    await page.reload();
    await connected(page);
    await queue.getByText('Second question, put better').waitFor();
  });

  await journey.step('an interrupt stops the turn and sends it', async () => {
    await queue.getByRole('button', { name: 'Interrupt' }).click();
    await chat.getByText('The second answer.').waitFor();
    await turnEnded(page);
    await queue.waitFor({ state: 'detached' });
    assert.deepEqual((await view()).turns.map((turn) => turn.reason), ['stopped', 'done']);
    await chat.getByRole('heading', { name: 'Stopped' }).waitFor();
    await mine(other).getByText('Second question, put better').waitFor();
  });

  await journey.step('what waits begins by itself when the turn ends', async () => {
    await model.script({ text: words('third', 60), pace_ms: 25 }, { text: 'The fourth answer.' });
    await send(page, 'Third question');
    await said(page).getByText('third3').waitFor();
    await enqueue('Fourth question');
    await chat.getByText('The fourth answer.').waitFor();
    await turnEnded(page);
    assert.deepEqual((await view()).turns.map((turn) => turn.reason), ['stopped', 'done', 'done', 'done']);
  });

  await journey.step('after a stop the queue waits and says so', async () => {
    await model.script({ text: words('fifth', 300), pace_ms: 25 }, { text: 'The sixth answer.' });
    await send(page, 'Fifth question');
    await said(page).getByText('fifth3').waitFor();
    await enqueue('Sixth question');
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await queue.getByText('The turn before was stopped.').waitFor();
  });

  await journey.step('what was changed elsewhere meanwhile is not overwritten unseen', async () => {
    await queue.getByRole('button', { name: 'Edit this message' }).click();
    const edit = page.getByLabel('The message that waits');
    await edit.fill('Mine');
    const [waiting] = (await view()).queue;
    const theirs = { prompt: 'Theirs', version: waiting.version };
    await rest.expect(200, 'PATCH', `/api/queue/${waiting.id}`, { json: theirs });
    const late = await rest.expect(409, 'PATCH', `/api/queue/${waiting.id}`, { json: { ...theirs, prompt: 'Late' } });
    assert.equal(late.json.current.request.prompt, 'Theirs');
    await queue.getByText('Changed elsewhere. It says now: Theirs').waitFor();
    assert.equal(await edit.inputValue(), 'Mine', 'what is typed stays');
    await journey.shot(page, 'sessions-changed-elsewhere');
    await queue.getByRole('button', { name: 'Replace it with mine' }).click();
    await edit.waitFor({ state: 'detached' });
    await queue.getByText('Mine').waitFor();
    assert.equal((await view()).queue[0].request.prompt, 'Mine');
    await queue.getByRole('button', { name: 'Send now' }).click();
    await chat.getByText('The sixth answer.').waitFor();
    await turnEnded(page);
  });

  await journey.step('the palette changes model and mode, and exports', async () => {
    const run = async (command) => {
      await page.keyboard.press('Control+Shift+p');
      await page.getByRole('combobox', { name: 'Go to a file or run a command' }).fill(`>${command}`);
      await page.getByRole('option', { name: command }).click();
    };
    await run('Change the mode to Plan');
    await until(async () => (await page.getByLabel('How much the agent may do').inputValue()) === 'plan', 'the mode to be Plan');
    await run('Change the mode to Ask first');
    await until(async () => (await page.getByLabel('How much the agent may do').inputValue()) === 'ask', 'the mode to be Ask first');
    await run('Change the model');
    await page.getByRole('menu', { name: 'Model' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('menu', { name: 'Model' }).waitFor({ state: 'detached' });
    const [download] = await Promise.all([page.waitForEvent('download'), run('Export the conversation as JSON')]);
    assert.match(download.suggestedFilename(), /\.json$/);
  });

  let changed;
  await journey.step('a turn changes a file and the change is accepted', async () => {
    await model.script(
      { text: 'I change it.', tool_calls: [call('write_file', { path: 'rates.txt', content: 'two\n' })] },
      { text: 'Changed to two.' },
    );
    await send(page, 'Change the rates');
    await chat.getByText('Changed to two.').waitFor();
    await turnEnded(page);
    const turn = (await view()).turns.at(-1);
    changed = turn.id;
    const set = await rest.get(`/api/turns/${turn.id}/changes`);
    await rest.post(`/api/change-sets/${set.change_set_id}/decisions`, { accept: set.files.flatMap((file) => file.hunks.map((hunk) => hunk.id)) });
    assert.equal(await rest.read(project, 'rates.txt'), 'two\n');
  });

  const dialog = page.getByRole('dialog', { name: 'Rewind to before this turn' });
  await journey.step('rewind says what goes back, by keyboard', async () => {
    const more = page.locator('.entry--mine', { hasText: 'Change the rates' }).getByRole('button', { name: 'More about your message' });
    await more.focus();
    await page.keyboard.press('Enter');
    const menu = page.getByRole('menu', { name: 'This message' });
    await menu.waitFor();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await dialog.getByText('rates.txt').waitFor();
    await dialog.getByText('Goes back', { exact: true }).waitFor();
    assert.ok(await dialog.getByLabel('The conversation and the files').isChecked());
    await journey.shot(page, 'sessions-rewind');
  });

  await journey.step('conversation and files go back as one step', async () => {
    await dialog.getByRole('button', { name: 'Rewind' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText('You took 5 messages back, with files').waitFor();
    assert.equal(await rest.read(project, 'rates.txt'), 'one\n');
    await mine(page).getByText('Change the rates').waitFor({ state: 'detached' });
    await until(async () => (await field.inputValue()).includes('Change the rates'), 'the question to be there again');
    await other.getByText('You took 5 messages back, with files').waitFor();
    await model.reset();
    await model.script({ text: 'What change?' });
    await field.fill('');
    await send(page, 'What did you change?');
    await chat.getByText('What change?', { exact: true }).waitFor();
    await turnEnded(page);
    const asked = JSON.stringify((await model.requests()).at(-1).body.messages);
    assert.ok(!asked.includes('Changed to two.') && asked.includes('The sixth answer.'), 'the model no longer sees what was taken back');
  });

  await journey.step('what was taken back can be read, and undone with its files', async () => {
    const mark = page.locator('.rewound', { hasText: 'You took 5 messages back' });
    await mark.getByRole('button', { name: 'Show' }).click();
    await chat.getByText('Changed to two.').waitFor();
    await journey.shot(page, 'sessions-rewound');
    await mark.getByRole('button', { name: 'Undo' }).click();
    await mark.waitFor({ state: 'detached' });
    await until(async () => (await rest.read(project, 'rates.txt')) === 'two\n', 'the file to come back');
    await chat.getByText('Changed to two.').waitFor();
    await other.locator('.rewound').waitFor({ state: 'detached' });
    assert.equal((await view()).messages.length, (await view()).conversation.messages, 'no message was lost');
  });

  await journey.step('only the files go back, and the toast takes it back', async () => {
    await rest.write(project, 'rates.txt', 'three\n');
    await page.locator('.entry', { hasText: 'Change the rates' }).getByRole('button', { name: 'Rewind to here' }).click();
    await dialog.getByText('rates.txt').waitFor();
    await dialog.getByLabel('Only the files').check();
    await dialog.getByRole('button', { name: 'Rewind' }).click();
    await page.getByText('You put files back').waitFor();
    assert.equal(await rest.read(project, 'rates.txt'), 'one\n');
    await page.locator('.toast', { hasText: 'Put back 1 file' }).getByRole('button', { name: 'Undo' }).click();
    await until(async () => (await rest.read(project, 'rates.txt')) === 'three\n', 'the file to come back');
    assert.ok(changed);
  });

  await journey.step('single files are left out of going back, by keyboard', async () => {
    await rest.write(project, 'notes.txt', 'kept\n');
    await page.locator('.entry', { hasText: 'Change the rates' }).getByRole('button', { name: 'Rewind to here' }).click();
    await dialog.getByText('Files that go back: 2 of 2').waitFor();
    await dialog.getByRole('button', { name: 'Rewind with 2 files', exact: true }).waitFor();
    await dialog.getByLabel('Only the files').check();
    await dialog.getByRole('button', { name: 'None', exact: true }).click();
    await dialog.getByText('Files that go back: 0 of 2').waitFor();
    assert.ok(await dialog.getByRole('button', { name: 'Rewind 0 files', exact: true }).isDisabled());
    const rates = dialog.getByRole('checkbox', { name: 'rates.txt' });
    await rates.focus();
    await page.keyboard.press('Space');
    await dialog.getByText('Files that go back: 1 of 2').waitFor();
    await dialog.locator('li', { hasText: 'notes.txt' }).getByText('Stays', { exact: true }).waitFor();
    await dialog.locator('li', { hasText: 'rates.txt' }).getByText('Goes back', { exact: true }).waitFor();
    await journey.shot(page, 'sessions-rewind-files');
    await dialog.getByRole('button', { name: 'Rewind 1 file', exact: true }).click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText('You put files back').waitFor();
    assert.deepEqual([await rest.read(project, 'rates.txt'), await rest.read(project, 'notes.txt')], ['one\n', 'kept\n']);
    await page.locator('.toast', { hasText: 'Put back 1 file' }).last().getByRole('button', { name: 'Undo' }).click();
    await until(async () => (await rest.read(project, 'rates.txt')) === 'three\n', 'the file to come back');
    assert.equal(await rest.read(project, 'notes.txt'), 'kept\n');
  });

  await journey.step('a fork goes on from an earlier answer', async () => {
    const answer = page.locator('.entry', { hasText: 'The second answer.' }).last();
    await answer.hover();
    await answer.getByRole('button', { name: 'More about this answer' }).click();
    await page.getByRole('menuitem', { name: 'Fork from here' }).click();
    await chat.getByText('Forked from').waitFor();
    assert.equal(await chat.getByText('The fourth answer.').count(), 0);
    await model.reset();
    await model.script({ text: 'From the fork.' });
    await send(page, 'Another way');
    await chat.getByText('From the fork.').waitFor();
    await turnEnded(page);
    const asked = JSON.stringify((await model.requests()).at(-1).body.messages);
    assert.ok(asked.includes('The second answer.') && !asked.includes('The fourth answer.'));
    await journey.shot(page, 'sessions-fork');
  });

  const list = page.getByRole('list', { name: 'Conversations' });
  await journey.step('conversations are found by what was said in them', async () => {
    await page.getByRole('button', { name: 'Earlier conversations' }).click();
    await until(async () => (await list.getByRole('listitem').count()) === 2, 'both conversations');
    await page.getByLabel('Search conversations').fill('sixth ANSWER');
    await until(async () => (await list.getByRole('listitem').count()) === 1, 'the one that has the words');
    await list.getByText('The sixth answer.').waitFor();
    await journey.shot(page, 'sessions-search');
    await page.getByLabel('Search conversations').fill('nowhere at all');
    await page.getByText('No conversation has these words').waitFor();
    await page.getByLabel('Search conversations').fill('');
    await until(async () => (await list.getByRole('listitem').count()) === 2, 'both again');
  });

  await journey.step('a conversation is renamed by keyboard, removed and brought back', async () => {
    const row = list.locator('.conv-open').first();
    await row.focus();
    await page.keyboard.press('F2');
    const name = page.getByLabel('Name', { exact: true });
    await name.fill('The other way');
    await name.press('Enter');
    await list.getByText('The other way').waitFor();
    await list.getByRole('button', { name: 'More about the conversation The other way' }).click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await until(async () => (await list.getByRole('listitem').count()) === 1, 'it to go');
    await page.locator('.toast', { hasText: 'Removed the conversation' }).getByRole('button', { name: 'Undo' }).click();
    await list.getByText('The other way').waitFor();
  });

  await journey.step('what was removed is listed with its last day, and brought back from there', async () => {
    await list.getByRole('button', { name: 'More about the conversation The other way' }).click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await until(async () => (await list.getByRole('listitem').count()) === 1, 'it to go');
    await page.getByRole('button', { name: 'Removed conversations' }).click();
    const gone = page.getByRole('list', { name: 'Can be brought back' });
    await gone.getByText('The other way').waitFor();
    await gone.getByText(/^Gone for good after \d{4}-\d\d-\d\d, \d\d:\d\d$/).waitFor();
    await journey.shot(page, 'sessions-removed');
    await gone.getByRole('button', { name: 'Bring back The other way' }).click();
    await list.getByText('The other way').waitFor();
    await page.getByText('None. What is removed can be brought back').waitFor();
  });

  await journey.step('a conversation is exported as Markdown and as JSON', async () => {
    const exported = async (item) => {
      await list.getByRole('button', { name: 'More about the conversation The other way' }).click();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: item }).click()]);
      return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
    };
    const markdown = await exported('Export as Markdown');
    assert.equal(markdown.name, 'the-other-way.md');
    for (const part of ['# The other way', 'forked from', 'From the fork.']) assert.ok(markdown.text.includes(part), part);
    await page.keyboard.press('Escape');
    const json = await exported('Export as JSON');
    const read = JSON.parse(json.text);
    assert.equal(json.name, 'the-other-way.json');
    assert.equal(read.messages.length, read.conversation.messages);
    await page.keyboard.press('Escape');
  });

  await journey.step('older messages are read when they are scrolled to', async () => {
    const conversation = await rest.conversation(project);
    await model.reset();
    for (let n = 0; n < 50; n += 1) {
      await model.script({ text: `Short answer ${n}.\n\n${'More of it. '.repeat(30)}` });
      const turn = await rest.startTurn(conversation, `Short question ${n}`);
      await rest.events(`turn:${turn}`);
    }
    await page.getByRole('button', { name: 'New conversation' }).click();
    await page.getByRole('button', { name: 'Earlier conversations' }).click();
    await list.getByText('Short question 0').first().click();
    await chat.getByText('Short answer 49.').waitFor();
    assert.equal(await chat.getByText('Short answer 0.', { exact: false }).count(), 0, 'only the latest are there');
    const log = page.getByRole('log', { name: 'Messages' });
    const place = async () => (await chat.getByText('Short answer 10.').boundingBox())?.y;
    await log.hover();
    await until(async () => {
      await page.mouse.wheel(0, -2000);
      return (await chat.getByText('Short answer 0.').count()) === 1;
    }, 'the first answer');
    assert.ok((await place()) !== undefined);
    await chat.getByText('Short question 0', { exact: true }).first().waitFor();
  });

  await journey.step('on a phone and in the dark', async () => {
    const phone = await journey.page({ base, size: PHONE, hasTouch: true });
    await signIn(phone, 'ada');
    await phone.goto(`/projects/${project}`);
    await alive(phone);
    await phone.getByRole('button', { name: 'Chat' }).or(phone.getByRole('tab', { name: 'Chat' })).first().click();
    await phone.locator('section.chat').getByText('Short answer 49.').waitFor();
    await journey.shot(phone, 'sessions-phone');
    const about = phone.locator('.entry--mine', { hasText: 'Short question 49' });
    await rest.write(project, 'late.txt', 'late\n');
    await about.getByRole('button', { name: 'Rewind to here' }).click();
    const narrow = phone.getByRole('dialog', { name: 'Rewind to before this turn' });
    await narrow.getByText('go into a fold').waitFor();
    await narrow.getByText('Files that go back: 1 of 1').waitFor();
    await narrow.getByRole('checkbox', { name: 'late.txt' }).uncheck();
    await narrow.getByText('Files that go back: 0 of 1').waitFor();
    await narrow.getByRole('button', { name: 'All', exact: true }).click();
    await narrow.getByRole('button', { name: 'Rewind with 1 file', exact: true }).waitFor();
    await journey.shot(phone, 'sessions-rewind-phone');
    await phone.getByRole('button', { name: 'Cancel' }).click();
    const dark = await journey.page({ base, dark: true });
    await signIn(dark, 'ada');
    await openProject(dark, project);
    await dark.getByRole('button', { name: 'Earlier conversations' }).click();
    await dark.getByRole('list', { name: 'Conversations' }).getByText('The other way').first().waitFor();
    await journey.shot(dark, 'sessions-list-dark');
    await dark.getByRole('list', { name: 'Conversations' }).getByText('First question').first().click();
    await dark.getByText('The sixth answer.').waitFor();
    await journey.shot(dark, 'sessions-chat-dark');
  });
}
