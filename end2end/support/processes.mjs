// Everything a journey starts: the server under test, the scripted model server, and their end.
import { execFile, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const TICKS_PER_SECOND = 100;
export const artefacts = path.join(root, 'end2end/artefacts');
const cache = process.env.CLOUDXDEVAI_CACHE ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'cloudxdevai');
export const cacheDir = cache;

export const serverBinary = path.resolve(process.env.CLOUDXDEVAI_BIN ?? path.join(root, 'bin/cloudxdevai'));
const targetDir = process.env.CARGO_TARGET_DIR ?? path.join(cache, 'target/native');
export const s3Binary = path.resolve(process.env.S3_SERVER_BIN ?? path.join(targetDir, 'debug/examples/s3_server'));
export const modelBinary = path.resolve(process.env.MODEL_SERVER_BIN ?? path.join(targetDir, 'debug/examples/model_server'));

const children = new Set();
const folders = new Set();

/** Ends what was started and removes its data; safe to call twice. */
export async function stopAll() {
  await Promise.all([...children].map((child) => end(child)));
  await Promise.all([...folders].map((folder) => rm(folder, { recursive: true, force: true }).catch(() => {})));
  folders.clear();
}

// When this process is ended from outside nothing of it may stay; only synchronous work is possible here.
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

async function end(child, signal = 'SIGTERM') {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), 8_000);
    await gone;
    clearTimeout(late);
  }
  children.delete(child);
}

