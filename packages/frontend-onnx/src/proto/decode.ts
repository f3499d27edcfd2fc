import type { ByteSource } from '@tenon/plugin';
import { Cursor, malformed, wireBytes, wireFixed32, wireFixed64, wireVarint, type Path } from './cursor.ts';
import type { Field, Schema } from './schema.ts';

/** Protobuf's own default limit on nested messages. */
const depthLimit = 100;
/** Bytes read at a time; messages up to this size are decoded in one piece. */
export const windowBytes = 1 << 20;
/** A tag and a length, at most. */
const headBytes = 20;

type Message = { [property: string]: unknown };

function empty(schema: Schema): Message {
  const message: Message = {};
  for (const field of schema.fields.values()) message[field.property] = field.repeated ? [] : field.absent;
  return message;
}

function wireOf(field: Field): number {
  if (field.kind === 'int' || field.kind === 'int64') return wireVarint;
  if (field.kind === 'float') return wireFixed32;
  return wireBytes;
}

/** The wire type of a single element of a typed data field. */
function dataWire(field: Field): number {
  return field.property === 'floatData' ? wireFixed32 : field.property === 'doubleData' ? wireFixed64 : wireVarint;
}

function put(message: Message, field: Field, value: unknown): void {
  if (field.repeated) (message[field.property] as unknown[]).push(value);
  else message[field.property] = value;
}

function scalar(cursor: Cursor, field: Field): number | bigint {
  return field.kind === 'int64' ? cursor.int64() : field.kind === 'int' ? cursor.int() : cursor.float();
}

/**
 * The value of a field that is no message. Of spans and data only the place is noted; they may end beyond what was read,
 * at `limit` at most.
 */
function leaf(cursor: Cursor, message: Message, field: Field, wire: number, limit: number): void {
  if (field.kind === 'data' && wire !== wireBytes) {
    if (wire !== dataWire(field)) cursor.fail(`wire type ${wire} does not fit this field`);
    const offset = cursor.base + cursor.at;
    cursor.skip(wire, limit);
    put(message, field, { offset, bytes: cursor.base + cursor.at - offset, packed: false });
  } else if (wire === wireBytes) {
    const length = cursor.length(limit);
    if (field.kind === 'span' || field.kind === 'data') {
      const offset = cursor.base + cursor.at;
      put(message, field, field.kind === 'data' ? { offset, bytes: length, packed: true } : { offset, bytes: length });
      cursor.at += length;
    } else if (field.kind === 'string') {
      put(message, field, cursor.text(length));
    } else if (field.repeated) {
      const { end } = cursor;
      cursor.end = cursor.at + length;
      while (cursor.at < cursor.end) put(message, field, scalar(cursor, field));
      cursor.end = end;
    } else cursor.fail('wire type 2 does not fit this field');
  } else {
    if (wire !== wireOf(field)) cursor.fail(`wire type ${wire} does not fit this field`);
    put(message, field, scalar(cursor, field));
  }
}

function enter(message: Message, field: Field, wire: number, path: Path, offset: number): void {
  if (wire !== wireBytes) throw malformed(offset, path, `wire type ${wire} does not fit this field`);
  if (!field.repeated && message[field.property] !== null) throw malformed(offset, path, 'the field occurs twice');
  if (path.length > 2 * depthLimit) throw malformed(offset, path.slice(0, 8), `messages are nested more than ${depthLimit} deep`);
}

/** Two entries per level, so that the length of a path tells the depth. */
function push(path: Path, message: Message, field: Field): void {
  path.push(field.proto, field.repeated ? (message[field.property] as unknown[]).length : '');
}
function pop(path: Path): void {
  path.length -= 2;
}

/** Decodes one message from bytes in memory: from the cursor to its `end`. */
export function decode(schema: Schema, cursor: Cursor): Message {
  const message = empty(schema);
  while (cursor.at < cursor.end) {
    const { field: number, wire } = cursor.tag();
    const field = schema.fields.get(number);
    if (!field) {
      cursor.skip(wire);
      continue;
    }
    push(cursor.path, message, field);
    if (field.message) {
      enter(message, field, wire, cursor.path, cursor.base + cursor.at);
      const length = cursor.length();
      const { end } = cursor;
      cursor.end = cursor.at + length;
      put(message, field, decode(field.message(), cursor));
      cursor.end = end;
    } else leaf(cursor, message, field, wire, cursor.end);
    pop(cursor.path);
  }
  return message;
}

/** A stretch of a source that is in memory. */
class Window {
  readonly source: ByteSource;
  private bytes: Uint8Array = new Uint8Array(0);
  private base = 0;

  constructor(source: ByteSource) {
    this.source = source;
  }
  has(offset: number, count: number): boolean {
    return offset >= this.base && offset + count <= this.base + this.bytes.length;
  }
  /** `count` must lie within the source. */
  async load(offset: number, count: number): Promise<void> {
    this.bytes = await this.source.read(offset, Math.min(Math.max(count, windowBytes), this.source.bytes - offset));
    this.base = offset;
  }
  cursor(offset: number, path: Path): Cursor {
    return new Cursor(this.bytes.subarray(offset - this.base), offset, path);
  }
}

async function walk(schema: Schema, window: Window, start: number, end: number, path: Path): Promise<Message> {
  const message = empty(schema);
  let offset = start;
  while (offset < end) {
    const head = Math.min(headBytes, end - offset);
    if (!window.has(offset, head)) await window.load(offset, head);
    let cursor = window.cursor(offset, path);
    cursor.end = Math.min(cursor.end, end - offset);
    const limit = end - offset;
    const { field: number, wire } = cursor.tag();
    const field = schema.fields.get(number);
    if (!field) {
      cursor.skip(wire, limit);
      offset += cursor.at;
      continue;
    }
    push(path, message, field);
    const inPlace = field.kind === 'span' || field.kind === 'data';
    if (wire === wireBytes && !inPlace) {
      const valueAt = cursor.at;
      if (field.message) enter(message, field, wire, path, offset + cursor.at);
      const length = cursor.length(limit);
      const begin = offset + cursor.at;
      if (field.message && length > windowBytes) {
        put(message, field, await walk(field.message(), window, begin, begin + length, path));
      } else if (field.message) {
        if (!window.has(begin, length)) await window.load(begin, length);
        cursor = window.cursor(begin, path);
        cursor.end = length;
        put(message, field, decode(field.message(), cursor));
      } else {
        const from = offset + valueAt;
        if (!window.has(from, begin + length - from)) await window.load(from, begin + length - from);
        cursor = window.cursor(from, path);
        leaf(cursor, message, field, wire, cursor.end);
      }
      offset = begin + length;
    } else {
      if (field.message) enter(message, field, wire, path, offset + cursor.at);
      leaf(cursor, message, field, wire, limit);
      offset += cursor.at;
    }
    pop(path);
  }
  return message;
}

/** Decodes one message that fills a source, reading only what is not left in place. */
export function decodeSource(schema: Schema, source: ByteSource): Promise<Message> {
  return walk(schema, new Window(source), 0, source.bytes, []);
}
