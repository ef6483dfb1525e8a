// Reloads, second windows, and a server that is killed in the middle of a turn and a run: nothing lost, nothing doubled.
import assert from 'node:assert/strict';
import { PHONE } from '../support/journey.mjs';
import { connected, editorText, openProject, runCommand, send, signIn, terminalText, turnEnded } from '../support/pages.mjs';
import { processesWith, until } from '../support/processes.mjs';
import { assertGapless, printed, Rest } from '../support/rest.mjs';

const words = (from, to) => Array.from({ length: to - from }, (_, at) => `word${from + at}`).join(' ');

export default async function (journey) {
  const model = await journey.model();
  const server = await journey.server(model.env);
  const { base } = server;
  let rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('survivor');
  await rest.write(project, 'readme.txt', 'here\n');
  const profile = await journey.profile({ base, allow: [/ERR_(CONNECTION_REFUSED|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|NETWORK_IO_SUSPENDED)/] });
  // Two tabs of one window: the one in the background has no frames.
  const other = await profile.newPage();
  const page = await profile.newPage();
  await signIn(page, 'ada');
  await openProject(page, project);
  const said = (window) => window.locator('.said').last();

  await journey.step('a reload in mid-stream and a second window show one and the same text', async () => {
    const text = words(0, 120);
    await model.script({ text, pace_ms: 25 });
    await send(page, 'Count to 120');
    await said(page).getByText('word3').waitFor();
    await page.reload();
    await said(page).getByText('word3').waitFor();
    assert.ok(!(await said(page).innerText()).includes('word119'), 'still in mid-stream');
    await openProject(other, project);
    await said(other).getByText('word3').waitFor();
    await Promise.all([page, other].map((window) => turnEnded(window)));
    for (const window of [page, other]) assert.equal(spoken(await said(window).innerText()), text);
    const view = await latest(rest, project);
    const events = await rest.events(`turn:${view.turns.at(-1).id}`);
    assertGapless(events, 'the turn');
    assert.equal(events.filter((event) => event.kind === 'text_delta').map((event) => event.text).join(''), text);
    assert.equal(events.at(-1).kind, 'turn_finished');
  });

  let turn;
  let run;
  let seenBefore;
  const marker = `marker${process.pid}x${Date.now()}`;
  await journey.step('the server is killed in the middle of a turn and a run', async () => {
    await model.reset();
    await model.script({ text: words(0, 400), pace_ms: 40 }, { text: words(0, 30) });
    const block = await runCommand(page, `for i in $(seq 1 1000); do echo tick$i; sleep 0.1; done; echo ${marker}`);
    await until(async () => (await terminalText(block)).includes('tick5'), 'the run to print');
    await send(page, 'Count to 400');
    await said(page).getByText('word4').waitFor();
    turn = (await latest(rest, project)).turns.at(-1).id;
    run = (await rest.get(`/api/projects/${project}/runs`)).items[0].id;
    // What a client has been told must still be there after the restart, under the same numbers.
    const until5 = (kind) => {
      let count = 0;
      return (event) => event.kind === kind && ++count >= 3;
    };
    seenBefore = {
      turn: await rest.events(`turn:${turn}`, { done: until5('text_delta') }),
      run: await rest.events(`run:${run}`, { done: until5('output') }),
    };
    await server.stop('SIGKILL');
    // A browser on a machine with nothing but loopback takes that for no network at all.
    await page.locator('footer.status').getByText(/Reconnecting|Offline/).waitFor();
    await page.locator('.note').getByText(/asked again by itself|check it/).waitFor();
    await until(async () => (await processesWith(marker)).length === 0, 'the killed server to take its run along');
  });

  await journey.step('the page comes back by itself after the restart', async () => {
    await server.launch();
    await Promise.all([page, other].map((window) => connected(window)));
    assert.equal(await page.getByText('You are signed out').count(), 0);
  });

  await journey.step('the run is lost with a reason, and its events are whole', async () => {
    rest = await Rest.signedIn(base, 'ada');
    const events = await rest.events(`run:${run}`, { timeout: 45_000 });
    assertGapless(events, 'the run');
    assert.deepEqual(events.slice(0, seenBefore.run.length), seenBefore.run, 'what was told before stays as it was');
    const known = await rest.get(`/api/runs/${run}`);
    assert.equal(known.state, 'lost');
    assert.ok(known.exit.sentence.length > 10, 'with a reason');
    assert.match(printed(events), /^tick1\r?\ntick2\r?\n/);
    const block = page.locator('article.run').filter({ hasText: marker });
    await block.getByText('Lost', { exact: true }).waitFor();
    await block.getByText(known.exit.sentence).waitFor();
    const ticks = (await terminalText(block)).match(/tick\d+/g);
    assert.equal(new Set(ticks).size, ticks.length, 'its output is there once');
  });

  await journey.step('the turn goes on or says why not, and its events are whole', async () => {
    const events = await rest.events(`turn:${turn}`, { timeout: 60_000 });
    assertGapless(events, 'the turn');
    assert.deepEqual(events.slice(0, seenBefore.turn.length), seenBefore.turn, 'what was told before stays as it was');
    const end = events.at(-1);
    assert.equal(end.kind, 'turn_finished');
    assert.ok(end.reason === 'done' || end.detail.length > 10, JSON.stringify(end));
    await turnEnded(page);
    if (end.reason === 'done') {
      assert.equal(events.filter((event) => event.kind === 'turn_resumed').length, 1);
      const message = (await latest(rest, project)).messages.at(-1);
      assert.equal(message.body.text, words(0, 30), 'the answer counts once');
      await until(async () => spoken(await said(page).innerText()) === words(0, 30), 'the page to show the answer once');
    }
    assert.equal(await page.locator('.me-text').count(), 2, 'each prompt is there once');
  });

  await journey.step('conversation, runs and tree go on', async () => {
    await model.reset();
    await model.script({ text: 'Still with you.' });
    await send(page, 'Are you there?');
    await said(page).getByText('Still with you.').waitFor();
    await turnEnded(page);
    await said(other).getByText('Still with you.').waitFor();
    const block = await runCommand(page, 'cat readme.txt && echo again > again.txt');
    await block.getByText('Exit 0').waitFor();
    await other.locator('[role=treeitem][data-path="again.txt"]').waitFor();
  });

  await journey.step('a lost network says what to do, also on a phone, and its end is told', async () => {
    const phone = await journey.page({ base, dark: true, size: PHONE, allow: [/ERR_/] });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    const told = phone.locator('.ide > [aria-live=polite]');
    const badge = phone.locator('.topbar').getByText('Offline', { exact: true });
    await phone.context().setOffline(true);
    await badge.waitFor();
    await phone.locator('.note').getByText('This device has no network: check it.').waitFor();
    await until(async () => (await told.textContent()).startsWith('Offline. This device has no network'), 'the loss to be read aloud');
    await journey.shot(phone, 'connection-offline-phone-dark');
    await phone.context().setOffline(false);
    await badge.waitFor({ state: 'detached' });
    await phone.locator('.note').waitFor({ state: 'detached' });
    await until(async () => (await told.textContent()) === 'Connected.', 'the end of the loss to be read aloud');
  });

  await journey.step('a page whose second half can not be fetched asks, and goes on', async () => {
    const late = await journey.page({ base, allow: [/ERR_FAILED/] });
    let refused = 0;
    await late.route(/\/pkg\/frontend-late-/, (route) => {
      refused += 1;
      return refused <= 3 ? route.abort() : route.continue();
    });
    late.on('dialog', (dialog) => dialog.accept());
    await signIn(late, 'ada');
    await openProject(late, project);
    await late.locator('[role=treeitem][data-path="again.txt"]').click();
    await until(async () => (await editorText(late)).includes('again'), 'the file to be there');
    await model.script({ text: 'Here as well.' });
    await send(late, 'Are you here too?');
    await turnEnded(late);
    assert.ok(refused > 0, 'there is a second half');
  });
}

async function latest(rest, project) {
  const [conversation] = (await rest.get(`/api/projects/${project}/conversations`)).items;
  return rest.get(`/api/conversations/${conversation.id}`);
}

/** The text of an answer without the words for screen readers. */
function spoken(text) {
  return text.replace(/^\s*The agent:\s*/, '').replaceAll(/\s+/g, ' ').trim();
}
