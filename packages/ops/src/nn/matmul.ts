import type { Expr, ExprBuilder, InferCall, Operator, TensorType } from '@tenon/plugin';
import { broadcastIndex, broadcastOffsets, broadcastShapes } from '../common/broadcast.ts';
import { sameDType, tensorOf } from '../common/errors.ts';
import { allocate, elementCount } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { sumOfProducts } from './products.ts';

interface Shapes<Size> {
  readonly batchA: readonly Size[];
  readonly batchB: readonly Size[];
  /** null: the operand is a vector. */
  readonly m: Size | null;
  readonly n: Size | null;
  readonly k: Size;
}

function shapesOf<Size>(a: readonly Size[], b: readonly Size[]): Shapes<Size> {
  return {
    batchA: a.slice(0, -2),
    batchB: b.slice(0, -2),
    m: a.length > 1 ? a.at(-2)! : null,
    n: b.length > 1 ? b.at(-1)! : null,
    k: a.at(-1)!,
  };
}

const present = <T>(item: T | null): T[] => (item === null ? [] : [item]);

function flops(exprs: ExprBuilder, out: readonly Expr[], k: Expr): Expr {
  return exprs.mul(exprs.mul(exprs.product(out), k), 2);
}

function resultType(call: InferCall): TensorType {
  const dtype = sameDType(call, [0, 1]);
  const a = tensorOf(call, 0, 'numeric').shape;
  const b = tensorOf(call, 1, 'numeric').shape;
  if (a.length === 0 || b.length === 0) call.fail('rank', 'operands must have at least one axis');
  const { exprs } = call;
  const s = shapesOf(a, b);
  const k = b.length > 1 ? b.at(-2)! : b[0]!;
  const equal = exprs.prove(exprs.eq(s.k, k));
  if (equal !== 'yes') {
    const show = (d: Expr): string => String(exprs.valueOf(d) ?? `an expression of ${exprs.variables(d).join(', ')}`);
    call.fail(
      'inner-size', `the inner sizes ${show(s.k)} and ${show(k)} ${equal === 'no' ? 'differ' : 'may differ'}`,
      equal === 'no' ? undefined : 'Fix or relate the dims so that both sizes are equal.',
    );
  }
  const shape = [...broadcastShapes(call, [s.batchA, s.batchB]), ...present(s.m), ...present(s.n)];
  return { kind: 'tensor', dtype, shape, annotations: {} };
}

export const matmul: Operator = {
  name: 'nn.matmul',
  doc:
    'Matrix product with numpy.matmul\'s shapes: [batch…, M, K] × [batch…, K, N] → [batch…, M, N] with '
    + '`out[…, m, n] = Σ_k a[…, m, k] · b[…, k, n]`. Batch axes broadcast. A vector a counts as one row and a vector b as '
    + 'one column, and the axis of size 1 is left out of the result. Both operands have one numeric dtype; so has the result.',
  signature: { params: ['a', 'b'], attrs: {}, results: ['out'] },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, results }) {
      const [a, b] = [args[0]!, args[1]!];
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const s = shapesOf(a.shape, b.shape);
      const { k } = s;
      const m = s.m ?? 1;
      const n = s.n ?? 1;
      const batch = results[0]!.shape.slice(0, results[0]!.shape.length - present(s.m).length - present(s.n).length);
      const [atA, atB] = [broadcastOffsets(s.batchA, batch), broadcastOffsets(s.batchB, batch)];
      if (elementCount(out.shape) === 0) return [out];
      sumOfProducts(out, a, b, (p, add) => {
        const column = p % n;
        const row = Math.floor(p / n) % m;
        const matrix = Math.floor(p / (m * n));
        const i = (atA[matrix]! * m + row) * k;
        const j = atB[matrix]! * k * n + column;
        for (let r = 0; r < k; r++) add(i + r, j + r * n);
      });
      return [out];
    },
    define({ args, results }, b) {
      const { exprs } = b;
      const [x, y] = [args[0]!, args[1]!];
      const out = results[0]!;
      const s = shapesOf(x.shape, y.shape);
      const inner = present(s.m).length + present(s.n).length;
      b.reduce(out, [s.k], exprs.constant(0, out.dtype), (sum, indices, [k]) => {
        const batch = indices.slice(0, indices.length - inner);
        const row = s.m === null ? [] : [indices[batch.length]!];
        const column = s.n === null ? [] : [indices.at(-1)!];
        const left = b.load(x, [...broadcastIndex(exprs, batch, s.batchA), ...row, k!]);
        const right = b.load(y, [...broadcastIndex(exprs, batch, s.batchB), k!, ...column]);
        return exprs.add(sum, exprs.mul(left, right));
      });
    },
    cost(call) {
      const { shape } = resultType(call);
      return { flops: flops(call.exprs, shape, call.tensor(0).shape.at(-1)!) };
    },
    samples: () => [
      sample([arg([5, 7]), arg([7, 3])]),
      sample([arg([7]), arg([7, 3])]),
      sample([arg([5, 7]), arg([7])]),
      sample([arg([9]), arg([9])]),
      sample([arg([4]), arg([2, 4, 3])]),
      sample([arg([2, 3, 4]), arg([4])]),
      sample([arg([2, 1, 3, 4]), arg([5, 4, 2])]),
      sample([arg([1, 3, 4]), arg([2, 4, 1])]),
      sample([arg([3, 0]), arg([0, 2])]),
      sample([arg([0, 3]), arg([3, 2])]),
      sample([arg([2, 0, 3]), arg([3, 0])]),
      sample([arg([17, 33]), arg([33, 19])]),
      sample([arg([3, 4], 'f64'), arg([4, 5], 'f64')]),
      sample([arg([3, 4], 'i32', [-2147483648, 2147483647]), arg([4, 5], 'i32', [-2147483648, 2147483647])]),
      sample([arg([3, 4], 'i64'), arg([4, 5], 'i64')]),
      sample([arg([3, 4], 'u8', [0, 255]), arg([4, 5], 'u8', [0, 255])]),
    ],
  },
};
