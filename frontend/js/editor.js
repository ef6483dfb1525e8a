// The code editor, behind a small facade: handles are numbers, events are JSON strings, so that the Rust side needs
// no knowledge of Monaco. Loaded by dynamic import only on pages that show code.
//
// onEvent receives one of
//   {type:'dirty', uri, dirty}        only when the answer changes
//   {type:'save', uri}                chosen in the command list (F1); the key for it belongs to the page
//   {type:'cursor', uri, line, col, selected}   1-based; selected = characters selected
//   {type:'focus'|'blur', uri}        the keyboard came to the editor with its widgets, or left it
//   {type:'command', id, uri, text, startLine, endLine}   an entry added with addCommand; text = the selection
//   {type:'merge', open, total}       conflicts of a merge that are not decided, and all of them
import './features.js';
import { editor, KeyCode, KeyMod, Range, Uri } from 'monaco-editor/editor/editor.api.js';
import { monacoKeybinding } from './keys.js';
import { quietLanguageServices } from './languages.js';
import { createMergeView } from './merge.js';
import { createRecords, languageFor, plainBrackets } from './models.js';
import { applyTheme } from './theme.js';
import { loadStylesheet, openTokens } from './tokens.js';

const editors = new Map();
const diffs = new Map();
const merges = new Map();
const records = createRecords((event) => editors.values().next().value?.emit(event));
let nextHandle = 1;
let scheme = 'light';
let pageKeys;

const LINE_HEIGHT = 20 / 13;

// Until the page says what the person wants.
let handling = {
  fontSize: 13, tabSize: 4, insertSpaces: true, detectIndentation: true, wordWrap: false, minimap: false, lineNumbers: 'on',
  renderWhitespace: 'selection', fontLigatures: false, formatOnPaste: false, keys: [],
};

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
  pageKeys?.dispose();
  const ofReview = [KeyCode.F7, KeyMod.Shift | KeyCode.F7, KeyMod.CtrlCmd | KeyCode.Enter];
  const ofCommands = handling.keys.map((combo) => monacoKeybinding(combo, { KeyCode, KeyMod })).filter((key) => key !== undefined);
  pageKeys = editor.addKeybindingRules([...ofReview, ...ofCommands].map((keybinding) => ({ keybinding, command: null })));
}

/**
 * How the person wants every editor, as JSON: {fontSize, tabSize, insertSpaces, detectIndentation, wordWrap, minimap, lineNumbers,
 * renderWhitespace, fontLigatures, formatOnPaste, keys}; `keys` are those that Monaco leaves to the page. Applies to what is open, too.
 */
export function setHandling(json) {
  handling = parse(json);
  leaveKeysToThePage();
  records.setIndentation(handling);
  for (const { view, uri } of editors.values()) {
    const record = uri && records.get(uri);
    view.updateOptions({ ...chosenOptions(), ...(record ? optionsFor(record) : {}) });
  }
  for (const { view } of [...diffs.values(), ...merges.values()]) view.updateOptions(chosenOptions());
}

