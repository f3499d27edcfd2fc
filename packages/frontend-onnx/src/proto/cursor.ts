import { TenonError } from '@tenon/plugin';

export const wireVarint = 0;
export const wireFixed64 = 1;
export const wireBytes = 2;
export const wireFixed32 = 5;

/** Where in the message tree a decoder is: field names from the root, for error messages. */
export type Path = (string | number)[];

/** The error of a file that is not well-formed protobuf, at a byte offset of its source. */
export function malformed(offset: number, path: Path, what: string): TenonError {
  const field = path.reduce<string>((text, p) => (typeof p === 'number' ? `${text}[${p}]` : text && p ? `${text}.${p}` : text + p), '');
  return new TenonError({
    code: 'onnx/malformed',
    message: `malformed at byte ${offset}${field ? ` in ${field}` : ''}: ${what}`,
    hint: 'the file may be truncated or damaged: compare its size or checksum with the original',
  });
}

/**
 * Reads protobuf's wire format from bytes in memory. Positions and errors are in terms of the source that the bytes were
 * read from: `base` is the offset of `bytes[0]`.
 */
export class Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly base: number;
  readonly path: Path;
  /** Index into `bytes`. */
  at: number;
  /** Index into `bytes` where the message ends. */
  end: number;

  constructor(bytes: Uint8Array, base: number, path: Path) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.base = base;
    this.path = path;
    this.at = 0;
    this.end = bytes.length;
  }

  fail(what: string, at: number = this.at): never {
    throw malformed(this.base + at, this.path, what);
  }

  /** A varint as a signed 64-bit integer; a bigint where it is not a safe integer. */
  int64(): number | bigint {
    const { bytes, end } = this;
    const start = this.at;
    let at = start;
    let low = 0;
    let high = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end) this.fail('the data end inside a number', start);
      const byte = bytes[at++]!;
      if (shift === 63 && byte > 1) this.fail('a number has more than 64 bits', start);
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x0f) << 28;
        high = (byte & 0x7f) >> 4;
      } else high |= (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) break;
    }
    this.at = at;
    const value = (high | 0) * 4294967296 + (low >>> 0);
    return Number.isSafeInteger(value) ? value : (BigInt(high | 0) << 32n) | BigInt(low >>> 0);
  }

  /** A varint as a number, rounded beyond 2^53. */
  int(): number {
    return Number(this.int64());
  }

  float(): number {
    this.need(4);
    const value = this.view.getFloat32(this.at, true);
    this.at += 4;
    return value;
  }

  need(count: number): void {
    if (count > this.end - this.at) this.fail(`the data end inside a value of ${count} bytes: ${this.end - this.at} are left`);
  }

  tag(): { readonly field: number; readonly wire: number } {
    const start = this.at;
    const tag = this.int();
    const field = Math.floor(tag / 8);
    if (tag < 0 || field < 1 || field > 0x1fffffff) this.fail('not a field number', start);
    return { field, wire: tag & 7 };
  }

  /** The length of a bytes field that ends within `limit` (an index like `end`, possibly beyond what was read). */
  length(limit: number = this.end): number {
    const start = this.at;
    const length = this.int();
    if (length < 0 || length > limit - this.at)
      this.fail(`the length ${length < 0 ? 'beyond 2^63' : length} exceeds the ${Math.max(0, limit - this.at)} bytes that are left`, start);
    return length;
  }

  text(length: number): string {
    const text = utf8.decode(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return text;
  }

  /** Skips the value of an unknown field; `limit` as in `length`. */
  skip(wire: number, limit: number = this.end): void {
    if (wire === wireVarint) this.int64();
    else if (wire === wireBytes) {
      const length = this.length(limit);
      this.at += length;
    } else if (wire === wireFixed64 || wire === wireFixed32) {
      const count = wire === wireFixed64 ? 8 : 4;
      this.need(count);
      this.at += count;
    } else this.fail(wire === 3 || wire === 4 ? 'groups are not supported' : `wire type ${wire} does not exist`);
  }
}

// A stateless decoder: names that are no UTF-8 come out with replacement characters.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
