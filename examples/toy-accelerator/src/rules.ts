/** What the accelerator takes: products of matrices in f32, or of 8-bit integers summed in 32 bits, with bias and ReLU. */
import { accept, any, constraint, op, reject, typeOf, type Constraint, type Context, type Expr, type Match, type Pattern, type Rule, type Verdict } from '@tenon/plugin';
import { arrayRate, bandwidth, launch, side, weightBytes, type Mode } from './device.ts';

/** The product, named `product`, of `a` and `b`. */
function product(mode: Mode): Pattern {
  if (mode === 'f32') return op('nn.matmul', [any('a'), any('b')], { name: 'product' });
  const widened = (name: string): Pattern => op('math.cast', [any(name)], { attrs: { to: 'i32' } });
  // Constant weights have been widened while compiling: they come as 32-bit integers.
  return op('nn.matmul', [widened('a'), { kind: 'optional', op: widened('b'), input: any('b') } as const], { name: 'product' });
}

const requirements = (mode: Mode): readonly Constraint[] => [
  constraint.dtype('a', mode === 'f32' ? 'f32' : 'i8'),
  constraint.dtype('b', ...(mode === 'f32' ? ['f32'] : ['i8', 'i32'])),
  constraint.rank('a', 2),
  constraint.rank('b', 2),
  constraint.static('b'),
  constraint.multipleOf('a', 0, side),
  constraint.multipleOf('b', 0, side),
  constraint.multipleOf('b', 1, side),
  constraint.bytes('b', weightBytes),
];

/** A bias is a row, or a matrix like the product. */
function checkBias(match: Match): Verdict {
  const bias = typeOf(match, 'bias');
  const shape = typeOf(match, 'product')?.shape;
  if (bias === null || shape === undefined) return reject('toy/bias-shape', 'the bias must be a tensor');
  if (match.values.get('bias') === match.values.get('product')) return reject('toy/bias-is-product', 'a product cannot be added to itself: it leaves the array only once');
  const wanted = bias.shape.length === 1 ? shape.slice(1) : shape;
  return bias.shape.length === wanted.length && bias.shape.every((d, i) => d === wanted[i])
    ? accept()
    : reject('toy/bias-shape', 'the bias must be a row as wide as the product, or a matrix of its shape', 'Expand the bias before it is added.');
}

/** Seconds: the slower of arithmetic and memory. */
function cost(match: Match, mode: Mode, ctx: Context): Expr {
  const { exprs } = ctx;
  const seconds = (amount: Expr, rate: number): Expr => exprs.mul(exprs.cast(amount, 'f64'), exprs.constant(1 / rate, 'f64'));
  const shape = typeOf(match, 'product')!.shape;
  const k = typeOf(match, 'a')!.shape[1]!;
  const moved = [...match.values].filter(([name]) => name !== 'product').map(([name]) => ctx.bytesOf(typeOf(match, name)!));
  const bytes = moved.reduce((sum, b) => exprs.add(sum, b), exprs.mul(exprs.product(shape), 4));
  const flops = exprs.mul(exprs.product([...shape, k]), 2);
  return exprs.add(exprs.max(seconds(flops, arrayRate[mode]), seconds(bytes, bandwidth)), exprs.constant(launch.kernel, 'f64'));
}

function rule(mode: Mode, bias: boolean, relu: boolean): Rule {
  const sum = bias ? op('math.add', [product(mode), any('bias')], { commutative: true }) : product(mode);
  return {
    id: `toy/${mode}${bias ? '-bias' : ''}${relu ? '-relu' : ''}`,
    target: 'toy',
    pattern: relu ? op('nn.relu', [sum]) : sum,
    require: requirements(mode),
    ...(bias ? { check: checkBias } : {}),
    cost: (match, ctx) => cost(match, mode, ctx),
    doc: `${mode === 'f32' ? 'f32' : '8-bit'} product of matrices in tiles of ${side} × ${side}${bias ? ', bias' : ''}${relu ? ', ReLU' : ''}`,
  };
}

export const rules: readonly Rule[] = (['f32', 'int8'] as const).flatMap((mode) => [
  rule(mode, true, true), rule(mode, true, false), rule(mode, false, true), rule(mode, false, false),
]);
