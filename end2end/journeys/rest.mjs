// The whole job as an outside client does it: a bearer token, JSON and event streams, no browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { sdist } from '../support/archives.mjs';
import { assertGapless, PASSWORD, printed, Rest } from '../support/rest.mjs';

export default async function (journey) {
  const model = await journey.model();
  const { base } = await journey.server(model.env);
  let ada;
  let project;

  await journey.step('accounts and tokens', async () => {
    const nobody = new Rest(base);
    const refused = await nobody.call('POST', '/api/auth/register', { json: { email: 'x', username: 'ada', password: 'short' } });
    assert.equal(refused.status, 422);
    assert.match(refused.headers.get('content-type'), /application\/problem\+json/);
    assert.ok(refused.headers.get('x-request-id'));
    assert.deepEqual(refused.json.fields.map((field) => field.field ?? field.name).sort(), ['email', 'password']);
    assert.equal((await nobody.call('GET', '/api/projects')).status, 401);
    ada = await Rest.signUp(base, 'ada');
    assert.equal(ada.user.role, 'admin');
    assert.deepEqual([ada.tokens.token_type, ada.tokens.user.username], ['bearer', 'ada']);
    const wrong = await nobody.call('POST', '/api/auth/login', { body: new URLSearchParams({ username: 'ada', password: 'wrong password' }) });
    assert.equal(wrong.status, 401);
    assert.ok(wrong.json.detail.length > 10, wrong.text);
    const next = await nobody.post('/api/auth/refresh', { refresh_token: ada.tokens.refresh_token });
    assert.equal((await new Rest(base, next.access_token).get('/api/users/me')).username, 'ada');
    ada.token = next.access_token;
  });

  await journey.step('an archive becomes a project', async () => {
    project = await ada.importArchive('six', 'six-1.17.0.tar.gz', readFileSync(sdist()));
    const tree = await ada.get(`/api/projects/${project}/tree`);
    const six = tree.items.find((item) => item.path === 'six.py');
    assert.equal(six.kind, 'file');
    const known = await ada.get(`/api/projects/${project}`);
    assert.deepEqual([known.name, known.role], ['six', 'owner']);
    const ben = await Rest.signUp(base, 'ben');
    assert.equal((await ben.call('GET', `/api/projects/${project}`)).status, 404, 'others do not learn that it exists');
    assert.equal((await ben.call('GET', `/api/live/project:${project}`)).status, 404);
  });

  await journey.step('files: precondition, conflict, move, trash', async () => {
    const where = ada.fileAddress(project, 'six.py');
    const first = await ada.expect(200, 'GET', where);
    const etag = first.headers.get('etag');
    assert.equal((await ada.call('PUT', where, { body: 'x' })).status, 428);
    await ada.expect(200, 'PUT', where, { body: `# one\n${first.text}`, headers: { 'if-match': etag } });
    const late = await ada.call('PUT', where, { body: '# two', headers: { 'if-match': etag } });
    assert.equal(late.status, 412);
    assert.ok(late.json.current, 'with the current entry');
    await ada.expect(201, 'PUT', ada.fileAddress(project, 'a/ä b.txt'), { body: 'text\n', headers: { 'if-none-match': '*' } });
    assert.equal((await ada.call('PUT', ada.fileAddress(project, 'a/ä b.txt'), { body: 'x', headers: { 'if-none-match': '*' } })).status, 412);
    assert.ok((await ada.call('PUT', `/api/projects/${project}/files/..%2f..%2fescaped`, { body: 'x', headers: { 'if-none-match': '*' } })).status >= 400);
    await ada.call('POST', `/api/projects/${project}/files:move`, { json: { from: 'a/ä b.txt', to: 'b.txt', base: { version: 1 } } });
    assert.equal(await ada.read(project, 'b.txt'), 'text\n');
    const entry = await ada.expect(200, 'GET', ada.fileAddress(project, 'b.txt'));
    assert.equal((await ada.call('DELETE', ada.fileAddress(project, 'b.txt'))).status, 428);
    await ada.call('DELETE', ada.fileAddress(project, 'b.txt'), { headers: { 'if-match': entry.headers.get('etag') } });
    assert.equal(await ada.exists(project, 'b.txt'), false);
    await ada.call('POST', `/api/projects/${project}/files:restore`, { json: { path: 'b.txt', base: 'new' } });
    assert.equal(await ada.read(project, 'b.txt'), 'text\n');
    const range = await ada.call('GET', where, { headers: { range: 'bytes=0-4' } });
    assert.deepEqual([range.status, range.text], [206, '# one']);
  });

  await journey.step('a run, followed and stopped', async () => {
    const run = await ada.startRun(project, 'python3 -c "import six; print(six.__version__)"; exit 4');
    const events = await ada.events(`run:${run.id}`);
    assertGapless(events, 'the run');
    assert.deepEqual([events[0].kind, events.at(-1).kind], ['run_queued', 'run_finished']);
    assert.equal(printed(events), '1.17.0\n');
    const ended = await ada.get(`/api/runs/${run.id}`);
    assert.deepEqual([ended.state, ended.exit.kind, ended.exit.code], ['failed', 'exited', 4]);
    assert.ok(ended.usage.wall_ms > 0 && ended.usage.cpu_ms >= 0 && ended.tier, JSON.stringify(ended));
    assert.equal((await ada.expect(200, 'GET', `/api/runs/${run.id}/output`)).text, '1.17.0\n');
    const rest = await ada.events(`run:${run.id}`, { after: 2 });
    assert.deepEqual(rest.map((event) => event.seq), events.slice(2).map((event) => event.seq), 'a stream resumes after any number');

    const long = await ada.startRun(project, 'sleep 1000');
    await ada.events(`run:${long.id}`, { done: (event) => event.kind === 'run_started' });
    const stopped = await ada.post(`/api/runs/${long.id}/cancel`);
    assert.deepEqual([stopped.state, stopped.exit.left_alive], ['cancelled', 0]);
  });

  await journey.step('a turn with an approval, and its change set decided', async () => {
    await model.script(
      { tool_calls: [{ name: 'edit_file', arguments: { path: 'six.py', old_text: '__version__ = "1.17.0"', new_text: '__version__ = "2"' } }, { name: 'write_file', arguments: { path: 'unwanted.txt', content: 'no\n' } }] },
      { tool_calls: [{ name: 'run_command', arguments: { command: 'echo from-the-branch > made.txt' } }] },
      { text: 'Finished.', usage: { prompt_tokens: 10, completion_tokens: 2 } },
    );
    const conversation = await ada.conversation(project);
    const turn = await ada.startTurn(conversation, 'Change it');
    const asked = await ada.events(`turn:${turn}`, { done: (event) => event.kind === 'approval_asked' });
    await ada.expect(204, 'POST', `/api/turns/${turn}/approvals/${asked.at(-1).call_id}`, { json: { decision: 'approve' } });
    const events = await ada.events(`turn:${turn}`);
    assertGapless(events, 'the turn');
    assert.deepEqual([events[0].kind, events.at(-1).kind, events.at(-1).reason], ['turn_started', 'turn_finished', 'done']);
    const set = await ada.get(`/api/turns/${turn}/changes`);
    const file = (path) => set.files.find((changed) => changed.path === path);
    assert.deepEqual(set.files.map((changed) => [changed.path, changed.action]).sort(), [['made.txt', 'add'], ['six.py', 'modify'], ['unwanted.txt', 'add']]);
    const [hunk] = file('six.py').hunks;
    assert.match(hunk.diff, /^\+__version__ = "2"$/m);
    const text = hunk.diff.split('\n').filter((line) => line && !line.startsWith('-')).map((line) => line.slice(1)).join('\n').replace('"2"', '"3"');
    const decided = await ada.post(`/api/change-sets/${set.change_set_id}/decisions`, {
      accept: [file('made.txt').hunks[0].id],
      reject: [file('unwanted.txt').hunks[0].id],
      edits: { [hunk.id]: `${text}\n` },
      reason: 'one file too many',
    });
    assert.deepEqual([decided.written.sort(), decided.conflicts], [['made.txt', 'six.py'], []]);
    assert.match(await ada.read(project, 'six.py'), /^__version__ = "3"$/m);
    assert.equal(await ada.read(project, 'made.txt'), 'from-the-branch\n');
    assert.equal(await ada.exists(project, 'unwanted.txt'), false);

    await model.script({ text: 'Heard.' });
    const next = await ada.startTurn(conversation, 'And now?');
    await ada.events(`turn:${next}`);
    const told = JSON.stringify((await model.requests()).at(-1).body.messages);
    assert.match(told, /1 accepted, 1 edited, 1 rejected[^]*one file too many/);
    const messages = await ada.get(`/api/conversations/${conversation}/messages`);
    assert.ok(messages.items.some((message) => message.body.role === 'decision'));
    assert.equal((await model.requests())[0].authorization, 'Bearer scripted-key');
  });

  await journey.step('signing out ends the token', async () => {
    const short = await Rest.signedIn(base, 'ada', PASSWORD);
    await short.expect(204, 'POST', '/api/auth/logout');
    assert.equal((await short.call('GET', '/api/users/me')).status, 401);
  });
}
