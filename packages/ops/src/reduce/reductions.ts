import type { AttrValue, Buffer, Cost, DefineCall, EvaluateCall, Expr, ExprBuilder, HostTensor, InferCall, Operator, OperatorSample, TensorBuilder } from '@tenon/plugin';
import { integerRange, isFloat, isInteger, isUnsigned } from '../common/dtypes.ts';
import { tensorOf, type DTypeKind } from '../common/errors.ts';
import { allocate, bigReader, bigWriter, reader, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { reduceOver } from '../common/reduce.ts';
import { arithmeticDType } from '../math/pointwise.ts';
import { reducedPositions, reducedShape, reductionDomain, staticAxes } from './axes.ts';

interface Reduction {
  readonly doc: string;
  readonly accepts: DTypeKind;
  /** The value of an empty reduction, in the accumulator's dtype. */
  readonly identity: (dtype: string) => number | bigint;
  readonly real: (sum: number, x: number) => number;
  readonly exact?: (sum: bigint, x: bigint) => bigint;
  readonly step: (e: ExprBuilder, sum: Expr, x: Expr) => Expr;
  /** What becomes of the accumulated value; `count` elements took part. */
  readonly finishReal?: (sum: number, count: number) => number;
  readonly finishExact?: (sum: bigint, count: bigint) => bigint;
  readonly finish?: (e: ExprBuilder, sum: Expr, count: Expr) => Expr;
  /** Integers accumulate in 64 bits. */
  readonly wide?: true;
  readonly flops?: number;
  readonly dim?: (e: ExprBuilder, sum: Expr, x: Expr) => Expr;
  readonly range?: readonly [number, number];
}

export const attributes: { readonly [name: string]: AttrValue } = { axes: null, keepdims: true };
export const attributesDoc = '`axes`: those to reduce, negative ones count from the end; null: all; []: none. They may be dims (known at run time), if `keepdims`. '
  + '`keepdims`: reduced axes stay with size 1.';

export function reductionSamples(accepts: DTypeKind, range?: readonly [number, number]): OperatorSample[] {
  const cases: (readonly [readonly number[], { readonly [name: string]: AttrValue }])[] = [
    [[], {}], [[7], {}], [[7], { keepdims: false }], [[3, 4, 5], {}], [[3, 4, 5], { axes: [1] }], [[3, 4, 5], { axes: [-1], keepdims: false }],
    [[3, 4, 5], { axes: [0, 2], keepdims: false }], [[3, 4, 5], { axes: [] }], [[2, 3, 1, 3], { axes: [2, -3] }],
    [[3, 0, 2], { axes: [1] }], [[3, 0, 2], { axes: [0], keepdims: false }], [[0], {}], [[2, 0], { keepdims: false }],
  ];
  const dtypes = accepts === 'bool' ? ['bool'] : accepts === 'float' ? ['f32', 'f64'] : ['f32', 'f64', 'i32', 'i64', 'i8', 'u8'];
  return dtypes.flatMap((dtype) => cases.map(([shape, attrs]) => sample([arg(shape, dtype, isFloat(dtype) ? range : dtype === 'bool' ? [0, 1] : dtype === 'u8' ? [0, 255] : [-9, 9])], attrs)));
}

const accumulatorOf = (spec: Reduction, dtype: string): string =>
  spec.wide && isInteger(dtype) ? (isUnsigned(dtype) ? 'u64' : 'i64') : arithmeticDType(dtype);

function reduction(name: string, spec: Reduction): Operator {
  return {
    name: `reduce.${name}`,
    doc: `${spec.doc} ${attributesDoc}`,
    signature: { params: ['x'], attrs: attributes, results: ['out'] },
    facets: {
      infer: (call) => [{ kind: 'tensor', dtype: tensorOf(call, 0, spec.accepts).dtype, shape: reducedShape(call), annotations: {} }],
      reference: (call) => [evaluate(spec, call)],
      define: (call, b) => define(spec, call, b),
      cost: (call): Cost => ({ flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), spec.flops ?? 1) }),
      ...(spec.dim && { shapeValue: (call: InferCall) => [contents(spec, call)] }),
      samples: () => reductionSamples(spec.accepts, spec.range),
    },
  };
}

function evaluate(spec: Reduction, call: EvaluateCall): HostTensor {
  const [x] = call.args as [HostTensor];
  const out = allocate(x.dtype, call.results[0]!.shape);
  const positions = reducedPositions(x.shape, call.attrs['axes'] as AttrValue);
  const counts = new Float64Array(out.data.length);
  for (const at of positions) counts[at]!++;
  if (isInteger(x.dtype)) {
    const sums = Array.from(counts, () => BigInt(spec.identity(x.dtype)));
    const read = bigReader(x);
    positions.forEach((at, i) => (sums[at] = spec.exact!(sums[at]!, read(i))));
    const write = bigWriter(out);
    sums.forEach((sum, i) => write(i, spec.finishExact ? spec.finishExact(sum, BigInt(counts[i]!)) : sum));
    return out;
  }
  const sums = new Float64Array(out.data.length).fill(Number(spec.identity(x.dtype)));
  const read = reader(x);
  positions.forEach((at, i) => (sums[at] = spec.real(sums[at]!, read(i))));
  const write = writer(out);
  sums.forEach((sum, i) => write(i, spec.finishReal ? spec.finishReal(sum, counts[i]!) : sum));
  return out;
}

