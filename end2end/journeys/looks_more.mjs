// The other half of looks.mjs: the pages of who is not signed in, and what a project shows when something is up. Pictures in both themes
// and both sizes, and no serious finding by axe.
import assert from 'node:assert/strict';
import { looking } from '../support/inspect.mjs';
import { DESK, PHONE } from '../support/journey.mjs';
import { alive, editor, editorShows, entry, openProject, signIn, typeOnTop } from '../support/pages.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';
import { codeOf } from '../support/totp.mjs';

const numbered = (word) => Array.from({ length: 40 }, (_, n) => `${word} ${n + 1}\n`).join('');
const edit = (path, old_text, new_text) => ({ name: 'edit_file', arguments: { path, old_text, new_text } });

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const empty = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const dora = await Rest.signUp(base, 'dora');
  const reset = await rest.post(`/api/admin/users/${ben.user.id}/reset-link`, {}, 201);
  const invitation = await rest.post('/api/admin/invitations', { email: 'cleo@example.org' }, 201);
  const { secret } = await dora.post('/api/users/me/totp', {}, 201);
  const { codes } = await dora.post('/api/users/me/totp/confirm', { password: PASSWORD, code: codeOf(secret) });
  const project = await prepare(rest, model);
  const findings = [];
  let cookies = [];

  for (const [sizeName, size] of [['desk', DESK], ['phone', PHONE]]) {
    const look = looking(journey, findings, sizeName);

    await journey.step(`who is not signed in, ${sizeName}`, async () => {
      const guest = await journey.page({ base, size, allow: [/status of (401|403|404|422)/] });
      for (const [name, path, sign] of [
        ['signup', '/signup', 'Create account'],
        ['signup-invited', invitation.url_path, 'You are invited'],
        ['forgot', '/forgot', 'Ask an administrator for a link'],
        ['reset', reset.url_path, 'for the account ben'],
      ]) {
        await guest.goto(path);
        await alive(guest);
        await guest.getByText(sign).first().waitFor();
        await look(guest, name);
      }
      await guest.goto(`${empty.base}/signup`);
      await alive(guest);
      await guest.getByRole('button', { name: 'Create account' }).click();
      await guest.locator('[aria-invalid=true]').first().waitFor();
      await look(guest, 'signup-errors');

      // On through both steps of signing in, to the list of somebody who has no project.
      await guest.goto('/login');
      await alive(guest);
      await guest.getByText('Forgot the password?').first().waitFor();
      await look(guest, 'login');
      await guest.getByLabel('Username or e-mail').fill('dora');
      await guest.getByLabel('Password', { exact: true }).fill(PASSWORD);
      await guest.getByRole('button', { name: 'Sign in', exact: true }).click();
      await guest.getByRole('heading', { name: 'One more step' }).waitFor();
      await look(guest, 'second-step');
      await guest.getByLabel('Code').fill(codes.pop());
      await guest.getByRole('button', { name: 'Continue' }).click();
      await guest.waitForURL((url) => url.pathname === '/');
      await guest.getByRole('heading', { name: 'Welcome, dora' }).waitFor();
      await alive(guest);
      await look(guest, 'first-visit');
      await guest.goto('/nowhere');
      await alive(guest);
      await guest.getByText('This address leads nowhere').waitFor();
      await look(guest, 'not-found');
      await guest.context().close();
    });

    await journey.step(`a project where something is up, ${sizeName}`, async () => {
      // Signed in once; all else that a browser keeps is of one size.
      const page = await journey.page({ base, size, storageState: { cookies, origins: [] } });
      if (cookies.length === 0) await signIn(page, 'ada');
      await openProject(page, project);
      const phone = size === PHONE;
      await lookAtLimits(page, look);
      await lookAtConflict(page, look, phone, () => rest.write(project, 'zones.py', `# theirs, ${sizeName}\n`));
      await lookAtSearch(page, look, phone);
      await lookAtCheckpoints(page, look, phone);
      await lookAtFitting(page, look, phone);
      cookies = await page.context().cookies();
      await page.context().close();
    });
  }
  await journey.step('no serious finding', () => assert.deepEqual([...new Set(findings)], []));
}

