// Reads WebAssembly modules and writes their parts, as far as taking one apart needs it. What it does not know it refuses,
// so that a module of a newer compiler fails the build and not the browser.

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export const SECTION = { custom: 0, type: 1, import: 2, function: 3, table: 4, memory: 5, global: 6, export: 7, start: 8, element: 9, code: 10, data: 11, dataCount: 12 };
export const KIND = { function: 0, table: 1, memory: 2, global: 3 };

export class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    Object.assign(this, { bytes, at, end });
  }

  byte() {
    return this.bytes[this.at++];
  }

  u32() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (this.at >= this.end || shift > 28) throw new Error('a number has no end');
      const byte = this.bytes[this.at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  /** Passes over a number of any width and sign. */
  number() {
    while (this.bytes[this.at++] & 0x80);
  }

  name() {
    const length = this.u32();
    this.at += length;
    return decoder.decode(this.bytes.subarray(this.at - length, this.at));
  }

  since(start) {
    return this.bytes.subarray(start, this.at);
  }
}

export class Writer {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;

  #room(more) {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  byte(...values) {
    this.#room(values.length);
    for (const value of values) this.#bytes[this.#length++] = value;
    return this;
  }

  u32(value) {
    this.#room(5);
    let rest = value >>> 0;
    for (; rest >= 0x80; rest >>>= 7) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#length++] = rest;
    return this;
  }

  /** A number as `i32.const` takes it. */
  s32(value) {
    this.#room(5);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const last = (rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40);
      this.#bytes[this.#length++] = last ? low : low | 0x80;
      if (last) return this;
    }
  }

  bytes(values) {
    this.#room(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
    return this;
  }

  name(text) {
    return this.sized(encoder.encode(text));
  }

  /** A length and then so many bytes. */
  sized(values) {
    return this.u32(values.length).bytes(values);
  }

  list(items, write) {
    this.u32(items.length);
    for (const item of items) write(this, item);
    return this;
  }

  done() {
    return this.#bytes.slice(0, this.#length);
  }
}

/** `sections`: [id, payload] in their order; an undefined payload is left out. */
export function writeModule(sections) {
  const out = new Writer().byte(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  for (const [id, payload] of sections) if (payload) out.byte(id).sized(payload);
  return out.done();
}

/** A module's parts. Functions are counted as the module counts them: first those it imports, then its own. */
export function readModule(bytes) {
  const reader = new Reader(bytes);
  if (new Writer().byte(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0).done().some((byte) => byte !== reader.byte())) throw new Error('not a WebAssembly module');
  const module = {
    types: [], imports: [], functionTypes: [], tables: [], memories: [], globals: [], exports: [], elements: [], bodies: [], names: new Map(), raw: new Map(),
  };
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const end = reader.u32() + reader.at;
    const payload = new Reader(bytes, reader.at, end);
    if (id !== SECTION.custom) module.raw.set(id, bytes.subarray(reader.at, end));
    readSection(module, id, payload);
    const isRead = payload.at === end || [SECTION.custom, SECTION.data, SECTION.dataCount].includes(id);
    if (!isRead) throw new Error(`section ${id} holds more or less than it says`);
    reader.at = end;
  }
  module.imported = module.functionTypes.length - module.bodies.length;
  if (module.imported !== module.imports.filter((entry) => entry.kind === KIND.function).length) throw new Error('function and code section disagree');
  return module;
}

function readSection(module, id, reader) {
  const each = (read) => {
    for (let left = reader.u32(); left > 0; left -= 1) read();
  };
  switch (id) {
    case SECTION.custom:
      if (reader.name() === 'name') readNames(module.names, reader);
      return;
    case SECTION.type:
      return each(() => module.types.push(readType(reader)));
    case SECTION.import:
      return each(() => {
        const entry = { module: reader.name(), name: reader.name(), kind: reader.byte() };
        const start = reader.at;
        if (entry.kind !== KIND.function) throw new Error(`imports that are no functions are not known here: ${entry.name}`);
        module.functionTypes.push(reader.u32());
        module.imports.push({ ...entry, described: reader.since(start) });
      });
    case SECTION.function:
      return each(() => module.functionTypes.push(reader.u32()));
    case SECTION.table:
      return each(() => module.tables.push({ type: known(reader.byte(), [0x70, 0x6f], 'table'), ...readLimits(reader) }));
    case SECTION.memory:
      return each(() => module.memories.push(readLimits(reader)));
    case SECTION.global:
      return each(() => {
        const start = reader.at;
        readValueType(reader);
        known(reader.byte(), [0, 1], 'kind of global');
        const described = reader.since(start);
        skipConstant(reader);
        module.globals.push({ described });
      });
    case SECTION.export:
      return each(() => module.exports.push({ name: reader.name(), kind: reader.byte(), index: reader.u32() }));
    case SECTION.start:
      module.start = reader.u32();
      return;
    case SECTION.element:
      return each(() => module.elements.push(readElement(reader)));
    case SECTION.code:
      return each(() => {
        const size = reader.u32();
        module.bodies.push(readBody(reader.bytes, reader.at, (reader.at += size)));
      });
    case SECTION.data:
    case SECTION.dataCount:
      return;
    default:
      throw new Error(`unknown section ${id}`);
  }
}