function define(spec: Reduction, call: DefineCall, b: TensorBuilder): void {
  const e = b.exprs;
  const [x] = call.args as [Buffer];
  const [out] = call.results as [Buffer];
  const domain = reductionDomain(e, x.shape, call.attrs['axes'] as AttrValue, call.attrs['keepdims'] as boolean);
  const dtype = accumulatorOf(spec, x.dtype);
  const direct = dtype === out.dtype && spec.finish === undefined;
  const sum = direct ? out : b.alloc('sum', dtype, out.shape);
  reduceOver(b, sum, domain.extents, e.constant(spec.identity(dtype), dtype), (acc, i, r) => spec.step(e, acc, e.cast(b.load(x, domain.index(i, r)), dtype)));
  if (direct) return;
  const count = e.cast(e.product(domain.extents), dtype);
  b.compute(out, (i) => e.cast(spec.finish ? spec.finish(e, b.load(sum, i), count) : b.load(sum, i), out.dtype));
}

function contents(spec: Reduction, call: InferCall): readonly Expr[] | null {
  const { dtype, shape } = call.tensor(0);
  const known = isInteger(dtype) && dtype !== 'u64' ? call.contents(0) : null;
  const sizes = shape.map((d) => call.exprs.valueOf(d));
  const axes = staticAxes(call.exprs, call.attrs['axes'] as AttrValue);
  if (known === null || axes === null || !sizes.every((d) => d !== null) || known.length > 1024) return null;
  const positions = reducedPositions(sizes, axes === 'all' ? null : axes);
  const count = reducedShape(call).reduce((n, d) => n * call.exprs.valueOf(d)!, 1);
  const sums: (Expr | null)[] = Array.from({ length: count }, () => null);
  // Wrapping to fewer than 64 bits cannot be told of dims; constants are folded elsewhere.
  if (dtype !== 'i64' && !known.every((k) => call.exprs.valueOf(k) === null)) return null;
  positions.forEach((at, i) => (sums[at] = sums[at] === null ? known[i]! : spec.dim!(call.exprs, sums[at]!, known[i]!)));
  return sums.map((s) => s ?? call.exprs.int(spec.identity(dtype)));
}

const lowest = (dtype: string): number | bigint => (isInteger(dtype) ? integerRange(dtype).min : -Infinity);
const highest = (dtype: string): number | bigint => (isInteger(dtype) ? integerRange(dtype).max : Infinity);
const abs = (x: bigint): bigint => (x < 0n ? -x : x);
const absExpr = (e: ExprBuilder, x: Expr): Expr => (isUnsigned(x.dtype) ? x : e.call('abs', [x]));

const reductions: { readonly [name: string]: Reduction } = {
  sum: {
    doc: 'The sum; 0 of no elements. Integers wrap.', accepts: 'numeric', identity: () => 0,
    real: (s, x) => s + x, exact: (s, x) => s + x, step: (e, s, x) => e.add(s, x), dim: (e, s, x) => e.add(s, x),
  },
  mean: {
    doc: 'The sum divided by the number of elements: NaN of no elements. Integers: the exact quotient truncated toward zero, 0 of no elements.', accepts: 'numeric', identity: () => 0, wide: true,
    real: (s, x) => s + x, exact: (s, x) => s + x, step: (e, s, x) => e.add(s, x),
    finishReal: (s, n) => s / n, finishExact: (s, n) => (n === 0n ? 0n : s / n), finish: (e, s, n) => (isFloat(s.dtype) ? e.div(s, n) : e.truncdiv(s, n)),
  },
  max: {
    doc: 'The largest element, NaN if there is one; −∞ or the least integer of no elements.', accepts: 'numeric', identity: lowest,
    real: Math.max, exact: (s, x) => (x > s ? x : s), step: (e, s, x) => e.max(s, x), dim: (e, s, x) => e.max(s, x),
  },
  min: {
    doc: 'The smallest element, NaN if there is one; ∞ or the largest integer of no elements.', accepts: 'numeric', identity: highest,
    real: Math.min, exact: (s, x) => (x < s ? x : s), step: (e, s, x) => e.min(s, x), dim: (e, s, x) => e.min(s, x),
  },
  prod: {
    doc: 'The product; 1 of no elements. Integers wrap.', accepts: 'numeric', identity: () => 1, range: [0.5, 1.5],
    real: (s, x) => s * x, exact: (s, x) => s * x, step: (e, s, x) => e.mul(s, x), dim: (e, s, x) => e.mul(s, x),
  },
  any: { doc: 'Whether any element is true; false of none.', accepts: 'bool', identity: () => 0, real: (s, x) => s | x, step: (e, s, x) => e.or(s, x) },
  all: { doc: 'Whether every element is true; true of none.', accepts: 'bool', identity: () => 1, real: (s, x) => s & x, step: (e, s, x) => e.and(s, x) },
  l1: {
    doc: 'The sum of absolute values. Integers wrap.', accepts: 'numeric', identity: () => 0, flops: 2,
    real: (s, x) => s + Math.abs(x), exact: (s, x) => s + abs(x), step: (e, s, x) => e.add(s, absExpr(e, x)),
  },
  sum_square: {
    doc: 'The sum of squares. Integers wrap.', accepts: 'numeric', identity: () => 0, flops: 2,
    real: (s, x) => s + x * x, exact: (s, x) => s + x * x, step: (e, s, x) => e.add(s, e.mul(x, x)),
  },
  l2: {
    doc: 'The square root of the sum of squares.', accepts: 'float', identity: () => 0, flops: 2,
    real: (s, x) => s + x * x, step: (e, s, x) => e.add(s, e.mul(x, x)), finishReal: Math.sqrt, finish: (e, s) => e.call('sqrt', [s]),
  },
  log_sum: {
    doc: 'The natural logarithm of the sum: −∞ of no elements, NaN where the sum is negative.', accepts: 'float', identity: () => 0, range: [0.1, 3],
    real: (s, x) => s + x, step: (e, s, x) => e.add(s, x), finishReal: Math.log, finish: (e, s) => e.call('log', [s]),
  },
};

