import type { AttrValue, Expr, ExprBuilder, Intrinsic, Operator, OperatorSample } from '@tenon/plugin';
import { isInteger, isUnsigned } from '../common/dtypes.ts';
import type { DTypeKind } from '../common/errors.ts';
import { arg, given, oddShapes, sample } from '../common/samples.ts';
import { predicate, same } from './dtype-rules.ts';
import { erf, roundHalfEven } from './functions.ts';
import { asCondition, asDim, pointwise, type Pointwise } from './pointwise.ts';

interface Unary {
  readonly accepts?: DTypeKind;
  readonly doc: string;
  readonly real: (x: number) => number;
  readonly exact?: (x: bigint, dtype: string) => bigint;
  readonly scalar: Intrinsic | ((e: ExprBuilder, x: Expr) => Expr);
  readonly flops?: number;
  readonly dim?: Pointwise['dim'];
  /** Where samples are drawn from; special values are added. */
  readonly range?: readonly [number, number];
  readonly special?: readonly number[];
}

const extremes = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, Infinity, -Infinity, NaN];

function unary(name: string, spec: Unary): Operator {
  const { accepts = 'float', scalar, exact } = spec;
  return pointwise({
    name,
    doc: spec.doc,
    params: ['x'],
    dtype: same(accepts),
    real: () => spec.real,
    ...(exact && { exact: (_: unknown, dtype: string) => (x: bigint) => exact(x, dtype) }),
    scalar: (e, [x]) => (typeof scalar === 'string' ? e.call(scalar, [x!]) : scalar(e, x!)),
    flops: spec.flops ?? (typeof scalar === 'string' ? 8 : 1),
    ...(spec.dim && { dim: spec.dim }),
    samples: () => unarySamples(accepts, spec.range, spec.special ?? extremes),
  });
}

export function unarySamples(accepts: DTypeKind, range?: readonly [number, number], special: readonly number[] = []): OperatorSample[] {
  const samples: OperatorSample[] = [];
  if (accepts === 'float' || accepts === 'numeric') {
    for (const shape of oddShapes) samples.push(sample([arg(shape, 'f32', range)]));
    samples.push(sample([arg([5], 'f64', range)], undefined, 1e-12));
    if (special.length > 0) samples.push(sample([given(special)]));
  }
  if (accepts === 'numeric' || accepts === 'integer') {
    for (const dtype of ['i8', 'i32', 'i64']) samples.push(sample([arg([7], dtype, [-100, 100])]), sample([arg([], dtype)]));
    samples.push(sample([arg([7], 'u8', [0, 255])]), sample([arg([2, 0], 'u64', [0, 9])]));
    samples.push(sample([given([-128, 127, -1], 'i8')]), sample([given([-(2n ** 63n), 2n ** 63n - 1n], 'i64')]));
  }
  if (accepts === 'bool') for (const shape of oddShapes) samples.push(sample([arg(shape, 'bool', [0, 1])]));
  return samples;
}

const identityOnIntegers = (intrinsic: Intrinsic) => (e: ExprBuilder, x: Expr): Expr => (isInteger(x.dtype) ? x : e.call(intrinsic, [x]));
const openUnit = [-0.95, 0.95] as const;
const rounding = (what: string): string => `${what} On integers: x itself.`;

