// Completes Trunk's output: bundles and public files beside the wasm, asset-manifest.json for the server, and in a
// release build the program in two halves, and .br and .gz siblings, so that the server never compresses at run time.
// Run by Trunk.
import { createHash } from 'node:crypto';
import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { transform } from 'esbuild';
import { fingerprint, isUrgent, split, strip } from './wasm-split.mjs';

const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const out = path.join(root, 'frontend/js/out');
const staging = process.env.TRUNK_STAGING_DIR;
const publicUrl = process.env.TRUNK_PUBLIC_URL ?? '/pkg/';
const release = process.env.TRUNK_PROFILE !== 'debug';
if (!staging) throw new Error('TRUNK_STAGING_DIR is not set: this script is run by trunk');

const COMPRESSIBLE = /\.(js|css|wasm|json|svg|txt|ttf|html|map|webmanifest)$/;
const SMALLEST = 1024;
/** Of the second half, which may have to be compiled while the page waits: browsers do that up to 8 MiB. */
const LATE_MOST = 8_000_000;
/** With less of the list left in the program, it is about another one. */
const LISTED_LEAST = 0.7;

await rm(path.join(staging, 'index.html'), { force: true });
await cp(path.join(root, 'public'), staging, { recursive: true });
await cp(out, staging, { recursive: true, filter: (file) => path.basename(file) !== 'bundle.json' });

const bundle = JSON.parse(await readFile(path.join(out, 'bundle.json'), 'utf8'));
const staged = await readdir(staging);
const url = (name) => publicUrl + name;
const only = (pattern) => {
  const found = staged.filter((name) => pattern.test(name));
  if (found.length !== 1) throw new Error(`expected one file like ${pattern}, found: ${found.join(', ') || 'none'}`);
  return url(found[0]);
};

const whole = { js: only(/^frontend-[0-9a-f]+\.js$/), wasm: only(/^frontend-[0-9a-f]+_bg\.wasm$/) };
const manifest = {
  ...(release ? await inHalves(whole) : whole),
  style: url(bundle.style),
  editor: url(bundle.editor),
  editor_css: url(bundle.editor_css),
  terminal: url(bundle.terminal),
  terminal_css: url(bundle.terminal_css),
  drafts: url(bundle.drafts),
  passkeys: url(bundle.passkeys),
  pdf: url(bundle.pdf),
  workers: Object.fromEntries(['editor', 'json', 'css', 'html', 'ts'].map((name) => [name, url(bundle[`worker-${name}`])])),
};
await writeFile(path.join(staging, 'asset-manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);

if (release) await Promise.all((await listFiles(staging)).filter((file) => COMPRESSIBLE.test(file)).map(compress));

/** Writes the halves in place of the program, and the script that knows of both; answers their addresses. An empty list leaves it in one piece. */
async function inHalves({ js, wasm }) {
  const [script, program] = [js, wasm].map((address) => path.join(staging, path.basename(address)));
  const listed = new Set((await readFile(path.join(root, 'frontend/late.txt'), 'utf8')).split('\n').filter((line) => line && !line.startsWith('#')));
  if (listed.size === 0) {
    await writeFile(program, strip(await readFile(program)));
    return { js, wasm };
  }
  const { early, late, figures } = split(await readFile(program), (name) => listed.has(fingerprint(name)) && !isUrgent(name));
  console.log(`The first view has ${figures.kept} functions, and ${figures.moved} come later, ${figures.left} of which it can reach.`);
  if (figures.moved < listed.size * LISTED_LEAST) console.warn('frontend/late.txt is out of date, so that the first half is larger than it has to be; scripts/first-view.sh renews it.');
  check(early, late);
  const wrote = await readFile(script, 'utf8');
  const imports = /return \{\s*__proto__: null,\s*("[^"]+"): import0,\s*\};/g;
  if (wrote.match(imports)?.length !== 1) throw new Error('wasm-bindgen writes its imports differently; see inHalves in web-finish.mjs');
  const handed = 'late.imports = { $1: import0 };\n    return { __proto__: null, $1: import0, "./late": { load: loadLate } };';
  const joined = `${wrote.replace(imports, handed)}\n${await readFile(path.join(root, 'frontend/js/late.js'), 'utf8')}`;
  // Names that both scripts declare would only be found by a browser.
  await transform(joined, { format: 'esm', loader: 'js' });
  await Promise.all([rm(script), rm(program)]);
  return { js: await put('frontend', 'js', joined), wasm: await put('frontend', 'wasm', early), late: await put('frontend-late', 'wasm', late) };
}

/** What a browser would refuse fails the build. */
function check(early, late) {
  const [first, second] = [early, late].map((half) => new WebAssembly.Module(half));
  const offered = new Set(WebAssembly.Module.exports(first).map(({ name }) => name));
  const missing = WebAssembly.Module.imports(second).filter(({ module, name }) => module === 'early' && !offered.has(name));
  if (missing.length > 0) throw new Error(`the first half does not hand out ${missing.map(({ name }) => name).join(', ')}`);
  if (late.length > LATE_MOST) throw new Error(`the second half has ${late.length} bytes, more than ${LATE_MOST}`);
}

async function put(name, ending, content) {
  const file = `${name}-${createHash('sha256').update(content).digest('hex').slice(0, 16)}.${ending}`;
  await writeFile(path.join(staging, file), content);
  return url(file);
}

async function listFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

async function compress(file) {
  if (path.basename(file) === 'asset-manifest.json' || (await stat(file)).size < SMALLEST) return;
  const bytes = await readFile(file);
  // A ninth smaller than at 9, for half a minute of a release build.
  const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: 11, [zlib.constants.BROTLI_PARAM_LGWIN]: 24, [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const packed = { br: await brotli(bytes, { params }), gz: await gzip(bytes, { level: 9 }) };
  for (const [ending, data] of Object.entries(packed)) if (data.length < bytes.length) await writeFile(`${file}.${ending}`, data);
}
