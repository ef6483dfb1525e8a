// Bundles what is not Rust: editor, terminal, their workers, and the stylesheet. Writes content-hashed files and
// bundle.json (role → file name) into frontend/js/out, which web-finish.mjs puts into dist/. Run by Trunk.
import { build } from 'esbuild';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { inMonaco, onlyNamedIcons } from './web-icons.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const outdir = path.join(root, 'frontend/js/out');
const release = process.env.TRUNK_PROFILE !== 'debug';

const common = {
  absWorkingDir: root,
  bundle: true,
  outdir,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  loader: { '.ttf': 'file', '.woff2': 'file', '.svg': 'file', '.png': 'file' },
  metafile: true,
  // node_modules may be a link into the cache; names and hashes must not depend on where it points.
  preserveSymlinks: true,
  minify: release,
  legalComments: 'none',
  target: ['es2022', 'chrome115', 'firefox120', 'safari17.5'],
  logLevel: 'warning',
};

const monaco = 'monaco-editor';
// Parts of Monaco that it names and nothing here reaches: drawing by the graphics card, many comparisons in one list, colours by
// a parser that has to be fetched, a view for Monaco's own makers, and hovers of hints and of suggestions in grey.
const UNREACHED = {
  'editor/browser/gpu/viewGpuContext': 'ViewGpuContext',
  'editor/browser/viewParts/viewLinesGpu/viewLinesGpu': 'ViewLinesGpu',
  'editor/browser/viewParts/rulersGpu/rulersGpu': 'RulersGpu',
  'editor/browser/widget/multiDiffEditor/multiDiffEditorWidget': 'MultiDiffEditorWidget',
  'editor/common/model/tokens/treeSitter/treeSitterSyntaxTokenBackend': 'TreeSitterSyntaxTokenBackend',
  'base/common/observableInternal/logging/debugger/devToolsLogger': 'DevToolsLogger',
  'editor/contrib/inlayHints/browser/inlayHintsHover': 'InlayHintsHover',
  'editor/contrib/inlineCompletions/browser/hintsWidget/inlineCompletionsHintsWidget': 'InlineSuggestionHintsContentWidget',
};
const withoutUnreached = {
  name: 'without what is not reached',
  setup({ onLoad }) {
    for (const [file, name] of Object.entries(UNREACHED)) {
      onLoad({ filter: inMonaco(`${file}.js`) }, async ({ path: found }) => {
        if (!(await readFile(found, 'utf8')).includes(name)) throw new Error(`${found} does not hold ${name} any more`);
        return { contents: `export class ${name} {}`, loader: 'js' };
      });
    }
    // The file by which Monaco's languages start their workers takes all that Monaco can do along, whatever features.js says.
    onLoad({ filter: inMonaco('internal/common/workers.js') }, async ({ path: found }) => {
      const text = await readFile(found, 'utf8');
      return { contents: text.replace(/^import '[^']+';$/gm, ''), loader: 'js' };
    });
  },
};
const runs = [
  // They share chunks and load grammars on demand.
  { format: 'esm', splitting: true, plugins: [withoutUnreached, onlyNamedIcons(root)], entryPoints: { editor: 'frontend/js/editor.js', terminal: 'frontend/js/terminal.js', drafts: 'frontend/js/drafts.js', passkeys: 'frontend/js/passkeys.js' } },
  {
    format: 'iife',
    entryPoints: {
      'worker-editor': `${monaco}/editor/editor.worker.js`,
      'worker-json': `${monaco}/language/json/json.worker.js`,
      'worker-css': `${monaco}/language/css/css.worker.js`,
      'worker-html': `${monaco}/language/html/html.worker.js`,
      'worker-ts': `${monaco}/language/typescript/ts.worker.js`,
    },
  },
  // Goes into a frame as text.
  { format: 'iife', entryPoints: { pdf: 'frontend/js/pdf.js' } },
  // The stylesheet keeps light-dark() and oklch() as written: scripts read the tokens at run time.
  { entryPoints: { style: 'style/main.css' }, target: ['chrome125', 'firefox128', 'safari18'] },
];

await rm(outdir, { recursive: true, force: true });
await mkdir(outdir, { recursive: true });

const files = {};
for (const run of runs) {
  const names = Object.keys(run.entryPoints);
  const { metafile } = await build({ ...common, ...run });
  for (const [file, output] of Object.entries(metafile.outputs)) {
    const base = path.basename(file);
    const entry = names.find((name) => base.startsWith(`${name}-`) && base.length === name.length + 9 + path.extname(base).length);
    if (!entry) continue;
    if (output.entryPoint && !base.endsWith('.css')) files[entry] = base;
    if (base.endsWith('.css')) files[entry === 'style' ? 'style' : `${entry}_css`] = base;
  }
}

const wanted = ['editor', 'editor_css', 'terminal', 'terminal_css', 'drafts', 'passkeys', 'pdf', 'style', ...names(runs[1])];
const missing = wanted.filter((name) => !files[name]);
if (missing.length > 0) throw new Error(`esbuild wrote no file for: ${missing.join(', ')}`);
// Every lazy chunk gets a stylesheet that only repeats what editor.css already says.
const used = new Set(Object.values(files));
for (const file of await readdir(outdir)) if (file.endsWith('.css') && !used.has(file)) await rm(path.join(outdir, file));
await writeFile(path.join(outdir, 'bundle.json'), JSON.stringify(files, null, 2));

function names(run) {
  return Object.keys(run.entryPoints);
}
