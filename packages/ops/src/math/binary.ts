import type { AttrValue, Expr, ExprBuilder, Operator, OperatorSample } from '@tenon/plugin';
import { bitsOf, integerRange, isFloat, isInteger } from '../common/dtypes.ts';
import { tensorOf, type DTypeKind } from '../common/errors.ts';
import { hostTensor } from '../common/host-tensor.ts';
import { arg, broadcastPairs, given, sample } from '../common/samples.ts';
import { predicate, same } from './dtype-rules.ts';
import { pow, powInteger, saturate } from './functions.ts';
import { asCondition, asDim, pointwise, type Pointwise } from './pointwise.ts';

interface Binary {
  readonly doc: string;
  readonly accepts: DTypeKind;
  readonly predicate?: true;
  readonly real?: (x: number, y: number) => number;
  readonly exact?: (x: bigint, y: bigint, dtype: string) => bigint;
  readonly scalar: (e: ExprBuilder, x: Expr, y: Expr) => Expr;
  readonly dim?: (e: ExprBuilder, x: Expr, y: Expr) => Expr | null;
  readonly flops?: number;
  /** Integers that samples draw the second argument from. */
  readonly second?: readonly [number, number];
}

const inexact = [0, -0, 1, -1, 2.5, -2.5, Infinity, -Infinity, NaN];
/** Every pair of special values. */
const pairs = (values: readonly number[]): [number[], number[]] => [values.flatMap((x) => values.map(() => x)), values.flatMap(() => values)];

function binary(name: string, spec: Binary): Operator {
  const { accepts, real, exact, dim } = spec;
  return pointwise({
    name, doc: spec.doc, params: ['a', 'b'],
    dtype: (spec.predicate ? predicate : same)(accepts),
    ...(real && { real: () => real as (...x: number[]) => number }),
    ...(exact && { exact: (_: unknown, dtype: string) => (x: bigint, y: bigint) => exact(x, y, dtype) }) as Pick<Pointwise, 'exact'>,
    scalar: (e, [x, y]) => spec.scalar(e, x!, y!),
    ...(dim && { dim: (e: ExprBuilder, [x, y]: readonly Expr[]) => dim(e, x!, y!) }),
    flops: spec.flops ?? 1,
    samples: () => binarySamples(accepts, spec.second, real !== undefined),
  });
}

function binarySamples(accepts: DTypeKind, second: readonly [number, number] | undefined, real: boolean): OperatorSample[] {
  const samples: OperatorSample[] = [];
  if (real && (accepts === 'numeric' || accepts === 'float' || accepts === 'numeric or bool')) {
    for (const [a, b] of broadcastPairs) samples.push(sample([arg(a), arg(b, 'f32', [0.5, 3])]));
    samples.push(sample([arg([4, 1], 'f64'), arg([3], 'f64', [0.5, 3])], undefined, 1e-12));
    const [x, y] = pairs(inexact);
    samples.push(sample([given(x), given(y)]));
  }
  if (accepts === 'numeric' || accepts === 'integer' || accepts === 'numeric or bool' ) {
    for (const dtype of ['i32', 'i64']) for (const [a, b] of broadcastPairs.slice(0, 5)) samples.push(sample([arg(a, dtype, [-9, 9]), arg(b, dtype, second)]));
    samples.push(sample([arg([17], 'i8', [-128, 127]), arg([17], 'i8', second ?? [-128, 127])]));
    samples.push(sample([arg([17], 'u8', [0, 255]), arg([17], 'u8', second ? [0, second[1]] : [0, 255])]));
    samples.push(sample([arg([0], 'u64', [0, 9]), arg([1], 'u64', [0, 9])]));
  }
  if (accepts === 'bool' || accepts === 'numeric or bool' ) for (const [a, b] of broadcastPairs) samples.push(sample([arg(a, 'bool', [0, 1]), arg(b, 'bool', [0, 1])]));
  return samples;
}

/** The remainder with the sign of the divisor. */
function floorMod(x: number, y: number): number {
  const r = x % y;
  return r !== 0 && r < 0 !== y < 0 ? r + y : r;
}
function floorModBig(x: bigint, y: bigint): bigint {
  if (y === 0n) return 0n;
  const r = x % y;
  return r !== 0n && r < 0n !== y < 0n ? r + y : r;
}
const xor = (e: ExprBuilder, x: Expr, y: Expr): Expr => e.ne(x, y);
const nonZero = (e: ExprBuilder, y: Expr): boolean => e.prove(e.ne(y, 0)) === 'yes';
const order = (doc: string, real: (x: number, y: number) => boolean, exact: (x: bigint, y: bigint) => boolean, scalar: Binary['scalar'], accepts: DTypeKind = 'numeric'): Binary => ({
  doc: `${doc} Result: bool. False where either is NaN.`, accepts, predicate: true,
  real: (x, y) => (real(x, y) ? 1 : 0), exact: (x, y) => (exact(x, y) ? 1n : 0n), scalar, dim: (e, x, y) => asDim(e, scalar(e, x, y)),
});
const shiftAmount = 'Amounts of the width and above shift every bit out; negative amounts are not allowed.';

