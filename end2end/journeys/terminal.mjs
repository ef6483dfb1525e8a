// Terminals: a shell with a keyboard that outlives the page, and says so when it did not outlive its server.
import assert from 'node:assert/strict';
import { connected, entry, openProject, signIn, terminalText } from '../support/pages.mjs';
import { processesWith, until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const shown = (page) => page.locator('.tm-pane:not([hidden])');
const prints = (page, text, what = `the terminal to show ${text}`) => until(async () => (await terminalText(shown(page))).includes(text), what);
const terminalTab = (page, name) => page.getByRole('tablist', { name: 'Terminals' }).getByRole('tab', { name });

/** Types a line; the sum in it is only in what the shell answers, not in the echo of what was typed. */
async function type(page, line) {
  await shown(page).locator('.xterm-helper-textarea').focus();
  await page.keyboard.type(`${line}\n`);
}

async function openTerminal(page) {
  const before = await page.getByRole('tablist', { name: 'Terminals' }).getByRole('tab').count();
  await page.keyboard.press('Control+Shift+Backquote');
  await until(async () => (await page.getByRole('tablist', { name: 'Terminals' }).getByRole('tab').count()) > before, 'its tab');
  await shown(page).locator('.xterm-screen').waitFor();
  // No badge: open, and connected.
  await page.locator('.tm-bar .badge').waitFor({ state: 'detached' });
}

export default async function (journey) {
  const server = await journey.server();
  const rest = await Rest.signUp(server.base, 'ada');
  const project = await rest.project('shell');
  await rest.write(project, 'hello.txt', 'hello\n');
  const allow = [/ERR_INTERNET_DISCONNECTED/, /ERR_CONNECTION_REFUSED/, /WebSocket/, /ERR_INCOMPLETE_CHUNKED/, /ERR_NETWORK_CHANGED/, /ERR_CONNECTION_RESET/];
  const page = await journey.page({ base: server.base, allow });
  await signIn(page, 'ada');
  await openProject(page, project);

  await journey.step('a key opens a terminal that has the keyboard', async () => {
    await openTerminal(page);
    // Everything that is printed here has room on one screen.
    await page.getByRole('button', { name: 'Maximise panel' }).click();
    await shown(page).locator('.xterm-helper-textarea').focus();
    await page.keyboard.type('echo sum $((40+2)); ls\n');
    await prints(page, 'sum 42');
    await prints(page, 'hello.txt');
  });

  await journey.step('what is written there appears in the tree', async () => {
    await type(page, 'echo hi > new.txt');
    await entry(page, 'new.txt').waitFor();
    assert.equal(await rest.read(project, 'new.txt'), 'hi\n');
  });

  await journey.step('what is saved elsewhere appears there', async () => {
    await rest.write(project, 'from-outside.txt', 'out$((1))side\n');
    await until(async () => {
      await type(page, 'cat from-outside.txt');
      await new Promise((again) => setTimeout(again, 500));
      return (await terminalText(shown(page))).includes('out$((1))side\n');
    }, 'the file in the sandbox');
  });

  await journey.step('it takes the size of the window', async () => {
    const size = async (mark) => {
      await type(page, `echo ${mark} $((1)) $(stty size)`);
      const text = await until(async () => new RegExp(`${mark} 1 (\\d+) (\\d+)`).exec(await terminalText(shown(page))), 'its size');
      return [Number(text[1]), Number(text[2])];
    };
    const [rows, cols] = await size('before');
    await page.setViewportSize({ width: 1700, height: 900 });
    await new Promise((again) => setTimeout(again, 400));
    const [, wider] = await size('after');
    assert.ok(rows > 3 && cols > 30 && wider > cols + 10, `${rows} rows, ${cols} columns, then ${wider}`);
  });

  await journey.step('a program on the whole screen comes and goes', async () => {
    await type(page, 'seq 1 500 > many.txt; less many.txt');
    await prints(page, '\n5\n');
    await page.keyboard.press('G');
    await prints(page, '500');
    await page.keyboard.press('q');
    await type(page, 'echo back $((3+4))');
    await prints(page, 'back 7');
  });

  await journey.step('a reload brings back what was printed, within a second of the page', async () => {
    await page.reload();
    await connected(page);
    const began = Date.now();
    await shown(page).locator('.xterm-screen').waitFor();
    await prints(page, 'back 7');
    assert.ok(Date.now() - began < 2_000, `took ${Date.now() - began} ms`);
    await type(page, 'echo again $((5+5))');
    await prints(page, 'again 10');
    assert.doesNotMatch(await terminalText(shown(page)), /\[\?1;2c|\[>0;/, 'nothing was typed by the page itself');
  });

  await journey.step('a second window sees and types into the same one', async () => {
    const other = await page.context().newPage();
    await openProject(other, project);
    await other.locator('#console-tab-terminal').click();
    await prints(other, 'again 10');
    await type(other, 'echo both $((10+11))');
    await prints(other, 'both 21');
    await prints(page, 'both 21');
    await other.close();
  });

  await journey.step('a lost connection is told, and taken up without a gap', async () => {
    await page.getByRole('button', { name: 'Maximise panel' }).click();
    await type(page, 'for i in 1 2 3 4 5 6 7 8; do echo line$((i*111)); sleep 0.4; done');
    await prints(page, 'line111');
    await page.context().setOffline(true);
    await page.locator('.tm-bar').getByText('Reconnecting').waitFor();
    await new Promise((again) => setTimeout(again, 900));
    await page.context().setOffline(false);
    await page.locator('.tm-bar .badge').waitFor({ state: 'detached' });
    await prints(page, 'line888');
    const text = await terminalText(shown(page));
    for (let i = 1; i <= 8; i += 1) assert.equal(text.split(`line${i * 111}\n`).length, 2, `line${i * 111} once in\n${text}`);
  });

  await journey.step('it has a name of its own, also elsewhere', async () => {
    await terminalTab(page, 'Terminal 1').press('F2');
    await page.getByLabel('Title').fill('build');
    await page.getByRole('button', { name: 'Rename' }).click();
    await terminalTab(page, 'build').waitFor();
    const [known] = await rest.get(`/api/projects/${project}/terminals`).then((list) => list.items ?? list);
    assert.equal(known.title, 'build');
  });

  await journey.step('closing one leaves nothing of it', async () => {
    await openTerminal(page);
    const marker = `marker${process.pid}x${Date.now()}`;
    await type(page, `sh -c 'sleep 1000; echo ${marker}' & echo started $((6*7))`);
    await prints(page, 'started 42');
    await until(async () => (await processesWith(marker)).length > 0, 'it to run');
    await page.getByRole('button', { name: 'Close Terminal 1' }).click();
    await page.locator('.toast').getByText('Closed Terminal 1').waitFor();
    assert.deepEqual(await processesWith(marker), []);
    await terminalTab(page, 'build').waitFor();
    assert.equal(await page.getByRole('tablist', { name: 'Terminals' }).getByRole('tab').count(), 1);
  });

  await journey.step('a terminal that did not outlive its server says so', async () => {
    await server.stop();
    await server.launch();
    await page.locator('.tm-note').getByText(/did not survive/).waitFor({ timeout: 40_000 });
    await page.locator('.tm-note').getByRole('button', { name: 'New terminal' }).click();
    await terminalTab(page, 'Terminal 1').waitFor();
    await page.locator('.tm-bar .badge').waitFor({ state: 'detached' });
    await prints(page, '$', 'its prompt');
    await type(page, 'cat new.txt; echo still $((1+1))');
    await prints(page, 'still 2');
    await prints(page, 'hi');
  });
}
