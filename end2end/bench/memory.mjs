// Memory of the server process: after its start, and with many idle sessions that follow a project.
import { setTimeout as pause } from 'node:timers/promises';
import { Rest } from '../support/rest.mjs';
import { megabytes } from './figures.mjs';

const SESSIONS = 150;

/** Resident bytes once they no longer change by more than a little. */
async function settled(server) {
  let last = await server.residentBytes();
  for (let round = 0; round < 20; round += 1) {
    await pause(250);
    const now = await server.residentBytes();
    if (Math.abs(now - last) < 200_000) return now;
    last = now;
  }
  return last;
}

export async function atRest(server, report) {
  report.add('memory at rest', await settled(server), 60e6, megabytes);
}

export async function withSessions(server, project, report) {
  const stop = new AbortController();
  const open = [];
  for (let number = 0; number < SESSIONS; number += 1) {
    const session = await Rest.signedIn(server.base, 'ada');
    const answer = await fetch(`${server.base}/api/live/project:${project}`, {
      headers: { authorization: `Bearer ${session.token}` },
      signal: stop.signal,
    });
    if (answer.status !== 200) throw new Error(`stream ${number} answered ${answer.status}`);
    open.push(answer.body.getReader());
  }
  report.add(`memory with ${SESSIONS} idle sessions`, await settled(server), 100e6, megabytes);
  stop.abort();
}
