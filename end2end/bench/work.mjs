// Work: from queue to process, what the sandbox adds, and what the server adds to a model's first token.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import process from 'node:process';
import { median, milliseconds } from './figures.mjs';

const RUNS = 20;
const TURNS = 20;

/** Until the command itself says what time it is. */
export async function queueToStart(rest, project, report) {
  const waits = [];
  for (let round = 0; round <= RUNS; round += 1) {
    const run = await rest.finishedRun((await rest.startRun(project, 'date +%s%6N')).id);
    const { text } = await rest.expect(200, 'GET', `/api/runs/${run.id}/output`);
    // The first run makes the checkout.
    if (round > 0) waits.push(Number(text.trim()) / 1000 - moment(run.created_at));
  }
  report.add('queue to process start', median(waits), 30, milliseconds);
}

/** Milliseconds with three decimals; `Date` would drop the microseconds. */
function moment(time) {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? '0';
  return Date.parse(time.replace(/\.\d+/, '')) + Number(`0.${fraction}`) * 1000;
}

/** The sandbox crate's own measurement: bare process and sandbox in one interleaved run. */
export function sandboxOverhead(program, report) {
  const name = 'sandbox adds to a bare process';
  if (!program || !existsSync(program)) return report.skip(name, 'the example `overhead` is not built');
  const said = execFileSync(program, ['60'], { encoding: 'utf8', timeout: 120_000 });
  for (const [, where, added] of said.matchAll(/^(checkout|branch) .*adds (-?[\d.]+) ms$/gm)) {
    report.add(`${name}, ${where}`, Number(added), 30, milliseconds);
  }
  for (const [line] of said.matchAll(/^.*(ratio|at once|terminal|99 of 100).*$/gm)) console.log(`  ${line}`);
}

/** An example program that prints its own figures and bars. */
export function ownMeasurement(example, program, args = []) {
  if (!program || !existsSync(program)) throw new Error(`the example \`${example}\` is not built`);
  const { stdout, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 180_000 });
  if (error) throw error;
  process.stdout.write(stdout);
}

/** The same scripted answer asked for directly and through a turn, in alternation. */
export async function firstToken(rest, model, project, report) {
  const direct = [];
  const through = [];
  for (let round = 0; round <= TURNS; round += 1) {
    await model.script({ text: 'one two three four' }, { text: 'one two three four' });
    const first = await askModel(model);
    const turn = await askAgent(rest, project);
    if (round > 0) {
      direct.push(first);
      through.push(turn);
    }
  }
  console.log(`  first token: ${milliseconds(median(direct))} directly, ${milliseconds(median(through))} through a turn`);
  report.add('added to the first token', median(through) - median(direct), 5, milliseconds);
}

async function askModel(model) {
  const began = performance.now();
  const answer = await fetch(`${model.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'scripted', stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  let text = '';
  let took;
  for await (const chunk of answer.body) {
    text += Buffer.from(chunk).toString();
    if (took === undefined && /"content":"one/.test(text)) took = performance.now() - began;
  }
  return took;
}

async function askAgent(rest, project) {
  const conversation = await rest.conversation(project);
  const began = performance.now();
  let took;
  const turn = await rest.startTurn(conversation, 'Hello');
  await rest.events(`turn:${turn}`, {
    onEvent: (event) => {
      if (event.kind === 'text_delta') took ??= performance.now() - began;
    },
  });
  return took;
}
