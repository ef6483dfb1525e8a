// Takes the program apart into two modules: `early`, which holds what the first view of a project runs, and `late`, which
// holds the rest and is fetched afterwards. They share memory, tables and globals.
//
// A function that moved leaves a few instructions behind if `early` can still reach it: they have `late` loaded, in case it
// is not there yet, and jump to its slot of the table. So what is in which half decides how much is fetched when, and never
// what happens. frontend/js/late.js is the half in the browser.
import { createHash } from 'node:crypto';
import { KIND, readModule, renumberCalls, SECTION, writeLimits, writeModule, Writer } from './wasm-module.mjs';

/** Smaller ones cost more to leave than to keep. */
const SMALLEST = 12;
const I32 = 0x7f;
const ORDER = ['type', 'import', 'function', 'table', 'memory', 'global', 'export', 'start', 'element', 'dataCount', 'code', 'data'].map((name) => SECTION[name]);

/** How a function is named in frontend/late.txt: the same for every build of the same sources, short, and for all closures of a function alike. */
export function fingerprint(name) {
  const lasting = name
    .replace(/::h[0-9a-f]{16}\b/g, '')
    .replace(/\[[0-9a-f]{8,16}\]/g, '')
    .replace(/\{closure#\d+\}/g, '{closure}')
    .replace(/\{shim:([a-z_]+)#\d+\}/g, '{shim:$1}')
    .replace(/[._]\d+$/, '');
  return createHash('sha256').update(lasting).digest('hex').slice(0, 8);
}

/** Makes and moves any view, whatever it shows: which of it the first view needs depends on what comes in when. */
export function drawsAnything(name) {
  return /\btachys\b/.test(name) && !/\b(app|wire)(\[\w+\])?::/.test(name) && !/drop_in_place|hydrat|resolve|to_html/.test(name);
}

/** Runs when nothing can be fetched any more: while a page is left, and when the program breaks down. */
export function isUrgent(name) {
  return /\bcomponents(\[\w+\])?::(drafts|large)\b|\bpanicking\b|handle_error|handle_alloc_error/.test(name);
}

/**
 * `goesLate(name)` decides about each function that has a name and is not too small; all others stay.
 * Returns {early, late, figures}, both halves without names.
 */
export function split(bytes, goesLate, smallest = SMALLEST) {
  const module = readModule(bytes);
  const { imported, bodies } = module;
  const own = bodies.map((_, at) => at + imported);
  const bodyOf = (index) => bodies[index - imported];
  const moved = new Set(own.filter((index) => mayGo(module, index, smallest) && goesLate(module.names.get(index))));
  const kept = own.filter((index) => !moved.has(index));

  const slots = new Map(module.elements.flatMap(({ slot, functions }) => functions.map((index, at) => [slot + at, index])));
  const slotOf = new Map([...slots].map(([slot, index]) => [index, slot]));
  const reached = new Set(module.elements.flatMap(({ functions }) => functions));
  for (const { kind, index } of module.exports) if (kind === KIND.function) reached.add(index);
  for (const index of kept) for (const { callee } of bodyOf(index).calls) reached.add(callee);
  let size = module.tables[0].min;
  for (const index of moved) {
    if (!reached.has(index) || slotOf.has(index)) continue;
    slotOf.set(index, size);
    slots.set(size, index);
    size += 1;
  }
  const halves = { module, moved, reached, slots, slotOf, size, own, bodyOf };
  const called = new Set([...moved].flatMap((index) => bodyOf(index).calls.map(({ callee }) => callee)));
  const shared = [...called].filter((index) => index >= imported && !moved.has(index)).sort((a, b) => a - b);
  return {
    early: writeEarly(halves, shared),
    late: writeLate(halves, shared, called),
    figures: { kept: kept.length, moved: moved.size, left: [...moved].filter((index) => reached.has(index)).length, shared: shared.length },
  };
}

function mayGo(module, index, smallest) {
  const body = module.bodies[index - module.imported];
  return module.names.has(index) && index !== module.start && !body.usesSegments && body.bytes.length >= smallest;
}

function placeIn(places, index) {
  const place = places.get(index);
  if (place === undefined) throw new Error(`function ${index} is in neither half`);
  return place;
}

const nameOfShared = (at) => `~${at.toString(36)}`;

/** Everything that both halves use and that is not a function, as [name, kind, index, description]. */
function common({ module, size }) {
  const limits = (entry, ...before) => {
    const out = new Writer().byte(...before);
    writeLimits(out, entry);
    return out.done();
  };
  return [
    ...tablesOf(module, size).map((table, at) => [`=t${at}`, KIND.table, at, limits(table, table.type)]),
    ...module.memories.map((memory, at) => [`=m${at}`, KIND.memory, at, limits(memory)]),
    ...module.globals.map(({ described }, at) => [`=g${at}`, KIND.global, at, described]),
  ];
}

function tablesOf({ tables }, size) {
  const [functions, ...others] = tables;
  return [{ ...functions, min: size, max: functions.max === undefined ? undefined : Math.max(size, functions.max) }, ...others];
}

function writeEarly(halves, shared) {
  const { module, moved, reached, slotOf, size, own, bodyOf } = halves;
  const { imported, types } = module;
  // The call that loads the other half comes after all imports, and the function that asks whether it is needed after that.
  const [load, ensure] = [imported, imported + 1];
  // What is alike stands together, which packs better.
  const byType = (a, b) => module.functionTypes[a] - module.functionTypes[b];
  const behind = own.filter((index) => moved.has(index) && reached.has(index)).sort((a, b) => byType(a, b) || slotOf.get(a) - slotOf.get(b));
  const byLength = (a, b) => bodyOf(a).bytes.length - bodyOf(b).bytes.length;
  const here = [...own.filter((index) => !moved.has(index)).sort((a, b) => byType(a, b) || byLength(a, b) || a - b), ...behind];
  const places = new Map(here.map((index, at) => [index, ensure + 1 + at]));
  const indexOf = (index) => (index < imported ? index : placeIn(places, index));
  const action = types.findIndex(({ params, results }) => params.length === 0 && results.length === 0);
  if (action < 0) throw new Error('no function without parameters and results');
  const ready = module.globals.length;

  const imports = new Writer().u32(module.imports.length + 1);
  for (const entry of module.imports) imports.name(entry.module).name(entry.name).byte(entry.kind).bytes(entry.described);
  imports.name('./late').name('load').byte(KIND.function).u32(action);

  const tables = new Writer().list(tablesOf(module, size), (out, table) => writeLimits(out.byte(table.type), table));
  const globals = new Writer().u32(ready + 1).bytes(withoutCount(module.raw.get(SECTION.global))).byte(I32, 1, 0x41, 0, 0x0b);
  const exported = [
    ...module.exports.map((entry) => [entry.name, entry.kind, entry.kind === KIND.function ? indexOf(entry.index) : entry.index]),
    ...common(halves).map(([name, kind, index]) => [name, kind, index]),
    ['=ready', KIND.global, ready],
    ...shared.map((index, at) => [nameOfShared(at), KIND.function, indexOf(index)]),
  ];
  const asking = new Writer().byte(0, 0x23).u32(ready).byte(0x45, 0x04, 0x40, 0x10).u32(load).byte(0x0b, 0x0b).done();
  const code = new Writer().u32(here.length + 1).sized(asking);
  for (const index of here) {
    code.sized(moved.has(index) ? passOn(module, index, ensure, slotOf.get(index)) : renumberCalls(bodyOf(index), indexOf));
  }
  return writeModule([
    [SECTION.type, module.raw.get(SECTION.type)],
    [SECTION.import, imports.done()],
    [SECTION.function, new Writer().list([action, ...here.map((index) => module.functionTypes[index])], (out, type) => out.u32(type)).done()],
    [SECTION.table, tables.done()],
    [SECTION.memory, module.raw.get(SECTION.memory)],
    [SECTION.global, globals.done()],
    [SECTION.export, new Writer().list(exported, (out, [name, kind, index]) => out.name(name).byte(kind).u32(index)).done()],
    [SECTION.start, module.start === undefined ? undefined : new Writer().u32(indexOf(module.start)).done()],
    [SECTION.element, new Writer().list(module.elements, (out, { slot, functions }) => writeElement(out, slot, functions.map(indexOf))).done()],
    [SECTION.dataCount, module.raw.get(SECTION.dataCount)],
    [SECTION.code, code.done()],
    [SECTION.data, module.raw.get(SECTION.data)],
  ]);
}

function withoutCount(section) {
  let at = 0;
  while (section[at] & 0x80) at += 1;
  return section.subarray(at + 1);
}

function writeElement(out, slot, functions) {
  out.byte(0, 0x41).s32(slot).byte(0x0b).list(functions, (list, index) => list.u32(index));
}

/** What stays behind of a function that moved. */
function passOn(module, index, ensure, slot) {
  const type = module.functionTypes[index];
  const out = new Writer().byte(0, 0x10).u32(ensure);
  module.types[type].params.forEach((_, at) => out.byte(0x20).u32(at));
  return out.byte(0x41).s32(slot).byte(0x11).u32(type).byte(0, 0x0b).done();
}

function writeLate(halves, shared, called) {
  const { module, moved, slots, bodyOf } = halves;
  const outside = module.imports.map((entry, index) => ({ ...entry, index })).filter(({ index }) => called.has(index));
  const here = [...moved].sort((a, b) => a - b);
  const places = new Map([...outside.map(({ index }) => index), ...shared, ...here].map((index, at) => [index, at]));
  const indexOf = (index) => placeIn(places, index);

  const others = common(halves);
  const imports = new Writer().u32(outside.length + shared.length + others.length);
  for (const entry of outside) imports.name(entry.module).name(entry.name).byte(entry.kind).bytes(entry.described);
  shared.forEach((index, at) => imports.name('early').name(nameOfShared(at)).byte(KIND.function).u32(module.functionTypes[index]));
  for (const [name, kind, , described] of others) imports.name('early').name(name).byte(kind).bytes(described);

  const segments = [];
  for (const [slot, index] of [...slots].filter(([, at]) => moved.has(at)).sort(([a], [b]) => a - b)) {
    const last = segments.at(-1);
    if (last && last.slot + last.functions.length === slot) last.functions.push(index);
    else segments.push({ slot, functions: [index] });
  }
  const code = new Writer().u32(here.length);
  for (const index of here) code.sized(renumberCalls(bodyOf(index), indexOf));
  return writeModule([
    [SECTION.type, module.raw.get(SECTION.type)],
    [SECTION.import, imports.done()],
    [SECTION.function, new Writer().list(here, (out, index) => out.u32(module.functionTypes[index])).done()],
    [SECTION.element, new Writer().list(segments, (out, { slot, functions }) => writeElement(out, slot, functions.map(indexOf))).done()],
    [SECTION.code, code.done()],
  ]);
}

/** The module without its names and notes. */
export function strip(bytes) {
  const { raw } = readModule(bytes);
  return writeModule(ORDER.map((id) => [id, raw.get(id)]));
}

/**
 * The whole program, noting which of its functions run: one byte each in memory, from `place` on. To late.js it looks like
 * one whose second half is there.
 * Returns {bytes, place, names}; `names[n]` belongs to byte n and is undefined where a function can't leave the first half.
 */
export function instrument(bytes) {
  const module = readModule(bytes);
  const [memory] = module.memories;
  const place = memory.min * 65536;
  // The program's allocator takes only pages that it asked for itself, so those it begins with stay as they are.
  const min = memory.min + Math.ceil(module.bodies.length / 65536);
  const memories = new Writer().u32(1);
  writeLimits(memories, { min, max: memory.max === undefined ? undefined : Math.max(min, memory.max) });
  const code = new Writer().u32(module.bodies.length);
  module.bodies.forEach((body, at) => {
    const noted = new Writer().bytes(body.bytes.subarray(0, body.code)).byte(0x41).s32(place + at).byte(0x41, 1, 0x3a, 0, 0);
    code.sized(noted.bytes(body.bytes.subarray(body.code)).done());
  });
  const globals = new Writer().u32(module.globals.length + 1).bytes(withoutCount(module.raw.get(SECTION.global))).byte(I32, 1, 0x41, 1, 0x0b);
  const exported = [...module.exports, { name: '=ready', kind: KIND.global, index: module.globals.length }];
  const exports = new Writer().list(exported, (out, { name, kind, index }) => out.name(name).byte(kind).u32(index));
  const replaced = new Map([
    [SECTION.memory, memories.done()], [SECTION.global, globals.done()], [SECTION.export, exports.done()], [SECTION.code, code.done()],
  ]);
  const sections = ORDER.map((id) => [id, replaced.get(id) ?? module.raw.get(id)]);
  return { bytes: writeModule(sections), place, names: module.bodies.map((_, at) => (mayGo(module, at + module.imported, SMALLEST) ? module.names.get(at + module.imported) : undefined)) };
}
