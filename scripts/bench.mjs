// Measures bin/cloudxdevai on this machine: start to healthy, two pages and the largest asset under load, memory, and
// what a first visit downloads. Uses a data folder of its own.
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const SECONDS = 5;
const CLIENTS = 16;

const data = await mkdtemp(path.join(os.tmpdir(), 'cloudxdevai-bench-'));
const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const started = performance.now();
const server = spawn(path.join(root, 'bin/cloudxdevai'), ['serve'], {
  cwd: data,
  env: { ...process.env, DATA_DIR: data, APP_HOST: '127.0.0.1', APP_PORT: String(port), RATE_LIMIT_ENABLED: 'false', LOG_LEVEL: 'WARN' },
  stdio: ['ignore', 'ignore', 'inherit'],
});

try {
  await untilHealthy();
  const manifest = JSON.parse(await readFile(path.join(root, 'dist/asset-manifest.json'), 'utf8'));
  const report = { start: `${Math.round(performance.now() - started)} ms to healthy` };
  for (const where of ['/healthz', '/login', manifest.wasm]) report[where] = await load(where);
  report.memory = `${Math.round((await residentKiB(server.pid)) / 1024)} MiB resident`;
  report.binary = megabytes((await stat(path.join(root, 'bin/cloudxdevai'))).size);
  report['first visit'] = await transferred([manifest.js, manifest.wasm, manifest.style]);
  report['editor, when opened'] = await transferred([manifest.editor, manifest.editor_css]);
  report['dist, files'] = String((await readdir(path.join(root, 'dist'))).length);
  for (const [name, value] of Object.entries(report)) console.log(name.padEnd(48), value);
} finally {
  server.kill('SIGTERM');
  await new Promise((done) => (server.exitCode === null && server.signalCode === null ? server.once('exit', done) : done()));
  await rm(data, { recursive: true, force: true });
}

async function untilHealthy() {
  for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((r) => setTimeout(r, 10))) {
    if (server.exitCode !== null) throw new Error(`the server ended with exit code ${server.exitCode}`);
    const answer = await fetch(`${origin}/healthz`).catch(() => null);
    if (answer?.ok) return;
  }
  throw new Error('the server was not healthy within 20 s');
}

async function load(where) {
  const times = [];
  const end = performance.now() + SECONDS * 1000;
  const client = async () => {
    while (performance.now() < end) {
      const begun = performance.now();
      const answer = await fetch(origin + where, { redirect: 'manual', headers: { 'accept-encoding': 'br' } });
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new Error(`${where} answered ${answer.status}`);
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);
  return `${Math.round(times.length / SECONDS)}/s   p50 ${at(0.5)} ms   p95 ${at(0.95)} ms   p99 ${at(0.99)} ms`;
}

async function transferred(urls) {
  const sizes = await Promise.all(
    urls.map(async (url) => {
      const file = path.join(root, 'dist', url.replace(/^\/pkg\//, ''));
      const [plain, packed] = await Promise.all([file, `${file}.br`].map((f) => stat(f).catch(() => null)));
      return { plain: plain.size, packed: (packed ?? plain).size };
    }),
  );
  const sum = (key) => megabytes(sizes.reduce((total, size) => total + size[key], 0));
  return `${sum('packed')} compressed, ${sum('plain')} plain`;
}

async function residentKiB(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address();
      probe.close(() => resolve(free));
    });
  });
}