const functions: { readonly [name: string]: Binary } = {
  add: { doc: 'a + b. Integers wrap.', accepts: 'numeric', real: (x, y) => x + y, exact: (x, y) => x + y, scalar: (e, x, y) => e.add(x, y), dim: (e, x, y) => e.add(x, y) },
  sub: { doc: 'a − b. Integers wrap.', accepts: 'numeric', real: (x, y) => x - y, exact: (x, y) => x - y, scalar: (e, x, y) => e.sub(x, y), dim: (e, x, y) => e.sub(x, y) },
  mul: { doc: 'a · b. Integers wrap.', accepts: 'numeric', real: (x, y) => x * y, exact: (x, y) => x * y, scalar: (e, x, y) => e.mul(x, y), dim: (e, x, y) => e.mul(x, y) },
  div: {
    doc: 'a / b. Integers: the quotient truncated toward zero; 0 where b is 0.', accepts: 'numeric', flops: 4,
    real: (x, y) => x / y, exact: (x, y) => (y === 0n ? 0n : x / y),
    scalar: (e, x, y) => (isFloat(x.dtype) ? e.div(x, y) : e.truncdiv(x, y)),
    // Dims are mostly known not to be negative, and floordiv is what the simplifier knows most about.
    dim: (e, x, y) => (!nonZero(e, y) ? null : e.prove(e.le(0, x)) === 'yes' && e.prove(e.le(0, y)) === 'yes' ? e.floordiv(x, y) : e.truncdiv(x, y)),
  },
  mod: {
    doc: 'The remainder of a / b with the sign of b (Python\'s %): a − b·⌊a / b⌋. Integers: 0 where b is 0.', accepts: 'numeric', flops: 6,
    real: floorMod, exact: floorModBig,
    scalar: (e, x, y) => {
      if (!isFloat(x.dtype)) return e.mod(x, y);
      const zero = e.constant(0, x.dtype);
      const r = e.truncmod(x, y);
      return e.select(e.and(e.ne(r, zero), e.ne(e.lt(r, zero), e.lt(y, zero))), e.add(r, y), r);
    },
    dim: (e, x, y) => (nonZero(e, y) ? e.mod(x, y) : null),
  },
  fmod: {
    doc: 'The remainder of a / b with the sign of a (C\'s fmod and %): a − b·trunc(a / b). Integers: 0 where b is 0.', accepts: 'numeric', flops: 6,
    real: (x, y) => x % y, exact: (x, y) => (y === 0n ? 0n : x % y), scalar: (e, x, y) => e.truncmod(x, y),
    dim: (e, x, y) => (nonZero(e, y) ? e.truncmod(x, y) : null),
  },
  min: { doc: 'The smaller of a and b; NaN where either is NaN.', accepts: 'numeric', real: Math.min, exact: (x, y) => (x < y ? x : y), scalar: (e, x, y) => e.min(x, y), dim: (e, x, y) => e.min(x, y) },
  max: { doc: 'The larger of a and b; NaN where either is NaN.', accepts: 'numeric', real: Math.max, exact: (x, y) => (x > y ? x : y), scalar: (e, x, y) => e.max(x, y), dim: (e, x, y) => e.max(x, y) },
  and: { doc: 'Whether a and b.', accepts: 'bool', real: (x, y) => x & y, scalar: (e, x, y) => e.and(x, y), dim: (e, x, y) => asDim(e, e.and(asCondition(e, x), asCondition(e, y))) },
  or: { doc: 'Whether a or b.', accepts: 'bool', real: (x, y) => x | y, scalar: (e, x, y) => e.or(x, y), dim: (e, x, y) => asDim(e, e.or(asCondition(e, x), asCondition(e, y))) },
  xor: { doc: 'Whether a differs from b.', accepts: 'bool', real: (x, y) => x ^ y, scalar: xor, dim: (e, x, y) => asDim(e, e.ne(x, y)) },
  bitand: { doc: 'The bits set in both a and b.', accepts: 'integer', exact: (x, y) => x & y, scalar: (e, x, y) => e.call('bitand', [x, y]) },
  bitor: { doc: 'The bits set in a or b.', accepts: 'integer', exact: (x, y) => x | y, scalar: (e, x, y) => e.call('bitor', [x, y]) },
  bitxor: { doc: 'The bits set in exactly one of a and b.', accepts: 'integer', exact: (x, y) => x ^ y, scalar: (e, x, y) => e.call('bitxor', [x, y]) },
  shl: {
    doc: `a shifted left by b bits. ${shiftAmount}`, accepts: 'integer', second: [0, 9],
    exact: (x, y, dtype) => (y >= BigInt(bitsOf(dtype)) ? 0n : x << y), scalar: (e, x, y) => e.call('shl', [x, y]),
  },
  shr: {
    doc: `a shifted right by b bits; signed integers keep their sign. ${shiftAmount}`, accepts: 'integer', second: [0, 9],
    exact: (x, y, dtype) => (y >= BigInt(bitsOf(dtype)) ? (x < 0n ? -1n : 0n) : x >> y), scalar: (e, x, y) => e.call('shr', [x, y]),
  },
  equal: order('a = b.', (x, y) => x === y, (x, y) => x === y, (e, x, y) => e.eq(x, y), 'numeric or bool'),
  not_equal: {
    ...order('', (x, y) => x !== y, (x, y) => x !== y, (e, x, y) => e.ne(x, y), 'numeric or bool'), doc: 'a ≠ b. Result: bool. True where either is NaN.',
  },
  less: order('a < b.', (x, y) => x < y, (x, y) => x < y, (e, x, y) => e.lt(x, y)),
  less_equal: order('a ≤ b.', (x, y) => x <= y, (x, y) => x <= y, (e, x, y) => e.le(x, y)),
  greater: order('a > b.', (x, y) => x > y, (x, y) => x > y, (e, x, y) => e.gt(x, y)),
  greater_equal: order('a ≥ b.', (x, y) => x >= y, (x, y) => x >= y, (e, x, y) => e.ge(x, y)),
};

