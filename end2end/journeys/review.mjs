// The review by keyboard only: hunks, lines, texts, files, a move, comments; two reviewers at once; the whole file; and on a phone.
import assert from 'node:assert/strict';
import { connected, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { PHONE } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const call = (name, args) => ({ name, arguments: args });
const numbered = (word) => Array.from({ length: 60 }, (_, n) => `${word} ${n + 1}\n`).join('');
const edit = (path, old_text, new_text) => call('edit_file', { path, old_text, new_text });

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const other = await Rest.signUp(base, 'ben');
  const project = await rest.project('rates');
  for (const [path, word] of [['client.py', 'line'], ['server.py', 'row'], ['old_name.py', 'moved']]) await rest.write(project, path, numbered(word));
  await rest.post(`/api/projects/${project}/members`, { who: 'ben', role: 'editor' }, 201);
  const before = numbered('line');
  // Two reviewers who decide the same make a refused request, which the browser notes.
  const page = await journey.page({ base, allow: [/status of 409/] });
  await signIn(page, 'ada');
  await openProject(page, project);
  const review = page.getByRole('region', { name: 'Review', exact: true });
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName);
  const onHunk = (at, what) => until(async () => new RegExp(`^Hunk ${at} of \\d+, .*${what}`).test(await focused()), `hunk ${at} (${what}) to have the focus`);
  const said = (text) => until(() => page.evaluate((text) => [...document.querySelectorAll('[aria-live], [role=status]')].some((el) => el.textContent.includes(text)), text), `“${text}” to be announced`);

  await journey.step('a turn leaves changes of every kind', async () => {
    await model.script(
      {
        text: 'Several changes.',
        tool_calls: [
          edit('client.py', 'line 5\n', 'line five\n'),
          edit('client.py', 'line 20\n', 'line twenty\n# and a remark\n# and another\n'),
          edit('client.py', 'line 40\n', 'line forty\n'),
          edit('server.py', 'row 10\n', 'row ten\n'),
          edit('server.py', 'row 50\n', 'row fifty\n'),
          call('move_file', { from: 'old_name.py', to: 'lib/new_name.py' }),
          call('write_file', { path: 'NOTES.md', content: 'Notes of the agent.\n' }),
        ],
      },
      { text: 'Done.' },
    );
    await send(page, 'Change it');
    await page.locator('section.chat').getByText('Done.').waitFor();
    await turnEnded(page);
  });

  await journey.step('the review opens with a key and says where it is', async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F7');
    await page.getByRole('heading', { name: '7 changes in 4 files' }).waitFor();
    await onHunk(1, 'NOTES\\.md, open');
    assert.match(await review.locator('.rfile-from').innerText(), /old_name\.py/, 'a move is shown as one');
    await journey.shot(page, 'review-keys');
  });

  await journey.step('accept, reject with a reason, edit: by keys, each announced', async () => {
    await page.keyboard.press('a');
    await said('Hunk 1 of 7 accepted, 6 open.');
    await onHunk(2, 'client\\.py, open');
    await page.keyboard.press('w');
    const why = page.getByLabel('Why it is rejected, told to the agent', { exact: true });
    await why.waitFor();
    await page.keyboard.type('five stays 5');
    await page.keyboard.press('Control+Enter');
    await said('Hunk 2 of 7 rejected, 5 open.');
    await onHunk(3, 'client\\.py, open');
  });

  await journey.step('lines are left out by keys', async () => {
    await page.keyboard.press('l');
    await until(async () => /^Take this removed line: line 20/.test(await focused()), 'the first changed line to have the focus');
    for (let n = 0; n < 3; n += 1) await page.keyboard.press('ArrowDown');
    await until(async () => /^Take this added line: # and another/.test(await focused()), 'the last added line to have the focus');
    await page.keyboard.press('Space');
    await review.getByRole('button', { name: /^Take 3 of 4 lines/ }).waitFor();
    await journey.shot(page, 'review-lines');
    await page.keyboard.press('Enter');
    await said('Hunk 3 of 7 taken in part, 4 open.');
    await onHunk(4, 'client\\.py, open');
  });

  await journey.step('a mark and an edit typed at once: the text field keeps the focus', async () => {
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await onHunk(6, 'server\\.py, open');
    // Both keys within one frame, as fast hands do.
    await page.evaluate(() => {
      const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
      press('r');
      press('e');
    });
    await until(async () => (await focused()) === 'Text to write instead', 'the text field to have the focus');
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100)))));
    assert.equal(await focused(), 'Text to write instead');
    await page.keyboard.press('Escape');
    await onHunk(7, 'open');
    await page.keyboard.press('k');
    await onHunk(6, 'rejected');
    await page.keyboard.press('u');
    await onHunk(6, 'open');
    await page.keyboard.press('k');
    await page.keyboard.press('k');
    await onHunk(4, 'client\\.py, open');
    await page.keyboard.press('e');
    await until(async () => (await focused()) === 'Text to write instead', 'the text field to have the focus');
    await page.keyboard.press('Control+End');
    await page.keyboard.type('# as I want it\n');
    await page.keyboard.press('Control+Enter');
    await said('Hunk 4 of 7 edited and accepted, 3 open.');
  });

  await journey.step('a file is accepted with one key', async () => {
    await onHunk(5, 'lib/new_name\\.py');
    await page.keyboard.press('j');
    await onHunk(6, 'server\\.py, open');
    await page.keyboard.press('Shift+A');
    await said('2 hunks accepted, 1 open.');
    await onHunk(5, 'lib/new_name\\.py, Moved from old_name\\.py, open');
    await page.keyboard.press('a');
    await page.getByText('7 of 7 hunks decided').waitFor();
    assert.equal(await rest.read(project, 'client.py'), before, 'nothing is written yet');
  });

  await journey.step('all is applied with a key, to the byte', async () => {
    await page.keyboard.press('Control+Enter');
    await page.getByText('All decided').waitFor();
    const client = before.replace('line 20\n', 'line twenty\n# and a remark\n').replace('line 40\n', 'line forty\n').replace('line 43\n', 'line 43\n# as I want it\n');
    assert.equal(await rest.read(project, 'client.py'), client);
    assert.equal(await rest.read(project, 'server.py'), numbered('row').replace('row 10\n', 'row ten\n').replace('row 50\n', 'row fifty\n'));
    assert.equal(await rest.read(project, 'lib/new_name.py'), numbered('moved'));
    assert.equal(await rest.exists(project, 'old_name.py'), false);
    assert.equal(await rest.read(project, 'NOTES.md'), 'Notes of the agent.\n');
    await page.getByRole('button', { name: 'Back to the editor' }).press('Enter');
  });

  await journey.step('the next request names what was rejected, edited and left out', async () => {
    await model.script(
      { text: 'More.', tool_calls: [edit('client.py', 'line 10\n', 'line ten\n'), edit('client.py', 'line 30\n', 'line thirty\n'), edit('server.py', 'row 30\n', 'row thirty\n')] },
      { text: 'Understood.' },
    );
    await send(page, 'Go on');
    await page.locator('section.chat').getByText('Understood.').waitFor();
    await turnEnded(page);
    const { messages } = (await model.requests()).at(-1).body;
    const told = messages.map(textOf).find((text) => text.startsWith('Review of your changes'));
    const parts = told.split(/\n(?=\d+\. )/).slice(1);
    assert.equal(parts.length, 7);
    const part = (text) => parts.find((each) => each.includes(text));
    assert.match(part('+line five'), /rejected; it is not in the project\. Reason given: five stays 5/);
    assert.match(part('+line forty'), /edited;[^]*# as I want it/);
    const lines = part('+line twenty');
    assert.match(lines, /edited;[^]*The person wrote instead:[^]*line twenty\n# and a remark\n/);
    assert.doesNotMatch(lines.split('The person wrote instead:')[1], /# and another/);
    assert.match(part('moving it from old_name.py'), /lib\/new_name\.py, moving it from old_name\.py: accepted as proposed/);
  });

  await journey.step('a comment on a hunk becomes the next prompt', async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F7');
    await onHunk(1, 'client\\.py, open');
    await page.keyboard.press('c');
    await until(async () => (await focused()) === 'Comment on this hunk', 'the comment field to have the focus');
    await page.keyboard.type('why not in words everywhere?');
    await page.keyboard.press('Control+Enter');
    await review.getByText('Not sent yet').waitFor();
    await onHunk(1, '1 comment');
    await journey.shot(page, 'review-comment');
    await model.script({ text: 'Because of the tests.' });
    await review.getByRole('button', { name: 'Send 1 comment' }).press('Enter');
    await page.locator('section.chat').getByText('Because of the tests.').waitFor();
    await turnEnded(page);
    const prompt = textOf((await model.requests()).at(-1).body.messages.findLast((message) => message.role === 'user'));
    assert.match(prompt, /client\.py, line 7 \(not decided yet; it is not in the project\):\n```diff[^]*\+line ten[^]*ada: why not in words everywhere\?/);
  });

  await journey.step('comments sent while the agent works wait in the queue, with their text', async () => {
    await model.script({ text: Array.from({ length: 1600 }, (_, n) => `slow${n}`).join(' '), pace_ms: 25 }, { text: 'Because of the style.' });
    await send(page, 'Say much');
    await page.locator('.said').last().getByText('slow3').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('F7');
    await onHunk(1, 'client\\.py, open');
    await page.keyboard.press('c');
    await until(async () => (await focused()) === 'Comment on this hunk', 'the comment field to have the focus');
    await page.keyboard.type('and why now?');
    await page.keyboard.press('Control+Enter');
    await review.getByText('Sent to the conversation').waitFor();
    await review.getByText('Not sent yet').waitFor();
    await review.getByRole('button', { name: 'Send 1 comment' }).press('Enter');
    await said('Comments queued: the agent gets them when it is done');
    const queue = page.getByRole('region', { name: 'Messages that wait' });
    await queue.getByText('Comments on the changes you proposed.').waitFor();
    await journey.shot(page, 'review-comment-queued');
    await queue.getByRole('button', { name: 'Interrupt' }).click();
    await page.locator('section.chat').getByText('Because of the style.').waitFor();
    await turnEnded(page);
    const prompt = textOf((await model.requests()).at(-1).body.messages.findLast((message) => message.role === 'user'));
    assert.match(prompt, /client\.py, line 7 [^]*ada: and why now\?/);
    assert.doesNotMatch(prompt, /why not in words/, 'each is sent once');
  });

  await journey.step('what another reviewer decides is shown as it happens', async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F7');
    await onHunk(1, 'client\\.py, open');
    await page.keyboard.press('a');
    await onHunk(2, 'client\\.py, open');
    const [open] = (await other.get(`/api/projects/${project}/change-sets`)).items;
    assert.equal(open.open_hunks, 3);
    const set = await other.get(`/api/change-sets/${open.change_set_id}`);
    await other.post(`/api/change-sets/${open.change_set_id}/decisions`, { reject: [set.files[0].hunks[0].id], reason: 'not now' });
    await review.getByText('ben decided 1 hunk: 1 rejected. 1 mark of yours is gone.').waitFor();
    await said('ben decided 1 hunk');
    await page.getByText('1 of 3 hunks decided').waitFor();
    await journey.shot(page, 'review-two');
  });

  await journey.step('what no longer fits is a conflict, the rest is applied', async () => {
    await rest.write(project, 'client.py', (await rest.read(project, 'client.py')).replace('line 30\n', 'line XXX\n'));
    await page.keyboard.press('a');
    await onHunk(3, 'server\\.py, open');
    await page.keyboard.press('a');
    await page.keyboard.press('Control+Enter');
    await review.getByText(/1 hunk no longer fits the project/).waitFor();
    await onHunk(2, 'client\\.py, conflict');
    assert.match(await rest.read(project, 'client.py'), /line XXX/);
    assert.match(await rest.read(project, 'server.py'), /row thirty/);
    const now = review.getByRole('group', { name: 'Lines of the project' });
    await now.getByText('line XXX').waitFor();
    assert.doesNotMatch(await now.innerText(), /line (26|34)\b/, 'only what stands in place of the hunk');
  });

  await journey.step('a conflict is edited to fit what the project has now', async () => {
    await page.keyboard.press('e');
    await until(async () => (await focused()) === 'Text to write instead', 'the text field to have the focus');
    await review.getByRole('group', { name: 'Lines of the project' }).getByText('line XXX').waitFor();
    await journey.shot(page, 'review-fit');
    await page.keyboard.press('Control+End');
    await page.keyboard.type('# fits now\n');
    await page.keyboard.press('Control+Enter');
    await onHunk(2, 'client\\.py, edited');
    const client = await rest.read(project, 'client.py');
    await page.keyboard.press('Control+Enter');
    await page.getByText('All decided').waitFor();
    assert.equal(await rest.read(project, 'client.py'), client.replace('line XXX\n', 'line thirty\n').replace('line 33\n', 'line 33\n# fits now\n'));
    await page.getByRole('button', { name: 'Back to the editor' }).press('Enter');
  });

  await journey.step('a file is shown whole in the editor, side by side or inline', async () => {
    await model.script({ tool_calls: [edit('server.py', 'row 5\n', 'row five\n'), edit('server.py', 'row 45\n', 'row forty-five\n')] }, { text: 'Once more.' });
    await send(page, 'And again');
    await page.locator('section.chat').getByText('Once more.').waitFor();
    await turnEnded(page);
    await page.keyboard.press('Escape');
    await page.keyboard.press('F7');
    await onHunk(1, 'server\\.py, open');
    await page.keyboard.press('v');
    await review.locator('.monaco-diff-editor.side-by-side').waitFor({ timeout: 20_000 });
    await review.locator('.modified .view-line', { hasText: 'row five' }).waitFor();
    await onHunk(1, 'server\\.py, open');
    await journey.shot(page, 'review-whole');
    await page.keyboard.press('j');
    await review.locator('.modified .view-line', { hasText: 'row forty-five' }).waitFor();
    await review.getByRole('button', { name: 'Inline' }).press('Enter');
    await review.locator('.monaco-diff-editor:not(.side-by-side)').waitFor();
    await review.locator('#review-whole').focus();
    await page.keyboard.press('a');
    await said('Hunk 2 of 2 accepted, 1 open.');
    await page.keyboard.press('v');
    await onHunk(1, 'server\\.py, open');
  });

  await journey.step('on a phone, in the dark, by touch', async () => {
    const phone = await journey.page({ base, size: PHONE, dark: true, hasTouch: true });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    await phone.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: /^Review/ }).tap();
    await phone.getByRole('heading', { name: '2 changes in 1 file' }).waitFor();
    const hunks = phone.locator('.review .hunk');
    await hunks.first().getByRole('button', { name: 'Lines' }).waitFor();
    await journey.shot(phone, 'review-phone');
    await hunks.first().getByRole('button', { name: 'Lines' }).tap();
    await hunks.first().getByRole('checkbox').first().waitFor();
    await journey.shot(phone, 'review-phone-lines');
    await hunks.first().getByRole('button', { name: 'Back' }).tap();
    for (const name of ['Reject', 'Edit', 'Accept']) {
      const box = await hunks.first().getByRole('button', { name, exact: true }).boundingBox();
      assert.ok(box.height >= 44, `${name} can be touched: ${box.height}`);
    }
    await hunks.first().getByRole('button', { name: 'Accept', exact: true }).tap();
    await hunks.nth(1).getByRole('button', { name: 'Reject', exact: true }).tap();
    await phone.getByRole('button', { name: 'Apply 2 decisions' }).tap();
    await phone.getByText('2 of 2 hunks decided').waitFor();
    await phone.getByRole('button', { name: 'Back to the editor' }).waitFor();
    const width = await phone.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `nothing is wider than the screen: ${width}`);
    assert.equal(await rest.read(project, 'server.py'), numbered('row').replace('row 10\n', 'row ten\n').replace('row 50\n', 'row fifty\n').replace('row 30\n', 'row thirty\n').replace('row 5\n', 'row five\n'));
    await connected(page);
  });
}

function textOf(message) {
  return typeof message.content === 'string' ? message.content : (message.content ?? []).map((part) => part.text ?? '').join('');
}
