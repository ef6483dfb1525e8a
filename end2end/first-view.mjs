// Notes which functions of the browser half the first view of a project runs and writes the fingerprints of all others into
// frontend/late.txt, by which a release build is taken apart: node end2end/first-view.mjs PROGRAM
// PROGRAM is what wasm-opt left behind, with its names, of the build that the server binary serves; see scripts/first-view.sh.
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { drawsAnything, fingerprint, instrument, isUrgent } from '../scripts/wasm-split.mjs';
import { sdist } from './support/archives.mjs';
import { Journey, PHONE } from './support/journey.mjs';
import { connected, editor, editorShows, openProject, signIn } from './support/pages.mjs';
import { ModelServer, root, Server, stopAll } from './support/processes.mjs';
import { Rest } from './support/rest.mjs';

const list = path.join(root, 'frontend/late.txt');
const WORDS = `# Functions that the first view of a project does without, as fingerprints of their names (scripts/wasm-split.mjs): they are
# fetched after it. Written by scripts/first-view.sh. A list that is out of date costs bytes or time, and nothing else.
`;
/** What is saved, drawn and asked for after a key. */
const AFTERWARDS_MS = 3000;

/** Keeps the program's memory at hand. */
function keepProgram() {
  const load = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...all) => {
    const loaded = await load.apply(WebAssembly, all);
    window.__program ??= loaded.instance.exports;
    return loaded;
  };
}

/** As if the page were left: nothing can be fetched any more by then. */
function leave() {
  for (const type of ['blur', 'beforeunload', 'pagehide', 'focus', 'pageshow']) window.dispatchEvent(new Event(type, { cancelable: true }));
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
}

async function main(program) {
  const noting = instrument(await readFile(program));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const journey = new Journey('first-view', browser, { steps: [], passed: 0 });
  const ran = new Set();
  try {
    for (const model of [await ModelServer.start(), undefined]) {
      const server = await Server.start({ LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false', ...model?.env }, 'first-view');
      const rest = await Rest.signUp(server.base, 'ada');
      for (const view of await views(rest, model)) await look(journey, server, rest, noting, view, ran);
    }
  } finally {
    await journey.close();
    await browser.close();
  }
  const early = new Set([...ran].map((at) => noting.names[at]).filter(Boolean).map(fingerprint));
  const late = new Set(noting.names.filter((name) => name && !drawsAnything(name) && !isUrgent(name)).map(fingerprint).filter((print) => !early.has(print)));
  await writeFile(list, `${WORDS}${[...late].sort().join('\n')}\n`);
  console.log(`${ran.size} of ${noting.names.length} functions run; ${late.size} fingerprints come later`);
}

/** Projects as people leave them and come back to them, with a model that answers and without. */
async function views(rest, model) {
  const fresh = await rest.importArchive('six', 'six.tar.gz', await readFile(sdist()));
  if (!model) return [{ project: fresh, file: 'six.py' }, { project: fresh, size: PHONE }, { project: await rest.project('empty') }];
  const used = await rest.importArchive('used', 'used.tar.gz', await readFile(sdist()));
  await rest.finishedRun((await rest.startRun(used, 'echo one; echo two >&2; false')).id);
  await rest.finishedRun((await rest.startRun(used, 'python3 -c "print(1)"')).id);
  await model.script(
    { text: 'I look at it.', tool_calls: [{ name: 'read_file', arguments: { path: 'six.py' } }] },
    { text: '## Read\n\n- `six.py` is *one* file\n\n```python\nimport six\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n' },
  );
  const turn = await rest.startTurn(await rest.conversation(used), 'What is in **six.py**?');
  await rest.events(`turn:${turn}`);
  await rest.post(`/api/projects/${used}/replace`, { q: 'import functools', replacement: 'import functools as functions' });
  return [
    { project: fresh, file: 'six.py' },
    { project: fresh, file: 'six.py', size: PHONE },
    { project: fresh },
    { project: used, file: 'six.py' },
    { project: used, file: 'README.rst', dark: true },
    { project: used, size: PHONE },
  ];
}

async function look(journey, server, rest, noting, { project, file, size, dark }, ran) {
  const profile = await journey.profile({ base: server.base, dark, ...(size ? { size } : {}) });
  await profile.addInitScript(keepProgram);
  await profile.route(/\/pkg\/frontend-(?!late)[^/]*\.wasm$/, (route) =>
    route.fulfill({ body: Buffer.from(noting.bytes), contentType: 'application/wasm' }),
  );
  const page = await profile.newPage();
  await signIn(page, rest.user.username);
  if (file) {
    const kept = JSON.stringify({ paths: [file], active: file });
    await page.evaluate(([key, value]) => localStorage.setItem(key, value), [`tabs:${project}`, kept]);
  }
  await openProject(page, project);
  await connected(page);
  if (file && !size) {
    await editor(page).locator('.view-line').first().waitFor();
    await editor(page).locator('.view-lines').click({ position: { x: 200, y: 30 } });
    await page.keyboard.type('#');
    await editorShows(page, '#');
  }
  await page.waitForTimeout(AFTERWARDS_MS);
  await page.evaluate(leave);
  const seen = await page.evaluate(
    ([place, count]) => Array.from(new Uint8Array(window.__program.memory.buffer, place, count).entries()).flatMap(([at, hit]) => (hit ? [at] : [])),
    [noting.place, noting.names.length],
  );
  for (const at of seen) ran.add(at);
  console.log(`${file ?? 'no file'}${size ? ', phone' : ''}: ${seen.length} functions`);
  await profile.close();
}

if (!process.argv[2]) throw new Error('usage: node end2end/first-view.mjs PROGRAM');
try {
  await main(process.argv[2]);
} finally {
  await stopAll();
}