/** An infinite maximum is not subtracted: ∞ − ∞ is NaN. */
const finiteOrZero = (e: ExprBuilder, m: Expr): Expr => e.select(e.call('isinf', [m]), e.constant(0, m.dtype), m);

const logSumExp: Operator = {
  name: 'reduce.log_sum_exp',
  doc: `log Σ eˣ, computed as m + log Σ e^(x − m) with m = max x, which does not overflow; −∞ of no elements. ${attributesDoc}`,
  signature: { params: ['x'], attrs: attributes, results: ['out'] },
  facets: {
    infer: (call) => [{ kind: 'tensor', dtype: tensorOf(call, 0, 'float').dtype, shape: reducedShape(call), annotations: {} }],
    reference: (call) => {
      const [x] = call.args as [HostTensor];
      const out = allocate(x.dtype, call.results[0]!.shape);
      const positions = reducedPositions(x.shape, call.attrs['axes'] as AttrValue);
      const read = reader(x);
      const largest = new Float64Array(out.data.length).fill(-Infinity);
      positions.forEach((at, i) => (largest[at] = Math.max(largest[at]!, read(i))));
      const shift = largest.map((m) => (Math.abs(m) === Infinity ? 0 : m));
      const sums = new Float64Array(out.data.length);
      positions.forEach((at, i) => (sums[at] = sums[at]! + Math.exp(read(i) - shift[at]!)));
      const write = writer(out);
      sums.forEach((s, i) => write(i, Math.log(s) + shift[i]!));
      return [out];
    },
    define: (call, b) => {
      const e = b.exprs;
      const [x] = call.args as [Buffer];
      const [out] = call.results as [Buffer];
      const dtype = arithmeticDType(x.dtype);
      const domain = reductionDomain(e, x.shape, call.attrs['axes'] as AttrValue, call.attrs['keepdims'] as boolean);
      const element = (i: readonly Expr[], r: readonly Expr[]): Expr => e.cast(b.load(x, domain.index(i, r)), dtype);
      const largest = b.alloc('largest', dtype, out.shape);
      reduceOver(b, largest, domain.extents, e.constant(-Infinity, dtype), (m, i, r) => e.max(m, element(i, r)));
      const sum = b.alloc('sum', dtype, out.shape);
      reduceOver(b, sum, domain.extents, e.constant(0, dtype), (s, i, r) => e.add(s, e.call('exp', [e.sub(element(i, r), finiteOrZero(e, b.load(largest, i)))])));
      b.compute(out, (i) => e.cast(e.add(e.call('log', [b.load(sum, i)]), finiteOrZero(e, b.load(largest, i))), out.dtype));
    },
    cost: (call) => ({ flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), 11) }),
    samples: () => [
      ...reductionSamples('float'),
      sample([arg([3, 4], 'f32', [500, 900])], { axes: [1] }),
      sample([given([-Infinity, -Infinity, Infinity, 1, NaN, 1, -Infinity, 2], 'f32', [4, 2])], { axes: [1] }),
    ],
  },
};

export const operators: readonly Operator[] = [...Object.entries(reductions).map(([name, spec]) => reduction(name, spec)), logSumExp];
