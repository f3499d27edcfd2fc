/** What the machine takes: products of f32 matrices, with or without a ReLU behind. */
import { accept, any, constraint, op, reject, typeOf, type Constraint, type Context, type Expr, type Match, type Rule, type Verdict } from '@tenon/plugin';
import { accumulators, bandwidth, launch, peak, side, weightBytes } from './device.ts';

const product = op('nn.matmul', [any('a'), any('b')], { name: 'product' });

/** Conditions that are data: a refusal explains itself, and the kit makes test cases from them. */
const requirements: readonly Constraint[] = [
  constraint.dtype('a', 'f32'),
  constraint.rank('a', 2),
  constraint.rank('b', 2),
  constraint.static('b'),
  constraint.multipleOf('b', 0, side),
  constraint.multipleOf('b', 1, side),
  constraint.bytes('b', weightBytes),
];

/** A condition that is none of the above. Where the number of rows is not known yet, it becomes a guard that the runtime tests. */
function checkAccumulators(match: Match, { exprs }: Context): Verdict {
  const fits = exprs.le(exprs.product(typeOf(match, 'product')!.shape), accumulators);
  switch (exprs.prove(fits)) {
    case 'yes': return accept();
    case 'no': return reject('acme/result-too-large', `the result has more than ${accumulators} elements`, 'Split the batch.');
    case 'unknown': return accept([fits]);
  }
}

/** Seconds: the slower of arithmetic and memory. */
function cost(match: Match, ctx: Context): Expr {
  const { exprs } = ctx;
  const over = (amount: Expr, rate: number): Expr => exprs.mul(exprs.cast(amount, 'f64'), exprs.constant(1 / rate, 'f64'));
  const types = ['a', 'b', 'product'].map((name) => typeOf(match, name)!);
  const [a, , result] = types;
  const flops = exprs.mul(exprs.product([...result!.shape, a!.shape[1]!]), 2);
  const bytes = types.map((type) => ctx.bytesOf(type)).reduce((sum, b) => exprs.add(sum, b));
  return exprs.add(exprs.max(over(flops, peak.f32), over(bytes, bandwidth)), exprs.constant(launch.kernel, 'f64'));
}

export const rules: readonly Rule[] = [
  { id: 'acme/matmul-relu', target: 'acme', pattern: op('nn.relu', [product]), require: requirements, check: checkAccumulators, cost, doc: 'A product of matrices and a ReLU in one instruction.' },
  { id: 'acme/matmul', target: 'acme', pattern: product, require: requirements, check: checkAccumulators, cost, doc: `A product of matrices in blocks of ${side} × ${side}.` },
];