function chosenOptions() {
  const { fontSize, fontLigatures, lineNumbers, renderWhitespace, formatOnPaste } = handling;
  return { fontSize, lineHeight: Math.round(fontSize * LINE_HEIGHT), fontLigatures, lineNumbers, renderWhitespace, formatOnPaste };
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
    ...chosenOptions(),
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

/** What an editor does while it shows this text. Large ones go without all that looks at the whole text. */
function optionsFor({ readOnly, light, rulers, uri }) {
  return {
    readOnly: readOnly !== '',
    readOnlyMessage: readOnly ? { value: readOnly } : undefined,
    ariaLabel: `Editor, ${uri}`,
    rulers,
    wordWrap: handling.wordWrap && !light ? 'on' : 'off',
    minimap: { enabled: handling.minimap && !light },
    folding: !light,
    links: !light,
    colorDecorators: !light,
    matchBrackets: light ? 'never' : 'always',
    occurrencesHighlight: light ? 'off' : 'singleFile',
    selectionHighlight: !light,
    wordBasedSuggestions: light ? 'off' : 'currentDocument',
    quickSuggestions: !light,
    guides: { indentation: !light },
    unicodeHighlight: { ambiguousCharacters: !light, invisibleCharacters: !light },
    renderValidationDecorations: light ? 'off' : 'editable',
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
    run: () => entry.uri && entry.emit({ type: 'save', uri: entry.uri }),
  });
  view.onDidChangeCursorSelection(({ selection }) => tellCursor(entry, selection));
  view.onDidFocusEditorWidget(() => {
    entry.usedAt = performance.now();
    entry.emit({ type: 'focus', uri: entry.uri ?? '' });
    tellCursor(entry, view.getSelection());
  });
  view.onDidBlurEditorWidget(() => entry.uri && entry.emit({ type: 'blur', uri: entry.uri }));
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
 * Creates the model for `uri`, or leaves an open one as it is but for its looks. `hint` is a Monaco language id or a path; `options` is
 * JSON {readOnly: reason or '', style, light}. Returns JSON {created, language}, the language as people call it.
 */
export function openModel(uri, text, hint, options) {
  const info = records.open(uri, text, hint, parse(options));
  if (!info.created) applyOptions(records.get(uri));
  return JSON.stringify(info);
}

/** Gives an open text the looks that .editorconfig asks for; `style` is JSON {insertSpaces, indentSize, tabWidth, maxLineLength}. */
export function setModelStyle(uri, style) {
  const record = records.get(uri);
  if (!record) return;
  records.restyle(record, parse(style));
  applyOptions(record);
}

/** To every editor that shows the text. */
function applyOptions(record) {
  for (const entry of editors.values()) if (entry.uri === record.uri) entry.view.updateOptions(optionsFor(record));
}

/**
 * Replaces the text as one undoable edit that touches only what differs, so cursor, folding and undo survive.
 * With `saved` the new text counts as what is stored.
 */
export function setModelText(uri, text, saved) {
  records.setText(uri, text, saved === true);
}

/** The text with one kind of line end; undefined when the model is not open. */
export function getModelText(uri) {
  return records.getText(uri);
}

/** What is selected in the editor that has the keyboard; '' when nothing is. */
export function selectedText() {
  const view = [...editors.values()].map((entry) => entry.view).find((each) => each.hasTextFocus());
  const selection = view?.getSelection();
  return selection ? (view.getModel()?.getValueInRange(selection) ?? '') : '';
}

/** Puts text in place of the selection in the editor that shows `uri`, the one used last if there are two. False where none may be changed. */
export function insertAtCursor(uri, text) {
  const entry = entryOf(uri);
  if (!entry || records.get(uri)?.readOnly) return false;
  entry.view.pushUndoStop();
  entry.view.executeEdits('conversation', [{ range: entry.view.getSelection(), text, forceMoveMarkers: true }]);
  entry.view.pushUndoStop();
  entry.view.revealPositionInCenterIfOutsideViewport(entry.view.getPosition());
  entry.view.focus();
  return true;
}

/** What `uri` would hold with `text` in place of the selection; undefined where no editor shows it. */
export function textWith(uri, text) {
  const view = entryOf(uri)?.view;
  const model = view?.getModel();
  if (!model) return undefined;
  const { startLineNumber, startColumn, endLineNumber, endColumn } = view.getSelection();
  const end = { lineNumber: model.getLineCount(), column: model.getLineMaxColumn(model.getLineCount()) };
  const before = model.getValueInRange(new Range(1, 1, startLineNumber, startColumn));
  const after = model.getValueInRange(new Range(endLineNumber, endColumn, end.lineNumber, end.column));
  return before + text.replace(/\r?\n/g, model.getEOL()) + after;
}

function entryOf(uri) {
  const all = [...editors.values()].filter((entry) => entry.uri === uri && entry.view.getModel());
  return all.toSorted((a, b) => (b.usedAt ?? 0) - (a.usedAt ?? 0))[0];
}

/** Names the present state of the text. Take it when a save is sent and give it to markSaved when the save is answered. */
export function getModelVersion(uri) {
  return records.getVersion(uri);
}

/** The state named by `version` counts as stored; without it, what is in the model now. */
export function markSaved(uri, version) {
  records.markSaved(uri, version);
}

/** Does before a save what .editorconfig wants; `options` is JSON {trim, finalNewline, spareCursors}. */
export function tidyModel(uri, options) {
  const { spareCursors, ...wanted } = parse(options);
  records.tidy(uri, wanted, spareCursors ? linesOfCursors(uri) : new Set());
}

/** The lines of a text that hold a cursor, in whatever shows it. */
function linesOfCursors(uri) {
  const model = records.get(uri)?.model;
  const views = [...[...editors.values()].map(({ view }) => view), ...[...diffs.values()].map(({ view }) => view.getModifiedEditor())];
  const showing = views.filter((view) => model && view.getModel() === model);
  return new Set(showing.flatMap((view) => view.getSelections() ?? []).map((selection) => selection.positionLineNumber));
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
  entry.view.updateOptions(optionsFor(record));
  entry.view.setModel(record.model);
  const state = entry.states.get(uri);
  if (state) entry.view.restoreViewState(state);
  tellCursor(entry, entry.view.getSelection());
  return true;
}

/** @param {string} reason empty where the text may be edited */
export function setReadOnly(uri, reason) {
  const record = records.get(uri);
  if (!record || record.readOnly === reason) return;
  record.readOnly = reason;
  applyOptions(record);
}

/** Runs one of Monaco's own commands, such as `editor.action.gotoLine`. */
export function trigger(handle, action) {
  const view = editors.get(handle)?.view;
  view?.focus();
  view?.getAction(action)?.run();
}

/** A comparison inside `el`; `options` is {readOnly, inline} as an object or JSON. Returns a handle. */
export function createDiff(el, originalText, modifiedText, path, options) {
  const language = languageFor(path, originalText.slice(0, 200).split('\n', 1)[0]);
  const handle = nextHandle++;
  const models = {
    original: sideModel(`a${handle}`, originalText, language, path),
    modified: sideModel(`b${handle}`, modifiedText, language, path),
  };
  return showDiff(handle, el, models, Object.values(models), path, parse(options ?? {}));
}

/** As createDiff, with the open text of `uri` on the right: what is typed there is typed into the file. 0 when it is not open. */
export function createComparison(el, originalText, uri, options) {
  const record = records.get(uri);
  if (!record) return 0;
  const handle = nextHandle++;
  const models = { original: sideModel(`a${handle}`, originalText, record.model.getLanguageId(), uri), modified: record.model };
  return showDiff(handle, el, models, [models.original], uri, { readOnly: record.readOnly !== '', ...parse(options ?? {}) });
}

function sideModel(side, text, language, path) {
  return plainBrackets(editor.createModel(text, language, Uri.from({ scheme: 'diff', authority: side, path: `/${path}` })));
}

/** `own` are the models that go when the comparison goes. */
function showDiff(handle, el, models, own, path, { readOnly = true, inline = false, before = 'Before', after = 'After' }) {
  applyTheme(scheme);
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
    originalAriaLabel: `${before}, ${path}`,
    modifiedAriaLabel: `${after}, ${path}`,
  });
  view.setModel(models);
  diffs.set(handle, { view, own });
  return handle;
}

