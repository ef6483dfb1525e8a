// The areas of a project page get the size that a person gives them; and the chat of a server without a model.
import assert from 'node:assert/strict';
import { alive, connected, openProject, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

/** `way` is the direction in which an area grows, `key` the arrow that makes it grow. */
const AREAS = [
  { label: 'Width of the side area', area: 'section.side', side: 'width', way: [1, 0], key: 'ArrowRight' },
  { label: 'Width of the chat', area: '.chat-area', side: 'width', way: [-1, 0], key: 'ArrowLeft' },
  { label: 'Height of the runs', area: '.console-area', side: 'height', way: [0, -1], key: 'ArrowUp' },
];

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('panels');
  await rest.write(project, 'notes.txt', 'text\n');
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);

  const sizeOf = async ({ area, side }) => Math.round((await page.locator(area).boundingBox())?.[side] ?? 0);
  const becomes = async (one, size, what) => {
    let now;
    await until(async () => (now = await sizeOf(one)) === size, `${one.label}: ${what}`).catch((error) => assert.equal(now, size, error.message));
  };
  const sash = (one) => page.getByRole('separator', { name: one.label });
  /** Where a sash is held: on the half that lies inside its area. */
  const grip = async (one) => {
    const { x, y, width, height } = await sash(one).boundingBox();
    const [right, down] = one.way;
    return [x + width / 2 - right * 2, y + height / 2 - down * 2];
  };
  /** Drags a sash by so many pixels in the direction in which its area grows. */
  const drag = async (one, pixels) => {
    const [x, y] = await grip(one);
    const [right, down] = one.way;
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + right * pixels, y + down * pixels);
    await page.mouse.up();
  };
  const reload = async () => {
    await page.reload();
    await alive(page);
    await connected(page);
  };
  const first = new Map();
  for (const one of AREAS) first.set(one, await sizeOf(one));

  await journey.step('sashes are dragged, and moved by arrow keys', async () => {
    for (const one of AREAS) {
      const before = first.get(one);
      assert.ok(before > 100, `${one.label} begins with ${before}`);
      await drag(one, 60);
      await becomes(one, before + 60, 'dragged');
      await sash(one).focus();
      await page.keyboard.press(one.key);
      await becomes(one, before + 76, 'moved by a key');
    }
  });

  await journey.step('the sizes are there after a reload', async () => {
    await reload();
    for (const one of AREAS) await becomes(one, first.get(one) + 76, 'kept');
  });

  await journey.step('a double click gives the first size back, for good', async () => {
    for (const one of AREAS) {
      await page.mouse.dblclick(...(await grip(one)));
      await becomes(one, first.get(one), 'as it was first');
    }
    await reload();
    for (const one of AREAS) await becomes(one, first.get(one), 'still as it was first');
  });

  await journey.step('areas are closed and opened again with their size', async () => {
    const [side, chat, runs] = AREAS;
    await drag(side, 40);
    await becomes(side, first.get(side) + 40, 'dragged');
    // Far below its smallest size.
    await drag(side, -first.get(side));
    await page.getByRole('button', { name: 'Chat', exact: true }).click();
    await page.getByRole('button', { name: 'Close panel' }).click();
    for (const one of AREAS) await page.locator(one.area).waitFor({ state: 'hidden' });
    await reload();
    for (const one of AREAS) await page.locator(one.area).waitFor({ state: 'hidden' });
    await page.getByRole('navigation', { name: 'Side panels' }).getByRole('button', { name: 'Files', exact: true }).click();
    await becomes(side, first.get(side) + 40, 'opened again');
    await page.getByRole('button', { name: 'Chat', exact: true }).click();
    await becomes(chat, first.get(chat), 'opened again');
    await page.getByRole('banner').getByRole('button', { name: 'Runs', exact: true }).click();
    await becomes(runs, first.get(runs), 'opened again');
  });

  await journey.step('without a model the chat says how to connect one, and sends nothing', async () => {
    const panel = page.locator('section.chat');
    await panel.locator('.chat-empty').getByText('No model is connected', { exact: true }).waitFor();
    const words = await panel.locator('.chat-empty').innerText();
    assert.match(words, /under Administration, Models/);
    assert.match(words, /OPENAI_BASE_URL, OPENAI_API_KEY and AI_DEFAULT_MODEL/);
    const field = page.getByLabel('Message to the agent');
    await field.fill('Hello?');
    const button = page.getByRole('button', { name: 'Send', exact: true });
    assert.ok(await button.isDisabled());
    assert.equal(await button.getAttribute('title'), 'No model is connected yet');
    await field.press('Control+Enter');
    await panel.getByRole('alert').getByText('No model is connected yet.').waitFor();
    assert.equal(await field.inputValue(), 'Hello?', 'what was typed is still there');
    assert.equal(await panel.locator('.me-text').count(), 0);
    assert.deepEqual((await rest.get(`/api/projects/${project}/conversations`)).items, []);
    await journey.shot(page, 'chat-without-model');
  });
}
