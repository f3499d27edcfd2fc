/**
 * The machine's binary format. Both halves agree on it here, and on nothing else.
 *
 *     bytes 0–3    "TOYA"
 *     bytes 4–7    version
 *     bytes 8–11   length of the whole
 *     bytes 12–15  FNV-1a hash of everything that follows
 *     then         the programs: all numbers u32, little-endian; −1 stands for none
 */
import type { Mode } from './device.ts';

export const format = 'toy-accelerator';
/** Version 1 had no hash. Its programs are not read any more. */
export const formatVersion = 2;

/** `out = relu?(a · b + bias?)`, `out = relu?(a + bias?)`, or `out = i32(a)`. */
export interface Instruction {
  readonly opcode: 'dense' | 'vector' | 'widen';
  readonly mode: Mode;
  /** Slots: see {@link Program}. */
  readonly a: number;
  /** null unless the opcode is `dense`. */
  readonly b: number | null;
  readonly bias: number | null;
  readonly relu: boolean;
  readonly out: number;
  /** Columns of `a` and of `out`. */
  readonly k: number;
  readonly n: number;
  /** Bytes per element of `b`: 8-bit weights may come as 32-bit integers. */
  readonly weight: number;
}

/** A region. Slots are the views of a call, in order (the workspace left out), then temporaries in the workspace. */
export interface Program {
  readonly symbol: string;
  readonly views: number;
  /** Temporaries: matrices of 32-bit elements with as many rows as the matrix in slot `rowsOf`, which has `rowBytes` bytes per row. */
  readonly temporaries: readonly { readonly rowsOf: number; readonly rowBytes: number; readonly columns: number }[];
  readonly instructions: readonly Instruction[];
}

const magic = 0x41594f54; // TOYA
const headerBytes = 16;
const none = 0xffffffff;
const opcodes = ['dense', 'vector', 'widen'] as const;
const modes = ['f32', 'int8'] as const;

function hash(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (const b of bytes) h = Math.imul(h ^ b, 0x01000193);
  return h >>> 0;
}

export function encode(programs: readonly Program[]): Uint8Array {
  const words: number[] = [programs.length];
  const optional = (n: number | null): number => n ?? none;
  for (const p of programs) {
    const name = new TextEncoder().encode(p.symbol);
    words.push(name.length, ...name, p.views, p.temporaries.length, p.instructions.length);
    for (const t of p.temporaries) words.push(t.rowsOf, t.rowBytes, t.columns);
    for (const i of p.instructions) {
      words.push(opcodes.indexOf(i.opcode), modes.indexOf(i.mode), i.a, optional(i.b), optional(i.bias), i.relu ? 1 : 0, i.out, i.k, i.n, i.weight);
    }
  }
  const bytes = new Uint8Array(headerBytes + 4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((w, i) => view.setUint32(headerBytes + 4 * i, w, true));
  [magic, formatVersion, bytes.length, hash(bytes.subarray(headerBytes))].forEach((w, i) => view.setUint32(4 * i, w, true));
  return bytes;
}

/** Throws where the bytes are not what `encode` of this version wrote. */
export function decode(bytes: Uint8Array): readonly Program[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const refuse = (why: string): never => {
    throw new Error(`not a program of the toy accelerator: ${why}`);
  };
  if (bytes.length < headerBytes || view.getUint32(0, true) !== magic) refuse('it does not begin with TOYA');
  if (view.getUint32(4, true) !== formatVersion) refuse(`its version is ${view.getUint32(4, true)}, not ${formatVersion}`);
  if (view.getUint32(8, true) !== bytes.length) refuse(`it should have ${view.getUint32(8, true)} bytes, and has ${bytes.length}`);
  if (view.getUint32(12, true) !== hash(bytes.subarray(headerBytes))) refuse('it is damaged');
  let at = headerBytes;
  const next = (): number => {
    if (at + 4 > bytes.length) refuse('it ends too early');
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const optional = (): number | null => {
    const n = next();
    return n === none ? null : n;
  };
  const oneOf = <T>(list: readonly T[]): T => list[next()] ?? refuse('it has an unknown code');
  const list = <T>(count: number, item: () => T): T[] => Array.from({ length: count }, item);
  return list(next(), (): Program => {
    const symbol = new TextDecoder().decode(Uint8Array.from(list(next(), next)));
    const [views, temporaries, instructions] = [next(), next(), next()];
    return {
      symbol, views,
      temporaries: list(temporaries, () => ({ rowsOf: next(), rowBytes: next(), columns: next() })),
      instructions: list(instructions, () => ({
        opcode: oneOf(opcodes), mode: oneOf(modes), a: next(), b: optional(), bias: optional(), relu: next() === 1, out: next(), k: next(), n: next(), weight: next(),
      })),
    };
  });
}
