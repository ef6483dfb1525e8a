// Another model takes over when the first one fails before it has said anything, and the conversation says so for good.
import assert from 'node:assert/strict';
import { PHONE } from '../support/journey.mjs';
import { alive, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { Rest } from '../support/rest.mjs';

const DOWN = { status: 503 };

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server({ ...model.env, AI_BACKUP_MODEL: 'spare' });
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('Backup');
  const page = await journey.page({ base });
  await signIn(page, 'ada');
  await openProject(page, project);
  const chat = page.locator('section.chat');
  const mark = (window) => window.locator('.turn-mark', { hasText: 'Switched from scripted to spare: ' });
  const asked = async () => (await model.requests()).map((request) => request.body.model);

  await journey.step('the backup takes over, and the page says from which model, to which and why', async () => {
    const slow = Array.from({ length: 120 }, (_, at) => `word${at}`).join(' ');
    await model.script(DOWN, DOWN, DOWN, { text: slow, pace_ms: 25 });
    await send(page, 'Are you there?');
    await mark(page).waitFor();
    await chat.getByText('word3').first().waitFor();
    await journey.shot(page, 'backup-working');
    await turnEnded(page);
    assert.deepEqual(await asked(), ['scripted', 'scripted', 'scripted', 'spare']);
  });

  await journey.step('it is still said after the turn, and after a reload', async () => {
    await mark(page).waitFor();
    assert.equal(await mark(page).count(), 1);
    assert.match(await mark(page).innerText(), /503/);
    await page.reload();
    await mark(page).waitFor();
    assert.equal(await mark(page).count(), 1);
    await journey.shot(page, 'backup-after');
  });

  await journey.step('the next turn begins with the model that was picked', async () => {
    await model.reset();
    await model.script({ text: 'Here again.' });
    await send(page, 'And now?');
    await chat.getByText('Here again.').waitFor();
    await turnEnded(page);
    assert.equal((await asked()).at(-1), 'scripted');
    assert.equal(await mark(page).count(), 1);
  });

  await journey.step('where the backup fails as well, both are named', async () => {
    await model.reset();
    await model.script(...Array.from({ length: 12 }, () => DOWN));
    await send(page, 'Anybody?');
    await chat.getByRole('heading', { name: 'The turn failed' }).waitFor({ timeout: 30_000 });
    await turnEnded(page);
    assert.equal(await mark(page).count(), 2);
    await page.reload();
    await chat.getByRole('heading', { name: 'The turn failed' }).waitFor();
    assert.equal(await mark(page).count(), 2);
  });

  await journey.step('on a phone and in the dark', async () => {
    const phone = await journey.page({ base, size: PHONE, hasTouch: true, dark: true });
    await signIn(phone, 'ada');
    await phone.goto(`/projects/${project}`);
    await alive(phone);
    await phone.getByRole('button', { name: 'Chat' }).or(phone.getByRole('tab', { name: 'Chat' })).first().click();
    await mark(phone).last().waitFor();
    await journey.shot(phone, 'backup-phone');
  });
}
