// Open texts: which language, which style, what counts as stored. Line ends are the caller's: a model holds one kind of them only.
import { editor, languages, Uri } from 'monaco-editor/editor/editor.api.js';

const BOM = '\uFEFF';

/** Interpreters by the name in a shebang, versions cut off. */
const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'ash', 'fish']);
const INTERPRETERS = {
  python: 'python', pypy: 'python', node: 'javascript', nodejs: 'javascript', deno: 'typescript', bun: 'typescript', 'ts-node': 'typescript',
  tsx: 'typescript', ruby: 'ruby', perl: 'perl', php: 'php', lua: 'lua', luajit: 'lua', rscript: 'r', pwsh: 'powershell', tclsh: 'tcl',
  wish: 'tcl', julia: 'julia', elixir: 'elixir', scala: 'scala', clojure: 'clojure', swift: 'swift',
};

/** The language that a first line such as `#!/usr/bin/env -S python3 -u` names; undefined when it names none. */
export function languageOfFirstLine(line) {
  if (/^<\?xml\b/.test(line)) return 'xml';
  if (/^<!doctype html\b/i.test(line)) return 'html';
  const words = /^#!\s*(.+)/.exec(line)?.[1].trim().split(/\s+/);
  if (!words) return undefined;
  const program = words.find((word, at) => !(at === 0 && /(^|\/)env$/.test(word)) && !word.startsWith('-') && !/^\w+=/.test(word)) ?? '';
  const name = program.split('/').pop().toLowerCase().replace(/[\d.]+$/, '');
  return SHELLS.has(name) ? 'shell' : INTERPRETERS[name];
}

/** A Monaco language id for a language id or a path, then by the first line of the text; 'plaintext' when nothing fits. */
export function languageFor(hint, firstLine = '') {
  const all = languages.getLanguages();
  if (all.some((l) => l.id === hint)) return hint;
  const name = (hint ?? '').split('/').pop().toLowerCase();
  const byName = all.find((l) => l.filenames?.some((f) => f.toLowerCase() === name));
  if (byName) return byName.id;
  if (/^(dockerfile|containerfile)(\.|$)/.test(name)) return 'dockerfile';
  if (/\.(toml|cfg|conf|env)$|^\.env(\.|$)|^\.(git|editor)config$/.test(name)) return 'ini';
  if (/\.(jsonc|json5|webmanifest)$/.test(name)) return 'json';
  if (/^\.(bash|zsh)(rc|_profile|env)$|^\.profile$/.test(name)) return 'shell';
  const endings = all.flatMap((l) => (l.extensions ?? []).filter((e) => name.endsWith(e.toLowerCase())).map((e) => [e, l.id]));
  return endings.sort((a, b) => b[0].length - a[0].length)[0]?.[1] ?? languageOfFirstLine(firstLine) ?? 'plaintext';
}

/** What people call a language. */
export function nameOfLanguage(id) {
  return id === 'plaintext' ? 'Plain text' : (languages.getLanguages().find((l) => l.id === id)?.aliases?.[0] ?? id);
}

/** Monaco drops a byte order mark, so the record remembers it. */
function withoutBom(text) {
  return text.startsWith(BOM) ? text.slice(BOM.length) : text;
}

/** Line ends as the model holds them, for comparing a new text with the old one. */
export function unifyEol(text, eol) {
  return text.replace(/\r\n|\r|\n/g, eol);
}

/** Brackets keep their token's colour. The option belongs to the model; an editor's option of that name has no effect on it. */
export function plainBrackets(model) {
  model.updateOptions({ bracketColorizationOptions: { enabled: false, independentColorPoolPerBracketType: false } });
  return model;
}

/** Indentation as the project's .editorconfig says it; what it does not say stays. */
function indentationOf({ insertSpaces, indentSize, tabWidth }) {
  const options = {};
  if (insertSpaces !== undefined) options.insertSpaces = insertSpaces;
  if (tabWidth ?? indentSize) options.tabSize = tabWidth ?? indentSize;
  if (indentSize ?? tabWidth) options.indentSize = indentSize ?? tabWidth;
  return options;
}

function rulersOf({ maxLineLength }) {
  return maxLineLength ? [maxLineLength] : [];
}

