// Archives to import: a real package's source, and what a hostile person would send.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { cacheDir } from './processes.mjs';

const PACKAGE = 'six';
const VERSION = '1.17.0';

/** Path of the package's source archive, fetched with pip once and kept in the cache. */
export function sdist() {
  const folder = path.join(cacheDir, 'sdist');
  const file = path.join(folder, `${PACKAGE}-${VERSION}.tar.gz`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const download = (...more) => {
    const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-binary', ':all:', '--no-deps'];
    execFileSync('python3', [...args, ...more, `${PACKAGE}==${VERSION}`, '-d', folder], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 120_000 });
  };
  try {
    download();
  } catch {
    // pip reads the package's metadata with its build tools; where those cannot be fetched, the installed ones will do.
    download('--no-build-isolation');
  }
  return file;
}

/** Path of a zip whose entries have the given names, as they are. */
export function zipOf(file, entries) {
  const script = 'import sys, json, zipfile\nwith zipfile.ZipFile(sys.argv[1], "w") as z:\n  for n, t in json.loads(sys.argv[2]): z.writestr(n, t)';
  execFileSync('python3', ['-c', script, file, JSON.stringify(entries)]);
  return file;
}
