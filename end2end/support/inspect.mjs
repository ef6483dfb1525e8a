// What is wrong with a page as it stands.
import { AxeBuilder } from '@axe-core/playwright';

/**
 * What axe finds serious, and whether the page is wider than the screen: sentences, none where all is well.
 * `rules` are axe's names of those to go by, all if there are none.
 */
export async function inspect(page, where, rules = []) {
  // The insides of Monaco and xterm are not ours. The legacy mode opens no page of its own for the report; frames of other origins, which
  // it does not look into, are not among ours.
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] });
  if (rules.length > 0) axe.withRules(rules);
  const { violations } = await axe.exclude('.monaco-editor').exclude('.monaco-diff-editor').exclude('.xterm').analyze();
  const found = violations
    .filter((violation) => ['serious', 'critical'].includes(violation.impact))
    .map(({ id, nodes }) => {
      const targets = nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ');
      const [, why] = nodes[0].failureSummary.split('\n');
      return `${where}: ${id}, ${nodes.length} times, at ${targets}: ${why?.trim() ?? ''}`;
    });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) found.push(`${where}: ${wide} pixels wider than the screen`);
  return found;
}

/**
 * The same in both themes, between which an open page changes with the system. The second has nothing new but its colours.
 * `shoot` gets the page and `where` with the theme.
 */
export async function inspectThemes(page, where, shoot) {
  const findings = [];
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    await page.evaluate(() => document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))));
    await shoot(page, `${where}-${theme}`);
    findings.push(...(await inspect(page, `${where}-${theme}`, theme === 'dark' ? ['color-contrast'] : [])));
  }
  return findings;
}

/** Looks at a page in both themes: leaves pictures, and notes in `findings` what is wrong. */
export function looking(journey, findings, sizeName) {
  return async (page, name) => {
    findings.push(...(await inspectThemes(page, `${name}-${sizeName}`, (...all) => journey.shot(...all))));
  };
}
