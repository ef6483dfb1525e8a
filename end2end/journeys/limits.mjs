// Limits: an administrator sets them with units, and a run that goes beyond one ends with a sentence.
import assert from 'node:assert/strict';
import { alive, openProject, runCommand, signIn } from '../support/pages.mjs';
import { Rest } from '../support/rest.mjs';

const HOG = 'python3 -c "b = [bytearray(4 << 20) for _ in iter(int, 1)]"';

export default async function (journey) {
  const { base } = await journey.server();
  const ada = await Rest.signUp(base, 'ada');
  const project = await ada.project('hog');
  const page = await journey.page({ base, allow: [/status of 422/] });
  await signIn(page, 'ada');
  const field = (name) => page.getByRole('textbox', { name, exact: true });
  const save = () => page.getByRole('button', { name: 'Save limits' }).click();

  await journey.step('limits are read and written with their units', async () => {
    await page.goto('/admin/runs');
    await alive(page);
    await page.getByRole('heading', { name: 'Limits of one run' }).waitFor();
    assert.equal(await field('Memory, Commands').inputValue(), '2 GiB');
    await field('Memory, Commands').fill('64 MiB');
    await field('Time, Tests').fill('90 s');
    await save();
    await page.locator('.toast').getByText(/^Saved/).waitFor();
    const now = await ada.get('/api/admin/settings/runs');
    assert.deepEqual([now.sandbox_exec.memory_bytes, now.test_runner.wall_s], [64 << 20, 90]);
  });

  await journey.step('what can not be is refused at its field', async () => {
    await field('Memory, Agent').fill('1 MiB');
    await field('Processes, Terminals').fill('many');
    await save();
    const note = await field('Processes, Terminals').getAttribute('aria-describedby');
    await page.locator(`[id="${note}"]`).getByText('Write a whole number.').waitFor();
    await field('Processes, Terminals').fill('256');
    await save();
    await page.getByText('Choose 32 MiB to 4 TiB.').waitFor();
    assert.equal(await field('Memory, Agent').getAttribute('aria-invalid'), 'true');
    const now = await ada.get('/api/admin/settings/runs');
    assert.equal(now.codegen.memory_bytes, 2048 * 1024 * 1024, 'nothing was saved');
  });

  await journey.step('defaults are filled in, and kept only when saved', async () => {
    await page.getByRole('button', { name: 'Reset to defaults' }).click();
    assert.equal(await field('Memory, Commands').inputValue(), '2 GiB');
    assert.equal((await ada.get('/api/admin/settings/runs')).sandbox_exec.memory_bytes, 64 << 20);
  });

  await journey.step('a run beyond its memory ends with a sentence', async () => {
    await openProject(page, project);
    const block = await runCommand(page, HOG);
    await block.getByText('Out of memory').waitFor({ timeout: 30_000 });
    await block.getByText(/64 MiB of memory/).waitFor();
  });

  await journey.step('only administrators see them', async () => {
    const ben = await Rest.signUp(base, 'ben');
    assert.equal((await ben.call('GET', '/api/admin/settings/runs')).status, 403);
  });
}
