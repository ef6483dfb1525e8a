// Figures beside their bars. A missed bar is said, with by how much; it never fails anything.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export const milliseconds = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
export const kilobytes = (value) => `${(value / 1000).toFixed(0)} kB`;
export const megabytes = (value) => `${(value / 1e6).toFixed(1)} MB`;

export class Report {
  figures = [];

  /** Prints a figure as soon as it is known. */
  add(name, value, bar, format) {
    const verdict = value <= bar ? 'met' : `missed by ${format(value - bar)}`;
    this.figures.push({ name, value, bar, met: value <= bar });
    console.log(`${name.padEnd(44)} ${format(value).padStart(10)}   bar ${format(bar).padStart(9)}   ${verdict}`);
  }

  skip(name, why) {
    console.log(`${name.padEnd(44)} not measured: ${why}`);
  }
}
