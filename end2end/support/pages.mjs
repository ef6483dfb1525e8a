// The things people do on the pages, by the names they see.
import assert from 'node:assert/strict';
import { PASSWORD } from './rest.mjs';
import { until } from './processes.mjs';

/** Waits until the browser half has taken over (see `noteHydration`); pages without it are complete as they are. */
export async function alive(page) {
  await page.waitForFunction(() => window.__alive === true || !document.querySelector('script[type=module]:not([data-alone])'));
}

/** Signs in by the form, then waits for the dashboard. */
export async function signIn(page, username, password = PASSWORD) {
  await page.goto('/login');
  await alive(page);
  await page.getByLabel('Username or e-mail').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((url) => url.pathname === '/');
  await page.getByRole('banner').waitFor();
}

export async function openProject(page, id) {
  await Promise.all([following(page), page.goto(`/projects/${id}`)]);
  await connected(page);
}

/** The page opens its event connection, which it does once the browser half has taken over. */
export async function following(page) {
  await page.waitForRequest((request) => request.url().includes('/api/live?'), { timeout: 20_000 });
}

/** The project page follows its events. */
export async function connected(page) {
  await page.locator('footer.status').getByText('Connected').waitFor({ state: 'attached', timeout: 20_000 });
}

export function tree(page) {
  return page.getByRole('tree', { name: 'Project files' });
}

export function entry(page, path) {
  return tree(page).locator(`[role=treeitem][data-path=${JSON.stringify(path)}]`);
}

/** Opens a file by the tree and waits until its text is in the editor. */
export async function openFile(page, path) {
  await entry(page, path).click();
  await page.locator(`.tab[aria-selected=true][title=${JSON.stringify(path)}]`).waitFor();
  await editor(page).locator('.view-line').first().waitFor({ timeout: 20_000 });
}

export function editor(page) {
  return page.locator('.main-pane:not([hidden]) .ed-host:not([hidden]) > .monaco-editor').first();
}

/** The lines on screen. Monaco writes blanks as no-break spaces. */
export async function editorText(page) {
  const lines = editor(page).locator('.view-line');
  const texts = await lines.evaluateAll((all) =>
    all.map((line) => [parseInt(line.style.top, 10) || 0, line.textContent]).sort((a, b) => a[0] - b[0]).map(([, text]) => text),
  );
  return texts.join('\n').replaceAll('\u00a0', ' ');
}

export async function editorShows(page, text, what = `the editor to show ${text}`) {
  await until(async () => (await editorText(page)).includes(text), what);
}

/** Types at the very beginning of the file on top. */
export async function typeOnTop(page, text) {
  await editor(page).locator('.view-lines').click({ position: { x: 200, y: 30 } });
  await page.keyboard.press('Control+Home');
  await page.keyboard.insertText(text);
}

export function tab(page, name) {
  return page.getByRole('tab', { name: new RegExp(`^${name.replaceAll('.', '\\.')}`) });
}

export async function isUnsaved(page, name) {
  await tab(page, name).locator('.dot--unsaved').waitFor();
}

export async function isSaved(page, name) {
  await tab(page, name).locator('.dot--unsaved').waitFor({ state: 'detached' });
  await page.locator('footer.status').getByText('Saved', { exact: true }).waitFor();
}

/** Types a command, runs it, and answers its block. */
export async function runCommand(page, command) {
  await page.getByLabel('Command to run').fill(command);
  await page.getByLabel('Command to run').press('Enter');
  const block = page.locator('article.run').filter({ has: page.locator('code', { hasText: command.split('\n')[0] }) }).first();
  await block.waitFor();
  return block;
}

/** What an xterm shows, whole lines. */
export async function terminalText(block) {
  // A terminal draws its rows only while it can be seen.
  const screen = block.locator('.xterm');
  if (await screen.count()) await screen.first().evaluate((element) => element.scrollIntoView({ block: 'end' }));
  const rows = await block.locator('.xterm-rows > div').allTextContents();
  return rows.join('\n').replaceAll('\u00a0', ' ');
}

export async function send(page, text) {
  await page.getByLabel('Message to the agent').fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.locator('.me-text', { hasText: text }).last().waitFor();
}

/** Nothing the agent does is under way any more. */
export async function turnEnded(page) {
  await page.getByRole('button', { name: 'Send', exact: true }).waitFor({ timeout: 60_000 });
  await page.locator('.log > :last-child').waitFor();
}

/** The hunk that shows `text` now; it stays the same one when its lines are folded away. */
export async function hunk(page, text) {
  const id = await page.locator('.review .hunk').filter({ hasText: text }).getAttribute('id');
  return page.locator(`[id="${id}"]`);
}

export async function badgeOf(hunk, word) {
  await hunk.locator('.hunk-head .badge').filter({ hasText: word }).waitFor();
}

/** Fields of the sign-up form as they are now. */
export async function fillSignup(page, { email, username, password }) {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
}

export async function assertInvalid(page, label, exact = true) {
  const field = page.getByLabel(label, { exact });
  assert.equal(await field.getAttribute('aria-invalid'), 'true', `${label} is marked`);
  const note = await field.getAttribute('aria-describedby');
  const text = await page.locator(`[id="${note}"]`).innerText();
  assert.ok(text.trim().length > 8, `${label} says what is wrong: ${text}`);
  return text;
}
