// The code editor, behind a small facade: handles are numbers, events are JSON strings, so that the Rust side needs
// no knowledge of Monaco. Loaded by dynamic import only on pages that show code.
//
// onEvent receives one of
//   {type:'dirty', uri, dirty}        only when the answer changes
//   {type:'save', uri}                Ctrl/Cmd+S
//   {type:'cursor', uri, line, col, selected}   1-based; selected = characters selected
//   {type:'command', id, uri, text, startLine, endLine}   an entry added with addCommand; text = the selection
import 'monaco-editor/features/register.all.js';
import { editor, KeyCode, KeyMod, Range, Uri } from 'monaco-editor/editor/editor.api.js';
import { quietLanguageServices } from './languages.js';
import { createRecords, hasMixedEol, languageFor, plainBrackets } from './models.js';
import { applyTheme } from './theme.js';
import { loadStylesheet, openTokens } from './tokens.js';

const editors = new Map();
const diffs = new Map();
const records = createRecords();
let nextHandle = 1;
let scheme = 'light';

const WORKER_OF_LABEL = {
  json: 'json',
  css: 'css',
  scss: 'css',
  less: 'css',
  html: 'html',
  handlebars: 'html',
  razor: 'html',
  typescript: 'ts',
  javascript: 'ts',
};

/** Takes the asset manifest (JSON text or object). Resolves once the editor's stylesheet applies. */
export async function configure(manifestJson) {
  const manifest = parse(manifestJson);
  globalThis.MonacoEnvironment = {
    getWorker: (_module, label) => new Worker(manifest.workers[WORKER_OF_LABEL[label] ?? 'editor'], { name: label }),
  };
  quietLanguageServices();
  leaveKeysToThePage();
  await loadStylesheet(manifest.editor_css);
}

/** The page owns these keys: an empty rule makes Monaco let the event bubble. */
function leaveKeysToThePage() {
  const { CtrlCmd, Shift } = KeyMod;
  const keys = [
    CtrlCmd | KeyCode.KeyP,
    CtrlCmd | Shift | KeyCode.KeyP,
    CtrlCmd | KeyCode.KeyJ,
    CtrlCmd | KeyCode.KeyB,
    CtrlCmd | KeyCode.KeyL,
    CtrlCmd | KeyCode.Enter,
    CtrlCmd | KeyCode.Period,
    KeyCode.F6,
    Shift | KeyCode.F6,
    KeyCode.F7,
    Shift | KeyCode.F7,
  ];
  editor.addKeybindingRules(keys.map((keybinding) => ({ keybinding, command: null })));
}

function baseOptions() {
  const tokens = openTokens(scheme);
  const fontFamily = tokens.text('--font-mono') || 'monospace';
  tokens.free();
  return {
    automaticLayout: true,
    fixedOverflowWidgets: true,
    hideCursorInOverviewRuler: true,
    overviewRulerBorder: false,
    fontFamily,
    fontLigatures: false,
    fontSize: 13,
    lineHeight: 20,
    minimap: { enabled: false },
    padding: { top: 6, bottom: 6 },
    renderLineHighlight: 'line',
    scrollBeyondLastLine: false,
    smoothScrolling: false,
    cursorSmoothCaretAnimation: 'off',
    stickyScroll: { enabled: false },
    unusualLineTerminators: 'off',
    wordBasedSuggestions: 'currentDocument',
  };
}

/** An empty editor inside `el`; returns its handle. */
export function createEditor(el, onEvent) {
  applyTheme(scheme);
  const handle = nextHandle++;
  const view = editor.create(el, { ...baseOptions(), model: null });
  // Never from within a call of the facade: a Rust closure may not be entered twice, nor after it is gone.
  const emit = (event) => queueMicrotask(() => editors.has(handle) && onEvent(JSON.stringify(event)));
  const entry = { view, uri: null, states: new Map(), emit };
  editors.set(handle, entry);
  view.addAction({
    id: 'cloudxdevai.save',
    label: 'Save',
    keybindings: [KeyMod.CtrlCmd | KeyCode.KeyS],
    run: () => entry.uri && entry.emit({ type: 'save', uri: entry.uri }),
  });
  view.onDidChangeCursorSelection(({ selection }) => tellCursor(entry, selection));
  return handle;
}

function tellCursor(entry, selection) {
  const model = entry.view.getModel();
  if (!model || !selection) return;
  entry.emit({
    type: 'cursor',
    uri: entry.uri,
    line: selection.positionLineNumber,
    col: selection.positionColumn,
    selected: selection.isEmpty() ? 0 : model.getValueLengthInRange(selection),
  });
}

/** Adds an entry to the command list (F1) and the context menu; choosing it emits a `command` event. */
export function addCommand(handle, id, label) {
  const entry = editors.get(handle);
  entry?.view.addAction({
    id: `cloudxdevai.${id}`,
    label,
    contextMenuGroupId: '1_cloudxdevai',
    run: (view) => {
      const selection = view.getSelection();
      entry.emit({
        type: 'command',
        id,
        uri: entry.uri,
        text: view.getModel()?.getValueInRange(selection) ?? '',
        startLine: selection?.startLineNumber ?? 1,
        endLine: selection?.endLineNumber ?? 1,
      });
    },
  });
}

