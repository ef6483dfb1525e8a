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

/** Two runs that print 100 MB between them, while a reader of each has stopped reading. */
export async function duringOutput(server, rest, project, report) {
  const before = await settled(server);
  let most = before;
  for (let round = 0; round < 2; round += 1) {
    const run = await rest.startRun(project, `yes "$(printf %060d 7)" | head -c 50000000`);
    const stop = new AbortController();
    const stuck = await fetch(`${server.base}/api/live/run:${run.id}`, { headers: { authorization: `Bearer ${rest.token}` }, signal: stop.signal });
    if (stuck.status !== 200) throw new Error(`the stream answered ${stuck.status}`);
    const ended = rest.finishedRun(run.id);
    let over = false;
    ended.finally(() => (over = true)).catch(() => {});
    while (!over) {
      most = Math.max(most, await server.residentBytes());
      await pause(50);
    }
    const { usage } = await ended;
    if (usage.output_bytes !== 50_000_000) throw new Error(`${usage.output_bytes} bytes were printed`);
    stop.abort();
  }
  report.add('memory added by 100 MB of output', most - before, 20e6, megabytes);
}