/**
 * A merge inside `el`: one text that can be edited, with each conflict and its choices in place. `pieces` is JSON, in the order of
 * the text: {kind: 'same'|'mine'|'theirs', text} or {kind: 'conflict', base, mine, theirs}. `onEvent` gets `merge` events.
 */
export function createMerge(el, pieces, path, onEvent) {
  applyTheme(scheme);
  const handle = nextHandle++;
  const emit = (event) => queueMicrotask(() => merges.has(handle) && onEvent(JSON.stringify(event)));
  merges.set(handle, createMergeView(el, parse(pieces), path, { ...baseOptions(), ariaLabel: `Merged text, ${path}` }, emit));
  return handle;
}

/** The text of a merge as it stands. */
export function getMergedText(handle) {
  return merges.get(handle)?.text();
}

/** Goes to the next conflict that is not decided. */
export function nextConflict(handle) {
  merges.get(handle)?.next();
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
  for (const model of diff?.own ?? []) model.dispose();
  diffs.delete(handle);
  merges.get(handle)?.dispose();
  merges.delete(handle);
}

function viewOf(handle) {
  return editors.get(handle)?.view ?? diffs.get(handle)?.view ?? merges.get(handle)?.view;
}

function parse(value) {
  return typeof value === 'string' ? JSON.parse(value) : value;
}
