// A three-way merge: what could be put together stands in the text already; a conflict shows both sides in place, under a row with
// its choices, until one is made.
import { editor, Uri } from 'monaco-editor/editor/editor.api.js';
import { edit, languageFor, plainBrackets, unifyEol } from './models.js';

const HEAD_PX = 30;
const LABEL_PX = 20;
/** Below this the choices stand in a row of their own. */
const NARROW_PX = 480;
const NARROW_HEAD_PX = 68;
let nextMerge = 1;

export function createMergeView(el, pieces, path, options, emit) {
  const { text, marks, conflicts } = assemble(pieces);
  const uri = Uri.from({ scheme: 'merge', authority: `m${nextMerge++}`, path: `/${path}` });
  const model = plainBrackets(editor.createModel(text, languageFor(path, text.slice(0, 200).split('\n', 1)[0]), uri));
  let gone = false;
  const narrow = el.clientWidth < NARROW_PX;
  const view = editor.create(el, { ...options, model, glyphMargin: false, folding: false });
  view.createDecorationsCollection(marks.map(({ from, to, side }) => wholeLines(from, to, { linesDecorationsClassName: `mg-bar mg-bar--${side}` })));
  // The rows between the lines hold buttons here, so they are no decoration.
  for (const layer of view.getDomNode().querySelectorAll('.view-zones')) layer.removeAttribute('aria-hidden');
  for (const conflict of conflicts) show(conflict);
  // What is typed can move the border between the two sides.
  model.onDidChangeContent(() => queueMicrotask(() => !gone && view.changeViewZones((zones) => conflicts.filter((c) => c.open).forEach((c) => place(c, zones)))));
  tell();
  if (conflicts.length > 0) view.revealLineNearTop(conflicts[0].mine.from);

  function show(conflict) {
    conflict.open = true;
    const { mine, theirs } = conflict;
    const side = ({ from, to }, name) => wholeLines(from, to, { className: `mg-side mg-side--${name}` });
    conflict.whole = view.createDecorationsCollection([wholeLines(mine.from, theirs.to, {})]);
    conflict.sides = view.createDecorationsCollection([
      ...(mine.to >= mine.from ? [side(mine, 'mine')] : []),
      ...(theirs.to >= theirs.from ? [side(theirs, 'theirs')] : []),
    ]);
    conflict.head = headOf(conflict);
    conflict.label = element('div', 'mg-label', theirs.to >= theirs.from ? 'Theirs' : 'Theirs: these lines are deleted');
    view.changeViewZones((zones) => place(conflict, zones));
  }

  /** Puts the rows of a conflict where its lines are now. */
  function place(conflict, zones) {
    const whole = conflict.whole.getRange(0);
    if (!whole) return;
    const hasMine = conflict.mine.to >= conflict.mine.from;
    const hasTheirs = conflict.theirs.to >= conflict.theirs.from;
    const middle = hasMine && hasTheirs ? (conflict.sides.getRange(1)?.startLineNumber ?? whole.endLineNumber + 1) - 1 : hasMine ? whole.endLineNumber : whole.startLineNumber - 1;
    const at = `${whole.startLineNumber}:${middle}`;
    if (conflict.at === at) return;
    conflict.at = at;
    for (const id of conflict.zones ?? []) zones.removeZone(id);
    const baseLines = conflict.base === '' ? 0 : conflict.base.replace(/(\r\n|\r|\n)$/, '').split(/\r\n|\r|\n/).length;
    const height = (narrow ? NARROW_HEAD_PX : HEAD_PX) + Math.min(baseLines, 6) * 18 + LABEL_PX;
    conflict.zones = [
      zones.addZone({ afterLineNumber: whole.startLineNumber - 1, ordinal: 1, heightInPx: height, domNode: conflict.head, showInHiddenAreas: true }),
      zones.addZone({ afterLineNumber: middle, ordinal: 2, heightInPx: LABEL_PX, domNode: conflict.label, showInHiddenAreas: true }),
    ];
  }

  function headOf(conflict) {
    const head = element('div', narrow ? 'mg-head mg-head--narrow' : 'mg-head');
    const row = element('div', 'mg-row');
    row.setAttribute('role', 'group');
    row.setAttribute('aria-label', `Conflict ${conflict.number} of ${conflicts.length}`);
    row.append(element('b', '', `Conflict ${conflict.number} of ${conflicts.length}`), element('span', 'grow'));
    const choices = [
      ['Take mine', () => conflict.texts.mine],
      ['Take theirs', () => conflict.texts.theirs],
      ['Take both', () => terminated(conflict.texts.mine, conflict.texts.theirs) + conflict.texts.theirs],
      ['As it stands', () => null],
    ];
    for (const [label, textOf] of choices) {
      const button = element('button', 'btn btn--s', label);
      button.type = 'button';
      button.addEventListener('click', () => resolve(conflict, textOf()));
      row.append(button);
    }
    head.append(row);
    if (conflict.base !== '') {
      const base = element('pre', 'mg-base', conflict.base.replace(/(\r\n|\r|\n)$/, ''));
      base.title = 'What both sides began with';
      head.append(base);
    }
    head.append(element('div', 'mg-label', conflict.mine.to >= conflict.mine.from ? 'Yours' : 'Yours: these lines are deleted'));
    // Monaco lays the lines over its zones and takes what is pressed there.
    head.style.zIndex = '10';
    for (const type of ['mousedown', 'pointerdown', 'keydown']) head.addEventListener(type, (event) => event.stopPropagation());
    return head;
  }

  function resolve(conflict, text) {
    const whole = conflict.whole.getRange(0);
    conflict.open = false;
    conflict.whole.clear();
    conflict.sides.clear();
    view.changeViewZones((zones) => (conflict.zones ?? []).forEach((id) => zones.removeZone(id)));
    if (text !== null && whole) {
      const range = conflict.last
        ? { startLineNumber: whole.startLineNumber, startColumn: 1, endLineNumber: model.getLineCount(), endColumn: model.getLineMaxColumn(model.getLineCount()) }
        : { startLineNumber: whole.startLineNumber, startColumn: 1, endLineNumber: whole.endLineNumber + 1, endColumn: 1 };
      edit(model, [{ range, text: unifyEol(text, model.getEOL()) }]);
    }
    tell();
    if (!next()) view.focus();
  }

  /** Brings the next open conflict into view, its first choice under the keyboard. */
  function next() {
    const open = conflicts.filter((conflict) => conflict.open);
    if (open.length === 0) return false;
    const line = view.getPosition()?.lineNumber ?? 1;
    const focused = open.findIndex((conflict) => conflict.head.contains(document.activeElement));
    const after = open.findIndex((conflict) => (conflict.whole.getRange(0)?.startLineNumber ?? 0) > line);
    const chosen = open[focused >= 0 ? (focused + 1) % open.length : Math.max(after, 0)];
    view.revealLineInCenterIfOutsideViewport(chosen.whole.getRange(0)?.startLineNumber ?? 1, 1);
    requestAnimationFrame(() => chosen.head.querySelector('button')?.focus());
    return true;
  }

  function tell() {
    emit({ type: 'merge', open: conflicts.filter((conflict) => conflict.open).length, total: conflicts.length });
  }

  return {
    view,
    next,
    text: () => model.getValue(),
    dispose() {
      gone = true;
      view.dispose();
      model.dispose();
    },
  };
}

