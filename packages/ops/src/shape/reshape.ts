import type { Expr, ExprBuilder, InferCall, Operator } from '@tenon/plugin';
import { tensorOf } from '../common/errors.ts';
import { arg, sample } from '../common/samples.ts';
import { dimsAttr, tensorType } from './attributes.ts';
import { flattenExprs, unflattenExprs } from './movement.ts';

/**
 * Indices into a tensor of shape `from` for indices of the same elements seen as shape `to`. Axes are grouped where
 * products of leading sizes agree, so that untouched axes keep their plain index.
 */
export function reshapedIndices(exprs: ExprBuilder, from: readonly Expr[], to: readonly Expr[], indices: readonly Expr[]): Expr[] {
  if ([...from, ...to].some((d) => exprs.valueOf(d) === 0)) return from.map(() => exprs.int(0)); // nothing is read
  const isOne = (d: Expr | undefined): boolean => d !== undefined && exprs.valueOf(d) === 1;
  const result: Expr[] = [];
  let i = 0;
  let j = 0;
  while (i < from.length) {
    if (isOne(from[i])) {
      result.push(exprs.int(0));
      i++;
      continue;
    }
    if (isOne(to[j])) {
      j++;
      continue;
    }
    const [a, b] = groupEnd(exprs, from.slice(i), to.slice(j));
    const flat = flattenExprs(exprs, indices.slice(j, j + b), to.slice(j, j + b));
    result.push(...unflattenExprs(exprs, flat, from.slice(i, i + a)));
    i += a;
    j += b;
  }
  return result;
}

/** How many leading axes of each shape make the smallest group with the same number of elements. */
function groupEnd(exprs: ExprBuilder, from: readonly Expr[], to: readonly Expr[]): readonly [number, number] {
  const products = new Map<Expr, number>();
  let product: Expr = exprs.int(1);
  to.forEach((d, b) => {
    product = exprs.mul(product, d);
    if (!products.has(product)) products.set(product, b + 1);
  });
  product = exprs.int(1);
  for (const [a, d] of from.entries()) {
    product = exprs.mul(product, d);
    const b = products.get(product);
    if (b !== undefined) return [a + 1, b];
  }
  return [from.length, to.length];
}

function inferReshape(call: InferCall): readonly [ReturnType<typeof tensorType>] {
  const { exprs } = call;
  const x = tensorOf(call, 0);
  const shape = dimsAttr(call, 'shape');
  const before = exprs.product(x.shape);
  const after = exprs.product(shape);
  if (exprs.prove(exprs.eq(before, after)) === 'no') {
    const show = (dims: readonly Expr[]): string => `[${dims.map((d) => exprs.valueOf(d) ?? (exprs.variables(d).join(', ') || '?')).join(', ')}]`;
    call.fail('reshape', `${show(x.shape)} cannot be reshaped to ${show(shape)}: the numbers of elements differ`);
  }
  return [tensorType(x.dtype, shape)];
}

export const reshape: Operator = {
  name: 'shape.reshape',
  doc: 'The elements of x in the same row-major order, as a tensor of shape `shape` (a list of dims, required) with the same number of elements.',
  signature: { params: ['x'], attrs: { shape: null }, results: ['y'] },
  facets: {
    view: true,
    infer: inferReshape,
    reference: ({ args, results }) => [{ ...args[0]!, shape: results[0]!.shape }],
    define: ({ args, results }, b) => {
      const [x, y] = [args[0]!, results[0]!];
      b.compute(y, (i) => b.load(x, reshapedIndices(b.exprs, x.shape, y.shape, i)));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0), bytes: exprs.int(0) }),
    shapeValue: (call) => [call.contents(0)],
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([2, 3, 4], dtype)], { shape: [6, 4] })),
      sample([arg([2, 3, 4])], { shape: [3, 8] }),
      sample([arg([2, 3, 4])], { shape: [2, 2, 6] }),
      sample([arg([5, 6])], { shape: [1, 5, 1, 2, 3, 1] }),
      sample([arg([1, 7, 1])], { shape: [7] }),
      sample([arg([1, 1])], { shape: [] }),
      sample([arg([])], { shape: [1, 1, 1] }),
      sample([arg([2, 0, 3])], { shape: [0, 5] }),
      sample([arg([4, 9])], { shape: [6, 6] }),
    ],
  },
};
