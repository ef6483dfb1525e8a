// How the browser runs a program in two halves (scripts/wasm-split.mjs). web-finish.mjs appends this to the script that
// wasm-bindgen writes, whose `wasm`, `__wbg_init` and `hydrate` it uses and which leaves its imports in `late`.

/** So long the page is left alone before the second half is fetched for what comes next. */
const LATE_AFTER_MS = 2500;
/** Between two tries: at first, and at most. */
const LATE_AGAIN_MS = 5000;
const LATE_AGAIN_MOST_MS = 300_000;
const late = { address: '', imports: undefined, fetching: undefined, isGivenUp: false };

/**
 * Loads the program and takes the page over. `opensFast`: the page opens with what the first half holds, and the second
 * is fetched afterwards; other pages wait for both.
 */
export async function start(early, address, opensFast) {
  late.address = address;
  if (opensFast) fetchEditor();
  const arriving = opensFast ? undefined : compileLate('auto').catch(() => undefined);
  await __wbg_init({ module_or_path: early });
  const module = await arriving;
  // What can't be had now is fetched again.
  if (module) await linkLate(module).catch(() => {});
  if (!isLinked()) setTimeout(fetchLate, LATE_AFTER_MS);
  hydrate();
}

/** A file was open here, so the program asks for the editor as soon as it runs: the two are fetched side by side. */
function fetchEditor() {
  try {
    const open = JSON.parse(localStorage.getItem(`tabs:${location.pathname.split('/')[2]}`));
    if (!open?.active) return;
    const { editor, editor_css: style } = JSON.parse(document.getElementById('assets').textContent);
    document.head.append(Object.assign(document.createElement('link'), { rel: 'preload', as: 'style', href: style }));
    // What goes wrong is said where the editor should stand, when the program asks for it.
    import(editor).catch(() => {});
  } catch {
    // Nothing is known here, or nothing may be: the program finds out by itself.
  }
}

function isLinked() {
  return wasm['=ready'].value !== 0;
}

async function fetchLate(pause = LATE_AGAIN_MS) {
  if (isLinked() || late.isGivenUp) return;
  try {
    await linkLate(await compileLate('low'));
  } catch {
    setTimeout(fetchLate, pause, Math.min(pause * 2, LATE_AGAIN_MOST_MS));
  }
}

function compileLate(priority) {
  late.fetching = new AbortController();
  return WebAssembly.compileStreaming(fetch(late.address, { priority, signal: late.fetching.signal }));
}

/** What it exports is of no interest: it puts its functions into the table that both halves share. */
async function linkLate(module) {
  if (isLinked()) return;
  await WebAssembly.instantiate(module, linked());
  wasm['=ready'].value = 1;
}

function linked() {
  return { ...late.imports, early: wasm };
}

/**
 * Called by the first half, from the middle of something that needs the second one before it is there. Only this way of loading does not
 * return before it is done. What is thrown here goes through the program, which then stays as it stood: so people are asked first.
 */
function loadLate() {
  // The same address is not fetched twice at a time: one would wait for the other, which waits for this.
  late.fetching?.abort();
  while (!linkNow()) {
    if (confirm('A part of this page could not be loaded. Check the connection. Try again?')) continue;
    late.isGivenUp = true;
    throw new Error(`${late.address} could not be loaded; reload the page`);
  }
}

function linkNow() {
  const request = new XMLHttpRequest();
  request.open('GET', late.address, false);
  request.overrideMimeType('text/plain; charset=x-user-defined');
  try {
    request.send();
  } catch {
    return false;
  }
  if (request.status !== 200) return false;
  const text = request.responseText;
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  new WebAssembly.Instance(new WebAssembly.Module(bytes), linked());
  wasm['=ready'].value = 1;
  return true;
}
