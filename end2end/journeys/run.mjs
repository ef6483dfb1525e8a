// Commands in the sandbox from the run console: output as it comes, what it cost, and a stop that leaves nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { sdist } from '../support/archives.mjs';
import { connected, entry, openProject, runCommand, signIn, terminalText } from '../support/pages.mjs';
import { processesWith, until } from '../support/processes.mjs';
import { printed, Rest } from '../support/rest.mjs';

const TESTS = `import time
import unittest

import six


class TextTest(unittest.TestCase):
    def test_ensure_text(self):
        print("first", flush=True)
        self.assertEqual(six.ensure_text(b"abc"), "abc")

    def test_takes_a_while(self):
        time.sleep(2)
        self.assertTrue(six.PY3)
`;

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.importArchive('six', 'six.tar.gz', readFileSync(sdist()));
  await rest.write(project, 'checks/test_text.py', TESTS);
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);

  await journey.step('tests of the imported package stream into the terminal', async () => {
    const block = await runCommand(page, 'python3 -m unittest -v checks/test_text.py');
    await until(async () => (await terminalText(block)).includes('test_ensure_text'), 'the first lines');
    await block.getByText(/^Running/).waitFor({ timeout: 1_500 });
    await block.getByText('Exit 0').waitFor({ timeout: 30_000 });
    const text = await until(async () => {
      const shown = await terminalText(block);
      return shown.includes('OK') && shown;
    }, 'the last line');
    assert.match(text, /Ran 2 tests/);
    const facts = await block.locator('.facts').innerText();
    assert.match(facts, /[\d.]+\s*m?s/, 'wall time');
    assert.match(facts, /CPU\s*[\d.]+\s*m?s/, facts);
    assert.match(facts, /Peak\s*[\d.]+\s*[kM]B/, facts);
    assert.match(facts, /No network/);
    await block.getByTitle(/^Sandbox tier S[1-3]/).waitFor();
  });

  await journey.step('a failure shows its exit and is offered to the agent', async () => {
    const block = await runCommand(page, 'python3 -c "import sys; print(6*7); sys.exit(3)"');
    await block.getByText('Exit 3').waitFor();
    await until(async () => (await terminalText(block)).includes('42'), 'its output');
    await block.getByRole('button', { name: 'Ask the agent about this' }).click();
    const draft = page.getByLabel('Message to the agent');
    await until(async () => (await draft.inputValue()).includes('sys.exit(3)'), 'the question to be drafted');
    assert.match(await draft.inputValue(), /42/);
  });

  await journey.step('what a command writes comes back into the tree', async () => {
    const block = await runCommand(page, 'mkdir -p made && echo hello > made/by-run.txt');
    await block.getByText('Exit 0').waitFor();
    await block.getByText('1 file changed').waitFor();
    await entry(page, 'made').waitFor();
    assert.equal(await rest.read(project, 'made/by-run.txt'), 'hello\n');
  });

  await journey.step('a stop leaves no process', async () => {
    const marker = `marker${process.pid}x${Date.now()}`;
    const block = await runCommand(page, `trap '' TERM INT; echo up; (setsid sh -c 'sleep 1000; echo ${marker}' &) ; sleep 1000; echo ${marker}`);
    await until(async () => (await terminalText(block)).includes('up'), 'it to run');
    const alive = await processesWith(marker);
    assert.ok(alive.length > 0, 'the run can be seen from outside');
    const asked = Date.now();
    await block.getByRole('button', { name: /^Stop/ }).click();
    await block.getByText('Stopped, 0 left').waitFor();
    const took = Date.now() - asked;
    assert.deepEqual(await processesWith(marker), [], 'nothing of it is left on the machine');
    assert.ok(took < 5_000, `stopped within 5 s, took ${took} ms`);
  });

  await journey.step('runs and their output are there after a reload', async () => {
    await page.reload();
    await connected(page);
    // The newest is open, and moves what is below it until it has its height.
    const newest = page.locator('article.run').first();
    await until(async () => (await terminalText(newest)).includes('up'), 'the output of the newest');
    const block = page.locator('article.run').filter({ hasText: 'unittest' });
    await block.getByText('Exit 0').waitFor();
    await block.locator('.run-fold').focus();
    await page.keyboard.press('Enter');
    await until(async () => (await terminalText(block)).includes('Ran 2 tests'), 'its output again');
    const run = (await rest.get(`/api/projects/${project}/runs`)).items.find((known) => known.command.includes('unittest'));
    assert.match(printed(await rest.events(`run:${run.id}`)), /first\n[^]*Ran 2 tests/);
  });
}