function known(value, values, what) {
  if (!values.includes(value)) throw new Error(`unknown ${what} 0x${value.toString(16)}`);
  return value;
}

const readValueType = (reader) => known(reader.byte(), [0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f], 'value type');

function readType(reader) {
  known(reader.byte(), [0x60], 'type');
  const values = () => Array.from({ length: reader.u32() }, () => readValueType(reader));
  return { params: values(), results: values() };
}

function readLimits(reader) {
  const bounded = known(reader.byte(), [0, 1], 'kind of limits') === 1;
  return { min: reader.u32(), max: bounded ? reader.u32() : undefined };
}

export function writeLimits(out, { min, max }) {
  out.byte(max === undefined ? 0 : 1).u32(min);
  if (max !== undefined) out.u32(max);
}

function skipConstant(reader) {
  const op = reader.byte();
  if (op === 0x43) reader.at += 4;
  else if (op === 0x44) reader.at += 8;
  else if (known(op, [0x41, 0x42, 0x23, 0xd0], 'constant')) reader.number();
  known(reader.byte(), [0x0b], 'end of a constant');
}

/** Functions put into table 0 from a fixed place on, which is what a linker writes. */
function readElement(reader) {
  known(reader.byte(), [0], 'kind of element segment');
  known(reader.byte(), [0x41], 'place of an element segment');
  const slot = reader.u32();
  // Slots are read as unsigned: of the signed numbers only those with their sign bit clear are meant.
  known(reader.byte(), [0x0b], 'end of a place');
  return { slot, functions: Array.from({ length: reader.u32() }, () => reader.u32()) };
}

function readNames(names, reader) {
  while (reader.at < reader.end) {
    const part = reader.byte();
    const end = reader.u32() + reader.at;
    if (part === 1) for (let left = reader.u32(); left > 0; left -= 1) names.set(reader.u32(), reader.name());
    reader.at = end;
  }
}

// What follows an instruction, by its number.
const [NOTHING, ONE, TWO, FUNCTION, TARGETS, VALUES, FOUR_BYTES, EIGHT_BYTES, PLACE, MORE] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const FOLLOWS = new Uint8Array(256);
const follows = (what, from, to = from) => FOLLOWS.fill(what, from, to + 1);
follows(NOTHING, 0x00, 0x01);
follows(ONE, 0x02, 0x04);
follows(NOTHING, 0x05);
follows(NOTHING, 0x0b);
follows(ONE, 0x0c, 0x0d);
follows(TARGETS, 0x0e);
follows(NOTHING, 0x0f);
follows(FUNCTION, 0x10);
follows(TWO, 0x11);
follows(NOTHING, 0x1a, 0x1b);
follows(VALUES, 0x1c);
follows(ONE, 0x20, 0x26);
follows(PLACE, 0x28, 0x3e);
follows(ONE, 0x3f, 0x42);
follows(FOUR_BYTES, 0x43);
follows(EIGHT_BYTES, 0x44);
follows(NOTHING, 0x45, 0xc4);
follows(ONE, 0xd0);
follows(NOTHING, 0xd1);
follows(MORE, 0xfc);

/** Where a body's instructions begin, and which functions it names where. */
function readBody(bytes, start, end) {
  const reader = new Reader(bytes, start, end);
  for (let groups = reader.u32(); groups > 0; groups -= 1) {
    reader.number();
    readValueType(reader);
  }
  const body = { bytes: bytes.subarray(start, end), code: reader.at - start, calls: [], usesSegments: false };
  while (reader.at < end) {
    const op = bytes[reader.at++];
    switch (FOLLOWS[op]) {
      case NOTHING:
        break;
      case ONE:
        reader.number();
        break;
      case TWO:
        reader.number();
        reader.number();
        break;
      case FUNCTION: {
        const at = reader.at;
        const callee = reader.u32();
        body.calls.push({ from: at - start, to: reader.at - start, callee });
        break;
      }
      case TARGETS:
        for (let left = reader.u32() + 1; left > 0; left -= 1) reader.number();
        break;
      case VALUES:
        for (let left = reader.u32(); left > 0; left -= 1) readValueType(reader);
        break;
      case FOUR_BYTES:
        reader.at += 4;
        break;
      case EIGHT_BYTES:
        reader.at += 8;
        break;
      case PLACE:
        if (reader.u32() >= 64) throw new Error('more than one memory');
        reader.number();
        break;
      case MORE:
        readMore(reader, body);
        break;
      default:
        throw new Error(`unknown instruction 0x${op.toString(16)}`);
    }
  }
  if (reader.at !== end) throw new Error('a function ends within an instruction');
  return body;
}

function readMore(reader, body) {
  const op = reader.u32();
  if (op > 17) throw new Error(`unknown instruction 0xfc ${op}`);
  const numbers = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1][op];
  if (op === 8 || op === 9 || op === 12 || op === 13) body.usesSegments = true;
  for (let left = numbers; left > 0; left -= 1) reader.number();
}

/** A body with other numbers for the functions it names. */
export function renumberCalls(body, indexOf) {
  const out = new Writer();
  let copied = 0;
  for (const { from, to, callee } of body.calls) {
    out.bytes(body.bytes.subarray(copied, from)).u32(indexOf(callee));
    copied = to;
  }
  return out.bytes(body.bytes.subarray(copied)).done();
}
