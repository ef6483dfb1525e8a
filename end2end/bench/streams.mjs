// Many answers at once: node end2end/bench/streams.mjs
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ModelServer, modelBinary, Server, stopAll, until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';
import { kilobytes, median, milliseconds, Report } from './figures.mjs';
import { firstToken } from './work.mjs';

const STREAMS = 500;
/** Answers at once before anything is measured, so that what is made once is made, such as the statements of all connections. */
const WARM = 40;
/** Connections that all of them share. */
const CONNECTIONS = '10';
const PACE_MS = 1000;

/** Resident memory of the server, the least of a few looks. */
async function resident(server) {
  let least = Infinity;
  for (let look = 0; look < 8; look += 1) {
    least = Math.min(least, await server.residentBytes());
    await pause(250);
  }
  return least;
}

/** Begins turns that answer slowly, and waits until all of them do. */
async function open(rest, model, project, count, chunks) {
  await model.reset();
  const step = { text: 'word '.repeat(chunks), chunk_chars: 5, pace_ms: PACE_MS };
  await model.script(...Array.from({ length: count }, () => step));
  const turns = [];
  for (let n = 0; n < count; n += 1) turns.push(await rest.startTurn(await rest.conversation(project), 'Talk'));
  await until(async () => (await model.requests()).length >= count, `${count} answers at once`, { timeout: 180_000, every: 500 });
  return turns;
}

async function ended(rest, turns) {
  for (const turn of turns) {
    await until(async () => (await rest.get(`/api/turns/${turn}`)).state === 'finished', 'the turns to end', { timeout: 180_000, every: 500 });
  }
}

export async function manyStreams(server, rest, model, report) {
  const project = await rest.project('streams');
  await measureFirstToken(rest, model, project, report);
  await ended(rest, await open(rest, model, project, WARM, 3));
  const before = await resident(server);
  const turns = await open(rest, model, project, STREAMS, 90);
  const waits = [];
  for (let round = 0; round < 20; round += 1) {
    const began = performance.now();
    await rest.get('/api/projects');
    waits.push(performance.now() - began);
  }
  const during = await resident(server);
  const states = await Promise.all(turns.slice(0, 20).map(async (turn) => (await rest.get(`/api/turns/${turn}`)).state));
  if (states.some((state) => state !== 'running')) throw new Error(`the streams had ended before they were measured: ${states}`);
  report.add(`memory of each of ${STREAMS} streams`, (during - before) / STREAMS, 64e3, kilobytes);
  report.add(`another request beside ${STREAMS} streams on ${CONNECTIONS} connections`, median(waits), 100, milliseconds);
  const began = performance.now();
  for (const turn of turns) void rest.post(`/api/turns/${turn}/stop`).catch(() => {});
  await ended(rest, turns);
  console.log(`  all ${STREAMS} stopped after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

async function measureFirstToken(rest, model, project, report) {
  await model.reset();
  await firstToken(rest, model, project, report);
}

if (path.resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  if (!existsSync(modelBinary)) throw new Error('the example `model_server` is not built');
  try {
    const model = await ModelServer.start();
    const env = { LOG_LEVEL: 'warn', RATE_LIMIT_ENABLED: 'false', WORKER_CONCURRENCY: String(STREAMS + 20), DB_POOL_SIZE: CONNECTIONS, ...model.env };
    const server = await Server.start(env, 'bench-streams');
    const rest = await Rest.signUp(server.base, 'ada');
    const limits = await rest.get('/api/admin/settings/runs');
    await rest.expect(200, 'PUT', '/api/admin/settings/runs', { json: { ...limits, jobs_per_user: STREAMS + 20 } });
    await manyStreams(server, rest, model, new Report());
  } finally {
    await stopAll();
  }
}
