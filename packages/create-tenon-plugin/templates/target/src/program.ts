/**
 * The machine's programs as bytes. Both halves of the plugin agree on them here, and on nothing else.
 *
 *     bytes 0–3    "ACCL"
 *     bytes 4–7    version, little-endian like all numbers
 *     bytes 8–11   FNV-1a hash of everything that follows
 *     then         the programs, as JSON
 */
export const format = 'acme-program';
/** Raise it with every change of what follows: the loader refuses what it does not know. */
export const formatVersion = 1;

/** `out = a · b` or `out = relu(a · b)`, with `k` columns in `a` and `n` in `out`; or `out = relu(a)`. */
export interface Instruction {
  readonly opcode: 'matmul' | 'matmul-relu' | 'relu';
  readonly a: number;
  /** The weights; null for `relu`. */
  readonly b: number | null;
  readonly out: number;
  readonly k: number;
  readonly n: number;
}

/** A region. Numbers of operands count the views of a call (parameters, results, constants), then temporaries in the workspace. */
export interface Program {
  readonly symbol: string;
  readonly views: number;
  readonly instructions: readonly Instruction[];
}

const magic = 0x4c434341; // ACCL
const headerBytes = 12;

function hash(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (const b of bytes) h = Math.imul(h ^ b, 0x01000193);
  return h >>> 0;
}

export function encode(programs: readonly Program[]): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(programs));
  const bytes = new Uint8Array(headerBytes + body.length);
  bytes.set(body, headerBytes);
  const view = new DataView(bytes.buffer);
  [magic, formatVersion, hash(body)].forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}

/** Throws where the bytes are not what `encode` wrote. */
export function decode(bytes: Uint8Array): readonly Program[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes || view.getUint32(0, true) !== magic) throw new Error('these bytes are no program: they do not begin with ACCL');
  if (view.getUint32(4, true) !== formatVersion) throw new Error(`the program has version ${view.getUint32(4, true)}, not ${formatVersion}`);
  const body = bytes.subarray(headerBytes);
  if (view.getUint32(8, true) !== hash(body)) throw new Error('the program is damaged');
  return JSON.parse(new TextDecoder().decode(body)) as readonly Program[];
}
