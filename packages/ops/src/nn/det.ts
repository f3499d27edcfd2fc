import type { InferCall, Operator, TensorType } from '@tenon/plugin';
import { rankBetween, tensorOf } from '../common/errors.ts';
import { allocate, numbers, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';

function resultType(call: InferCall): TensorType {
  const { exprs } = call;
  const { dtype } = tensorOf(call, 0, 'float');
  const x = rankBetween(call, 0, 2, Infinity);
  if (exprs.prove(exprs.eq(x.at(-1)!, x.at(-2)!)) !== 'yes') call.fail('shape', 'the last two axes must have one size');
  return { kind: 'tensor', dtype, shape: x.slice(0, -2), annotations: {} };
}

/** By Gaussian elimination with partial pivoting; `a` (n × n, row-major) is overwritten. */
function determinant(a: Float64Array, n: number): number {
  let result = 1;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(a[i * n + k]!) > Math.abs(a[pivot * n + k]!)) pivot = i;
    if (pivot !== k) {
      result = -result;
      for (let j = k; j < n; j++) [a[k * n + j], a[pivot * n + j]] = [a[pivot * n + j]!, a[k * n + j]!];
    }
    const head = a[k * n + k]!;
    result *= head;
    if (head === 0) return result;
    for (let i = k + 1; i < n; i++) {
      const factor = a[i * n + k]! / head;
      for (let j = k + 1; j < n; j++) a[i * n + j]! -= factor * a[k * n + j]!;
    }
  }
  return result;
}

export const det: Operator = {
  name: 'nn.det',
  doc: 'The determinants of matrices x [batch…, n, n], giving [batch…]; 1 for n = 0. Source: ONNX Det-22, numpy.linalg.det.',
  signature: { params: ['x'], attrs: {}, results: ['out'] },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const write = writer(out);
      const n = x.shape.at(-1)!;
      const values = numbers(x);
      for (let p = 0; p < out.data.length; p++) write(p, determinant(values.slice(p * n * n, (p + 1) * n * n), n));
      return [out];
    },
    define({ args, results }, b) {
      const { exprs } = b;
      const x = args[0]!;
      const out = results[0]!;
      const { dtype } = out;
      const n = x.shape.at(-1)!;
      b.block('det', out.shape, (batch) => {
        const a = b.local('a', dtype, [n, n]);
        const result = b.local('result', dtype, [1]);
        const pivot = b.local('pivot', 'i64', [1]);
        b.loop(n, (i) => b.loop(n, (j) => b.store(a, [i, j], b.load(x, [...batch, i, j]))));
        b.store(result, [0], exprs.constant(1, dtype));
        const magnitude = (i: typeof n, k: typeof n) => exprs.call('abs', [b.load(a, [i, k])]);
        b.loop(n, (k) => {
          b.store(pivot, [0], k);
          b.loop(n, (i) => {
            const larger = exprs.lt(magnitude(b.load(pivot, [0]), k), magnitude(i, k));
            b.if(exprs.and(exprs.lt(k, i), larger), () => b.store(pivot, [0], i));
          });
          const p = b.let(b.load(pivot, [0]));
          b.if(exprs.ne(p, k), () => {
            b.store(result, [0], exprs.neg(b.load(result, [0])));
            b.loop(n, (j) => {
              const upper = b.let(b.load(a, [k, j]));
              b.store(a, [k, j], b.load(a, [p, j]));
              b.store(a, [p, j], upper);
            });
          });
          const head = b.let(b.load(a, [k, k]));
          b.store(result, [0], exprs.mul(b.load(result, [0]), head));
          b.loop(n, (i) => {
            b.if(exprs.and(exprs.lt(k, i), exprs.ne(head, exprs.constant(0, dtype))), () => {
              const factor = b.let(exprs.div(b.load(a, [i, k]), head));
              b.loop(n, (j) => {
                b.if(exprs.lt(k, j), () => b.store(a, [i, j], exprs.sub(b.load(a, [i, j]), exprs.mul(factor, b.load(a, [k, j])))));
              });
            });
          });
        });
        b.store(out, batch, b.load(result, [0]));
      });
    },
    cost(call) {
      const { exprs } = call;
      const { shape } = resultType(call);
      const n = call.tensor(0).shape.at(-1)!;
      return { flops: exprs.mul(exprs.product(shape), exprs.product([n, n, n])) };
    },
    samples: () => [
      sample([arg([2, 2])]),
      sample([arg([3, 5, 5])], {}, 1e-4),
      sample([arg([2, 1, 3, 3], 'f64')]),
      sample([given([0, 1, 2, 0], 'f32', [2, 2])]),
      sample([given([1, 2, 2, 4], 'f32', [2, 2])]),
      sample([given([0, 0, 0, 0], 'f32', [1, 2, 2])]),
      sample([arg([3, 0, 0])]),
      sample([arg([0, 2, 2])]),
      sample([arg([2, 1, 1])]),
    ],
  },
};
