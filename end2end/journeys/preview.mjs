// Previews: what listens in a run opens on an origin of its own, and goes with the run.
import assert from 'node:assert/strict';
import { openProject, runCommand, signIn } from '../support/pages.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const ECHO = `import http.server, sys

class Echo(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/headers":
            return super().do_GET()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("set-cookie", "theirs=1")
        self.end_headers()
        self.wfile.write(str(self.headers).encode())

http.server.ThreadingHTTPServer(("127.0.0.1", 8123), Echo).serve_forever()
`;

export default async function (journey) {
  const { base } = await journey.server();
  const rest = await Rest.signUp(base, 'ada');
  const project = await rest.project('site');
  await rest.write(project, 'serve.py', ECHO);
  await rest.write(project, 'page.txt', 'hello\n');
  const page = await journey.page({ base, allow: [/ERR_CONNECTION/, /status of (404|502|503|410|401)/, /ERR_EMPTY_RESPONSE/] });
  await signIn(page, 'ada');
  await openProject(page, project);
  const ports = page.locator('#console-tab-ports');
  let block;
  let preview;

  await journey.step('without a server the tab says what it is for', async () => {
    await ports.click();
    await page.getByText('Nothing listens').waitFor();
  });

  await journey.step('a server in a run is found and counted', async () => {
    await page.locator('#console-tab-output').click();
    block = await runCommand(page, 'python3 serve.py');
    await ports.locator('.count').getByText('1').waitFor({ timeout: 20_000 });
    await ports.click();
    await page.getByRole('row').filter({ hasText: '8123' }).getByText('python3 serve.py').waitFor();
  });

  await journey.step('it opens in a page of its own, without our cookies', async () => {
    const opened = page.context().waitForEvent('page');
    await page.getByRole('button', { name: 'Open preview of port 8123' }).click();
    preview = await opened;
    await preview.getByText('page.txt').waitFor();
    const origin = new URL(preview.url()).origin;
    assert.notEqual(origin, new URL(base).origin, 'another origin');
    assert.equal(await preview.evaluate(() => window.opener), null);
    const ours = (await page.context().cookies(base)).map((cookie) => cookie.value);
    await preview.goto(`${origin}/headers`);
    const headers = await preview.locator('body').innerText();
    assert.match(headers, /^host:/im);
    for (const value of ours) assert.ok(!headers.includes(value), 'no cookie of ours reaches the program');
  });

  await journey.step('an address is copied for another browser', async () => {
    const run = (await rest.get(`/api/projects/${project}/runs`)).items[0];
    const address = await rest.post(`/api/runs/${run.id}/previews/8123`);
    const stranger = await journey.profile({ base, allow: [/status of/] });
    const guest = await stranger.newPage();
    await guest.goto(address.url);
    await guest.getByText('page.txt').waitFor();
    const bare = await fetch(new URL('/', address.url), { redirect: 'manual' });
    assert.ok(bare.status === 401 || bare.status === 403, `without a pass: ${bare.status}`);
  });

  await journey.step('it ends with the run', async () => {
    const url = preview.url();
    await page.locator('#console-tab-output').click();
    await block.getByRole('button', { name: /^Stop/ }).click();
    await block.getByText('Stopped, 0 left').waitFor();
    await ports.click();
    await page.getByText('Nothing listens').waitFor();
    await until(async () => {
      const answer = await fetch(url).catch(() => undefined);
      return !answer || answer.status >= 400;
    }, 'the preview to be gone');
  });
}
