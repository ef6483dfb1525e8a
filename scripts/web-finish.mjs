// Completes Trunk's output: bundles and public files beside the wasm, asset-manifest.json for the server, and in a
// release build .br and .gz siblings, so that the server never compresses at run time. Run by Trunk.
import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

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

const manifest = {
  js: only(/^frontend-[0-9a-f]+\.js$/),
  wasm: only(/^frontend-[0-9a-f]+_bg\.wasm$/),
  style: url(bundle.style),
  editor: url(bundle.editor),
  editor_css: url(bundle.editor_css),
  terminal: url(bundle.terminal),
  terminal_css: url(bundle.terminal_css),
  drafts: url(bundle.drafts),
  pdf: url(bundle.pdf),
  workers: Object.fromEntries(['editor', 'json', 'css', 'html', 'ts'].map((name) => [name, url(bundle[`worker-${name}`])])),
};
await writeFile(path.join(staging, 'asset-manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);

if (release) await Promise.all((await listFiles(staging)).filter((file) => COMPRESSIBLE.test(file)).map(compress));

async function listFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

async function compress(file) {
  if (path.basename(file) === 'asset-manifest.json' || (await stat(file)).size < SMALLEST) return;
  const bytes = await readFile(file);
  const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: 9, [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const packed = { br: await brotli(bytes, { params }), gz: await gzip(bytes, { level: 9 }) };
  for (const [ending, data] of Object.entries(packed)) if (data.length < bytes.length) await writeFile(`${file}.${ending}`, data);
}
