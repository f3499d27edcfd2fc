import type { Attrs, AttrValue, Expr, ExprBuilder, Operator, OperatorSample } from '@tenon/plugin';
import { broadcastShapes } from '../common/broadcast.ts';
import type { DTypeKind } from '../common/errors.ts';
import { arg, given, oddShapes, sample } from '../common/samples.ts';
import { same } from './dtype-rules.ts';
import { erf, softplus } from './functions.ts';
import { pointwise, type Pointwise } from './pointwise.ts';
import { sigmoidOf } from './unary.ts';

interface Activation {
  readonly doc: string;
  readonly attrs?: { readonly [name: string]: AttrValue };
  readonly accepts?: DTypeKind;
  readonly real: (attrs: { readonly [name: string]: number }) => (x: number) => number;
  readonly scalar: (e: ExprBuilder, x: Expr, attrs: { readonly [name: string]: number }) => Expr;
  readonly exact?: Pointwise['exact'];
  readonly flops: number;
  /** Attributes of further samples. */
  readonly variants?: readonly Attrs[];
}

const special = [0, -0, 1, -1, 0.5, -0.5, 3, -3, 20, -20, NaN];

function activation(name: string, spec: Activation): Operator {
  return pointwise({
    name: `nn.${name}`,
    doc: spec.doc,
    params: ['x'],
    attrs: spec.attrs ?? {},
    dtype: same(spec.accepts ?? 'float'),
    real: (attrs) => spec.real(attrs as { readonly [name: string]: number }),
    ...(spec.exact && { exact: spec.exact }),
    scalar: (e, [x], attrs) => spec.scalar(e, x!, attrs as { readonly [name: string]: number }),
    flops: spec.flops,
    samples: () => {
      const samples: OperatorSample[] = oddShapes.map((shape) => sample([arg(shape, 'f32', [-5, 5])]));
      samples.push(sample([arg([5], 'f64', [-5, 5])], undefined, 1e-12), sample([given(special)]));
      if (spec.accepts === 'numeric') samples.push(sample([arg([9], 'i32')]), sample([arg([9], 'i64')]), sample([arg([9], 'i8')]));
      for (const attrs of spec.variants ?? []) samples.push(sample([arg([3, 7], 'f32', [-5, 5])], attrs), sample([given(special)], attrs));
      return samples;
    },
  });
}

/** A constant of the dtype of x. */
const like = (e: ExprBuilder, value: number, x: Expr): Expr => e.constant(value, x.dtype);
const scale = (e: ExprBuilder, value: number, x: Expr): Expr => (value === 1 ? x : e.mul(like(e, value, x), x));
const expm1 = (e: ExprBuilder, x: Expr): Expr => e.sub(e.call('exp', [x]), like(e, 1, x));
/** max(x, 0) + log(1 + e^−|x|), which does not overflow. */
const softplusOf = (e: ExprBuilder, x: Expr): Expr =>
  e.add(e.max(x, like(e, 0, x)), e.call('log', [e.add(like(e, 1, x), e.call('exp', [e.neg(e.call('abs', [x]))]))]));
const isPositive = (e: ExprBuilder, x: Expr): Expr => e.lt(like(e, 0, x), x);
/** max(0, min(1, x)). */
const unitClamp = (e: ExprBuilder, x: Expr): Expr => e.max(like(e, 0, x), e.min(like(e, 1, x), x));

