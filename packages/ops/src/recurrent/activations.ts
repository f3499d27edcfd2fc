import type { AttrValue, Expr, ExprBuilder, InferCall } from '@tenon/plugin';

/** A function of a recurrent cell, for numbers and for scalar expressions. */
interface Activation {
  readonly alpha: number;
  readonly beta: number;
  readonly number: (x: number, alpha: number, beta: number) => number;
  readonly expr: (e: ExprBuilder, x: Expr, alpha: Expr, beta: Expr) => Expr;
}

const zero = (e: ExprBuilder, x: Expr): Expr => e.constant(0, x.dtype);
const one = (e: ExprBuilder, x: Expr): Expr => e.constant(1, x.dtype);
const exp = (e: ExprBuilder, x: Expr): Expr => e.call('exp', [x]);

const activations: { readonly [name: string]: Activation } = {
  relu: { alpha: 0, beta: 0, number: (x) => Math.max(x, 0), expr: (e, x) => e.max(x, zero(e, x)) },
  tanh: { alpha: 0, beta: 0, number: (x) => Math.tanh(x), expr: (e, x) => e.call('tanh', [x]) },
  sigmoid: { alpha: 0, beta: 0, number: (x) => 1 / (1 + Math.exp(-x)), expr: (e, x) => e.div(one(e, x), e.add(one(e, x), exp(e, e.neg(x)))) },
  affine: { alpha: 1, beta: 0, number: (x, alpha, beta) => alpha * x + beta, expr: (e, x, alpha, beta) => e.add(e.mul(alpha, x), beta) },
  leaky_relu: {
    alpha: 0.01, beta: 0,
    number: (x, alpha) => (x < 0 ? alpha * x : x),
    expr: (e, x, alpha) => e.select(e.lt(x, zero(e, x)), e.mul(alpha, x), x),
  },
  thresholded_relu: {
    alpha: 1, beta: 0,
    number: (x, alpha) => (x > alpha ? x : 0),
    expr: (e, x, alpha) => e.select(e.gt(x, alpha), x, zero(e, x)),
  },
  scaled_tanh: {
    alpha: 1, beta: 1,
    number: (x, alpha, beta) => alpha * Math.tanh(beta * x),
    expr: (e, x, alpha, beta) => e.mul(alpha, e.call('tanh', [e.mul(beta, x)])),
  },
  hard_sigmoid: {
    alpha: 0.2, beta: 0.5,
    number: (x, alpha, beta) => Math.min(Math.max(alpha * x + beta, 0), 1),
    expr: (e, x, alpha, beta) => e.min(e.max(e.add(e.mul(alpha, x), beta), zero(e, x)), one(e, x)),
  },
  elu: {
    alpha: 1, beta: 0,
    number: (x, alpha) => (x < 0 ? alpha * Math.expm1(x) : x),
    expr: (e, x, alpha) => e.select(e.lt(x, zero(e, x)), e.mul(alpha, e.sub(exp(e, x), one(e, x))), x),
  },
  softsign: { alpha: 0, beta: 0, number: (x) => x / (1 + Math.abs(x)), expr: (e, x) => e.div(x, e.add(one(e, x), e.call('abs', [x]))) },
  softplus: {
    alpha: 0, beta: 0,
    number: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    expr: (e, x) => e.add(e.max(x, zero(e, x)), e.call('log', [e.add(one(e, x), exp(e, e.neg(e.call('abs', [x]))))])),
  },
};

/** What the operators' docs say of the attribute `activations`. */
export const activationsDoc =
  '`activations` (null: the defaults) lists the functions as { name, alpha?, beta? }, once for all directions or once per direction; names: relu, tanh, sigmoid, '
  + 'affine (αx + β), leaky_relu (αx for x < 0), thresholded_relu (x where x > α, else 0), scaled_tanh (α·tanh(βx)), hard_sigmoid (αx + β within 0 … 1), elu, softsign, softplus.';

/** One function of the attribute `activations`. */
export interface ChosenActivation {
  readonly name: string;
  readonly alpha: number;
  readonly beta: number;
}

function chosen(value: AttrValue): ChosenActivation {
  const { name, alpha, beta } = value as { readonly name: string; readonly alpha?: number; readonly beta?: number };
  const known = activations[name]!;
  return { name, alpha: alpha ?? known.alpha, beta: beta ?? known.beta };
}

/** The functions by direction. */
export function activationsOf(attribute: AttrValue, defaults: readonly string[], directions: number): ChosenActivation[][] {
  const listed = attribute === null ? defaults.map((name) => chosen({ name })) : (attribute as readonly AttrValue[]).map(chosen);
  return Array.from({ length: directions }, (_, n) =>
    listed.length === defaults.length ? listed : listed.slice(n * defaults.length, (n + 1) * defaults.length));
}

/** Refuses unknown functions and lists of a wrong length. */
export function checkActivations(call: InferCall, defaults: readonly string[], directions: number): void {
  const attribute = call.attrs['activations'];
  if (attribute === null) return;
  if (!Array.isArray(attribute)) call.fail('attribute', 'activations must be null or a list');
  const list = attribute as readonly AttrValue[];
  if (list.length !== defaults.length && list.length !== defaults.length * directions) {
    call.fail('attribute', `activations must list ${defaults.length} functions, or ${defaults.length} per direction, not ${list.length}`);
  }
  for (const item of list) {
    const name = (item as { readonly name?: AttrValue } | null)?.name;
    if (typeof name !== 'string' || !(name in activations)) call.fail('attribute', `unknown activation ${String(name)}`, `Known: ${Object.keys(activations).join(', ')}.`);
  }
}

export const activateNumber = ({ name, alpha, beta }: ChosenActivation, x: number): number => activations[name]!.number(x, alpha, beta);

export const activateExpr = (e: ExprBuilder, { name, alpha, beta }: ChosenActivation, x: Expr): Expr =>
  activations[name]!.expr(e, x, e.constant(alpha, x.dtype), e.constant(beta, x.dtype));