/** One text of all pieces, with the lines (1-based, `to` before `from` for none) that each takes. */
function assemble(pieces) {
  let text = '';
  let line = 1;
  const marks = [];
  const conflicts = [];
  const add = (part) => {
    const from = line;
    text += part;
    const ends = part.match(/\r\n|\r|\n/g)?.length ?? 0;
    line += ends;
    return { from, to: part === '' ? from - 1 : /[\r\n]$/.test(part) ? line - 1 : line };
  };
  pieces.forEach((piece, at) => {
    if (piece.kind !== 'conflict') {
      const lines = add(piece.text);
      if (piece.kind !== 'same' && lines.to >= lines.from) marks.push({ ...lines, side: piece.kind });
      return;
    }
    const last = at === pieces.length - 1;
    const mine = add(terminated(piece.mine, piece.theirs));
    const theirs = add(last ? piece.theirs : terminated(piece.theirs, '\n'));
    conflicts.push({ number: conflicts.length + 1, base: piece.base, texts: { mine: piece.mine, theirs: piece.theirs }, mine, theirs: { ...theirs, to: Math.max(theirs.to, theirs.from - 1) }, last });
  });
  return { text, marks, conflicts };
}

/** A text whose last line is ended when something follows. */
function terminated(text, following) {
  return text === '' || following === '' || /[\r\n]$/.test(text) ? text : `${text}\n`;
}

function wholeLines(from, to, options) {
  return { range: { startLineNumber: from, startColumn: 1, endLineNumber: Math.max(from, to), endColumn: Number.MAX_SAFE_INTEGER }, options: { description: 'merge', isWholeLine: true, ...options } };
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
