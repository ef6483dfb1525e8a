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

  /** Prints a figure as soon as it is known; less is better. */
  add(name, value, bar, format) {
    this.#print(name, value, bar, format, value <= bar);
  }

  /** As `add`, where more is better. */
  addRate(name, value, bar, format) {
    this.#print(name, value, bar, format, value >= bar);
  }

  #print(name, value, bar, format, met) {
    const verdict = met ? 'met' : `missed by ${format(Math.abs(value - bar))}`;
    this.figures.push({ name, value, bar, met });
    console.log(`${name.padEnd(44)} ${format(value).padStart(10)}   bar ${format(bar).padStart(9)}   ${verdict}`);
  }

  skip(name, why) {
    console.log(`${name.padEnd(44)} not measured: ${why}`);
  }
}
