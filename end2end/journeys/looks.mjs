// The pages of who works, in both themes, on a desk and on a phone: pictures to look at, and no serious finding by axe. The others are in
// looks_more.mjs, which another lane may walk meanwhile.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { sdist } from '../support/archives.mjs';
import { looking } from '../support/inspect.mjs';
import { alive, editor, entry, openFile, openProject, signIn } from '../support/pages.mjs';
import { DESK, PHONE } from '../support/journey.mjs';
import { Rest } from '../support/rest.mjs';

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  const rest = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await prepare(rest, model);
  const findings = [];
  let cookies = [];

  for (const [sizeName, size] of [['desk', DESK], ['phone', PHONE]]) {
    const look = looking(journey, findings, sizeName);
    await journey.step(`pages, ${sizeName}`, async () => {
      // Signed in once; all else that a browser keeps is of one size.
      const page = await journey.page({ base, size, storageState: { cookies, origins: [] } });
      // The document of the API, complete by itself: nothing comes from elsewhere, which journeys refuse anyway.
      await page.goto('/api/docs#projects_create');
      await page.locator('#projects_create[open]').getByText('Weather station').first().waitFor();
      await look(page, 'api-docs');
      await page.getByLabel('Filter').fill('post /runs');
      await page.getByRole('status').getByText(/^\d+ of \d+$/).waitFor();
      assert.equal(await page.locator('#runs_start').isVisible(), true);
      assert.equal(await page.locator('#projects_create').isVisible(), false);

      if (cookies.length === 0) {
        await signIn(page, 'ada');
      } else {
        await page.goto('/');
        await alive(page);
      }
      await page.locator('a.proj-name').first().waitFor();
      await look(page, 'dashboard');
      await page.getByRole('button', { name: 'New project' }).click();
      await page.getByRole('dialog').waitFor();
      await look(page, 'new-project');
      // The other sections are looked at where they are tried: admin.mjs and settings.mjs.
      for (const [name, path, sign] of [
        ['admin-user', `/admin/users?user=${ben.user.id}`, 'ben'],
        ['admin-runs', '/admin/runs', 'Limits of one run'],
        ['project-settings', `/projects/${project}/settings`, 'What runs asked for'],
      ]) {
        await page.goto(path);
        await alive(page);
        await page.getByRole('heading', { name: sign }).first().waitFor();
        await look(page, name);
      }
      await openProject(page, project);
      await (sizeName === 'desk' ? lookAtDesk : lookAtPhone)(page, look);
      cookies = await page.context().cookies();
      await page.context().close();
    });
  }
  await journey.step('no serious finding', () => assert.deepEqual([...new Set(findings)], []));
}

/** A project with runs behind it and a change set that waits. */
async function prepare(rest, model) {
  const project = await rest.importArchive('six', 'six.tar.gz', readFileSync(sdist()));
  for (const command of ['python3 -c "import six; print(six.__version__)"', 'python3 -c "raise SystemExit(2)"']) {
    await rest.finishedRun((await rest.startRun(project, command)).id);
  }
  await network(rest, project);
  await model.script(
    { text: 'I read `six.py` first.', tool_calls: [{ name: 'read_file', arguments: { path: 'six.py', end_line: 40 } }] },
    {
      text: 'Two changes:\n\n1. a new **version**\n2. a note\n\n```python\n__version__ = "1.17.1"\n```',
      tool_calls: [
        { name: 'edit_file', arguments: { path: 'six.py', old_text: '__version__ = "1.17.0"', new_text: '__version__ = "1.17.1"' } },
        { name: 'write_file', arguments: { path: 'NOTES.md', content: '# Notes\n\nWritten by the agent.\n' } },
      ],
    },
    { text: 'Both wait for your review.', usage: { prompt_tokens: 1200, completion_tokens: 80 } },
  );
  const turn = await rest.startTurn(await rest.conversation(project), 'Bump the version and leave a note');
  await rest.events(`turn:${turn}`);
  return project;
}

/** Rules, a log with a refusal, a server that listens, and a terminal. */
async function network(rest, project) {
  const settings = await rest.get('/api/admin/settings/runs');
  const egress = ['pypi.org', 'files.pythonhosted.org', '*.example.org', 'example.net'];
  await rest.expect(200, 'PUT', '/api/admin/settings/runs', { json: { ...settings, egress } });
  await rest.expect(200, 'PUT', `/api/projects/${project}/network`, { json: { allow: ['pypi.org', '*.example.org', 'example.net'] } });
  await rest.expect(200, 'PUT', '/api/admin/settings/runs', { json: { ...settings, egress: egress.slice(0, 3) } });
  const ask = 'python3 -c "import urllib.request as u; u.urlopen(\'https://example.com/\', timeout=9)"';
  await rest.finishedRun((await rest.startRun(project, ask)).id);
  await rest.startRun(project, 'python3 -m http.server 8000');
  await rest.post(`/api/projects/${project}/terminals`, { cols: 100, rows: 12 }, 202);
}

async function lookAtConsole(page, look) {
  await page.locator('#console-tab-terminal').click();
  const screen = page.locator('.tm-pane:not([hidden]) .xterm-helper-textarea');
  await screen.focus();
  await page.locator('.tm-bar .badge').waitFor({ state: 'detached' });
  await page.keyboard.type('ls -la --color=always\n');
  await page.locator('.tm-pane:not([hidden]) .xterm-rows').getByText('six.py').first().waitFor();
  await look(page, 'terminal');
  await page.locator('#console-tab-ports').click();
  await page.getByRole('row').filter({ hasText: '8000' }).waitFor();
  await look(page, 'ports');
  await page.locator('#console-tab-output').click();
}

async function lookAtDesk(page, look) {
  await openFile(page, 'six.py');
  await page.locator('section.chat').getByText('Both wait for your review.').waitFor();
  await page.locator('.xterm-rows').first().waitFor();
  await look(page, 'project');
  await page.keyboard.press('Control+p');
  await page.getByRole('dialog').waitFor();
  await look(page, 'quick-open');
  await page.keyboard.press('Escape');
  await lookAtConsole(page, look);
  await page.locator('section.chat').getByRole('button', { name: 'Review 2 changes' }).click();
  await page.locator('.review .hunk').nth(1).waitFor();
  await look(page, 'review');
}

async function lookAtPhone(page, look) {
  const panes = page.getByRole('navigation', { name: 'Panes' });
  await page.locator('section.chat').getByText('Both wait for your review.').waitFor();
  await look(page, 'project-chat');
  await panes.getByRole('button', { name: 'Runs' }).click();
  await page.locator('article.run').first().waitFor();
  await look(page, 'project-runs');
  await lookAtConsole(page, look);
  await panes.getByRole('button', { name: 'Files' }).click();
  await entry(page, 'six.py').waitFor();
  await look(page, 'project-files');
  await entry(page, 'six.py').click();
  await editor(page).locator('.view-line').first().waitFor();
  await look(page, 'project-editor');
  await panes.getByRole('button', { name: /^Review/ }).click();
  await page.locator('.review .hunk').nth(1).waitFor();
  await look(page, 'review');
}
