// Reads design tokens (CSS custom properties) as colours a canvas library understands. Tokens are written with
// light-dark() and oklch(), so the browser itself has to resolve them, once per colour scheme.

/**
 * @param {'light'|'dark'} scheme
 * @returns {{hex: (token: string) => string, text: (token: string) => string, free: () => void}}
 *   `hex` gives `#rrggbb` or `#rrggbbaa`; `free` removes the probe element.
 */
export function openTokens(scheme) {
  const probe = document.createElement('span');
  probe.style.cssText = 'position:absolute;visibility:hidden;pointer-events:none';
  probe.style.colorScheme = scheme;
  document.body.append(probe);
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const ctx = canvas.getContext('2d', { willReadFrequently: true });
  const style = getComputedStyle(probe);

  return {
    hex(token) {
      probe.style.color = `var(${token})`;
      ctx.clearRect(0, 0, 1, 1);
      ctx.fillStyle = style.color;
      ctx.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = ctx.getImageData(0, 0, 1, 1).data;
      const digits = [r, g, b].map((n) => n.toString(16).padStart(2, '0')).join('');
      return `#${digits}${a === 255 ? '' : a.toString(16).padStart(2, '0')}`;
    },
    text: (token) => style.getPropertyValue(token).trim(),
    free: () => probe.remove(),
  };
}

/** Adds a stylesheet once; resolves when it applies, also when it cannot be loaded (the page then looks plain but works). */
export function loadStylesheet(url) {
  if (!url) return Promise.resolve();
  const known = [...document.querySelectorAll('link[rel="stylesheet"]')].find((l) => l.getAttribute('href') === url);
  if (known) return Promise.resolve();
  return new Promise((resolve) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = url;
    link.onload = link.onerror = () => resolve();
    document.head.append(link);
  });
}
