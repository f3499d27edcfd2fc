import type { HostTensor, TypedArray } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { arrayName, countOf, denseBytes, dtypeOfArray, hostLayout } from './dtypes.ts';

/** Numbers as nested arrays: `[[1, 2], [3, 4]]` has the shape [2, 2], a number alone the shape []. */
export type NestedNumbers = number | bigint | boolean | readonly NestedNumbers[];

/**
 * A tensor in host memory, dense and row-major. f16, bf16 and 8-bit floats are held as their bits, bool as 0 and 1,
 * 4-bit integers two to a byte.
 */
export class Tensor implements HostTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: TypedArray;
  readonly #giveBack: ((memory: ArrayBuffer) => void) | null;

  /** `giveBack`, of a tensor whose memory is its own: takes that when the tensor is disposed of. Throws `runtime/tensor` where the array is not of the class or length that dtype and shape ask for. */
  constructor(dtype: string, shape: readonly number[], data: TypedArray, giveBack: ((memory: ArrayBuffer) => void) | null = null) {
    if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0)) throw bad(`[${shape.join(', ')}] is not a shape`);
    const known = hostLayout(dtype);
    if (known && known.array !== arrayName(data)) throw bad(`a tensor of ${dtype} is held in a ${known.array}, not in a ${arrayName(data)}`);
    const bytes = denseBytes(dtype, countOf(shape));
    if (bytes !== null && bytes !== data.byteLength) {
      throw bad(`a tensor of ${dtype} and shape [${shape.join(', ')}] has ${bytes} bytes; the data has ${data.byteLength}`);
    }
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
    this.#giveBack = giveBack;
  }

  /**
   * Of a result in memory that the run allocated: gives the memory back to the model, whose next results take it in place of fresh one. All
   * arrays over it are then empty. Other tensors stay as they are.
   */
  dispose(): void {
    const { buffer } = this.data;
    if (this.#giveBack && buffer instanceof ArrayBuffer && !buffer.detached) this.#giveBack(buffer.transfer());
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * A tensor from a typed array (dtype from its class unless given; shape [length] unless given) or from nested arrays of
 * numbers (f32 unless given).
 */
export function tensor(data: TypedArray | NestedNumbers, shape?: readonly number[], dtype?: string): Tensor {
  if (ArrayBuffer.isView(data)) {
    const type = dtype ?? dtypeOfArray(arrayName(data));
    if (type === null) throw bad(`a ${arrayName(data)} does not hold a tensor`);
    if (type === 'f16' && arrayName(data) === 'Float16Array') return tensor(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2), shape, 'f16');
    const length = data.length * (hostLayout(type)?.packed ?? 1);
    return new Tensor(type, shape ?? [length], data as TypedArray);
  }
  const nested = nestedShape(data);
  const values = fromNumbers(data, dtype ?? 'f32');
  if (shape && countOf(shape) !== countOf(nested)) throw bad(`${countOf(nested)} numbers do not make the shape [${shape.join(', ')}]`);
  return new Tensor(dtype ?? 'f32', shape ?? nested, values);
}

const bad = (message: string): TenonError => new TenonError({ code: 'runtime/tensor', message });

/** The shape of nested arrays. Throws `runtime/tensor` where they are ragged. */
export function nestedShape(data: NestedNumbers): readonly number[] {
  if (!Array.isArray(data)) return [];
  const rows = data as readonly NestedNumbers[];
  const inner = rows.length > 0 ? nestedShape(rows[0]!) : [];
  for (const row of rows) {
    const shape = nestedShape(row);
    if (shape.length !== inner.length || shape.some((n, i) => n !== inner[i])) throw bad('nested arrays of different lengths do not make a tensor');
  }
  return [rows.length, ...inner];
}

/** Nested numbers, flattened, as elements of a dtype. Throws `runtime/tensor` where one does not fit. */
export function fromNumbers(data: NestedNumbers, dtype: string): TypedArray {
  const known = hostLayout(dtype);
  if (!known || known.kind === 'bits') throw bad(`numbers cannot be turned into ${dtype}: give a ${known?.array ?? 'Uint8Array'}`);
  const flat = (Array.isArray(data) ? data.flat(Infinity) : [data]) as (number | bigint | boolean)[];
  const array = known.view(new ArrayBuffer(flat.length * known.itemBytes), 0, flat.length);
  flat.forEach((value, i) => {
    if (typeof value !== 'number' && typeof value !== 'bigint' && typeof value !== 'boolean') throw bad(`${String(value)} is not a number`);
    if (known.kind === 'float') {
      array[i] = Number(value);
      return;
    }
    const big = known.array.startsWith('Big');
    if (typeof value === 'number' && !Number.isInteger(value)) throw bad(`${value} is not an integer, as ${dtype} needs`);
    if (known.kind === 'bool' && Number(value) !== 0 && Number(value) !== 1) throw bad(`${value} is not a boolean`);
    array[i] = big ? BigInt(value) : Number(value);
    if (BigInt(array[i]!) !== BigInt(value)) throw bad(`${value} does not fit into ${dtype}`);
  });
  return array;
}