const activations: { readonly [name: string]: Activation } = {
  relu: {
    doc: 'max(x, 0); NaN stays NaN.', accepts: 'numeric', flops: 1,
    real: () => (x) => Math.max(x, 0), exact: () => (x) => (x! > 0n ? x! : 0n), scalar: (e, x) => e.max(x, like(e, 0, x)),
  },
  leaky_relu: {
    doc: 'x where x ≥ 0, `alpha`·x elsewhere.', attrs: { alpha: 0.01 }, flops: 2, variants: [{ alpha: 0.1 }, { alpha: 2 }],
    real: ({ alpha }) => (x) => (x < 0 ? alpha! * x : x),
    scalar: (e, x, { alpha }) => e.select(e.lt(x, like(e, 0, x)), e.mul(like(e, alpha!, x), x), x),
  },
  elu: {
    doc: 'x where x > 0, `alpha`·(eˣ − 1) elsewhere. https://arxiv.org/abs/1511.07289', attrs: { alpha: 1 }, flops: 10, variants: [{ alpha: 2 }],
    real: ({ alpha }) => (x) => (x > 0 ? x : alpha! * Math.expm1(x)),
    scalar: (e, x, { alpha }) => e.select(isPositive(e, x), x, scale(e, alpha!, expm1(e, x))),
  },
  celu: {
    doc: 'max(0, x) + min(0, `alpha`·(e^(x / `alpha`) − 1)). https://arxiv.org/abs/1704.07483', attrs: { alpha: 1 }, flops: 12, variants: [{ alpha: 2 }],
    real: ({ alpha }) => (x) => (x > 0 ? x : alpha! * Math.expm1(x / alpha!)),
    scalar: (e, x, { alpha }) => e.select(isPositive(e, x), x, scale(e, alpha!, expm1(e, alpha === 1 ? x : e.div(x, like(e, alpha!, x))))),
  },
  selu: {
    doc: '`gamma`·x where x > 0, `gamma`·`alpha`·(eˣ − 1) elsewhere. https://arxiv.org/abs/1706.02515',
    attrs: { alpha: 1.6732632423543772, gamma: 1.0507009873554805 }, flops: 12, variants: [{ alpha: 2, gamma: 3 }],
    real: ({ alpha, gamma }) => (x) => (x > 0 ? gamma! * x : gamma! * alpha! * Math.expm1(x)),
    scalar: (e, x, { alpha, gamma }) => e.select(isPositive(e, x), scale(e, gamma!, x), scale(e, gamma! * alpha!, expm1(e, x))),
  },
  hard_sigmoid: {
    doc: 'max(0, min(1, `alpha`·x + `beta`)).', attrs: { alpha: 0.2, beta: 0.5 }, flops: 4, variants: [{ alpha: 1 / 6 }, { alpha: 0.5, beta: 0.6 }],
    real: ({ alpha, beta }) => (x) => Math.max(0, Math.min(1, alpha! * x + beta!)),
    scalar: (e, x, { alpha, beta }) => unitClamp(e, e.add(scale(e, alpha!, x), like(e, beta!, x))),
  },
  hard_swish: {
    doc: 'x · max(0, min(1, x / 6 + 1/2)). https://arxiv.org/abs/1905.02244', flops: 5,
    real: () => (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5)),
    scalar: (e, x) => e.mul(x, unitClamp(e, e.add(e.mul(x, like(e, 1 / 6, x)), like(e, 0.5, x)))),
  },
  mish: {
    doc: 'x · tanh(log(1 + eˣ)). https://arxiv.org/abs/1908.08681', flops: 28,
    real: () => (x) => x * Math.tanh(softplus(x)), scalar: (e, x) => e.mul(x, e.call('tanh', [softplusOf(e, x)])),
  },
  silu: {
    doc: 'x / (1 + e^(−`alpha`·x)), also known as swish. https://arxiv.org/abs/1710.05941', attrs: { alpha: 1 }, flops: 13, variants: [{ alpha: 1.702 }],
    real: ({ alpha }) => (x) => x / (1 + Math.exp(-alpha! * x)), scalar: (e, x, { alpha }) => e.mul(x, sigmoidOf(e, scale(e, alpha!, x))),
  },
  softplus: { doc: 'log(1 + eˣ).', flops: 18, real: () => softplus, scalar: softplusOf },
  softsign: {
    doc: 'x / (1 + |x|).', flops: 6,
    real: () => (x) => x / (1 + Math.abs(x)), scalar: (e, x) => e.div(x, e.add(like(e, 1, x), e.call('abs', [x]))),
  },
  thresholded_relu: {
    doc: 'x where x > `alpha`, 0 elsewhere. https://arxiv.org/abs/1402.3337', attrs: { alpha: 1 }, flops: 1, variants: [{ alpha: 2 }],
    real: ({ alpha }) => (x) => (x > alpha! ? x : 0), scalar: (e, x, { alpha }) => e.select(e.lt(like(e, alpha!, x), x), x, like(e, 0, x)),
  },
  shrink: {
    doc: 'x + `bias` where x < −`lambd`, x − `bias` where x > `lambd`, 0 elsewhere. `bias` 0 is the hard form, `bias` = `lambd` the soft one.',
    attrs: { bias: 0, lambd: 0.5 }, flops: 3, variants: [{ lambd: 1.5 }, { bias: 1.5, lambd: 1.5 }],
    real: ({ bias, lambd }) => (x) => (x < -lambd! ? x + bias! : x > lambd! ? x - bias! : 0),
    scalar: (e, x, { bias, lambd }) =>
      e.select(e.lt(x, like(e, -lambd!, x)), e.add(x, like(e, bias!, x)), e.select(e.lt(like(e, lambd!, x), x), e.sub(x, like(e, bias!, x)), like(e, 0, x))),
  },
};