const power = pointwise({
  name: 'math.pow',
  doc: 'a raised to b, in the dtype of a; b may have another numeric dtype. Floats as C\'s pow. Both integers: wraps, and is the exact power truncated toward zero for negative b (0 for a = 0). '
    + 'An integer a with a float b: computed in f64 and converted as by math.cast.',
  params: ['a', 'b'],
  dtype: (call) => {
    tensorOf(call, 1, 'numeric');
    return tensorOf(call, 0, 'numeric').dtype;
  },
  real: () => pow as (...x: number[]) => number,
  exact: () => (x, y) => powInteger(x!, y!),
  scalar: (e, [x, y]) => {
    if (isFloat(x!.dtype)) return e.call('pow', [x!, e.cast(y!, x!.dtype)]);
    if (isFloat(y!.dtype)) return e.cast(e.call('pow', [e.cast(x!, 'f64'), e.cast(y!, 'f64')]), x!.dtype);
    // Widened so that an exponent of another width keeps its value; the low bits of a power do not depend on the high bits of its base.
    return x!.dtype === y!.dtype ? e.call('pow', [x!, y!]) : e.cast(e.call('pow', [e.cast(x!, 'i64'), e.cast(y!, 'i64')]), x!.dtype);
  },
  flops: 20,
  samples: () => {
    const mixed: (readonly [string, string])[] = [['f32', 'i32'], ['f32', 'i64'], ['i32', 'i32'], ['i64', 'i64'], ['i32', 'i64'], ['i64', 'f32'], ['i32', 'f32'], ['f64', 'f32']];
    const [x, y] = pairs([0, 1, -1, 2, -2, 0.5, Infinity, -Infinity, NaN]);
    const attrs: { readonly [name: string]: AttrValue } = {};
    return [
      ...broadcastPairs.map(([a, b]) => sample([arg(a, 'f32', [0.2, 3]), arg(b)], attrs)),
      ...mixed.map(([a, b]) => sample([arg([3, 1], a, isInteger(a) ? [1, 4] : [0.5, 3]), arg([4], b, [0, 3])], attrs)),
      sample([given([2, -3, 1, -1, 0, -1], 'i32'), given([-1, 3, -5, -4, -1, -3], 'i32')]), sample([arg([9], 'i8', [-9, 9]), arg([9], 'i8', [0, 9])]), sample([given(x), given(y)]),
    ];
  },
});

/** `pow` of an integer base and float exponent converts its result. */
const powerOperator: Operator = {
  ...power,
  facets: {
    ...power.facets,
    reference: (call) => {
      const [a, b] = call.args;
      if (!isInteger(a!.dtype) || !isFloat(b!.dtype)) return power.facets.reference!(call);
      const [wide] = power.facets.reference!({ ...call, results: [{ dtype: 'f64', shape: call.results[0]!.shape }] });
      return [convertToInteger(wide!.data as Float64Array, a!.dtype, wide!.shape)];
    },
  },
};

function convertToInteger(values: Float64Array, dtype: string, shape: readonly number[]) {
  const { min, max } = integerRange(dtype);
  return hostTensor(dtype, shape, Array.from(values, (x) => saturate(x, min, max)));
}

export const operators: readonly Operator[] = [...Object.entries(functions).map(([name, spec]) => binary(`math.${name}`, spec)), powerOperator];