function start(binary, args, options) {
  if (path.isAbsolute(binary) && !existsSync(binary)) throw new Error(`${path.relative(root, binary)} does not exist; build it first`);
  const child = spawn(binary, args, options);
  child.on('error', (error) => console.error(`${binary}: ${error.message}`));
  children.add(child);
  return child;
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Asks again until `ask` answers something true, and answers that. */
export async function until(ask, what, { timeout = 15_000, every = 40 } = {}) {
  let last;
  for (const end = Date.now() + timeout; Date.now() < end; await new Promise((again) => setTimeout(again, every))) {
    try {
      const answer = await ask();
      if (answer) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what}: not within ${timeout / 1000} s${last ? ` (${last.message})` : ''}`);
}

/** A folder that is removed at the end. */
export async function scratchFolder(name) {
  const folder = await mkdtemp(path.join(os.tmpdir(), `cloudxdevai-${name}-`));
  folders.add(folder);
  return folder;
}

/** The server under test on a free port, with a data folder of its own. */
export class Server {
  static async start(env = {}, log = 'server', { hosts, user } = {}) {
    const server = new Server();
    // Names of its own, for what it looks up; needs root.
    server.command = hosts ? ['unshare', '--mount', '/bin/sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh', serverBinary] : [serverBinary];
    server.port = await freePort();
    server.base = `http://127.0.0.1:${server.port}`;
    server.data = await scratchFolder('e2e');
    // Open to others, checkouts stay below it and go with it.
    await chmod(server.data, 0o711);
    server.env = env;
    if (user) await server.become(user);
    server.log = path.join(artefacts, `${log}.log`);
    await server.launch();
    return server;
  }

  /** Will be a process of an ordinary user, by its number, to whom the data folder then belongs; needs root. */
  async become(user) {
    // The program may lie where only root can go. Copied by a process of its own: what is started meanwhile must not hold it open.
    const folder = await scratchFolder('program');
    const program = path.join(folder, 'cloudxdevai');
    await promisify(execFile)('cp', ['--', serverBinary, program]);
    await chmod(program, 0o755);
    await chmod(folder, 0o711);
    await chown(this.data, user, user);
    this.command = ['setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups', program];
    this.env = { HOME: this.data, ...this.env };
  }

  get environment() {
    const { PATH, HOME, LANG, TMPDIR } = process.env;
    const own = { DATA_DIR: this.data, APP_HOST: '127.0.0.1', APP_PORT: String(this.port), LOG_FORMAT: 'text', LOG_LEVEL: 'info' };
    const inherited = Object.fromEntries(Object.entries({ PATH, HOME, LANG, TMPDIR }).filter(([, value]) => value !== undefined));
    return { ...inherited, ...own, ...this.env };
  }

  /** Starts on the same port and data again. */
  async launch() {
    const [program, ...before] = this.command;
    this.child = start(program, [...before, 'serve'], { cwd: this.data, env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(this.log, { flags: 'a' });
    this.child.stdout.pipe(log, { end: false });
    this.child.stderr.pipe(log, { end: false });
    await until(
      async () => {
        if (this.child.exitCode !== null) throw new Error(`exit code ${this.child.exitCode}, see ${path.relative(root, this.log)}`);
        return (await fetch(`${this.base}/healthz`)).ok;
      },
      'the server to be healthy',
      { timeout: 30_000, every: 15 },
    );
  }

  get pid() {
    return this.child.pid;
  }

  /** What the doctor says of this installation, as the user of the server and with its settings. */
  async doctor() {
    const [program, ...before] = this.command;
    const { stdout } = await promisify(execFile)(program, [...before, 'doctor'], { cwd: this.data, env: this.environment, timeout: 30_000 });
    return stdout;
  }

  async stop(signal = 'SIGTERM') {
    await end(this.child, signal);
  }

  /** The most that was resident since `forgetPeak`. */
  async peakBytes() {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024;
  }

  async forgetPeak() {
    await writeFile(`/proc/${this.pid}/clear_refs`, '5');
  }

  cpuSeconds() {
    return cpuSeconds(this.pid);
  }

  async residentBytes() {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
  }
}

/** Seconds of processor time that a process has used so far, with all its threads. */
export async function cpuSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** An S3 server with an empty bucket; `env` is what makes a server able to use it. */
export class S3Server {
  static async start() {
    const s3 = new S3Server();
    s3.child = start(s3Binary, [], { stdio: ['ignore', 'pipe', 'inherit'] });
    s3.url = await listening(s3.child, 'the S3 server');
    s3.env = { AWS_S3_BUCKET: 'files', AWS_S3_ENDPOINT_URL: s3.url, AWS_ACCESS_KEY_ID: 'test-key', AWS_SECRET_ACCESS_KEY: 'test-secret' };
    return s3;
  }

  async stop() {
    await end(this.child);
  }
}

/** The address that a program says it listens on. */
function listening(child, what) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}`)));
    child.stdout.on('data', (data) => {
      text += data;
      const found = /listening (\S+)/.exec(text);
      if (found) resolve(found[1]);
    });
  });
}

/** The scripted model server; `env` is what makes a server use it. */
export class ModelServer {
  static async start() {
    const model = new ModelServer();
    model.child = start(modelBinary, ['--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    model.url = await listening(model.child, 'the model server');
    model.env = { OPENAI_BASE_URL: `${model.url}/v1`, OPENAI_API_KEY: 'scripted-key', AI_DEFAULT_MODEL: 'scripted' };
    return model;
  }

  /** Adds steps, or `{when, steps}`, after those that wait. */
  async script(...steps) {
    const answer = await fetch(`${this.url}/__script`, { method: 'POST', body: JSON.stringify(steps) });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async requests() {
    return (await fetch(`${this.url}/__requests`)).json();
  }

  async reset() {
    await fetch(`${this.url}/__reset`, { method: 'POST' });
  }

  async stop() {
    await end(this.child);
  }
}

/** FastAPI with SQLAlchemy over the database of a server that has `secret` for its tokens. */
export class Reference {
  static async start(server, secret) {
    const packages = process.env.REFERENCE_PACKAGES;
    if (!packages) throw new Error('FastAPI is installed by scripts/bench.sh alone');
    const reference = new Reference();
    const env = { PATH: process.env.PATH, PYTHONPATH: packages, JWT_SECRET_KEY: secret };
    const program = path.join(root, 'end2end/bench/reference/server.py');
    reference.child = start('python3', [program, path.join(server.data, 'cloudxdevai.db')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    reference.base = await listening(reference.child, 'the reference');
    return reference;
  }

  get pid() {
    return this.child.pid;
  }

  async stop() {
    await end(this.child);
  }
}

/** Process ids whose command line holds `marker`. */
export async function processesWith(marker) {
  const found = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const line = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(marker)) found.push(Number(entry));
  }
  return found;
}
