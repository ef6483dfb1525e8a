// Opening a conversation of 50 000 events, finished and with a long turn at work: node end2end/bench/sessions.mjs
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Journey } from '../support/journey.mjs';
import { connected, openProject, signIn } from '../support/pages.mjs';
import { root, Server, stopAll } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { median, milliseconds, Report } from './figures.mjs';

const BAR = 500;
const TURNS = 500;
const ROUNDS = 7;
/** About as many events of turns; messages have theirs too. */
const EVENTS_A_TURN = 95;
const LIVE_EVENTS = 50_000;

const seed = (server, project, conversation, user, ...sizes) => {
  const script = path.join(root, 'end2end/bench/seed_conversation.py');
  const words = [path.join(server.data, 'cloudxdevai.db'), project, conversation, user, ...sizes.map(String)];
  return Number(execFileSync('python3', [script, ...words], { encoding: 'utf8' }).trim());
};

async function timed(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** Milliseconds until the last answer of the conversation `name` stands on the page and is seen. */
async function opened(page, name, text) {
  const list = page.getByRole('button', { name: 'Earlier conversations' });
  await list.click();
  const row = page.locator('.conv-open', { hasText: name });
  await row.waitFor();
  return page.evaluate(
    ([name, text]) =>
      new Promise((done) => {
        const row = [...document.querySelectorAll('.conv-open')].find((row) => row.textContent.includes(name));
        const began = performance.now();
        const look = () => {
          const said = [...document.querySelectorAll('.said')].at(-1);
          if (said?.textContent.includes(text)) requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
          else requestAnimationFrame(look);
        };
        row.click();
        requestAnimationFrame(look);
      }),
    [name, text],
  );
}

/** Both conversations, over REST and in the browser. */
export async function sessions(browser, report) {
  const server = await Server.start({ LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false' }, 'bench-sessions');
  const rest = await Rest.signUp(server.base, 'ada');
  const project = await rest.project('long');
  const make = async (title) => (await rest.post(`/api/projects/${project}/conversations`, { title }, 201)).id;
  const [short, long, live] = [await make('Short'), await make('Long'), await make('Live')];
  await server.stop();
  seed(server, project, short, rest.user.id, 1, 3);
  seed(server, project, live, rest.user.id, 20, 3, LIVE_EVENTS);
  const events = seed(server, project, long, rest.user.id, TURNS, EVENTS_A_TURN);
  console.log(`${events} events`);
  await server.launch();
  for (const [id, title] of [[short, 'Short'], [long, 'Long'], [live, 'Live']]) await rest.expect(200, 'PATCH', `/api/conversations/${id}`, { json: { title } });

  for (const [name, id] of [['50 000 events', long], ['a turn of 50 000 at work', live]]) {
    const times = [];
    for (let round = 0; round < ROUNDS; round += 1) times.push(await timed(() => rest.get(`/api/conversations/${id}?limit=80`)));
    report.add(`conversation of ${name}, answer`, median(times), 50, milliseconds);
  }
  const search = [];
  for (let round = 0; round < ROUNDS; round += 1) search.push(await timed(() => rest.get(`/api/projects/${project}/conversations?search=answer%20499`)));
  report.add('search over its messages', median(search), 200, milliseconds);

  const journey = new Journey('bench-sessions', browser, { steps: [], passed: 0 });
  try {
    const page = await journey.page({ base: server.base });
    await signIn(page, 'ada');
    await openProject(page, project);
    await connected(page);
    for (const [name, title, text] of [['50 000 events', 'Long', `answer ${TURNS - 1}`], ['a turn of 50 000 at work', 'Live', 'answer 20']]) {
      const times = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        await opened(page, 'Short', 'answer 0');
        times.push(await opened(page, title, text));
      }
      report.add(`conversation of ${name}, opened`, median(times), BAR, milliseconds);
    }
  } finally {
    await journey.close();
    await server.stop();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const report = new Report();
  const executablePath = process.env.CHROMIUM_PATH || '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] });
  try {
    await sessions(browser, report);
  } finally {
    await browser.close();
    await stopAll();
  }
}
