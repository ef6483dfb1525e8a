// What keeping files costs: memory while a large one comes in, and processor time for each that is read.
import http from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Rest } from '../support/rest.mjs';
import { megabytes } from './figures.mjs';

const LARGE = 200_000_000;
const LANES = 8;
const perSecond = (value) => `${value.toFixed(0)}/s`;

/** Bytes that no storage has seen before. */
function* noise(size, seed) {
  const chunk = Buffer.alloc(65_536);
  for (let at = 0; at < size; at += chunk.length) {
    chunk.writeBigUInt64LE(BigInt(at) * 2_654_435_761n + BigInt(seed));
    yield chunk.subarray(0, Math.min(chunk.length, size - at));
  }
}

/** Peak of resident memory over what it was just before, for one upload of 200 MB to each storage. */
export async function uploads(server, s3, report) {
  const rest = await Rest.signUp(server.base, 'ada');
  for (const backend of ['local', 's3']) {
    const name = `memory added by 200 MB sent to ${backend === 'local' ? 'disk' : 'S3'}`;
    if (backend === 's3' && !s3) {
      report.skip(name, 'the example `s3_server` is not built');
      continue;
    }
    const project = (await rest.post('/api/projects', { name: backend, storage_backend: backend }, 201)).id;
    // The first request of a kind brings in what every later one has.
    await rest.write(project, 'small.txt', backend);
    await pause(500);
    const before = await server.residentBytes();
    await server.forgetPeak();
    const sent = await fetch(server.base + rest.fileAddress(project, 'large.bin'), {
      method: 'PUT',
      headers: { authorization: `Bearer ${rest.token}`, 'if-none-match': '*' },
      body: Readable.toWeb(Readable.from(noise(LARGE, backend.length))),
      duplex: 'half',
    });
    if (sent.status !== 201) throw new Error(`the upload answered ${sent.status}: ${await sent.text()}`);
    report.add(name, Math.max(0, (await server.peakBytes()) - before), 32e6, megabytes);
  }
}

/** Reads of one file over and over, eight at a time, by the processor time that the server takes for them. */
export async function readRates(server, report) {
  const rest = await Rest.signedIn(server.base, 'ada');
  const project = await rest.project('reads');
  for (const [label, size, requests, bar] of [['4 KiB', 4096, 6000, 1000], ['1 MiB', 1 << 20, 1500, 200]]) {
    await rest.expect(201, 'PUT', rest.fileAddress(project, `${size}.bin`), { body: Buffer.alloc(size, 7), headers: { 'if-none-match': '*' } });
    const agent = new http.Agent({ keepAlive: true, maxSockets: LANES });
    const read = () => readOnce(agent, server, rest.fileAddress(project, `${size}.bin`), rest.token, size);
    for (let warm = 0; warm < 50; warm += 1) await read();
    const before = await server.cpuSeconds();
    await Promise.all(Array.from({ length: LANES }, async () => {
      for (let turn = 0; turn < requests / LANES; turn += 1) await read();
    }));
    report.addRate(`reads of ${label} per CPU-second`, requests / ((await server.cpuSeconds()) - before), bar, perSecond);
    agent.destroy();
  }
}

function readOnce(agent, server, where, token, size) {
  return new Promise((resolve, reject) => {
    const request = http.get({ agent, port: server.port, host: '127.0.0.1', path: where, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      let got = 0;
      answer.on('data', (bytes) => (got += bytes.length));
      answer.on('end', () => (answer.statusCode === 200 && got === size ? resolve() : reject(new Error(`${answer.statusCode} with ${got} bytes`))));
      answer.on('error', reject);
    });
    request.on('error', reject);
  });
}