/**
 * Creates the model for `uri`, or leaves an open one as it is. `hint` is a Monaco language id or a path.
 * Returns JSON {created, language, eol: 'LF'|'CRLF', mixedEol}. With `mixedEol` the text stays byte-exact until the
 * first edit, which makes every line end the same: warn before that.
 */
export function openModel(handle, uri, text, hint, readOnly) {
  const entry = editors.get(handle);
  return JSON.stringify(records.open(uri, text, hint, readOnly, (event) => entry?.emit(event)));
}

/**
 * Replaces the text as one undoable edit that touches only what differs, so cursor, folding and undo survive.
 * With `saved` the new text counts as what is stored.
 */
export function setModelText(uri, text, saved) {
  records.setText(uri, text, saved === true);
}

/** The text with its own line ends and byte order mark; undefined when the model is not open. */
export function getModelText(uri) {
  return records.getText(uri);
}

/** Names the present state of the text. Take it when a save is sent and give it to markSaved when the save is answered. */
export function getModelVersion(uri) {
  return records.getVersion(uri);
}

/** The state named by `version` counts as stored; without it, what is in the model now. */
export function markSaved(uri, version) {
  records.markSaved(uri, version);
}

/** @returns {boolean} */
export function isDirty(uri) {
  return records.isDirty(uri);
}

/** Forgets the model with its undo stack; an editor showing it becomes empty. */
export function closeModel(uri) {
  for (const entry of editors.values()) {
    entry.states.delete(uri);
    if (entry.uri === uri) {
      entry.uri = null;
      entry.view.setModel(null);
    }
  }
  records.close(uri);
}

/** Shows an open model where the person left it. Returns false when the model is not open. */
export function showModel(handle, uri) {
  const entry = editors.get(handle);
  const record = records.get(uri);
  if (!entry || !record) return false;
  if (entry.uri) entry.states.set(entry.uri, entry.view.saveViewState());
  entry.uri = uri;
  record.emit = entry.emit;
  entry.view.setModel(record.model);
  entry.view.updateOptions({ readOnly: record.readOnly, ariaLabel: `Editor, ${uri}` });
  const state = entry.states.get(uri);
  if (state) entry.view.restoreViewState(state);
  tellCursor(entry, entry.view.getSelection());
  return true;
}

/** @param {boolean} readOnly */
export function setReadOnly(uri, readOnly) {
  const record = records.get(uri);
  if (!record) return;
  record.readOnly = readOnly;
  for (const entry of editors.values()) if (entry.uri === uri) entry.view.updateOptions({ readOnly });
}

/** A comparison inside `el`; `options` is {readOnly, inline} as an object or JSON. Returns a handle. */
export function createDiff(el, originalText, modifiedText, path, options) {
  applyTheme(scheme);
  const { readOnly = true, inline = false } = parse(options ?? {});
  const handle = nextHandle++;
  const language = languageFor(path);
  const model = (side, text) => plainBrackets(editor.createModel(text, language, Uri.from({ scheme: 'diff', authority: `${side}${handle}`, path: `/${path}` })));
  const models = { original: model('a', originalText), modified: model('b', modifiedText) };
  const view = editor.createDiffEditor(el, {
    ...baseOptions(),
    readOnly,
    originalEditable: false,
    renderSideBySide: !inline,
    // Two sides are told apart by where they stand; only a phone has no room for that.
    useInlineViewWhenSpaceIsLimited: true,
    renderSideBySideInlineBreakpoint: 480,
    renderOverviewRuler: false,
    lineDecorationsWidth: 18,
    hideUnchangedRegions: { enabled: true },
    originalAriaLabel: `Before, ${path}`,
    modifiedAriaLabel: `After, ${path}`,
  });
  view.setModel(models);
  diffs.set(handle, { view, models });
  return handle;
}

/** The right-hand text of a comparison, with its own line ends. */
export function getModifiedText(handle) {
  return diffs.get(handle)?.models.modified.getValue(undefined, true);
}

/** @param {'light'|'dark'} name */
export function setTheme(name) {
  scheme = name === 'dark' ? 'dark' : 'light';
  applyTheme(scheme);
}

export function layout(handle) {
  viewOf(handle)?.layout();
}

export function focus(handle) {
  viewOf(handle)?.focus();
}

/** Puts the cursor at a 1-based place and scrolls it into the middle if it is not visible. */
export function reveal(handle, line, col) {
  const entry = editors.get(handle);
  const view = entry?.view ?? diffs.get(handle)?.view.getModifiedEditor();
  if (!view?.getModel()) return;
  view.setPosition({ lineNumber: line, column: col || 1 });
  view.revealRangeInCenterIfOutsideViewport(new Range(line, col || 1, line, col || 1));
}

/** Removes an editor or a comparison; models of editors stay open. */
export function dispose(handle) {
  editors.get(handle)?.view.dispose();
  editors.delete(handle);
  const diff = diffs.get(handle);
  diff?.view.dispose();
  diff?.models.original.dispose();
  diff?.models.modified.dispose();
  diffs.delete(handle);
}

export { hasMixedEol };

function viewOf(handle) {
  return editors.get(handle)?.view ?? diffs.get(handle)?.view;
}

function parse(value) {
  return typeof value === 'string' ? JSON.parse(value) : value;
}