/** A project with a point in its past, changes since, and a proposal of which one hunk no longer fits. */
async function prepare(rest, model) {
  const project = await rest.project('rates');
  for (const [path, word] of [['client.py', 'line'], ['server.py', 'row'], ['zones.py', 'zone']]) await rest.write(project, path, numbered(word));
  await rest.post(`/api/projects/${project}/checkpoints`, { name: 'Works end to end' }, 201);
  await model.script(
    { text: 'Two changes.', tool_calls: [edit('client.py', 'line 30\n', 'line thirty\n'), edit('server.py', 'row 10\n', 'row ten\n')] },
    { text: 'Both wait for your review.' },
  );
  const turn = await rest.startTurn(await rest.conversation(project), 'Spell some numbers out');
  await rest.events(`turn:${turn}`);
  await rest.write(project, 'client.py', numbered('line').replace('line 30\n', 'line XXX\n'));
  const [open] = (await rest.get(`/api/projects/${project}/change-sets`)).items;
  const set = await rest.get(`/api/change-sets/${open.change_set_id}`);
  const { hunks } = set.files.find((file) => file.path === 'client.py');
  const decided = await rest.post(`/api/change-sets/${open.change_set_id}/decisions`, { accept: [hunks[0].id] });
  assert.deepEqual(decided.conflicts, [hunks[0].id]);
  return project;
}

const side = (page) => page.getByRole('navigation', { name: 'Side panels' });
const panes = (page) => page.getByRole('navigation', { name: 'Panes' });

/** The composer with the limits of one message, of which one is no number. */
async function lookAtLimits(page, look) {
  const chat = page.locator('section.chat');
  await chat.getByText('Both wait for your review.').waitFor();
  await chat.getByRole('button', { name: 'Limits of this message', exact: true }).click();
  const limits = chat.getByRole('group', { name: 'Limits of this message' });
  await limits.getByLabel('US dollars that this message may cost').fill('0.50');
  await limits.getByLabel('Tokens that this message may use').fill('many');
  await limits.getByText('Write a number of tokens').waitFor();
  await look(page, 'message-limits');
  await limits.getByRole('button', { name: 'No limits for this message' }).click();
  await limits.waitFor({ state: 'detached' });
}

/** A text that is typed while `writeTheirs` writes the same file. */
async function lookAtConflict(page, look, phone, writeTheirs) {
  if (phone) await panes(page).getByRole('button', { name: 'Files' }).click();
  await entry(page, 'zones.py').click();
  await editor(page).locator('.view-line').first().waitFor({ timeout: 20_000 });
  await typeOnTop(page, '# mine\n');
  await editorShows(page, '# mine');
  await writeTheirs();
  const bar = page.getByRole('alert').filter({ hasText: 'saved this file in another window' });
  await bar.waitFor();
  await look(page, 'conflict');
  await bar.getByRole('button', { name: 'Take theirs' }).click();
  await bar.waitFor({ state: 'detached' });
}

async function lookAtSearch(page, look, phone) {
  if (phone) {
    // The second tap goes back from the file to the tree.
    await panes(page).getByRole('button', { name: 'Files' }).click();
    await page.getByRole('group', { name: 'View', exact: true }).getByRole('button', { name: 'Search' }).click();
  } else {
    await side(page).getByRole('button', { name: 'Search' }).click();
  }
  const panel = page.getByRole('region', { name: 'Search' });
  await panel.getByRole('searchbox', { name: 'Search', exact: true }).fill('line 3');
  await panel.getByText('10 lines in 1 file').waitFor();
  await look(page, 'search');
}

async function lookAtCheckpoints(page, look, phone) {
  const panel = page.getByRole('region', { name: 'Checkpoints' });
  const point = panel.getByRole('group', { name: 'Timeline' }).getByRole('button', { name: /Works end to end/ });
  if (phone) {
    await page.getByRole('banner').getByRole('button', { name: /rates/ }).click();
    await page.getByRole('menuitem', { name: 'Checkpoints' }).click();
    await point.waitFor();
    await look(page, 'checkpoints');
  } else {
    await side(page).getByRole('button', { name: 'Checkpoints' }).click();
  }
  await point.click();
  await panel.getByRole('list', { name: 'Files in this restore' }).getByRole('listitem').filter({ hasText: 'client.py' }).waitFor();
  // Both texts, where there is room for them.
  if (!phone) await panel.locator('.monaco-diff-editor .modified .view-line').first().waitFor({ timeout: 20_000 });
  await look(page, phone ? 'checkpoints-plan' : 'checkpoints');
  if (phone) await panel.getByRole('button', { name: 'Back to the timeline' }).click();
  await panel.getByRole('button', { name: 'Back to the editor' }).first().click();
  await panel.waitFor({ state: 'detached' });
}

/** The review, and in it a hunk that is edited to fit what the project has in its place now. */
async function lookAtFitting(page, look, phone) {
  await (phone ? panes(page) : side(page)).getByRole('button', { name: /^Review/ }).click();
  const review = page.getByRole('region', { name: 'Review', exact: true });
  await review.getByRole('button', { name: 'Edit to fit' }).click();
  await review.getByLabel('Text to write instead').waitFor();
  await review.getByRole('group', { name: 'Lines of the project' }).getByText('line XXX').waitFor();
  await look(page, 'review-fit');
}
