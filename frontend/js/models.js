// Open texts: which language, which line ends, what counts as stored.
import { editor, languages, Uri } from 'monaco-editor/editor/editor.api.js';

const BOM = '\uFEFF';

/** True when a text uses more than one kind of line end (LF, CRLF, lone CR), which Monaco cannot represent. */
export function hasMixedEol(text) {
  const crlf = (text.match(/\r\n/g) ?? []).length;
  const lf = (text.match(/\n/g) ?? []).length - crlf;
  const cr = (text.match(/\r/g) ?? []).length - crlf;
  return cr > 0 || (crlf > 0 && lf > 0);
}

/** A Monaco language id for a language id or a path; 'plaintext' when nothing fits. */
export function languageFor(hint) {
  const all = languages.getLanguages();
  if (all.some((l) => l.id === hint)) return hint;
  const name = (hint ?? '').split('/').pop().toLowerCase();
  const byName = all.find((l) => l.filenames?.some((f) => f.toLowerCase() === name));
  if (byName) return byName.id;
  if (/^(dockerfile|containerfile)(\.|$)/.test(name)) return 'dockerfile';
  if (/\.(toml|cfg|conf|env)$|^\.env(\.|$)|^\.(git|editor)config$/.test(name)) return 'ini';
  if (/\.(jsonc|json5|webmanifest)$/.test(name)) return 'json';
  const endings = all.flatMap((l) => (l.extensions ?? []).filter((e) => name.endsWith(e.toLowerCase())).map((e) => [e, l.id]));
  return endings.sort((a, b) => b[0].length - a[0].length)[0]?.[1] ?? 'plaintext';
}

/** Monaco drops a byte order mark, so the record remembers it. */
function withoutBom(text) {
  return text.startsWith(BOM) ? text.slice(BOM.length) : text;
}

/** Line ends as the model will hold them, for comparing a new text with the old one. */
function unifyEol(text, eol) {
  return text.replace(/\r\n|\r|\n/g, eol);
}

/** Brackets keep their token's colour. The option belongs to the model; an editor's option of that name has no effect on it. */
export function plainBrackets(model) {
  model.updateOptions({ bracketColorizationOptions: { enabled: false, independentColorPoolPerBracketType: false } });
  return model;
}

/** The book of open models; one per page. */
export function createRecords() {
  const byUri = new Map();

  function open(uri, text, hint, readOnly, emit) {
    const known = byUri.get(uri);
    if (known) {
      known.emit = emit;
      known.readOnly = readOnly === true;
      return describe(known, false);
    }
    const model = plainBrackets(editor.createModel(withoutBom(text), languageFor(hint || uri), Uri.from({ scheme: 'project', path: `/${uri}` })));
    const record = { uri, model, emit, readOnly: readOnly === true, bom: text.startsWith(BOM), dirty: false, exact: null };
    byUri.set(uri, record);
    settle(record, text);
    model.onDidChangeContent(() => tell(record));
    return describe(record, true);
  }

  function settle(record, text) {
    record.saved = record.model.getAlternativeVersionId();
    // A text Monaco had to normalise is kept, to be handed back unchanged as long as nobody edits.
    record.exact = text !== undefined && hasMixedEol(text) ? { version: record.saved, text } : null;
    tell(record);
  }

  function tell(record) {
    if (record.quiet) return;
    const dirty = record.model.getAlternativeVersionId() !== record.saved;
    if (dirty === record.dirty) return;
    record.dirty = dirty;
    record.emit({ type: 'dirty', uri: record.uri, dirty });
  }

  function setText(uri, text, saved) {
    const record = byUri.get(uri);
    if (!record) return;
    record.quiet = saved;
    if (text !== getText(uri)) replace(record.model, withoutBom(text));
    record.bom = text.startsWith(BOM);
    record.quiet = false;
    if (saved) settle(record, text);
    else tell(record);
  }

  function replace(model, text) {
    const crlf = text.includes('\r\n');
    const eol = crlf ? '\r\n' : '\n';
    if (/[\r\n]/.test(text) && model.getEOL() !== eol) model.pushEOL(crlf ? editor.EndOfLineSequence.CRLF : editor.EndOfLineSequence.LF);
    const before = model.getValue();
    const after = unifyEol(text, model.getEOL());
    const [start, end] = differingSpan(before, after);
    const from = model.getPositionAt(start);
    const to = model.getPositionAt(before.length - end);
    const range = { startLineNumber: from.lineNumber, startColumn: from.column, endLineNumber: to.lineNumber, endColumn: to.column };
    model.pushStackElement();
    model.pushEditOperations(null, [{ range, text: after.slice(start, after.length - end) }], () => null);
    model.pushStackElement();
  }

  function getText(uri) {
    const record = byUri.get(uri);
    if (!record) return undefined;
    const { model, exact, bom } = record;
    if (exact && model.getAlternativeVersionId() === exact.version) return exact.text;
    return (bom ? BOM : '') + model.getValue();
  }

  return {
    open,
    setText,
    getText,
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

/** Lengths of the common start and the common end, never splitting a CRLF or a surrogate pair. */
function differingSpan(a, b) {
  const limit = Math.min(a.length, b.length);
  let start = 0;
  while (start < limit && a[start] === b[start]) start++;
  if (start > 0 && /[\r\uD800-\uDBFF]/.test(a[start - 1])) start--;
  let end = 0;
  while (end < limit - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  if (end > 0 && /[\n\uDC00-\uDFFF]/.test(a[a.length - end])) end--;
  return [start, end];
}

function describe(record, created) {
  return {
    created,
    language: record.model.getLanguageId(),
    eol: record.model.getEOL() === '\r\n' ? 'CRLF' : 'LF',
    mixedEol: record.exact !== null,
  };
}
