// Terminal and run output, behind a small facade with number handles. Loaded by dynamic import only where needed.
// What a program prints is not trusted: it may not set the clipboard, the title, or links other than http(s).
import '@xterm/xterm/css/xterm.css';
import { Terminal } from '@xterm/xterm';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { loadStylesheet, openTokens } from './tokens.js';

const terminals = new Map();
let nextHandle = 1;
let scheme = 'light';

/** Takes the asset manifest (JSON text or object). Resolves once the terminal's stylesheet applies. */
export async function configure(manifestJson) {
  const manifest = typeof manifestJson === 'string' ? JSON.parse(manifestJson) : manifestJson;
  await loadStylesheet(manifest.terminal_css);
}

/**
 * A terminal inside `el`; returns its handle. Options: readOnly (run output: no cursor, keys go to the page, a lone LF
 * starts a new line), onData(text) for what the person types, onResize(cols, rows), label for assistive software.
 */
export function create(el, { readOnly = false, onData, onResize, label } = {}) {
  const { fontFamily, theme } = look();
  const term = new Terminal({
    allowProposedApi: true,
    convertEol: readOnly,
    cursorBlink: false,
    cursorInactiveStyle: readOnly ? 'none' : 'outline',
    disableStdin: readOnly,
    fontFamily,
    fontSize: 12,
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
  for (const code of [0, 1, 2, 52]) term.parser.registerOscHandler(code, () => true);
  term.parser.registerOscHandler(8, (data) => !/^[^;]*;(https?:|$)/i.test(data));

  const handle = nextHandle++;
  const entry = { term, fitAddon, searchAddon, readOnly, tabLeaves: false };
  terminals.set(handle, entry);
  term.attachCustomKeyEventHandler((event) => takesKey(entry, event));
  if (onData && !readOnly) term.onData(onData);
  if (onResize) term.onResize(({ cols, rows }) => onResize(cols, rows));
  term.open(el);
  if (label) term.textarea?.setAttribute('aria-label', label);
  fit(handle);
  return handle;
}

/** False lets the page have the key. Ctrl+M makes Tab leave the terminal, and back. */
function takesKey(entry, event) {
  if (entry.readOnly) return false;
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.ctrlKey && event.code === 'KeyM') {
    if (event.type === 'keydown') entry.tabLeaves = !entry.tabLeaves;
    event.preventDefault();
    return false;
  }
  if (event.key === 'Tab' && entry.tabLeaves) return false;
  if (event.key === 'F6' || event.key === 'F7') return false;
  if (ctrl && event.shiftKey && event.code === 'KeyP') return false;
  if (ctrl && event.shiftKey && event.code === 'KeyC' && entry.term.hasSelection()) {
    if (event.type === 'keydown') navigator.clipboard?.writeText(entry.term.getSelection()).catch(() => {});
    event.preventDefault();
    return false;
  }
  return !(ctrl && event.shiftKey && event.code === 'KeyV');
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
  terminals.get(handle)?.term.reset();
}

/** Fits columns and rows to the element; does nothing while it is hidden. Returns [cols, rows]. */
export function fit(handle) {
  const entry = terminals.get(handle);
  if (!entry) return undefined;
  const size = entry.fitAddon.proposeDimensions();
  if (size && size.cols > 1 && size.rows > 0) entry.fitAddon.fit();
  return [entry.term.cols, entry.term.rows];
}

/** Pixels that what was printed takes, wrapped lines included, within `min` and `max` rows; undefined while hidden. */
export function contentHeight(handle, min, max) {
  const term = terminals.get(handle)?.term;
  const screen = term?.element?.querySelector('.xterm-screen');
  if (!screen?.clientHeight) return undefined;
  // With the row of the cursor: without it the first line would scroll away.
  const used = term.buffer.active.baseY + term.buffer.active.cursorY + 1;
  return Math.min(Math.max(used, min), max) * (screen.clientHeight / term.rows);
}

export function focus(handle) {
  terminals.get(handle)?.term.focus();
}

/** Finds `text`; `direction` 'next' or 'previous'; an empty text ends the search. Returns whether it was found. */
export function search(handle, text, direction) {
  const addon = terminals.get(handle)?.searchAddon;
  if (!addon) return false;
  if (!text) {
    addon.clearDecorations();
    return false;
  }
  return direction === 'previous' ? addon.findPrevious(text) : addon.findNext(text);
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
  terminals.get(handle)?.term.dispose();
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
