// What goes to the model: mentions by keyboard, the project's instructions, pictures, a list of exactly what is sent that can be
// changed before it is, and summaries of long conversations that can be taken back.
import assert from 'node:assert/strict';
import { DESK, PHONE } from '../support/journey.mjs';
import { entry, openFile, openProject, editorShows, send, signIn, turnEnded } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

// One pixel.
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const call = (name, args) => ({ name, arguments: args });
const textOf = (message) => (typeof message.content === 'string' ? message.content : (message.content ?? []).map((part) => part.text ?? '').join(''));
/** Everything in a request that the model reads, in its order. */
const spoken = (body) => body.messages.map((message) => textOf(message) + (message.tool_calls ?? []).map((c) => c.function.arguments).join('')).join('');

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('Context');
  await rest.write(project, 'AGENTS.md', 'Use four spaces.\n');
  await rest.write(project, 'src/retry.py', 'LIMIT = 3\n\n\ndef retry_later(times):\n    return times < LIMIT\n');
  await rest.write(project, 'src/client.py', 'from retry import retry_later\n');
  await rest.write(project, 'docs/guide.md', '# Guide\n');
  await rest.write(project, 'kept/My notes.md', 'Behind a blank.\n');
  const page = await journey.page({ base, allow: [/status of (413|422)/] });
  await signIn(page, 'ada');
  await openProject(page, project);
  const field = page.getByLabel('Message to the agent');
  const list = page.getByRole('listbox', { name: 'What to mention' });
  const chips = page.getByRole('group', { name: 'Sent along with the message' });
  const panel = page.getByRole('region', { name: 'What is sent' });
  const meter = page.locator('.ctx-use');
  const part = (name) => panel.locator('.ctx-row').filter({ hasText: name });
  const lastRequest = async () => (await model.requests()).at(-1).body;

  await journey.step('files and folders are mentioned by keyboard', async () => {
    await field.focus();
    await page.keyboard.type('Look at @ret');
    await list.getByRole('option').first().waitFor();
    assert.match(await list.getByRole('option', { selected: true }).innerText(), /retry\.py/);
    assert.equal(await field.getAttribute('aria-activedescendant'), 'mentions-0');
    await journey.shot(page, 'mention-list');
    await page.keyboard.press('Enter');
    assert.equal(await field.inputValue(), 'Look at @src/retry.py ');
    await chips.getByText('retry.py').waitFor();
    await page.keyboard.type('and @doc');
    await list.getByRole('option').first().waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    await until(async () => /docs\//.test(await list.getByRole('option', { selected: true }).innerText()), 'the folder to be the active line');
    await page.keyboard.press('Tab');
    assert.equal(await field.inputValue(), 'Look at @src/retry.py and @docs/ ');
    await page.keyboard.type('x @nothing-here');
    await list.waitFor({ state: 'detached' });
    await page.keyboard.type(' @r');
    await list.waitFor();
    await page.keyboard.press('Escape');
    await list.waitFor({ state: 'detached' });
    await chips.getByRole('button', { name: /Do not send.*docs/ }).click();
    assert.match(await field.inputValue(), /and docs\/ x/, 'a mention that is taken out stays as words');
  });

  await journey.step('a name with a blank is mentioned all the same', async () => {
    await field.fill('');
    await field.focus();
    await page.keyboard.type('See @kept/My');
    await list.getByRole('option').first().waitFor();
    await until(async () => /My notes\.md/.test(await list.getByRole('option', { selected: true }).innerText()), 'the file to be the active line');
    await page.keyboard.press('Enter');
    await chips.getByText('My notes.md').waitFor();
    assert.equal(await field.inputValue(), 'See ');
  });

  await journey.step('a run and the selection of the editor are mentioned', async () => {
    const run = await rest.startRun(project, 'echo told by the run');
    await rest.finishedRun(run.id);
    await page.locator('article.run', { hasText: 'echo told by the run' }).waitFor();
    await field.fill('Why @run');
    await field.press('End');
    await list.getByText('echo told by the run').waitFor();
    await until(async () => /echo told/.test(await list.getByRole('option', { selected: true }).innerText()), 'runs to come first');
    await page.keyboard.press('Enter');
    await chips.getByText('echo told by the run').waitFor();
    assert.equal(await field.inputValue(), 'Why ');

    await entry(page, 'src').click();
    await openFile(page, 'src/retry.py');
    await editorShows(page, 'retry_later');
    await page.locator('.monaco-editor .view-line').first().click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Shift+ArrowDown');
    await page.keyboard.press('Control+Shift+P');
    await page.keyboard.type('selection to the chat');
    await page.getByRole('option', { name: /selection to the chat/ }).waitFor();
    await page.keyboard.press('Enter');
    await chips.getByText('retry.py:1–2').waitFor();
    await field.fill('Why is it so?');
    await model.script({ text: 'Because of LIMIT.' });
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('Because of LIMIT.').waitFor();
    await turnEnded(page);
    const told = spoken(await lastRequest());
    assert.match(told, /Behind a blank\./);
    assert.match(told, /Attached run [^]*Command: echo told by the run[^]*told by the run/);
    assert.match(told, /Lines selected by the person in src\/retry\.py, lines 1 to 2:\n```\nLIMIT = 3\n/);
    assert.match(told, /instructions file AGENTS\.md[^]*can't give permissions[^]*Use four spaces\./);
    assert.equal(await chips.count(), 0, 'the draft is empty after sending');
    await page.locator('.me .chip', { hasText: 'echo told by the run' }).waitFor();
    await journey.shot(page, 'mentions-sent');
  });

  await journey.step('a draft is kept per conversation', async () => {
    await field.fill('Half a thought about @src/client.py');
    await chips.getByText('client.py').waitFor();
    await page.getByRole('button', { name: 'New conversation' }).click();
    await until(async () => (await field.inputValue()) === '', 'another conversation to have a draft of its own');
    await field.fill('Something else');
    await page.reload();
    await until(async () => /Half a thought|Something else/.test(await field.inputValue()), 'a draft to come back');
    const first = await field.inputValue();
    assert.match(first, /Something else|Half a thought/);
    if (/Something else/.test(first)) {
      await page.getByRole('button', { name: 'Earlier conversations' }).click();
      await page.locator('.conv button').first().click();
      await until(async () => /Half a thought/.test(await field.inputValue()), 'the draft of that conversation');
    }
    await chips.getByText('client.py').waitFor();
  });

  await journey.step('the list shows exactly what is sent', async () => {
    await until(async () => /of 128k tokens/.test(await meter.innerText()), 'the meter to know');
    await meter.click();
    await part('AGENTS.md').waitFor();
    await part(/^src\/client\.py/).waitFor();
    await part('Project map').getByRole('button').click();
    await panel.locator('.ctx-text', { hasText: 'function retry_later 4' }).waitFor();
    await journey.shot(page, 'context-panel');
    // All texts, as the page shows them.
    const buttons = panel.locator('.ctx-name[aria-expanded=false]:not([disabled])');
    while (await buttons.count()) await buttons.first().click();
    await until(async () => !(await panel.locator('.ctx-text').allInnerTexts()).includes('Loading'), 'all texts to be there');
    const rows = await panel.locator('.ctx-row, .ctx-text').evaluateAll((all) => all.map((el) => ({ row: el.matches('.ctx-row'), tools: /^\d+ tools/.test(el.innerText), text: el.textContent })));
    const texts = rows.map((it, at) => (it.row ? null : rows[at - 1].tools ? '' : it.text === 'Nothing of it is sent.' ? '' : it.text)).filter((text) => text !== null);
    await model.script({ text: 'It imports it.' });
    await field.press('Control+Enter');
    await page.getByText('It imports it.').waitFor();
    await turnEnded(page);
    assert.equal(texts.join(''), spoken(await lastRequest()), 'byte for byte');
  });

  await journey.step('parts are left out before sending', async () => {
    await field.fill('And without the map?');
    await part('Project map').getByRole('checkbox').uncheck();
    await part('AGENTS.md').getByRole('checkbox').uncheck();
    await panel.getByRole('button', { name: 'Send all again (2 left out)' }).waitFor();
    await until(async () => (await part('Project map').locator('.num').innerText()) === '0', 'nothing of the map to count');
    assert.ok(await part('How the agent works here').getByRole('checkbox').isDisabled());
    await journey.shot(page, 'context-left-out');
    await model.script({ text: 'Fine without.' });
    await field.press('Control+Enter');
    await page.getByText('Fine without.').waitFor();
    await turnEnded(page);
    const told = spoken(await lastRequest());
    assert.doesNotMatch(told, /Its files when this turn began|Use four spaces/);
    await panel.getByRole('button', { name: /Send all again/ }).click();
    await panel.focus();
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
    assert.ok(await meter.evaluate((el) => el === document.activeElement), 'the focus goes back');
  });

  await journey.step('pictures go to models that take them', async () => {
    const paste = async (type, base64, name) =>
      field.evaluate(
        (el, [type, base64, name]) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
          el.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
        },
        [type, base64, name],
      );
    await paste('image/png', PNG, 'shot.png');
    await page.getByText('takes no pictures').first().waitFor();
    const known = await rest.get('/api/admin/models');
    const item = known.models[0];
    await rest.expect(200, 'PATCH', `/api/admin/models/${item.id}`, { json: { revision: item.revision, settings: { ...item.current.settings, images: true, context_tokens: 12_000 } } });
    await page.reload();
    await page.getByRole('button', { name: 'Attach pictures; files of the project are named in the text as @path' }).waitFor();
    await paste('image/png', Buffer.from('no picture').toString('base64'), 'fake.png');
    await page.getByText('This is no PNG, JPEG, WebP or GIF picture').waitFor();
    await paste('image/png', PNG, 'shot.png');
    await chips.getByText('shot.png').waitFor();
    await chips.locator('img').evaluate(async (img) => img.decode());
    await journey.shot(page, 'picture-attached');
    await field.fill('What is on it?');
    await model.script({ text: 'One pixel.' });
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('One pixel.').waitFor();
    await turnEnded(page);
    assert.ok(JSON.stringify(await lastRequest()).includes(PNG), 'the picture itself is sent');
    await page.getByRole('img', { name: 'Picture shot.png' }).evaluate(async (img) => img.decode());
  });

  await journey.step('a long conversation is summed up, and that is taken back', async () => {
    await page.getByRole('button', { name: 'New conversation' }).click();
    await rest.write(project, 'long.txt', 'a line of a long file\n'.repeat(500));
    await model.script(
      { when: '## Person', steps: [{ text: 'The person has the long file read. Nothing is decided, and nothing was changed so far.' }] },
      { when: 'Read it once', steps: [{ tool_calls: [call('read_file', { path: 'long.txt' })] }, { text: 'Read once.' }] },
      { when: 'Read it twice', steps: [{ tool_calls: [call('read_file', { path: 'long.txt', start_line: 1, end_line: 480 })] }, { text: 'Read twice.' }] },
    );
    await send(page, 'Read it once');
    await page.getByText('Read once.').waitFor();
    await turnEnded(page);
    await send(page, 'Read it twice');
    await page.getByText('Read twice.').waitFor();
    await turnEnded(page);
    const summary = page.locator('.compacted').first();
    await summary.locator('summary').click();
    await summary.getByText('The person has the long file read.').waitFor();
    await journey.shot(page, 'summary');
    assert.match(spoken(await lastRequest()), /\[Summary of the conversation up to here[^]*The person has the long file read[^]*Read it twice/);
    await summary.getByRole('button', { name: 'Send the messages again' }).click();
    await summary.getByText('Taken back: the messages themselves are sent.').waitFor();
    await meter.click();
    await part('Read it once').first().waitFor();
    await summary.getByRole('button', { name: 'Send the summary' }).click();
    await part('Summary of the older messages').waitFor();
    await panel.getByRole('button', { name: 'Close (Esc)' }).click();
  });

  await journey.step('a conversation is compacted before it is full, or it is said why not', async () => {
    await page.getByRole('button', { name: 'New conversation' }).click();
    await model.reset();
    await model.script(
      { when: '## Person', steps: [{ text: 'The person told a long story. Nothing is decided and no file was changed.' }] },
      { when: 'Hello there', steps: [{ text: 'Hello back.' }] },
      { when: 'A long story', steps: [{ text: 'Heard it.' }] },
      { when: 'Go on', steps: [{ text: 'Going on.' }] },
    );
    await send(page, 'Hello there');
    await page.getByText('Hello back.').waitFor();
    await turnEnded(page);
    await meter.click();
    const compact = panel.getByRole('button', { name: 'Compact', exact: true });
    await compact.click();
    await panel.getByText('There is nothing to compact').waitFor();
    await journey.shot(page, 'compact-refused');
    await send(page, `A long story. ${'And so on. '.repeat(700)}`);
    await page.getByText('Heard it.').waitFor();
    await turnEnded(page);
    await part('A long story.').waitFor();
    await compact.focus();
    await page.keyboard.press('Enter');
    await panel.getByText('The next message begins with a compaction').waitFor();
    await panel.getByRole('button', { name: 'Do not compact' }).waitFor();
    await journey.shot(page, 'compact-asked');
    await send(page, 'Go on');
    await page.getByText('Going on.').waitFor();
    await turnEnded(page);
    await compact.waitFor();
    const summary = page.locator('.compacted').last();
    await summary.locator('summary').click();
    await summary.getByText('The person told a long story.').waitFor();
    await summary.getByRole('button', { name: 'Send the messages again' }).waitFor();
    assert.doesNotMatch(spoken(await lastRequest()), /And so on/);
  });

  await journey.step('what goes along is changed before it is sent', async () => {
    // The list of what to mention closes behind the space.
    await field.fill('See @src/retry.py ');
    await chips.getByText('retry.py').waitFor();
    await part(/^src\/retry\.py/).getByRole('button').click();
    const edit = panel.getByRole('group', { name: 'Change what is sent of it' });
    await edit.getByLabel('First line').fill('90');
    await edit.getByLabel('Last line').fill('91');
    await edit.getByRole('button', { name: 'Send these lines' }).click();
    await edit.getByText('The file has 5 lines.').waitFor();
    await edit.getByLabel('First line').fill('4');
    await edit.getByLabel('Last line').fill('5');
    // The list is asked for anew with other words; what is typed in it stays.
    const answered = page.waitForResponse('**/fn/context/preview');
    await field.fill('Look at @src/retry.py ');
    await (await answered).finished();
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    assert.equal(await edit.getByLabel('First line').inputValue(), '4');
    await edit.getByRole('button', { name: 'Send these lines' }).click();
    await chips.getByText('retry.py:4–5').waitFor();
    await part('src/retry.py, lines 4 to 5').waitFor();
    await panel.locator('.ctx-text', { hasText: 'def retry_later(times):' }).waitFor();
    await edit.getByLabel('The text that is sent').fill('def retry_later(times): ...');
    await edit.getByRole('button', { name: 'Send this text' }).click();
    await part('src/retry.py, lines 4 to 5, as edited by the person').waitFor();
    await panel.locator('.ctx-text', { hasText: 'def retry_later(times): ...' }).waitFor();
    await journey.shot(page, 'context-edited');
    await model.script({ text: 'I see it.' });
    await field.press('Control+Enter');
    await page.getByText('I see it.').waitFor();
    await turnEnded(page);
    const told = spoken(await lastRequest());
    assert.match(told, /Lines selected by the person in src\/retry\.py, lines 4 to 5, as edited by the person:\n```\ndef retry_later\(times\): \.\.\.\n```/);
    assert.doesNotMatch(told, /LIMIT = 3|return times/);
    await panel.getByRole('button', { name: 'Close (Esc)' }).click();
  });

  for (const [name, size, dark] of [['desk-dark', DESK, true], ['phone-light', PHONE, false], ['phone-dark', PHONE, true]]) {
    await journey.step(`it looks right, ${name}`, async () => {
      const other = await journey.page({ base, size, dark });
      await signIn(other, 'ada');
      await openProject(other, project);
      const message = other.getByLabel('Message to the agent');
      await message.waitFor();
      await message.focus();
      await other.keyboard.type('See @ret');
      await other.getByRole('listbox', { name: 'What to mention' }).waitFor();
      await journey.shot(other, `mention-list-${name}`);
      await other.keyboard.press('Enter');
      await other.locator('.ctx-use').click();
      await other.getByRole('region', { name: 'What is sent' }).locator('.ctx-row').first().waitFor();
      await journey.shot(other, `context-panel-${name}`);
      await other.context().close();
    });
  }
}
