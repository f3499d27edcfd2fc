import type { EntryInfo } from '@tenon/artifact';
import type { TypedArray } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { arrayName, elementsOf, hostLayout } from './dtypes.ts';
import { Tensor } from './tensor.ts';

/** Results by name, in the order of the model. */
export type Outputs = { readonly [name: string]: Tensor };

/** A tensor over the bytes of a result; the bytes become the tensor's, until it gives their memory back. */
export function outputTensor(dtype: string, shape: readonly number[], bytes: Uint8Array, int64: 'bigint' | 'int32', name: string, giveBack: (memory: ArrayBuffer) => void): Tensor {
  const data = elementsOf(dtype, bytes);
  if (int64 === 'bigint' || (dtype !== 'i64' && dtype !== 'u64')) return new Tensor(dtype, shape, data, giveBack);
  return dtype === 'i64' ? new Tensor('i32', shape, narrow(data as BigInt64Array, new Int32Array(data.length), name)) : new Tensor('u32', shape, narrow(data as BigUint64Array, new Uint32Array(data.length), name));
}

/** Drops the upper words of 64-bit integers, having seen that they say nothing. */
function narrow<T extends Int32Array | Uint32Array>(from: BigInt64Array | BigUint64Array, to: T, name: string): T {
  const words = new Int32Array(from.buffer, from.byteOffset, from.length * 2);
  const signed = arrayName(to) === 'Int32Array';
  for (let i = 0; i < from.length; i++) {
    const low = words[2 * i]!;
    if (words[2 * i + 1] !== (signed ? low >> 31 : 0)) {
      throw new TenonError({
        code: 'runtime/int64-overflow',
        message: `output '${name}': element ${i} is ${from[i]}, which 32 bits do not hold`,
        hint: "leave out { int64: 'int32' } to get 64-bit integers",
      });
    }
    to[i] = low;
  }
  return to;
}

/** Memory that a caller gives for an output: of the output's array class, or its 32-bit form for 64-bit integers. */
export type OutputMemory = TypedArray | { readonly data: unknown };

/**
 * By result, memory of the caller's that a run may write before it has ended; null: {@link fillOutput} copies. Not where elements are
 * converted, nor where the same bytes are an input or another output.
 */
export function directMemory(entry: EntryInfo, given: { readonly [name: string]: OutputMemory }, inputs: readonly Uint8Array[]): readonly (Uint8Array | null)[] {
  const taken: Uint8Array[] = [...inputs];
  return entry.results.map(({ name, dtype }) => {
    const target = given[name];
    if (!target) return null;
    const memory = (ArrayBuffer.isView(target) ? target : target.data) as TypedArray;
    if (!ArrayBuffer.isView(memory)) return null;
    const bytes = new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
    const direct = arrayName(memory) === (hostLayout(dtype)?.array ?? 'Uint8Array') && !taken.some((other) => overlap(bytes, other));
    taken.push(bytes);
    return direct ? bytes : null;
  });
}

const overlap = (a: Uint8Array, b: Uint8Array): boolean =>
  a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;

/** Copies a result into memory of the caller's, where it is not there already. Throws `runtime/output` where class or length are wrong. */
export function fillOutput(name: string, target: OutputMemory, dtype: string, shape: readonly number[], bytes: Uint8Array): Tensor {
  const memory = (ArrayBuffer.isView(target) ? target : target.data) as TypedArray;
  const expected = elementsOf(dtype, bytes);
  const fail = (came: string): TenonError =>
    new TenonError({ code: 'runtime/output', message: `memory for output '${name}': expected a ${arrayName(expected)} of ${expected.length} elements for ${dtype}[${shape.join(', ')}], got ${came}` });
  if (!ArrayBuffer.isView(memory)) throw fail(typeof memory);
  const array = arrayName(memory);
  const narrowed = (dtype === 'i64' && array === 'Int32Array') || (dtype === 'u64' && array === 'Uint32Array');
  if (array !== arrayName(expected) && !narrowed) throw fail(`a ${array}`);
  if (memory.length !== expected.length) throw fail(`${memory.length} elements`);
  if (narrowed) {
    narrow(expected as BigInt64Array, memory as Int32Array, name);
    return new Tensor(dtype === 'i64' ? 'i32' : 'u32', shape, memory);
  }
  if (memory.buffer !== bytes.buffer || memory.byteOffset !== bytes.byteOffset) new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength).set(bytes);
  return new Tensor(dtype, shape, memory);
}
