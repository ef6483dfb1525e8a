// What a newcomer sees offline: the sample project and the demonstration model, from the first prompt to the second.
import assert from 'node:assert/strict';
import { alive, badgeOf, connected, fillSignup, hunk, runCommand, send, terminalText, turnEnded } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';

export default async function (journey) {
  const { base } = await journey.server({ DEV_SEED_DATA: 'true' });
  const page = await journey.page({ base });
  let project;

  await journey.step('the first account finds a sample project', async () => {
    await page.goto('/');
    await alive(page);
    await fillSignup(page, { email: 'ada@example.org', username: 'ada', password: PASSWORD });
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.locator('a.proj-name').click();
    await page.waitForURL('**/projects/*');
    project = page.url().split('/').at(-1);
    await connected(page);
    await page.getByText('Demonstration: scripted, not an AI').first().waitFor();
  });

  const chat = page.locator('section.chat');
  await journey.step('its tests can be run', async () => {
    const block = await runCommand(page, 'python3 -m unittest -v');
    await block.getByText(/^Exit \d/).waitFor({ timeout: 30_000 });
    await until(async () => /Ran \d+ tests?/.test(await terminalText(block)), 'the tests to have run');
  });

  await journey.step('the demonstration proposes three changes', async () => {
    await send(page, 'Fix the report');
    await chat.getByText('I am a scripted demonstration').first().waitFor();
    await page.getByRole('region', { name: 'Approval' }).getByRole('button', { name: /Run once/ }).click({ timeout: 30_000 });
    await chat.getByText('The tests pass with my changes').waitFor({ timeout: 30_000 });
    await turnEnded(page);
    await chat.getByRole('button', { name: 'Review 3 changes' }).click();
  });

  const rest = await Rest.signedIn(base, 'ada');
  await journey.step('one is accepted, one rejected, one edited, and the project holds exactly that', async () => {
    const sign = await hunk(page, 'abs(cents)');
    const bars = await hunk(page, 'max(1, *totals.values())');
    const test = await hunk(page, 'test_no_bar_is_too_wide');
    await sign.focus();
    await page.keyboard.press('a');
    await badgeOf(sign, 'Accepted');
    await page.locator('.hunk--focus').filter({ hasText: 'totals.values' }).waitFor();
    await page.keyboard.press('r');
    await badgeOf(bars, 'Rejected');
    await test.focus();
    await page.keyboard.press('e');
    const field = page.getByLabel('Text to write instead');
    const text = (await field.inputValue()).replace('test_no_bar_is_too_wide', 'test_bars_fit');
    await field.fill(text);
    await field.press('Control+Enter');
    await page.getByText('3 of 3 hunks decided').waitFor();
    await page.getByRole('button', { name: /Apply 3 decisions/ }).click();
    await page.getByText('All decided').waitFor();
    const report = await rest.read(project, 'tally/report.py');
    assert.ok(report.includes('abs(cents)') && report.includes('next(iter(totals.values()))') && !report.includes('max(1, *totals'), report);
    const tests = await rest.read(project, 'tests/test_report.py');
    assert.ok(tests.includes('test_bars_fit') && !tests.includes('test_no_bar_is_too_wide'));
    await page.getByRole('button', { name: 'Back to the editor' }).click();
  });

  await journey.step('the next answer quotes what was decided', async () => {
    await send(page, 'What were you told?');
    await chat.getByText('I was told exactly this').waitFor();
    await chat.getByText('1 accepted, 1 edited, 1 rejected').first().waitFor();
    await turnEnded(page);
  });
}
