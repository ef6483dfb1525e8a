// Monaco's icons without those that nothing names: of 654 pictures in its font it shows a seventh, and registers each of them,
// with a rule of its own in the page, under every name it ever had.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import subsetFont from 'subset-font';

const LIBRARY = 'base/common/codiconsLibrary.js';
/** Further names, some of which have a picture of their own. */
const DERIVED = 'base/common/codicons.js';
const FONT = 'base/browser/ui/codicons/codicon/codicon.ttf';
/** `add: register('add', 0xea60),` */
const REGISTERED = /^\s*(\w+): register\('([\w-]+)', (0x[0-9a-f]+)\),?$/;
const entriesOf = async (file) => (await readFile(file, 'utf8')).split('\n').map((line) => ({ line, entry: REGISTERED.exec(line) }));
/** Fewer would mean that icons are named in another way now. */
const FEWEST = 60;

/** Matches the address of one of Monaco's sources. */
export function inMonaco(file) {
  const address = `/monaco-editor/esm/vs/${file}`;
  return new RegExp(`${address.replaceAll('.', String.raw`\.`).replaceAll('/', String.raw`[/\\]`)}$`);
}

/** For esbuild: the library of icons and their font, both without what is never shown. `root` holds node_modules. */
export function onlyNamedIcons(root) {
  const sources = path.join(root, 'node_modules/monaco-editor/esm/vs');
  return {
    name: 'only icons that are named',
    async setup({ onLoad }) {
      const named = await findNames(sources);
      const isShown = ({ entry }) => !entry || named.has(entry[1]) || named.has(entry[2]);
      const lines = (await entriesOf(path.join(sources, LIBRARY))).filter(isShown);
      const pictures = [...lines, ...(await entriesOf(path.join(sources, DERIVED)))].flatMap(({ entry }) => (entry ? [Number(entry[3])] : []));
      if (pictures.length < FEWEST) throw new Error(`only ${pictures.length} icons of Monaco are named; see scripts/web-icons.mjs`);
      const library = lines.map(({ line }) => line).join('\n');
      onLoad({ filter: inMonaco(LIBRARY) }, () => ({ contents: library, loader: 'js' }));
      onLoad({ filter: inMonaco(FONT) }, async ({ path: found }) => {
        const font = await subsetFont(await readFile(found), String.fromCodePoint(...pictures), { targetFormat: 'truetype' });
        return { contents: font, loader: 'file' };
      });
    },
  };
}

/** What Monaco calls icons: `Codicon.chevronDown` in scripts, `codicon-chevron-down` in stylesheets, `$(chevron-down)` in texts, and what other names stand for. */
async function findNames(sources) {
  const names = new Set();
  const files = (await readdir(sources, { recursive: true })).filter((file) => /\.(js|css)$/.test(file) && !/^nls[/\\]/.test(file));
  for (const file of files) {
    const text = await readFile(path.join(sources, file), 'utf8');
    for (const pattern of [/\bCodicon\.(\w+)/g, /\bcodicon-([a-z][\w-]*)/g, /\$\(([a-z][\w-]*)\)/g, /\bregister\('[^']+', '([^']+)'\)/g]) {
      for (const [, name] of text.matchAll(pattern)) names.add(name);
    }
  }
  return names;
}
