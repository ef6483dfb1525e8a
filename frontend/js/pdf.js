// Draws a PDF document. Runs alone in a frame without an origin; gets the bytes in one message and answers how many pages there are.
import * as pdfjs from 'pdfjs-dist/legacy/build/pdf.mjs';
// Without a worker's address the parser runs here, which is what a frame of its own is for.
import * as worker from 'pdfjs-dist/legacy/build/pdf.worker.mjs';

globalThis.pdfjsWorker = worker;

const GAP = 12;
const LONGEST_EDGE = 4096;

const style = document.createElement('style');
style.textContent = `
  html { background: transparent; }
  body { margin: 0; padding: ${GAP}px; display: grid; gap: ${GAP}px; justify-items: center; }
  .page { position: relative; background: white; max-width: 100%; box-shadow: 0 0 0 1px rgb(128 128 128 / 0.4); }
  canvas { display: block; width: 100%; height: 100%; }
`;
document.head.append(style);

addEventListener('message', (event) => {
  if (event.source === parent && event.data instanceof ArrayBuffer) void show(new Uint8Array(event.data));
});

async function show(data) {
  try {
    const task = pdfjs.getDocument({
      data,
      isEvalSupported: false,
      enableXfa: false,
      disableFontFace: true,
      useSystemFonts: false,
      useWasm: false,
      stopAtErrors: false,
      verbosity: 0,
    });
    const pdf = await task.promise;
    const first = await pdf.getPage(1);
    const seen = new IntersectionObserver(onSeen, { rootMargin: '100%' });
    for (let number = 1; number <= pdf.numPages; number += 1) {
      const place = document.createElement('div');
      place.className = 'page';
      place.setAttribute('role', 'img');
      place.setAttribute('aria-label', `Page ${number} of ${pdf.numPages}`);
      size(place, first.getViewport({ scale: 1 }));
      place.draw = () => draw(pdf, number, place);
      document.body.append(place);
      seen.observe(place);
    }
    parent.postMessage({ pages: pdf.numPages }, '*');
  } catch {
    parent.postMessage({ failed: true }, '*');
  }
}

function size(place, viewport) {
  place.style.aspectRatio = `${viewport.width} / ${viewport.height}`;
  place.style.width = `${viewport.width * 1.25}px`;
}

/** Pages are drawn when they come near, and forgotten when they are far away. */
function onSeen(entries) {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) target.replaceChildren();
    else if (target.childElementCount === 0) void target.draw();
  }
}

async function draw(pdf, number, place) {
  const canvas = document.createElement('canvas');
  place.replaceChildren(canvas);
  try {
    const page = await pdf.getPage(number);
    const plain = page.getViewport({ scale: 1 });
    size(place, plain);
    const wanted = (place.clientWidth / plain.width) * (devicePixelRatio || 1);
    const viewport = page.getViewport({ scale: Math.min(wanted, LONGEST_EDGE / Math.max(plain.width, plain.height)) });
    canvas.width = Math.floor(viewport.width);
    canvas.height = Math.floor(viewport.height);
    await page.render({ canvas, canvasContext: canvas.getContext('2d'), viewport }).promise;
  } catch {
    place.textContent = `Page ${number} can't be drawn.`;
  }
}
