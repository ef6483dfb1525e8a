// A server of an ordinary user, without control groups of its own: its runs, its agent and its stops are those of tier S2.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { badgeOf, entry, hunk, openProject, runCommand, send, signIn, terminalText, turnEnded } from '../support/pages.mjs';
import { processesWith, until } from '../support/processes.mjs';
import { Rest, sandboxTier } from '../support/rest.mjs';

const NOBODY = 65534;
const call = (name, args) => ({ name, arguments: args });

export default async function (journey) {
  const model = await journey.model();
  // Who walks this as an ordinary user already may have control groups, and leaves them unused.
  const isRoot = process.getuid?.() === 0;
  const server = await (isRoot ? journey.server(model.env, { user: NOBODY }) : journey.server({ ...model.env, SANDBOX_TIER: 'S2' }));
  const { base } = server;
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('ordinary');
  await rest.write(project, 'notes.txt', 'first\n');
  const page = await journey.page({ base });
  const chat = page.locator('section.chat');

  await journey.step('health and the doctor name tier S2', async () => {
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
    const [, uid] = /^Uid:\s+(\d+)/m.exec(status);
    assert.equal(Number(uid), isRoot ? NOBODY : process.getuid(), 'the server is an ordinary user');
    assert.match(await sandboxTier(rest), /This is tier S2\./);
    assert.match(await server.doctor(), /^Sandbox tier S2, control groups None/m);
  });

  await journey.step('a command runs, and what it writes comes back', async () => {
    await signIn(page, 'ada');
    await openProject(page, project);
    const block = await runCommand(page, 'cat notes.txt; echo $((6 * 7)); echo made > by-run.txt');
    await block.getByText('Exit 0').waitFor({ timeout: 30_000 });
    await until(async () => /first\s+42/.test(await terminalText(block)), 'its output');
    await block.getByTitle('Sandbox tier S2', { exact: true }).waitFor();
    await entry(page, 'by-run.txt').waitFor();
    assert.equal(await rest.read(project, 'by-run.txt'), 'made\n');
  });

  await journey.step('the agent edits and runs on a branch, and the project gets what is accepted', async () => {
    await model.script(
      { tool_calls: [call('read_file', { path: 'notes.txt' })] },
      { tool_calls: [call('edit_file', { path: 'notes.txt', old_text: 'first', new_text: 'second' })] },
      { tool_calls: [call('run_command', { command: 'cat notes.txt; echo from-the-branch > made.txt' })] },
      { text: 'Both are done.' },
    );
    await send(page, 'Count on');
    await page.getByRole('region', { name: 'Approval' }).getByRole('button', { name: /Run once/ }).click();
    await chat.getByText('Both are done.').waitFor();
    await turnEnded(page);
    assert.match(JSON.stringify((await model.requests()).at(-1).body.messages.at(-1)), /second/, 'the command ran on the branch');
    assert.equal(await rest.read(project, 'notes.txt'), 'first\n', 'nothing has reached the project');
    assert.ok(!(await rest.exists(project, 'made.txt')));

    await chat.getByRole('button', { name: 'Review 2 changes' }).click();
    for (const text of ['second', 'from-the-branch']) {
      const open = await hunk(page, text);
      await open.getByRole('button', { name: /^Accept/ }).click();
      await badgeOf(open, 'Accepted');
    }
    await page.getByRole('button', { name: /Apply 2 decisions/ }).click();
    await page.getByText('All decided').waitFor();
    assert.equal(await rest.read(project, 'notes.txt'), 'second\n');
    assert.equal(await rest.read(project, 'made.txt'), 'from-the-branch\n');
    await page.getByRole('button', { name: 'Back to the editor' }).click();
  });

  await journey.step('a stop leaves no process', async () => {
    const marker = `marker${process.pid}x${Date.now()}`;
    const block = await runCommand(page, `trap '' TERM INT; echo up; (setsid sh -c 'sleep 1000; echo ${marker}' &) ; sleep 1000; echo ${marker}`);
    await until(async () => (await terminalText(block)).includes('up'), 'it to run');
    assert.ok((await processesWith(marker)).length > 0, 'the run can be seen from outside');
    await block.getByRole('button', { name: /^Stop/ }).click();
    await block.getByText('Stopped, 0 left').waitFor();
    assert.deepEqual(await processesWith(marker), [], 'nothing of it is left on the machine');
  });
}
