import type { Attrs, ExprBuilder, OperatorSample, Operator } from '@tenon/plugin';
import { integerRange, isFloat } from '../common/dtypes.ts';
import { allocate, reader, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { forEachWindow, kernelOf, poolAttrs, poolDoc, poolFlops, poolType, reduceWindows } from './pool.ts';
import { windowOf } from './window.ts';

/** The value that no element is below. */
const lowest = (exprs: ExprBuilder, dtype: string) => exprs.constant(isFloat(dtype) ? -Infinity : integerRange(dtype).min, dtype);

const positionLimit = Number.MAX_SAFE_INTEGER;

/** The row-major position in a spatial shape as a column-major one (the first spatial axis varies fastest). */
function columnMajor(position: number, spatial: readonly number[]): number {
  let rest = position;
  let result = 0;
  const index = spatial.map(() => 0);
  for (let i = spatial.length - 1; i >= 0; i--) {
    index[i] = rest % spatial[i]!;
    rest = Math.floor(rest / spatial[i]!);
  }
  for (let i = spatial.length - 1; i >= 0; i--) result = result * spatial[i]! + index[i]!;
  return result;
}

/** Evaluates a max pool; `visit` gets the position in x of each window's maximum, −1 where no tap is inside. */
function evaluate(
  attrs: Attrs, x: Parameters<typeof reader>[0], out: { readonly shape: readonly number[] },
  visit: (position: number, best: number) => void,
): void {
  const read: (i: number) => number | bigint = isFloat(x.dtype) ? reader(x) : (i) => x.data[i] as number | bigint;
  let best = -1;
  forEachWindow(attrs, x, out, () => {
    best = -1;
  }, (p) => {
    const value = read(p);
    // NaN is above everything and stays.
    if (best < 0 || (read(best) === read(best) && (value > read(best) || value !== value))) best = p;
  }, (position) => visit(position, best));
}

const samples = (): OperatorSample[] => [
  sample([arg([2, 3, 8])], { kernel: [3] }),
  sample([arg([1, 2, 7, 6])], { kernel: [3, 2], strides: [2, 2] }),
  sample([arg([1, 2, 7, 6])], { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  sample([arg([1, 2, 7, 8])], { kernel: [3, 3], strides: [2, 2], ceil_mode: true }),
  sample([arg([1, 2, 8, 7])], { kernel: [2, 2], strides: [3, 3], pads: [1, 0, 1, 1], ceil_mode: true }),
  sample([arg([1, 2, 9, 8])], { kernel: [2, 3], dilations: [3, 2], pads: [1, 0, 2, 1] }),
  sample([arg([1, 1, 5, 4, 6])], { kernel: [2, 2, 3], strides: [1, 2, 2], pads: [0, 1, 1, 1, 0, 1] }),
  sample([arg([0, 2, 4, 4])], { kernel: [2, 2] }),
  sample([given([1, NaN, 3, -Infinity, -Infinity, 0], 'f32', [1, 1, 6])], { kernel: [2] }),
  sample([arg([1, 2, 5, 5], 'f64')], { kernel: [2, 2] }),
];

export const maxPool: Operator = {
  name: 'nn.max_pool',
  doc: `The maximum of every window; padding never wins, and NaN wins always. ${poolDoc} Source: ONNX MaxPool-12.`,
  signature: { params: ['x'], attrs: poolAttrs, results: ['out'] },
  facets: {
    infer: (call) => [poolType(call, 'numeric')],
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const nothing = isFloat(x.dtype) ? -Infinity : integerRange(x.dtype).min;
      const write = writer(out);
      evaluate(attrs, x, out, (position, best) => {
        if (best >= 0) out.data[position] = x.data[best] as number;
        else write(position, Number(nothing));
      });
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      reduceWindows(b, attrs, args[0]!, results[0]!, lowest(b.exprs, results[0]!.dtype), (a, e) => b.exprs.max(a, e));
    },
    cost: (call) => ({ flops: poolFlops(call, poolType(call, 'numeric')) }),
    samples: () => [
      ...samples(),
      sample([arg([1, 2, 5, 5], 'u8', [0, 255])], { kernel: [2, 2], pads: [1, 1, 0, 0] }),
      sample([arg([1, 2, 5, 5], 'i8', [-128, 127])], { kernel: [3, 3], pads: [1, 1, 1, 1] }),
      sample([arg([1, 2, 6], 'i64', [-100, 100])], { kernel: [3] }),
    ],
  },
};

export const maxPoolWithIndices: Operator = {
  name: 'nn.max_pool_with_indices',
  doc:
    'The maximum of every window, as nn.max_pool, and where it was found: an i64 position among all elements of x, the first '
    + 'in row-major order among equals, −1 for a window without elements. `storage_order` 0: row-major; 1: the spatial part of '
    + `the position counts the first spatial axis fastest. ${poolDoc} Source: ONNX MaxPool-12.`,
  signature: { params: ['x'], attrs: { ...poolAttrs, storage_order: 0 }, results: ['out', 'indices'] },
  facets: {
    infer(call) {
      const type = poolType(call, 'numeric');
      if (call.attrs['storage_order'] !== 0 && call.attrs['storage_order'] !== 1) call.fail('attribute', 'storage_order must be 0 or 1');
      return [type, { ...type, dtype: 'i64' }];
    },
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const indices = allocate('i64', results[0]!.shape);
      const spatial = x.shape.slice(2);
      const area = spatial.reduce((n, d) => n * d, 1);
      const nothing = isFloat(x.dtype) ? -Infinity : integerRange(x.dtype).min;
      const write = writer(out);
      evaluate(attrs, x, out, (position, best) => {
        if (best >= 0) out.data[position] = x.data[best] as number;
        else write(position, Number(nothing));
        const plane = Math.floor(best / area) * area;
        indices.data[position] = BigInt(attrs['storage_order'] === 0 || best < 0 ? best : plane + columnMajor(best - plane, spatial));
      });
      return [out, indices];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const x = args[0]!;
      const [out, indices] = [results[0]!, results[1]!];
      reduceWindows(b, attrs, x, out, lowest(exprs, out.dtype), (a, e) => exprs.max(a, e));
      const kernel = kernelOf(attrs);
      const window = windowOf(exprs, attrs, kernel.length);
      const spatial = x.shape.slice(2);
      const none = exprs.int(positionLimit);
      const first = b.alloc('first', 'i64', out.shape);
      // Row-major positions within the plane: the lowest is that of the first tap.
      b.reduce(first, kernel, none, (lowestYet, [n, c, ...p], k) => {
        let inside = exprs.constant(true, 'bool');
        let position = exprs.int(0);
        const at = p.map((index, i) => {
          const q = exprs.sub(exprs.add(exprs.mul(index, window.strides[i]!), exprs.mul(k[i]!, window.dilations[i]!)), window.begin[i]!);
          inside = exprs.and(exprs.and(inside, exprs.ge(q, 0)), exprs.lt(q, spatial[i]!));
          position = exprs.add(exprs.mul(position, spatial[i]!), q);
          return q;
        });
        const value = b.load(x, [n!, c!, ...at]);
        const best = b.load(out, [n!, c!, ...p]);
        const same = isFloat(x.dtype)
          ? exprs.or(exprs.eq(value, best), exprs.and(exprs.call('isnan', [value]), exprs.call('isnan', [best])))
          : exprs.eq(value, best);
        return exprs.min(lowestYet, exprs.select(inside, exprs.select(same, position, none), none));
      });
      b.compute(indices, (index) => {
        const position = b.load(first, index);
        const plane = exprs.mul(exprs.add(exprs.mul(index[0]!, x.shape[1]!), index[1]!), exprs.product(spatial));
        let own = position;
        if (attrs['storage_order'] === 1) {
          own = exprs.int(0);
          let below = exprs.product(spatial);
          let step = exprs.int(1);
          for (const size of spatial) {
            below = exprs.floordiv(below, size);
            own = exprs.add(own, exprs.mul(exprs.mod(exprs.floordiv(position, below), size), step));
            step = exprs.mul(step, size);
          }
        }
        return exprs.select(exprs.eq(position, none), -1, exprs.add(plane, own));
      });
    },
    cost: (call) => ({ flops: call.exprs.mul(poolFlops(call, poolType(call, 'numeric')), 2) }),
    samples: () => [
      ...samples(),
      sample([arg([2, 2, 5, 4], 'i32', [0, 3])], { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }),
      sample([arg([2, 2, 5, 4])], { kernel: [2, 2], strides: [2, 2], storage_order: 1 }),
      sample([arg([1, 2, 3, 4, 5])], { kernel: [2, 2, 2], storage_order: 1 }),
    ],
  },
};
