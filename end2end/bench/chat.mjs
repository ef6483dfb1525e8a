// The longest frame while an answer of 20 000 tokens streams in: node end2end/bench/chat.mjs
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Journey } from '../support/journey.mjs';
import { openProject, send, signIn } from '../support/pages.mjs';
import { ModelServer, modelBinary, Server, stopAll, until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { milliseconds, Report } from './figures.mjs';

const TOKENS = 20_000;
/** Of English and code, about. */
const CHARACTERS = TOKENS * 4;
const BAR = 50;

const PARAGRAPH = 'The `parser` keeps **one** token of look-ahead and never goes back; see [the notes](https://example.org/notes) for why that is enough. ';
const CODE = 'fn step(state: &mut State, token: Token) -> Result<(), Error> {\n    let next = state.table.get(&token).ok_or(Error::Unknown)?;\n    state.stack.push(*next);\n    Ok(())\n}\n';

/** Answers of one length and of different make: what people get, and the worst there is. */
const ANSWERS = {
  'prose, lists, tables and code': fill((n) => {
    const heading = `## Part ${n}\n\n`;
    const list = Array.from({ length: 6 }, (_, i) => `- item ${i} with \`code\` and *words*\n`).join('');
    const table = `\n| name | value |\n|---|---|\n${Array.from({ length: 4 }, (_, i) => `| row ${i} | ${i * n} |\n`).join('')}\n`;
    return `${heading}${PARAGRAPH.repeat(3)}\n\n${list}\n${table}\`\`\`rust src/part_${n}.rs\n${CODE.repeat(2)}\`\`\`\n\n`;
  }),
  'one code block': `Here it is:\n\n\`\`\`rust\n${fill(() => CODE)}\`\`\`\n`,
  'one list': fill((n) => `- **${n}** ${PARAGRAPH}\n`),
  'one paragraph': fill(() => PARAGRAPH),
  'one word': fill(() => 'word'),
  'one line of code': `\`\`\`rust\n${fill(() => CODE.replaceAll('\n', ' '))}\n\`\`\`\n`,
  'one item of a list': `- ${fill(() => PARAGRAPH)}`,
  'one row of a table': `| a | b |\n|---|---|\n| ${fill(() => PARAGRAPH)}|\n`,
  'one table': `| part | row |\n|---|---|\n${fill((n) => `| **${n}** | ${PARAGRAPH}|\n`)}`,
  'one quote': fill(() => `> ${PARAGRAPH}\n`),
};

/** Only what is named on the command line, when anything is. */
const CHOSEN = process.argv[1] === fileURLToPath(import.meta.url) ? process.argv.slice(2) : [];

function fill(part) {
  let text = '';
  for (let n = 1; text.length < CHARACTERS; n += 1) text += part(n);
  return text;
}

/** Notes frames and tasks in the page. A long animation frame counts all of its work: script, style, layout. */
function watchFrames() {
  const seen = { frames: [], tasks: [], gaps: [], on: false };
  window.__frames = seen;
  const note = (list) => (entries) => {
    if (seen.on) list.push(...entries.getEntries().map((entry) => entry.duration));
  };
  for (const [type, list] of [['long-animation-frame', seen.frames], ['longtask', seen.tasks]]) {
    if (PerformanceObserver.supportedEntryTypes.includes(type)) new PerformanceObserver(note(list)).observe({ type });
  }
  let before = performance.now();
  const tick = (now) => {
    if (seen.on) seen.gaps.push(now - before);
    before = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

/** In the page: the whole answer, and the composer as it is between turns. */
function showsTheEnd() {
  const last = Array.from(document.querySelectorAll('.md')).at(-1)?.lastElementChild;
  const ended = Array.from(document.querySelectorAll('section.chat button'), (button) => button.textContent.trim()).includes('Send');
  return last?.textContent.includes('The end of it.') && ended;
}

/** One answer of each make in a conversation of its own. */
export async function streaming(browser, server, rest, model, report) {
  const project = await rest.project('chat');
  const journey = new Journey('bench-chat', browser, { steps: [], passed: 0 });
  try {
    for (const [make, text] of Object.entries(ANSWERS).filter(([make]) => CHOSEN.length === 0 || CHOSEN.includes(make))) {
      const page = await journey.page({ base: server.base });
      await page.addInitScript(watchFrames);
      await signIn(page, rest.user.username);
      await openProject(page, project);
      await page.locator('section.chat').getByRole('button', { name: 'New conversation' }).click();
      await model.reset();
      await model.script({ text: `${text}\n\nThe end of it.`, chunk_chars: 16, pace_ms: 1 });
      await page.evaluate(() => (window.__frames.on = true));
      const began = performance.now();
      await send(page, `Write: ${make}`);
      // Not by a locator, which would read all of the page again and again in the frames that are measured.
      await page.waitForFunction(showsTheEnd, undefined, { polling: 500, timeout: 180_000 });
      const took = performance.now() - began;
      const { frames, tasks, gaps } = await page.evaluate(() => ({ ...window.__frames, on: undefined }));
      gaps.sort((a, b) => a - b);
      const longest = Math.max(0, ...frames, ...tasks);
      const at = (share) => milliseconds(gaps[Math.floor(gaps.length * share)] ?? 0);
      console.log(`  ${make}: ${text.length} characters in ${(took / 1000).toFixed(1)} s, ${gaps.length} frames, gap ${at(0.5)} median, ${at(0.99)} at 99 of 100, ${at(0.9999)} at most`);
      // Nothing is reported of frames and tasks up to 50 ms.
      report.add(`longest frame, ${make}`, longest, BAR, (ms) => (ms === 0 ? 'under 50' : milliseconds(ms)));
      await until(async () => (await page.locator('.md').last().textContent()).length > text.length / 2, 'the whole answer to be shown');
      await page.close();
    }
  } finally {
    await journey.close();
  }
}

if (path.resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const executablePath = process.env.CHROMIUM_PATH || '/usr/bin/chromium';
  if (!existsSync(modelBinary)) throw new Error('the example `model_server` is not built');
  try {
    const model = await ModelServer.start();
    const server = await Server.start({ LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false', ...model.env }, 'bench-chat');
    const rest = await Rest.signUp(server.base, 'ada');
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] });
    await streaming(browser, server, rest, model, new Report());
    await browser.close();
  } finally {
    await stopAll();
  }
}
