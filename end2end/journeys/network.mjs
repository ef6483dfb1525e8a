// Network: nothing by default; an administrator offers hosts, an owner chooses, and every attempt is written down.
import assert from 'node:assert/strict';
import { alive, openProject, runCommand, signIn } from '../support/pages.mjs';
import { Rest } from '../support/rest.mjs';

const ASK = (host) => `python3 -c "import urllib.request as u; u.urlopen('https://${host}/', timeout=10)"`;

export default async function (journey) {
  const { base } = await journey.server();
  await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await ben.project('fetcher');
  const admin = await journey.page({ base, allow: [/status of 422/] });
  await signIn(admin, 'ada');
  const owner = await journey.page({ base, allow: [/status of 422/] });
  await signIn(owner, 'ben');
  const settings = async () => {
    await owner.goto(`/projects/${project}/settings`);
    await alive(owner);
    await owner.getByRole('heading', { name: 'Network access' }).waitFor();
  };

  await journey.step('nothing is open at first', async () => {
    await settings();
    await owner.getByText('No host is allowed: runs have no network.').waitFor();
    await owner.getByText(/has not opened any host/).waitFor();
    await owner.getByLabel('Host', { exact: true }).fill('pypi.org');
    await owner.getByRole('button', { name: 'Allow host' }).click();
    await owner.getByText(/is not open to projects here/).waitFor();
  });

  await journey.step('an administrator offers hosts', async () => {
    await admin.goto('/admin/runs');
    await alive(admin);
    const hosts = admin.getByLabel('Hosts that owners may open, one a line');
    await hosts.fill('10.0.0.1');
    await admin.getByRole('button', { name: 'Save limits' }).click();
    await admin.locator('#f-egress-note').waitFor();
    await hosts.fill('example.net');
    await admin.getByRole('button', { name: 'PyPI' }).click();
    assert.equal(await hosts.inputValue(), 'example.net\npypi.org\nfiles.pythonhosted.org');
    await admin.getByRole('button', { name: 'Save limits' }).click();
    await admin.locator('.toast').getByText(/^Saved/).waitFor();
  });

  await journey.step('the owner allows one, and takes it back', async () => {
    await settings();
    await owner.getByRole('button', { name: 'Allow pypi.org' }).click();
    const rule = owner.getByRole('list', { name: 'Allowed hosts' }).getByRole('listitem').filter({ hasText: 'pypi.org' });
    await rule.waitFor();
    assert.deepEqual((await ben.get(`/api/projects/${project}/network`)).allow, ['pypi.org']);
    await rule.getByRole('button', { name: 'Remove pypi.org' }).click();
    await rule.waitFor({ state: 'detached' });
    await owner.locator('.toast').last().getByRole('button', { name: 'Undo' }).click();
    await rule.waitFor();
    await owner.getByLabel('Host', { exact: true }).fill('not a host');
    await owner.getByRole('button', { name: 'Allow host' }).click();
    await owner.getByText(/^Write a host name/).waitFor();
  });

  await journey.step('a refused host shows on the run, and can be allowed there', async () => {
    await openProject(owner, project);
    const block = await runCommand(owner, ASK('example.net'));
    await block.getByText('Denied: example.net:443').waitFor({ timeout: 20_000 });
    await block.getByRole('button', { name: 'Allow example.net' }).click();
    await block.getByText(/Allowed from the next run on/).waitFor();
    assert.deepEqual((await ben.get(`/api/projects/${project}/network`)).allow.sort(), ['example.net', 'pypi.org']);
  });

  await journey.step('every attempt is in the log of the project', async () => {
    const run = await ben.startRun(project, ASK('example.org'));
    await ben.finishedRun(run.id);
    await settings();
    const row = owner.getByRole('row').filter({ hasText: 'example.org:443' });
    await row.getByText('Refused').waitFor();
    assert.equal(await row.getByRole('button', { name: /^Allow/ }).count(), 0, 'what is not offered can not be allowed');
    const log = (await ben.get(`/api/projects/${project}/network`)).log;
    assert.ok(log.length >= 2 && log.every((line) => !line.allowed && line.reason.length > 8), JSON.stringify(log));
  });

  await journey.step('what is not offered any more has no effect, and says so', async () => {
    await admin.getByLabel('Hosts that owners may open, one a line').fill('pypi.org');
    await admin.getByRole('button', { name: 'Save limits' }).click();
    await admin.locator('.toast').getByText(/^Saved/).last().waitFor();
    await settings();
    await owner.getByRole('listitem').filter({ hasText: 'example.net' }).getByText('Not offered any more').waitFor();
  });
}
