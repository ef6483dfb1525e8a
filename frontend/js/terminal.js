// Terminal and run output, behind a small facade with number handles. Loaded by dynamic import only where needed.
//
// What a program prints is not trusted. It may colour and move the cursor inside its own rectangle, and nothing else:
// - OSC 52 (clipboard), 0/1/2 (titles) and 8 with anything but http(s) would reach out of the rectangle.
// - OSC 7 (where the shell is), 9 and 777 (notifications), 1337 (files, images, marks) mean something to other terminals; taken
//   out by name, so that an addon added one day does not switch them on.
// - CSI t (window size, title read back) stays off: a title that is read back arrives as typed text.
// - Queries (device attributes, status and mode reports, DECRQSS, colours) are answered with fixed forms that hold nothing the
//   program chose. They are answered only where the person types: a replay after a reload, or a second browser that looks on,
//   would else type the same answer into the shell once more.
import '@xterm/xterm/css/xterm.css';
import { Terminal } from '@xterm/xterm';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { isPressed } from './keys.js';
import { loadStylesheet, openTokens } from './tokens.js';

const terminals = new Map();
let nextHandle = 1;
let scheme = 'light';
// Until the page says what the person wants.
let handling = { fontSize: 12, keys: [] };

/** Takes the asset manifest (JSON text or object). Resolves once the terminal's stylesheet applies. */
export async function configure(manifestJson) {
  const manifest = typeof manifestJson === 'string' ? JSON.parse(manifestJson) : manifestJson;
  await loadStylesheet(manifest.terminal_css);
}

const CONTAINED_OSC = [0, 1, 2, 7, 9, 52, 777, 1337];
const COLOUR_OSC = [4, 10, 11, 12];
const QUERIES = [
  { final: 'c' },
  { prefix: '>', final: 'c' },
  { prefix: '=', final: 'c' },
  { final: 'n' },
  { prefix: '?', final: 'n' },
  { intermediates: '$', final: 'p' },
  { prefix: '?', intermediates: '$', final: 'p' },
];
// A dragged edge resizes for every pixel; the program gets its signal when the hand rests.
const RESIZE_REST_MS = 60;

/**
 * A terminal inside `el`; returns its handle. Options: readOnly (run output: no cursor, keys go to the page, a lone LF
 * starts a new line), onData(text) for what the person types, onFit(cols, rows) when it took another size to fit into
 * `el` (without it the size is only what `resize` says), label for assistive software.
 */
