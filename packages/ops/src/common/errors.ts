import type { InferCall, TensorType } from '@tenon/plugin';
import { isFloat, isInteger, isNumeric } from './dtypes.ts';

const kinds = {
  float: isFloat,
  integer: isInteger,
  numeric: isNumeric,
  bool: (dtype: string): boolean => dtype === 'bool',
  'integer or bool': (dtype: string): boolean => isInteger(dtype) || dtype === 'bool',
  'numeric or bool': (dtype: string): boolean => isNumeric(dtype) || dtype === 'bool',
  any: (): boolean => true,
} as const;
export type DTypeKind = keyof typeof kinds;

/** The tensor type of argument i, whose dtype must be of `kind`. */
export function tensorOf(call: InferCall, i: number, kind: DTypeKind = 'any'): TensorType {
  const type = call.tensor(i);
  if (!kinds[kind](type.dtype)) call.fail('dtype', `argument ${i} must be ${kind}, not ${type.dtype}`);
  return type;
}

/** The tensor type of optional argument i; null where it is left out. */
export function optionalTensor(call: InferCall, i: number, kind: DTypeKind = 'any'): TensorType | null {
  return call.args[i] == null ? null : tensorOf(call, i, kind);
}

/** Refuses arguments whose dtypes differ. Returns the dtype. Left-out arguments do not matter. */
export function sameDType(call: InferCall, indices: readonly number[]): string {
  let dtype: string | null = null;
  for (const i of indices) {
    const type = call.args[i];
    if (type == null) continue;
    const own = call.tensor(i).dtype;
    if (dtype !== null && own !== dtype) call.fail('dtype', `arguments must have one dtype, not ${dtype} and ${own}`);
    dtype = own;
  }
  return dtype ?? call.fail('argument', 'no argument is given');
}

/** Refuses argument i where its rank is outside `min … max`. */
export function rankBetween(call: InferCall, i: number, min: number, max: number = min): readonly TensorType['shape'][number][] {
  const { shape } = call.tensor(i);
  if (shape.length < min || shape.length > max) {
    call.fail('rank', `argument ${i} must have rank ${min === max ? min : `${min} to ${max === Infinity ? 'any' : max}`}, not ${shape.length}`);
  }
  return shape;
}
