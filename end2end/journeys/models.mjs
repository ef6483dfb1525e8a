// An administrator connects a provider, tests it and offers its models; people pick them, with keys of their own where that is allowed.
import assert from 'node:assert/strict';
import { inspect } from '../support/inspect.mjs';
import { alive, openProject, send, signIn, turnEnded } from '../support/pages.mjs';
import { PHONE } from '../support/journey.mjs';
import { until } from '../support/processes.mjs';
import { Rest } from '../support/rest.mjs';

const KEY = 'sk-shared-by-everybody-1234';

export default async function (journey) {
  const model = await journey.model();
  const host = new URL(model.url).host;
  const { base } = await journey.server({ AI_ALLOWED_HOSTS: host });
  const ada = await Rest.signUp(base, 'ada');
  const ben = await Rest.signUp(base, 'ben');
  const project = await ben.project('of ben');
  // What the next message would send is asked for at any moment, also while the chosen model lacks a key.
  const keyless = /status of 503.*\/fn\/context\/preview/;
  const page = await journey.page({ base, allow: [/status of (409|422)/, keyless] });
  const bens = await journey.page({ base, allow: [keyless] });
  await signIn(page, 'ada');
  await signIn(bens, 'ben');
  const row = (name) => page.getByRole('row').filter({ hasText: name });
  const dialog = (name) => page.getByRole('dialog', { name });
  const picker = bens.getByRole('button', { name: /^Model: / });
  const option = (name) => bens.getByRole('menuitemradio', { name: new RegExp(`^${name}`) });

  await journey.step('without a model the administration says how to begin', async () => {
    await page.goto('/admin/models');
    await alive(page);
    await page.getByText('No model yet').waitFor();
    await page.getByText('No provider yet').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Add model' }).isDisabled());
  });

  await journey.step('an address that is not allowed is refused, and the typed key stays', async () => {
    await page.getByRole('button', { name: 'Add provider' }).click();
    const form = dialog('Add provider');
    await form.getByLabel('Name').fill('House');
    await form.getByLabel('Address').fill('http://127.0.0.1:1/v1');
    await form.getByLabel('Key', { exact: false }).first().fill(KEY);
    await form.getByRole('button', { name: 'Add provider' }).click();
    await form.getByText('AI_ALLOWED_HOSTS', { exact: false }).first().waitFor();
    assert.equal(await form.getByLabel('Address').getAttribute('aria-invalid'), 'true');
    await journey.shot(page, 'models-refused');
    await form.getByLabel('Address').fill(`${model.url}/v1`);
    await form.getByRole('button', { name: 'Add provider' }).click();
  });

  await journey.step('the new provider is asked at once, and one of its models is taken over', async () => {
    const offered = dialog('Models of House');
    await offered.getByText(/answered in \d+ ms and offers 1 models?/).waitFor();
    await journey.shot(page, 'models-test');
    await offered.getByRole('button', { name: 'Add scripted' }).click();
    const form = dialog('Add model');
    assert.equal(await form.getByLabel("Provider's name for it").inputValue(), 'scripted');
    await form.getByLabel('Name', { exact: true }).fill('House model');
    await form.getByLabel('Input').first().fill('much');
    await form.getByRole('button', { name: 'Add model' }).click();
    await form.getByText('Write dollars per million tokens, such as 3 or 0.15.').waitFor();
    await form.getByLabel('Input').first().fill('3');
    await form.getByLabel('Output').fill('15');
    await form.getByLabel('Cached input').fill('0.3');
    await journey.shot(page, 'models-form');
    await form.getByRole('button', { name: 'Add model' }).click();
    await row('House model').getByText('$3.00 / $15.00 / $0.30').waitFor();
    const asked = (await ada.get('/api/admin/models')).models[0];
    assert.deepEqual(asked.current.settings.prices, { input: 3_000_000, output: 15_000_000, cached: 300_000 });
    assert.match(await row('House model').innerText(), /—/, 'nothing was measured yet');
    assert.doesNotMatch(await page.content(), new RegExp(KEY), 'the key is not shown again');
    await row(host).getByText('••••1234').waitFor();
    await ada.post('/api/admin/models', { provider_id: asked.provider_id, name: 'Second model', settings: { remote_name: 'other' } }, 201);
  });

  await journey.step('it is picked with the keyboard and answers', async () => {
    await openProject(bens, project);
    await picker.waitFor();
    await picker.focus();
    await bens.keyboard.press('Enter');
    await option('House model').waitFor();
    const words = await option('House model').innerText();
    assert.match(words, /House[^]*\$3\.00 in · \$15\.00 out · 128k tokens[^]*Not measured yet/);
    await until(() => option('House model').evaluate((node) => node === document.activeElement), 'the first one to have the focus');
    await bens.keyboard.press('ArrowDown');
    await until(() => option('Second model').evaluate((node) => node === document.activeElement), 'the arrow to move on');
    await bens.keyboard.press('ArrowUp');
    await journey.shot(bens, 'models-picker');
    await accessible(bens, 'the picker');
    await bens.keyboard.press('Enter');
    assert.equal(await picker.getAttribute('aria-label'), 'Model: House model');
    const long = 'A good day to you from a model of the house. '.repeat(6);
    await model.script({ text: long, pace_ms: 10, usage: { prompt_tokens: 900, completion_tokens: 60 } });
    await send(bens, 'Say hello');
    await bens.locator('section.chat').getByText('A good day to you').first().waitFor();
    await turnEnded(bens);
    const asked = (await model.requests()).filter((request) => request.path.endsWith('completions')).at(-1);
    assert.deepEqual([asked.authorization, asked.body.model], [`Bearer ${KEY}`, 'scripted']);
  });

  await journey.step('what was measured stands beside it', async () => {
    const measured = await until(
      async () => {
        const found = (await ben.get('/api/models')).items.find((item) => item.name === 'House model');
        return found.metrics.calls > 0 && found;
      },
      'the call to be measured',
      { timeout: 40_000, every: 1_000 },
    );
    assert.ok(measured.metrics.first_token_ms > 0 && measured.metrics.tokens_per_second > 0, JSON.stringify(measured.metrics));
    assert.equal(measured.metrics.success_rate, 1);
    await page.reload();
    await alive(page);
    await row('House model').getByText('100 %').first().waitFor();
    await picker.click();
    await option('House model').getByText(/tokens\/s/).waitFor();
    await bens.keyboard.press('Escape');
    assert.ok(await picker.evaluate((node) => node === document.activeElement), 'the focus goes back');
  });

  await journey.step('other settings are another version, measured for itself', async () => {
    await row('House model').getByRole('button', { name: 'Actions for House model' }).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    const form = dialog('Edit House model');
    await form.getByLabel('Temperature').fill('0.7');
    await form.getByRole('button', { name: 'Save model' }).click();
    await row('House model').getByText('version 2').waitFor();
    await row('House model').getByRole('button', { name: 'Actions for House model' }).click();
    await page.getByRole('menuitem', { name: 'Versions' }).click();
    const versions = dialog('Versions of House model');
    await versions.getByText('Version 1', { exact: true }).waitFor();
    await versions.getByText('temperature 0.7').waitFor();
    await journey.shot(page, 'models-versions');
    await versions.getByRole('button', { name: 'Close' }).click();
  });

  await journey.step('a person uses a key of their own', async () => {
    await row(host).getByRole('button', { name: 'Actions for House', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    const form = dialog('Edit House');
    await form.getByLabel('People may use keys of their own').check();
    await form.getByRole('button', { name: 'Save provider' }).click();
    await row(host).getByText('Allowed').waitFor();
    assert.match((await ada.get('/api/admin/models')).providers[0].key.hint, /1234/, 'the shared key stays');

    await bens.goto('/settings/models');
    await alive(bens);
    await bens.getByRole('button', { name: 'Set the key for House' }).click();
    await bens.getByLabel('Key', { exact: true }).fill('sk-the-own-key-of-ben');
    await bens.getByRole('button', { name: 'Save key' }).click();
    await bens.getByText('••••-ben').waitFor();
    await journey.shot(bens, 'models-own-key');
    await openProject(bens, project);
    await picker.click();
    await option('House model').getByText('Your key').waitFor();
    await bens.keyboard.press('Escape');
    await model.script({ text: 'With your own key.' });
    await send(bens, 'And now?');
    await bens.locator('section.chat').getByText('With your own key.').waitFor();
    await turnEnded(bens);
    const asked = (await model.requests()).filter((request) => request.path.endsWith('completions')).at(-1);
    assert.equal(asked.authorization, 'Bearer sk-the-own-key-of-ben');
  });

  await journey.step('another host makes every key void, and says so', async () => {
    await row(host).getByRole('button', { name: 'Actions for House', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    const form = dialog('Edit House');
    await form.getByLabel('Address').fill('https://api.openai.com/v1');
    await form.getByRole('button', { name: 'Save provider' }).click();
    await page.getByText("One person's key for the old host was deleted", { exact: false }).waitFor();
    await row('api.openai.com').getByText('Void: was for another host').waitFor();
    await bens.goto('/settings/models');
    await alive(bens);
    await bens.getByText(`Your key was for ${host} and was deleted`, { exact: false }).waitFor();
    await row('api.openai.com').getByRole('button', { name: 'Actions for House', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    await form.getByLabel('Address').fill(`${model.url}/v1`);
    await form.getByLabel('Key', { exact: false }).first().fill(KEY);
    await form.getByRole('button', { name: 'Save provider' }).click();
    await row(host).getByText('••••1234').waitFor();
  });

  await journey.step('a model that is turned off is gone from the picker', async () => {
    await openProject(bens, project);
    await picker.waitFor();
    await row('Second model').getByRole('button', { name: 'Actions for Second model' }).click();
    await page.getByRole('menuitem', { name: 'Turn off' }).click();
    await row('Second model').getByText('Off', { exact: true }).waitFor();
    await picker.click();
    await option('House model').waitFor();
    await option('Second model').waitFor({ state: 'detached' });
    await bens.keyboard.press('Escape');
  });

  await journey.step('the default is chosen here, and a removal asks first', async () => {
    await page.getByLabel('When nobody picks one').selectOption('House model');
    await row('House model').getByText('Default').waitFor();
    assert.equal((await ben.get('/api/models')).default, 'House model');
    await row('Second model').getByRole('button', { name: 'Actions for Second model' }).click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await dialog('Remove Second model').getByRole('button', { name: 'Remove' }).click();
    await row('Second model').waitFor({ state: 'detached' });
  });

  await journey.step('both themes and a phone', async () => {
    for (const [dark, size, name] of [[false, undefined, 'models-light'], [true, undefined, 'models-dark'], [true, PHONE, 'models-phone']]) {
      const look = await journey.page({ base, dark, ...(size ? { size } : {}) });
      await signIn(look, 'ada');
      await look.goto('/admin/models');
      await alive(look);
      await look.getByText('House model').first().waitFor();
      const wide = await look.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} scrolls sideways by ${wide}`);
      await journey.shot(look, name);
      await accessible(look, name);
      if (size) {
        await look.getByRole('button', { name: 'Actions for House model' }).click();
        await look.getByRole('menuitem', { name: 'Edit' }).click();
        await look.getByRole('dialog', { name: 'Edit House model' }).waitFor();
        await journey.shot(look, 'models-phone-form');
        await accessible(look, 'the form on a phone');
      }
    }
  });
}

async function accessible(page, what) {
  assert.deepEqual(await inspect(page, what), []);
}