export function create(el, { readOnly = false, onData, onFit, label } = {}) {
  const { fontFamily, theme } = look();
  const term = new Terminal({
    allowProposedApi: true,
    convertEol: readOnly,
    cursorBlink: false,
    cursorInactiveStyle: readOnly ? 'none' : 'outline',
    disableStdin: readOnly,
    fontFamily,
    fontSize: handling.fontSize,
    lineHeight: 1.25,
    linkHandler: { activate: (_event, uri) => openLink(uri), allowNonHttpProtocols: false },
    scrollback: 10_000,
    smoothScrollDuration: 0,
    theme: readOnly ? withoutCursor(theme) : theme,
  });
  const fitAddon = new FitAddon();
  const searchAddon = new SearchAddon();
  term.loadAddon(fitAddon);
  term.loadAddon(searchAddon);
  term.loadAddon(new WebLinksAddon((_event, uri) => openLink(uri), { urlRegex: /https?:\/\/[^\s"'<>\\^`{|}]*[^\s"'<>\\^`{|}.,:;!?()[\]]/ }));
  for (const code of CONTAINED_OSC) term.parser.registerOscHandler(code, () => true);
  term.parser.registerOscHandler(8, (data) => !/^[^;]*;(https?:|$)/i.test(data));
  term.parser.registerCsiHandler({ final: 't' }, () => true);

  const handle = nextHandle++;
  const entry = { term, fitAddon, searchAddon, readOnly, tabLeaves: false, onFit, told: false, typed: false };
  terminals.set(handle, entry);
  const silent = () => !answers(entry);
  for (const id of QUERIES) term.parser.registerCsiHandler(id, silent);
  for (const code of COLOUR_OSC) term.parser.registerOscHandler(code, (data) => data.includes('?') && silent());
  term.parser.registerDcsHandler({ intermediates: '$', final: 'q' }, silent);
  term.attachCustomKeyEventHandler((event) => takesKey(entry, event));
  if (onData && !readOnly) term.onData(onData);
  term.open(el);
  if (label) term.textarea?.setAttribute('aria-label', label);
  if (!readOnly) listen(entry, handle, el);
  fit(handle);
  return handle;
}

function listen(entry, handle, el) {
  const { textarea } = entry.term;
  for (const type of ['keydown', 'input', 'paste']) textarea?.addEventListener(type, () => (entry.typed = true), true);
  if (!entry.onFit) return;
  // The size belongs to whoever works here: another window may have chosen its own meanwhile.
  textarea?.addEventListener('focus', () => fit(handle));
  entry.observer = new ResizeObserver(() => {
    clearTimeout(entry.resting);
    entry.resting = setTimeout(() => (!entry.told || hasFocus(entry)) && fit(handle), RESIZE_REST_MS);
  });
  entry.observer.observe(el);
}

function hasFocus({ term }) {
  return document.activeElement === term.textarea && document.hasFocus();
}

function answers(entry) {
  return !entry.readOnly && entry.typed && hasFocus(entry);
}

/** False lets the page have the key. Ctrl+M makes Tab leave the terminal, and back. */
function takesKey(entry, event) {
  if (entry.readOnly) return false;
  if (handling.keys.some((combo) => isPressed(event, combo))) return false;
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.ctrlKey && event.code === 'KeyM') {
    if (event.type === 'keydown') entry.tabLeaves = !entry.tabLeaves;
    event.preventDefault();
    return false;
  }
  if (event.key === 'Tab' && entry.tabLeaves) return false;
  if (ctrl && event.shiftKey && event.code === 'KeyC' && entry.term.hasSelection()) {
    if (event.type === 'keydown') navigator.clipboard?.writeText(entry.term.getSelection()).catch(() => {});
    event.preventDefault();
    return false;
  }
  if (ctrl && event.shiftKey && event.code === 'KeyV') return false;
  // While nothing can be typed, Tab has to lead on.
  return !entry.term.options.disableStdin || (event.shiftKey && event.key !== 'Tab');
}

function openLink(uri) {
  let url;
  try {
    url = new URL(uri);
  } catch {
    return;
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') window.open(url, '_blank', 'noopener,noreferrer');
}

/** Writes bytes (UTF-8, split anywhere) or text; `done` is called when they were taken in, which is when to acknowledge. */
export function write(handle, data, done) {
  const entry = terminals.get(handle);
  // Bytes may be a view into wasm memory, which changes before the terminal gets round to them.
  if (entry) entry.term.write(typeof data === 'string' ? data : data.slice(), done);
  else done?.();
}

/** Empties the screen and the scrollback and forgets colours and modes. */
export function clear(handle) {
  const entry = terminals.get(handle);
  if (!entry) return;
  entry.typed = false;
  entry.term.reset();
}

/** Fits columns and rows to the element; does nothing while it is hidden. Returns [cols, rows]. */
export function fit(handle) {
  const entry = terminals.get(handle);
  if (!entry) return undefined;
  const { term, fitAddon, onFit, readOnly } = entry;
  const size = onFit || readOnly ? fitAddon.proposeDimensions() : undefined;
  if (size && size.cols > 1 && size.rows > 0) {
    const other = entry.told || size.cols !== term.cols || size.rows !== term.rows;
    fitAddon.fit();
    entry.told = false;
    if (onFit && other) onFit(term.cols, term.rows);
  }
  return [term.cols, term.rows];
}

/** Takes the size that another window gave the program; `fit`, or the focus, takes the element's own again. */
export function resize(handle, cols, rows) {
  const entry = terminals.get(handle);
  if (!entry || cols < 2 || rows < 1 || (cols === entry.term.cols && rows === entry.term.rows)) return;
  entry.told = true;
  entry.term.resize(cols, rows);
}

/** Whether anything can be typed. */
export function setInput(handle, on) {
  const entry = terminals.get(handle);
  if (entry && !entry.readOnly) entry.term.options.disableStdin = !on;
}

/** Types a key that a touch keyboard lacks: Escape, Tab, ArrowUp, ArrowDown, ArrowLeft, ArrowRight. */
export function press(handle, key) {
  const entry = terminals.get(handle);
  if (!entry) return;
  const arrow = { ArrowUp: 'A', ArrowDown: 'B', ArrowRight: 'C', ArrowLeft: 'D' }[key];
  const lead = entry.term.modes.applicationCursorKeysMode ? '\x1bO' : '\x1b[';
  const text = arrow ? lead + arrow : { Escape: '\x1b', Tab: '\t' }[key];
  if (!text) return;
  entry.typed = true;
  entry.term.input(text);
}

/** Pixels that what was printed takes, wrapped lines included, within `min` and `max` rows; undefined while hidden. */
export function contentHeight(handle, min, max) {
  const term = terminals.get(handle)?.term;
  if (!term?.element?.clientHeight) return undefined;
  // As the terminal measured its font, not as its screen is drawn: a terminal out of view is drawn later, and then the height and the
  // rows of different moments would be divided.
  const cell = term.dimensions?.css.cell.height ?? term._core._renderService.dimensions.css.cell.height;
  if (!cell) return undefined;
  // With the row of the cursor: without it the first line would scroll away.
  const used = term.buffer.active.baseY + term.buffer.active.cursorY + 1;
  return Math.min(Math.max(used, min), max) * cell;
}

export function focus(handle) {
  terminals.get(handle)?.term.focus();
}

/**
 * Finds a text and says whether it is there; every place that holds it is marked, and `watch` tells how many there are.
 * An empty text ends the search.
 */
export function search(handle, text, direction) {
  const addon = terminals.get(handle)?.searchAddon;
  if (!addon) return false;
  if (!text) {
    addon.clearDecorations();
    return false;
  }
  const options = { decorations: searchColours() };
  return direction === 'previous' ? addon.findPrevious(text, options) : addon.findNext(text, options);
}

function searchColours() {
  const tokens = openTokens(scheme);
  const [match, edge, active] = ['--ed-match', '--warn-text', '--ed-selection'].map((name) => tokens.hex(name));
  tokens.free();
  return { matchBackground: match, matchOverviewRuler: edge, activeMatchBackground: active, activeMatchBorder: edge, activeMatchColorOverviewRuler: edge };
}

/**
 * Tells `onEvent`, as JSON, {type:'scrolled', away} when the view leaves the end or comes back to it, and
 * {type:'results', index, count} when a search found other places; index counts from 0 and is -1 beyond what is counted.
 */
export function watch(handle, onEvent) {
  const entry = terminals.get(handle);
  if (!entry) return;
  const { term, searchAddon } = entry;
  // Never from within a call of the facade: a Rust closure may not be entered twice, nor after it is gone.
  const emit = (event) => queueMicrotask(() => terminals.has(handle) && onEvent(JSON.stringify(event)));
  let away = false;
  const follow = () => {
    const now = term.buffer.active.viewportY < term.buffer.active.baseY;
    if (now !== away) emit({ type: 'scrolled', away: (away = now) });
  };
  // What was drawn counts: while much is written, or the size changes, the view is behind for a moment.
  term.onRender(follow);
  searchAddon.onDidChangeResults(({ resultIndex, resultCount }) => emit({ type: 'results', index: resultIndex, count: resultCount }));
}

/** Shows the end, and follows it again. */
export function toEnd(handle) {
  terminals.get(handle)?.term.scrollToBottom();
}

/** Everything in the buffer as plain text, wrapped lines joined, without the empty rest of the screen. */
export function getText(handle) {
  const buffer = terminals.get(handle)?.term.buffer.active;
  if (!buffer) return '';
  const lines = [];
  for (let i = 0; i < buffer.length; i++) {
    const line = buffer.getLine(i);
    const continues = buffer.getLine(i + 1)?.isWrapped ?? false;
    const text = line.translateToString(!continues);
    if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  while (lines.length > 0 && lines[lines.length - 1] === '') lines.pop();
  return lines.length > 0 ? `${lines.join('\n')}\n` : '';
}

/**
 * How the person wants every terminal, as JSON: {fontSize, keys}; `keys` are those of commands that a terminal leaves to the page.
 * Everything else belongs to the program inside.
 */
export function setHandling(json) {
  handling = JSON.parse(json);
  for (const [handle, { term }] of terminals) {
    if (term.options.fontSize === handling.fontSize) continue;
    term.options.fontSize = handling.fontSize;
    fit(handle);
  }
}

/** @param {'light'|'dark'} name */
export function setTheme(name) {
  scheme = name === 'dark' ? 'dark' : 'light';
  const { theme } = look();
  for (const { term, readOnly } of terminals.values()) term.options.theme = readOnly ? withoutCursor(theme) : theme;
}

export function setScreenReaderMode(handle, on) {
  const entry = terminals.get(handle);
  if (entry) entry.term.options.screenReaderMode = on;
}

export function dispose(handle) {
  const entry = terminals.get(handle);
  if (!entry) return;
  clearTimeout(entry.resting);
  entry.observer?.disconnect();
  entry.term.dispose();
  terminals.delete(handle);
}

function withoutCursor(theme) {
  return { ...theme, cursor: theme.background, cursorAccent: theme.background };
}

function look() {
  const tokens = openTokens(scheme);
  const theme = {
    background: tokens.hex('--bg-editor'),
    foreground: tokens.hex('--syn-text'),
    cursor: tokens.hex('--accent-text'),
    cursorAccent: tokens.hex('--bg-editor'),
    selectionBackground: tokens.hex('--ed-selection'),
  };
  for (const name of ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white']) {
    theme[name] = tokens.hex(`--ansi-${name}`);
    theme[`bright${name[0].toUpperCase()}${name.slice(1)}`] = tokens.hex(`--ansi-bright-${name}`);
  }
  const fontFamily = tokens.text('--font-mono') || 'monospace';
  tokens.free();
  return { theme, fontFamily };
}
