// A caller of the REST API with a bearer token, the way any outside client works.
import assert from 'node:assert/strict';
import { until } from './processes.mjs';

export const PASSWORD = 'correct horse battery';

export class Rest {
  constructor(base, token) {
    this.base = base;
    this.token = token;
  }

  /** Makes an account and signs it in; the first one of an installation is the administrator. */
  static async signUp(base, username, password = PASSWORD) {
    const rest = new Rest(base);
    rest.user = await rest.post('/api/auth/register', { email: `${username}@example.org`, username, password }, 201);
    await rest.signIn(username, password);
    return rest;
  }

  static async signedIn(base, username, password = PASSWORD) {
    const rest = new Rest(base);
    await rest.signIn(username, password);
    return rest;
  }

  async signIn(username, password = PASSWORD) {
    const answer = await this.call('POST', '/api/auth/login', { body: new URLSearchParams({ username, password }) });
    assert.equal(answer.status, 200, `sign in of ${username}: ${answer.text}`);
    this.tokens = answer.json;
    this.token = answer.json.access_token;
  }

  /** Any status; `{status, headers, text, json}`. */
  async call(method, where, { json, body, headers = {} } = {}) {
    const all = { accept: 'application/json', ...headers };
    if (this.token) all.authorization = `Bearer ${this.token}`;
    if (json !== undefined) all['content-type'] = 'application/json';
    const answer = await fetch(this.base + where, { method, headers: all, body: json === undefined ? body : JSON.stringify(json), redirect: 'manual' });
    const text = await answer.text();
    let read;
    try {
      read = JSON.parse(text);
    } catch {
      read = undefined;
    }
    return { status: answer.status, headers: answer.headers, text, json: read };
  }

  async expect(status, method, where, options) {
    const answer = await this.call(method, where, options);
    assert.equal(answer.status, status, `${method} ${where} answered ${answer.status}: ${answer.text.slice(0, 400)}`);
    return answer;
  }

  async get(where) {
    return (await this.expect(200, 'GET', where)).json;
  }

  async post(where, json = {}, status = 200) {
    return (await this.expect(status, 'POST', where, { json })).json;
  }

  async project(name) {
    return (await this.post('/api/projects', { name }, 201)).id;
  }

  fileAddress(project, path) {
    return `/api/projects/${project}/files/${path.split('/').map(encodeURIComponent).join('/')}`;
  }

  async read(project, path) {
    return (await this.expect(200, 'GET', this.fileAddress(project, path))).text;
  }

  /** Writes a file whatever is there now. */
  async write(project, path, text) {
    const where = this.fileAddress(project, path);
    const known = await this.call('GET', where);
    const headers = known.status === 200 ? { 'if-match': known.headers.get('etag') } : { 'if-none-match': '*' };
    return this.expect(known.status === 200 ? 200 : 201, 'PUT', where, { body: text, headers });
  }

  async exists(project, path) {
    return (await this.call('GET', this.fileAddress(project, path))).status === 200;
  }

  /** Imports an archive's bytes and waits for the job's end; answers the project's id. */
  async importArchive(name, fileName, bytes, { timeout = 60_000 } = {}) {
    const form = new FormData();
    form.set('name', name);
    form.set('archive', new Blob([bytes]), fileName);
    const started = (await this.expect(202, 'POST', '/api/projects/import', { body: form })).json;
    const events = await this.events(`job:${started.job_id}`, { timeout });
    assert.equal(events.at(-1).state, 'succeeded', JSON.stringify(events.at(-1)));
    return started.project_id;
  }

  async startRun(project, command, more = {}) {
    return this.post(`/api/projects/${project}/runs`, { kind: 'sandbox_exec', command, ...more }, 202);
  }

  async finishedRun(id) {
    await this.events(`run:${id}`);
    return this.get(`/api/runs/${id}`);
  }

  async conversation(project) {
    return (await this.post(`/api/projects/${project}/conversations`, {}, 201)).id;
  }

  async startTurn(conversation, prompt, mode = 'ask') {
    return (await this.post(`/api/conversations/${conversation}/turns`, { prompt, mode }, 202)).turn_id;
  }

  /**
   * Events of a stream from after `after` until one satisfies `done`, or until the server ends the stream.
   */
  async events(stream, { after = 0, done = () => false, timeout = 60_000, onEvent = () => {} } = {}) {
    const aborted = new AbortController();
    const late = setTimeout(() => aborted.abort(new Error(`${stream} did not get there within ${timeout / 1000} s`)), timeout);
    const found = [];
    try {
      const answer = await fetch(`${this.base}/api/live/${stream}?after=${after}`, {
        headers: { authorization: `Bearer ${this.token}`, accept: 'text/event-stream' },
        signal: aborted.signal,
      });
      assert.equal(answer.status, 200, `stream ${stream} answered ${answer.status}`);
      for await (const message of messages(answer.body)) {
        if (message.event === 'problem') throw new Error(`stream ${stream}: ${message.data}`);
        const event = JSON.parse(message.data);
        assert.equal(String(event.seq), message.id, 'the id of a message is its sequence number');
        found.push(event);
        onEvent(event);
        if (done(event)) break;
      }
    } finally {
      clearTimeout(late);
      aborted.abort();
    }
    return found;
  }
}

/** Server-sent events of a body, each with `id`, `event` and `data`. */
async function* messages(body) {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const message = { event: 'message', data: '' };
      for (const line of text.slice(0, end).split('\n')) {
        const [, field, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? [];
        if (field === 'data') message.data += (message.data && '\n') + value;
        else if (field) message[field] = value;
      }
      text = text.slice(end + 2);
      if (message.data) yield message;
    }
  }
}

/** Nothing lost, nothing twice. */
export function assertGapless(events, what) {
  assert.ok(events.length > 0, `${what} has events`);
  assert.deepEqual(events.map((event) => event.seq), events.map((_, at) => at + 1), `${what}: sequence numbers`);
}

/** Everything a run printed, from its events. */
export function printed(events) {
  return Buffer.concat(events.filter((event) => event.kind === 'output').map((event) => Buffer.from(event.data, 'base64'))).toString();
}

export async function sandboxTier(rest) {
  const health = await until(() => rest.get('/api/admin/health'), 'health');
  return health.checks.find((check) => check.name === 'sandbox')?.reason ?? '';
}
