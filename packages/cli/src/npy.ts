import { TenonError, type HostTensor } from 'tenon';
import type { TypedArray } from 'tenon/tools';

// The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

const magic = '\u0093NUMPY';

/** How elements of a dtype are written. Half floats are held as their bits, as everywhere in Tenon. */
interface Element {
  readonly dtype: string;
  readonly bytes: number;
  readonly make: (buffer: ArrayBuffer) => TypedArray;
}
const elements: { readonly [code: string]: Element } = {
  f8: { dtype: 'f64', bytes: 8, make: (b) => new Float64Array(b) },
  f4: { dtype: 'f32', bytes: 4, make: (b) => new Float32Array(b) },
  f2: { dtype: 'f16', bytes: 2, make: (b) => new Uint16Array(b) },
  i8: { dtype: 'i64', bytes: 8, make: (b) => new BigInt64Array(b) },
  i4: { dtype: 'i32', bytes: 4, make: (b) => new Int32Array(b) },
  i2: { dtype: 'i16', bytes: 2, make: (b) => new Int16Array(b) },
  i1: { dtype: 'i8', bytes: 1, make: (b) => new Int8Array(b) },
  u8: { dtype: 'u64', bytes: 8, make: (b) => new BigUint64Array(b) },
  u4: { dtype: 'u32', bytes: 4, make: (b) => new Uint32Array(b) },
  u2: { dtype: 'u16', bytes: 2, make: (b) => new Uint16Array(b) },
  u1: { dtype: 'u8', bytes: 1, make: (b) => new Uint8Array(b) },
  b1: { dtype: 'bool', bytes: 1, make: (b) => new Uint8Array(b) },
};

/**
 * Reads an array as NumPy's `save` writes it, little- or big-endian, in C or Fortran order; the result is row-major.
 * Throws `npy/malformed`, and `npy/unsupported-dtype` for strings, records and Python objects (which could run code).
 */
export function readNpy(bytes: Uint8Array, name = 'the array'): HostTensor {
  const malformed = (message: string): TenonError => new TenonError({ code: 'npy/malformed', message: `${name} is no .npy file: ${message}` });
  if (bytes.length < 10 || String.fromCharCode(...bytes.subarray(0, 6)) !== magic) throw malformed('it does not begin with \\x93NUMPY');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw malformed(`its format version is ${version}`);
  const prefix = version === 1 ? 10 : 12;
  if (bytes.length < prefix) throw malformed('it ends inside its header');
  const headerBytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const begin = prefix + headerBytes;
  if (bytes.length < begin) throw malformed('it ends inside its header');
  const header = parseHeader(new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(prefix, begin)));
  if (header === null) throw malformed('its header is not understood');

  const [, order, code] = /^([<>|=])([a-z]\d+)$/.exec(header.descr) ?? [];
  const element = code === undefined ? undefined : elements[code];
  if (element === undefined) {
    throw new TenonError({
      code: 'npy/unsupported-dtype', message: `${name} has elements of the type ${header.descr}`,
      hint: `arrays of ${[...new Set(Object.values(elements).map((e) => e.dtype))].join(', ')} can be read`,
    });
  }
  const count = header.shape.reduce((product, n) => product * n, 1);
  if (!Number.isSafeInteger(count * element.bytes) || bytes.length - begin !== count * element.bytes) {
    throw malformed(`it has ${bytes.length - begin} bytes of data; ${element.dtype}[${header.shape.join(', ')}] takes ${count * element.bytes}`);
  }
  // Not `slice`: that of Node's buffers shares memory.
  const data = Uint8Array.from(bytes.subarray(begin));
  if (order === '>') swapBytes(data, element.bytes);
  const array = element.make(data.buffer);
  return { dtype: element.dtype, shape: header.shape, data: header.fortran ? transposed(array, header.shape, element) : array };
}

/** The header is a Python dictionary with these three keys; nothing else of Python is read. */
function parseHeader(text: string): { descr: string; fortran: boolean; shape: number[] } | null {
  const descr = /['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]|(\[))/.exec(text);
  const fortran = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /['"]shape['"]\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (descr === null || fortran === undefined || shape === undefined) return null;
  const dims = shape.split(',').map((n) => n.replace('L', '').trim()).filter((n) => n !== '').map(Number);
  return dims.every((n) => Number.isSafeInteger(n)) ? { descr: descr[1] ?? 'record', fortran: fortran === 'True', shape: dims } : null;
}

function swapBytes(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/** Column-major elements in row-major order. */
function transposed(from: TypedArray, shape: readonly number[], element: Element): TypedArray {
  const to = element.make(new ArrayBuffer(from.byteLength));
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  const index = shape.map(() => 0);
  for (let i = 0, at = 0; i < from.length; i++) {
    to[i] = from[at] as never;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return to;
}

/** An array as NumPy's `load` reads it. bf16 becomes f32, which holds it exactly; other types that NumPy lacks are refused. */
export function writeNpy(tensor: HostTensor): Uint8Array {
  if (tensor.dtype === 'bf16') {
    const bits = Uint32Array.from(tensor.data as Uint16Array, (v) => v << 16);
    return writeNpy({ dtype: 'f32', shape: tensor.shape, data: new Float32Array(bits.buffer) });
  }
  const code = Object.keys(elements).find((key) => elements[key]!.dtype === tensor.dtype);
  if (code === undefined) {
    throw new TenonError({ code: 'npy/unsupported-dtype', message: `NumPy has no type for ${tensor.dtype}`, hint: 'write .pb files: --format pb' });
  }
  const data = tensor.data as TypedArray;
  const shape = tensor.shape.length === 1 ? `(${tensor.shape[0]},)` : `(${tensor.shape.join(', ')})`;
  const order = elements[code]!.bytes === 1 ? '|' : '<';
  const text = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': ${shape}, }`;
  const begin = Math.ceil((10 + text.length + 1) / 64) * 64;
  const out = new Uint8Array(begin + data.byteLength);
  out.set(Uint8Array.from(magic, (c) => c.charCodeAt(0)));
  out.set([1, 0], 6);
  new DataView(out.buffer).setUint16(8, begin - 10, true);
  out.set(new TextEncoder().encode(`${text.padEnd(begin - 11)}\n`), 10);
  out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), begin);
  return out;
}
