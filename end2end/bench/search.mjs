// The search through 50 000 files beside ripgrep over the same files in the same run, by the domain's own measurement.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { milliseconds } from './figures.mjs';

const FIRST_BAR = 200;
const WHOLE_BAR = 2;
const times = (value) => `${value.toFixed(2)}x`;

export function searchBesideRipgrep(program, report) {
  if (!program || !existsSync(program)) return report.skip('search through 50 000 files', 'the example `search` is not built');
  const { stdout, stderr, status, error } = spawnSync(program, [], { encoding: 'utf8', timeout: 300_000 });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1) ?? `it ended with ${status}`);
  for (const line of stdout.split('\n')) {
    const [, what, first] = /^(.*): first line ([\d.]+) ms/.exec(line) ?? [];
    const [, whose, whole, other, ratio] = /^(.*): whole ([\d.]+) ms(?:, rg ([\d.]+) ms, ([\d.]+)x)?/.exec(line) ?? [];
    if (what !== undefined) {
      // Others are only in the last file, with nothing before the end.
      if (what === 'a common word') report.add(`search for ${what}, first line`, Number(first), FIRST_BAR, milliseconds);
    } else if (whose !== undefined) {
      if (ratio === undefined) report.skip(`search for ${whose}, of ripgrep's time`, `rg is missing, not compared (${whole} ms)`);
      else {
        console.log(`  ${whose}: ${whole} ms, rg ${other} ms`);
        report.add(`search for ${whose}, of ripgrep's time`, Number(ratio), WHOLE_BAR, times);
      }
    } else if (line.trim()) console.log(`  ${line}`);
  }
}
