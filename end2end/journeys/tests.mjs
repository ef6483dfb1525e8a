// The Tests tab: recognised, run, read at the line that failed, mended, and green; and the same after a reload and on a phone.
import assert from 'node:assert/strict';
import { connected, editor, editorShows, openProject, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { PHONE } from '../support/journey.mjs';

const PRICES = `def total(prices):
    return sum(prices) + 1
`;

const TESTS = `import unittest

from prices import total


class TotalTest(unittest.TestCase):
    def test_of_nothing_is_zero(self):
        self.assertEqual(total([]), 0)

    def test_is_a_number(self):
        self.assertIsInstance(total([1, 2]), int)

    @unittest.skip("not decided yet")
    def test_of_currencies(self):
        pass
`;

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('prices');
  await rest.write(project, 'prices.py', PRICES);
  await rest.write(project, 'test_prices.py', TESTS);
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);
  const panel = (window) => window.getByRole('tabpanel', { name: /^Tests/ });
  const row = (window, name) => window.getByRole('tree', { name: 'Tests' }).getByRole('treeitem').filter({ hasText: name });
  const tabOf = (window) => window.getByRole('tablist', { name: 'Run console' }).getByRole('tab', { name: /^Tests/ });

  await journey.step('how the tests are run is recognised', async () => {
    await tabOf(page).click();
    await panel(page).getByText('No tests were run yet').waitFor();
    await panel(page).getByText('Recognised: unittest.').waitFor();
  });

  await journey.step('cases are listed with their state', async () => {
    await panel(page).getByRole('button', { name: 'Run the tests' }).click();
    await panel(page).getByText('1 failed').first().waitFor({ timeout: 30_000 });
    await panel(page).getByText('1 passed').first().waitFor();
    await panel(page).getByText('1 skipped').first().waitFor();
    await row(page, 'test_of_nothing_is_zero').waitFor();
    assert.match(await row(page, 'test_of_nothing_is_zero').innerText(), /failed/);
    assert.match(await tabOf(page).innerText(), /1/);
    await journey.shot(page, 'tests-failed');
  });

  await journey.step('a case leads to its line, and its message to the lines it names', async () => {
    await row(page, 'test_of_nothing_is_zero').click();
    await editorShows(page, 'self.assertEqual(total([]), 0)');
    await page.locator('footer.status').getByText('Line 8,').waitFor();
    const detail = panel(page).getByRole('region', { name: 'Test test_of_nothing_is_zero' });
    assert.match(await detail.innerText(), /AssertionError: 1 != 0/);
    await detail.getByRole('button', { name: /test_prices\.py:8|line 8/ }).first().click();
    await detail.getByRole('button', { name: 'Ask the agent about this' }).click();
    const draft = page.getByLabel('Message to the agent');
    await until(async () => (await draft.inputValue()).includes('AssertionError'), 'the question to be drafted');
    assert.match(await draft.inputValue(), /test_of_nothing_is_zero[^]*test_prices\.py/);
  });

  await journey.step('the tree is walked by keys', async () => {
    await row(page, 'test_of_nothing_is_zero').focus();
    await page.keyboard.press('Home');
    const first = page.getByRole('tree', { name: 'Tests' }).getByRole('treeitem').first();
    await until(() => first.evaluate((element) => element === document.activeElement), 'the first row to have the focus');
    const before = await page.getByRole('tree', { name: 'Tests' }).getByRole('treeitem').count();
    await page.keyboard.press('ArrowLeft');
    await until(async () => (await page.getByRole('tree', { name: 'Tests' }).getByRole('treeitem').count()) < before, 'it to fold');
    await page.keyboard.press('ArrowRight');
    await until(async () => (await page.getByRole('tree', { name: 'Tests' }).getByRole('treeitem').count()) === before, 'it to unfold');
    await page.keyboard.type('test_is');
    await until(() => row(page, 'test_is_a_number').evaluate((element) => element === document.activeElement), 'the row by its letters');
  });

  await journey.step('mended, what failed is run again and is green', async () => {
    await rest.write(project, 'prices.py', PRICES.replace(' + 1', ''));
    await panel(page).getByRole('button', { name: 'Run failed' }).click();
    await panel(page).getByText('2 passed').first().waitFor({ timeout: 30_000 });
    await until(async () => (await panel(page).getByText(/[1-9] failed/).count()) === 0, 'nothing to be failed any more');
    const [last] = (await rest.get(`/api/projects/${project}/runs`)).items;
    assert.equal(last.kind, 'test_runner');
    assert.equal(last.only.length, 1, 'only what failed ran');
    assert.equal((await rest.get(`/api/runs/${last.id}/tests`)).passed, 1);
    await journey.shot(page, 'tests-green');
  });

  await journey.step('the report is there after a reload', async () => {
    await page.reload();
    await connected(page);
    await panel(page).getByText('2 passed').first().waitFor();
    await row(page, 'test_of_nothing_is_zero').waitFor();
    assert.match(await row(page, 'test_of_nothing_is_zero').innerText(), /passed/);
  });

  await journey.step('a command of the project’s own is taken', async () => {
    await panel(page).getByRole('button', { name: 'How the tests are run' }).click();
    const dialog = page.getByRole('dialog', { name: 'How the tests are run' });
    await dialog.getByLabel('Command').fill("printf 'TAP version 13\\n1..2\\nok 1 - adds\\nnot ok 2 - subtracts\\n'; exit 1");
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await panel(page).getByRole('button', { name: 'Run all' }).click();
    await row(page, 'subtracts').waitFor({ timeout: 30_000 });
    assert.match(await row(page, 'subtracts').innerText(), /failed/);
    assert.match(await row(page, 'adds').innerText(), /passed/);
    await panel(page).getByLabel('Filter tests').fill('subtr');
    await row(page, 'adds').waitFor({ state: 'detached' });
  });

  await journey.step('on a phone the detail stands below the tree', async () => {
    const phone = await journey.page({ base, size: PHONE });
    await signIn(phone, 'ada');
    await openProject(phone, project);
    await phone.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: 'Runs' }).click();
    await tabOf(phone).click();
    await row(phone, 'subtracts').click();
    const detail = phone.getByRole('region', { name: 'Test subtracts' });
    const [list, below] = await Promise.all([phone.getByRole('tree', { name: 'Tests' }).boundingBox(), detail.boundingBox()]);
    assert.ok(below.y >= list.y + list.height - 1, 'below');
    assert.ok(list.height >= 80, `the tree has room, ${list.height}px`);
    assert.ok((await phone.evaluate(() => document.documentElement.scrollWidth)) <= PHONE.width, 'nothing is cut off');
    await journey.shot(phone, 'tests-phone');
    assert.equal(await editor(phone).isVisible().catch(() => false), false, 'the editor does not cover it');
  });
}