const gelu = pointwise({
  name: 'nn.gelu',
  doc: 'x · Φ(x), Φ the standard normal distribution: `approximate` none: x/2 · (1 + erf(x / √2)); tanh: x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). https://arxiv.org/abs/1606.08415',
  params: ['x'],
  attrs: { approximate: 'none' },
  dtype: (call) => {
    if (call.attrs['approximate'] !== 'none' && call.attrs['approximate'] !== 'tanh') call.fail('attribute', `approximate must be none or tanh, not ${String(call.attrs['approximate'])}`);
    return same('float')(call);
  },
  real: ({ approximate }) =>
    approximate === 'tanh'
      ? (x) => 0.5 * x! * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x! + 0.044715 * x! ** 3)))
      : (x) => 0.5 * x! * (1 + erf(x! * Math.SQRT1_2)),
  scalar: (e, [x], { approximate }) => {
    const c = (value: number): Expr => like(e, value, x!);
    const inner = approximate === 'tanh'
      ? e.call('tanh', [e.mul(c(Math.sqrt(2 / Math.PI)), e.add(x!, e.mul(c(0.044715), e.mul(x!, e.mul(x!, x!)))))])
      : e.call('erf', [e.mul(x!, c(Math.SQRT1_2))]);
    return e.mul(e.mul(c(0.5), x!), e.add(c(1), inner));
  },
  flops: 16,
  samples: () => ['none', 'tanh'].flatMap((approximate) => [
    ...oddShapes.map((shape) => sample([arg(shape, 'f32', [-5, 5])], { approximate })),
    sample([arg([5], 'f64', [-5, 5])], { approximate }, 1e-12), sample([given(special)], { approximate }),
  ]),
});

const prelu = pointwise({
  name: 'nn.prelu',
  doc: 'x where x ≥ 0, `slope`·x elsewhere; `slope` broadcasts to the shape of x. https://arxiv.org/abs/1502.01852',
  params: ['x', 'slope'],
  dtype: (call) => {
    const { shape } = call.tensor(0);
    if (call.tensor(1).shape.length > shape.length) call.fail('broadcast', 'slope has a higher rank than x');
    broadcastShapes(call, [shape, call.tensor(1).shape]).forEach((dim, i) => {
      if (dim !== shape[i] && call.exprs.prove(call.exprs.eq(dim, shape[i]!)) !== 'yes') call.fail('broadcast', `slope does not broadcast to x on axis ${i}`);
    });
    return same('numeric')(call);
  },
  real: () => (x, slope) => (x! < 0 ? slope! * x! : x!),
  exact: () => (x, slope) => (x! < 0n ? slope! * x! : x!),
  scalar: (e, [x, slope]) => e.select(e.lt(x!, like(e, 0, x!)), e.mul(slope!, x!), x!),
  flops: 2,
  samples: () => [
    ...[[[], []], [[3], []], [[2, 3], [3]], [[2, 3, 4], [3, 1]], [[2, 0], [1]], [[3, 5], [3, 5]]].map(([x, slope]) => sample([arg(x!), arg(slope!)])),
    sample([arg([2, 3], 'i32'), arg([3], 'i32')]), sample([arg([2, 3], 'f64'), arg([3], 'f64')], undefined, 1e-12),
  ],
});

export const operators: readonly Operator[] = [...Object.entries(activations).map(([name, spec]) => activation(name, spec)), gelu, prelu];