const functions: { readonly [name: string]: Unary } = {
  neg: {
    accepts: 'numeric', doc: '−x. Integers wrap: the least one is its own negative.',
    real: (x) => -x, exact: (x) => -x, scalar: (e, x) => e.neg(x), dim: (e, [x]) => e.neg(x!),
  },
  abs: {
    accepts: 'numeric', doc: '|x|. The least integer of a signed type is its own absolute value.',
    real: Math.abs, exact: (x) => (x < 0n ? -x : x), flops: 1,
    scalar: (e, x) => (isUnsigned(x.dtype) ? x : e.call('abs', [x])), dim: (e, [x]) => (typeof x!.value === 'bigint' ? null : e.max(x!, e.neg(x!))),
  },
  sign: {
    accepts: 'numeric', doc: '−1, 0 or 1 by the sign of x. NaN gives NaN, a zero keeps its sign.',
    real: Math.sign, exact: (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n), scalar: 'sign', flops: 2,
  },
  floor: { accepts: 'numeric', doc: rounding('The largest integer not above x.'), real: Math.floor, exact: (x) => x, scalar: identityOnIntegers('floor'), dim: (_, [x]) => x! },
  ceil: { accepts: 'numeric', doc: rounding('The smallest integer not below x.'), real: Math.ceil, exact: (x) => x, scalar: identityOnIntegers('ceil'), dim: (_, [x]) => x! },
  round: { accepts: 'numeric', doc: rounding('The nearest integer; ties go to the even one.'), real: roundHalfEven, exact: (x) => x, scalar: identityOnIntegers('round'), dim: (_, [x]) => x! },
  trunc: { accepts: 'numeric', doc: rounding('x without its fraction.'), real: Math.trunc, exact: (x) => x, scalar: identityOnIntegers('trunc'), dim: (_, [x]) => x! },
  exp: { doc: 'eˣ.', real: Math.exp, scalar: 'exp' },
  log: { doc: 'The natural logarithm; −∞ at 0, NaN below.', real: Math.log, scalar: 'log', range: [0.05, 9], special: [0, -0, 1, -1, Infinity, NaN] },
  sqrt: { doc: '√x; NaN below 0.', real: Math.sqrt, scalar: 'sqrt', range: [0, 9], flops: 4 },
  rsqrt: { doc: '1 / √x; ∞ at 0, NaN below.', real: (x) => 1 / Math.sqrt(x), scalar: 'rsqrt', range: [0.1, 9], flops: 5, special: [0, 1, -1, Infinity, NaN] },
  reciprocal: { doc: '1 / x.', real: (x) => 1 / x, scalar: (e, x) => e.div(e.constant(1, x.dtype), x), range: [0.3, 5], flops: 4 },
  sin: { doc: 'sin x, x in radians.', real: Math.sin, scalar: 'sin' },
  cos: { doc: 'cos x, x in radians.', real: Math.cos, scalar: 'cos' },
  tan: { doc: 'tan x, x in radians.', real: Math.tan, scalar: 'tan', range: [-1.4, 1.4] },
  asin: { doc: 'arcsin x in −π/2 … π/2; NaN outside −1 … 1.', real: Math.asin, scalar: 'asin', range: openUnit },
  acos: { doc: 'arccos x in 0 … π; NaN outside −1 … 1.', real: Math.acos, scalar: 'acos', range: openUnit },
  atan: { doc: 'arctan x in −π/2 … π/2.', real: Math.atan, scalar: 'atan' },
  sinh: { doc: '(eˣ − e⁻ˣ) / 2.', real: Math.sinh, scalar: 'sinh' },
  cosh: { doc: '(eˣ + e⁻ˣ) / 2.', real: Math.cosh, scalar: 'cosh' },
  asinh: { doc: 'ln(x + √(x² + 1)).', real: Math.asinh, scalar: 'asinh' },
  acosh: { doc: 'ln(x + √(x² − 1)); NaN below 1.', real: Math.acosh, scalar: 'acosh', range: [1.1, 9] },
  atanh: { doc: 'ln((1 + x) / (1 − x)) / 2; NaN outside −1 … 1.', real: Math.atanh, scalar: 'atanh', range: openUnit },
  tanh: { doc: '(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).', real: Math.tanh, scalar: 'tanh' },
  erf: { doc: 'The Gauss error function 2/√π ∫₀ˣ e^(−t²) dt.', real: erf, scalar: 'erf' },
  sigmoid: { doc: '1 / (1 + e⁻ˣ).', real: (x) => 1 / (1 + Math.exp(-x)), scalar: sigmoidOf, flops: 12 },
  not: {
    accepts: 'bool', doc: 'Logical negation.',
    real: (x) => (x ? 0 : 1), scalar: (e, x) => e.not(x), dim: (e, [x]) => asDim(e, e.not(asCondition(e, x!))),
  },
  bitnot: { accepts: 'integer', doc: 'Every bit inverted.', real: (x) => ~x, exact: (x) => ~x, scalar: (e, x) => e.call('bitnot', [x]) },
};

/** 1 / (1 + e⁻ˣ); e⁻ˣ may overflow to ∞, which gives 0. */
export function sigmoidOf(e: ExprBuilder, x: Expr): Expr {
  const one = e.constant(1, x.dtype);
  return e.div(one, e.add(one, e.call('exp', [e.neg(x)])));
}

const isnan = pointwise({
  name: 'math.isnan', doc: 'Whether x is NaN. Result: bool.', params: ['x'],
  dtype: predicate('float'),
  real: () => (x) => (Number.isNaN(x!) ? 1 : 0),
  scalar: (e, [x]) => e.call('isnan', [x!]),
  samples: () => unarySamples('float', undefined, extremes),
});

const isinf = pointwise({
  name: 'math.isinf',
  doc: 'Whether x is ∞ (unless `detect_positive` is false) or −∞ (unless `detect_negative` is false). Result: bool.',
  params: ['x'],
  attrs: { detect_positive: true, detect_negative: true },
  dtype: predicate('float'),
  real: ({ detect_positive, detect_negative }) => (x) => ((x === Infinity && detect_positive) || (x === -Infinity && detect_negative) ? 1 : 0),
  scalar: (e, [x], { detect_positive, detect_negative }) => {
    if (detect_positive && detect_negative) return e.call('isinf', [x!]);
    const zero = e.constant(0, x!.dtype);
    if (detect_positive) return e.and(e.call('isinf', [x!]), e.lt(zero, x!));
    return detect_negative ? e.and(e.call('isinf', [x!]), e.lt(x!, zero)) : e.constant(false, 'bool');
  },
  samples: () => {
    const choices: { readonly [name: string]: AttrValue }[] = [
      {}, { detect_positive: false }, { detect_negative: false }, { detect_positive: false, detect_negative: false },
    ];
    return [...unarySamples('float'), ...choices.map((attrs) => sample([given(extremes)], attrs))];
  },
});

export const operators: readonly Operator[] = [
  ...Object.entries(functions).map(([name, spec]) => unary(`math.${name}`, spec)), isnan, isinf,
];