/** The book of open models; one per page. `tellAll` takes their events. */
export function createRecords(tellAll) {
  const byUri = new Map();
  let chosen = { tabSize: 4, insertSpaces: true, detectIndentation: true };

  /** What the person chose, then what the text shows, then what the project says. */
  function indent({ model, style }) {
    const { tabSize, insertSpaces, detectIndentation } = chosen;
    if (detectIndentation) model.detectIndentation(insertSpaces, tabSize);
    else model.updateOptions({ insertSpaces, tabSize, indentSize: 'tabSize' });
    model.updateOptions(indentationOf(style));
  }

  /** The project's .editorconfig may say something else by now. */
  function restyle(record, style) {
    if (JSON.stringify(style) === JSON.stringify(record.style)) return;
    record.style = style;
    record.rulers = rulersOf(style);
    indent(record);
  }

  /** `light` leaves out all that takes long on a large text; `readOnly` is the reason, empty where it may be edited. */
  function open(uri, text, hint, { readOnly = '', style = {}, light = false }) {
    const known = byUri.get(uri);
    if (known) {
      known.readOnly = readOnly;
      restyle(known, style);
      return describe(known, false);
    }
    const language = light ? 'plaintext' : languageFor(hint || uri, text.slice(0, 200).split(/[\r\n]/, 1)[0]);
    const model = editor.createModel(withoutBom(text), language, Uri.from({ scheme: 'project', path: `/${uri}` }));
    plainBrackets(model);
    const record = { uri, model, style, readOnly, light, rulers: rulersOf(style), bom: text.startsWith(BOM), dirty: false };
    indent(record);
    byUri.set(uri, record);
    settle(record);
    model.onDidChangeContent(() => tell(record));
    return describe(record, true);
  }

  function settle(record) {
    record.saved = record.model.getAlternativeVersionId();
    tell(record);
  }

  function tell(record) {
    if (record.quiet) return;
    const dirty = record.model.getAlternativeVersionId() !== record.saved;
    if (dirty === record.dirty) return;
    record.dirty = dirty;
    tellAll({ type: 'dirty', uri: record.uri, dirty });
  }

  function setText(uri, text, saved) {
    const record = byUri.get(uri);
    if (!record) return;
    record.quiet = saved;
    replace(record.model, withoutBom(text));
    record.bom = text.startsWith(BOM);
    record.quiet = false;
    if (saved) settle(record);
    else tell(record);
  }

  function replace(model, text) {
    const before = model.getValue();
    const after = unifyEol(text, model.getEOL());
    if (before === after) return;
    const [start, end] = differingSpan(before, after);
    const from = model.getPositionAt(start);
    const to = model.getPositionAt(before.length - end);
    const range = { startLineNumber: from.lineNumber, startColumn: from.column, endLineNumber: to.lineNumber, endColumn: to.column };
    edit(model, [{ range, text: after.slice(start, after.length - end) }]);
  }

  /** What .editorconfig wants done before a save, as one step that can be undone. The lines of `spared` stay as they are. */
  function tidy(uri, { trim, finalNewline }, spared) {
    const model = byUri.get(uri)?.model;
    if (!model) return;
    const edits = [];
    const last = model.getLineCount();
    for (let line = 1; trim && line <= last; line++) {
      if (spared.has(line)) continue;
      const text = model.getLineContent(line);
      const kept = text.replace(/[ \t]+$/, '').length;
      if (kept < text.length) edits.push(spanOf(line, kept + 1, line, text.length + 1, ''));
    }
    const end = model.getLineMaxColumn(last);
    const empty = trim ? model.getLineContent(last).trim() === '' : end === 1;
    if (finalNewline && !empty && !spared.has(last)) edits.push(spanOf(last, end, last, end, model.getEOL()));
    if (edits.length > 0) edit(model, edits);
  }

  return {
    open,
    setIndentation(handling) {
      chosen = handling;
      for (const record of byUri.values()) indent(record);
    },
    setText,
    restyle,
    tidy,
    getText(uri) {
      const record = byUri.get(uri);
      return record && (record.bom ? BOM : '') + record.model.getValue();
    },
    get: (uri) => byUri.get(uri),
    isDirty: (uri) => byUri.get(uri)?.dirty ?? false,
    getVersion: (uri) => byUri.get(uri)?.model.getAlternativeVersionId(),
    markSaved(uri, version) {
      const record = byUri.get(uri);
      if (!record) return;
      record.saved = version ?? record.model.getAlternativeVersionId();
      tell(record);
    },
    close(uri) {
      byUri.get(uri)?.model.dispose();
      byUri.delete(uri);
    },
  };
}

/** Edits a model as one step of its undo history. */
export function edit(model, edits) {
  model.pushStackElement();
  model.pushEditOperations(null, edits, () => null);
  model.pushStackElement();
}

export function spanOf(startLineNumber, startColumn, endLineNumber, endColumn, text) {
  return { range: { startLineNumber, startColumn, endLineNumber, endColumn }, text };
}

/** Lengths of the common start and the common end, never splitting a CRLF or a surrogate pair. */
function differingSpan(a, b) {
  const limit = Math.min(a.length, b.length);
  let start = 0;
  while (start < limit && a.charCodeAt(start) === b.charCodeAt(start)) start++;
  if (start > 0 && /[\r\uD800-\uDBFF]/.test(a[start - 1])) start--;
  let end = 0;
  while (end < limit - start && a.charCodeAt(a.length - 1 - end) === b.charCodeAt(b.length - 1 - end)) end++;
  if (end > 0 && /[\n\uDC00-\uDFFF]/.test(a[a.length - end])) end--;
  return [start, end];
}

function describe(record, created) {
  return { created, language: nameOfLanguage(record.model.getLanguageId()) };
}
