// Requests per second of the server's processor time, by what they cost: nothing, a password's hash, and a list out of the database.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { cpuSeconds, Reference, until } from '../support/processes.mjs';
import { PASSWORD, Rest } from '../support/rest.mjs';

const SECONDS = 4;
const CLIENTS = 16;
const PROJECTS = 20;
/** How often as many as by FastAPI with SQLAlchemy, which is measured right before. */
const TIMES = 10;
/** A login is its hash, whatever the server: 40 ms of two at once. */
const LOGIN_BAR = 20;
/** What the passwords of accounts cost; see `domain/src/password.rs`. */
const HASH = 'Argon2id, 19 MiB twice';

const perSecond = (value) => `${value < 100 ? value.toFixed(1) : value.toFixed(0)}/s`;

/** One request on a connection that is kept. */
function ask(agent, address, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(address, { agent, method, headers }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode));
    });
    request.once('error', reject);
    request.end(body);
  });
}

/** As many requests as are answered in a while by clients that never wait. */
async function rate(server, where, options) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  const before = await cpuSeconds(server.pid);
  const end = performance.now() + SECONDS * 1000;
  let count = 0;
  const client = async () => {
    while (performance.now() < end) {
      const status = await ask(agent, server.base + where, options);
      if (status !== 200) throw new Error(`${where} answered ${status}`);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
  return count / ((await cpuSeconds(server.pid)) - before);
}

/** `secret` is what the server signs its tokens with. */
export async function requestRates(server, secret, report) {
  const rest = await Rest.signUp(server.base, 'rates');
  for (let number = 0; number < PROJECTS; number += 1) await rest.project(`project ${number}`);
  const authorization = `Bearer ${rest.token}`;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const body = new URLSearchParams({ username: 'rates', password: PASSWORD }).toString();
  const asked = [
    ['health, per second of processor', '/healthz', {}],
    [`project list of ${PROJECTS}, per second of processor`, `/api/projects?limit=${PROJECTS}`, { headers: { authorization } }],
  ];
  const reference = await Reference.start(server, secret);
  for (const [name, where, options] of asked) {
    const usual = await rate(reference, where, options);
    console.log(`  ${perSecond(usual)} by FastAPI with SQLAlchemy; the bar is ${TIMES} times that`);
    report.addRate(name, await rate(server, where, options), TIMES * usual, perSecond);
  }
  await reference.stop();
  report.addRate(`login (${HASH}), per second of processor`, await rate(server, '/api/auth/login', { method: 'POST', headers, body }), LOGIN_BAR, perSecond);
}

/** Queries of one list, by what the driver says. `server` logs `sqlx::query=debug`. */
export async function queriesOfAList(server, report) {
  const rest = await Rest.signUp(server.base, 'queries');
  for (let number = 0; number < PROJECTS; number += 1) await rest.project(`project ${number}`);
  await rest.get(`/api/projects?limit=${PROJECTS}`);
  const id = `bench-${Date.now()}`;
  await rest.expect(200, 'GET', `/api/projects?limit=${PROJECTS}`, { headers: { 'x-request-id': id } });
  const lines = await until(async () => {
    const own = (await readFile(server.log, 'utf8')).split('\n').filter((line) => line.includes(id));
    return own.some((line) => line.includes('request answered')) && own;
  }, 'the request to be logged');
  const queries = lines.filter((line) => line.includes('sqlx::query')).length;
  if (queries === 0) throw new Error('the log names no queries');
  report.add(`queries of a project list of ${PROJECTS}`, queries, 3, String);
}
