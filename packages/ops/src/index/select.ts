import type { Buffer, Expr, InferCall, Operator } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { isFloat } from '../common/dtypes.ts';
import { sameDType, tensorOf } from '../common/errors.ts';
import { allocate, bigReader, elementCount, reader } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { dimOf, tensorType } from '../shape/attributes.ts';
import { copyElement, rearrange } from '../shape/movement.ts';
import { wrapped64 } from './indices.ts';

function depthOf(call: InferCall): Expr {
  if (call.attrs['depth'] === null) call.fail('attribute', 'depth must be a dim');
  const depth = dimOf(call.exprs, call.attrs['depth']!);
  if (call.exprs.prove(call.exprs.lt(depth, 0)) === 'yes') call.fail('size', 'depth is negative');
  return depth;
}

export const oneHot: Operator = {
  name: 'index.one_hot',
  doc:
    'Adds an axis of `depth` (a dim, required) elements before axis `axis` of the result (default −1: last) that is `on` at the index and `off` elsewhere: ' +
    'y[…, k, …] = k = indices[…] ? on : off. Negative indices count from the back; an index outside gives `off` everywhere. on and off have one element and one dtype.',
  signature: { params: ['indices', 'on', 'off'], attrs: { depth: null, axis: -1 }, results: ['y'] },
  facets: {
    infer: (call) => {
      const indices = tensorOf(call, 0, 'integer');
      const dtype = sameDType(call, [1, 2]);
      for (const i of [1, 2]) if (call.exprs.valueOf(call.exprs.product(call.tensor(i).shape)) !== 1) call.fail('shape', 'on and off must have one element');
      const axis = normalizeAxis(call, call.attrs['axis']!, indices.shape.length + 1);
      return [tensorType(dtype, [...indices.shape.slice(0, axis), depthOf(call), ...indices.shape.slice(axis)])];
    },
    reference: ({ args, attrs, results }) => {
      const [indices, on, off] = [args[0]!, args[1]!, args[2]!];
      const { shape } = results[0]!;
      const axis = axisOf(attrs['axis']!, shape.length);
      const depth = shape[axis]!;
      const inner = elementCount(shape.slice(axis + 1));
      const read = reader(indices);
      return [rearrange(on, shape, (index, position) => {
        const i = read(Math.floor(position / (depth * inner)) * inner + (position % inner));
        return index[axis] === (i < 0 ? i + depth : i) ? 0 : -1;
      }, off)];
    },
    define: ({ args, attrs, results }, b) => {
      const [indices, on, off] = args as [Buffer, Buffer, Buffer];
      const y = results[0]!;
      const axis = axisOf(attrs['axis']!, y.shape.length);
      const only = (x: Buffer): Expr => b.load(x, x.shape.map(() => b.exprs.int(0)));
      b.compute(y, (i) => {
        const index = b.load(indices, i.filter((_, a) => a !== axis));
        return b.exprs.select(b.exprs.eq(i[axis]!, wrapped64(b.exprs, index, y.shape[axis]!)), only(on), only(off));
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([3, 2], 'i64', [-4, 3]), given([1], dtype, []), given([0], dtype, [])], { depth: 4 })),
      sample([arg([3, 2], 'i32', [-9, 9]), given([2.5], 'f32', [1]), given([-1], 'f32', [1])], { depth: 5, axis: 1 }),
      sample([given([1], 'i64', []), given([3]), given([2])], { depth: 3, axis: 0 }),
      sample([arg([0], 'i64'), given([3]), given([2])], { depth: 3 }),
      sample([arg([2], 'i64'), given([3]), given([2])], { depth: 0 }),
    ],
  },
};

export const topK: Operator = {
  name: 'index.topk',
  doc:
    'The `k` (a dim, required) largest elements of x along `axis` (default −1), or with `largest: false` the smallest, in that order, and their indices (i64). ' +
    'Among equal elements the one with the lower index comes first. NaN counts as larger than every number. k is at most the size of the axis.',
  signature: { params: ['x'], attrs: { k: null, axis: -1, largest: true }, results: ['values', 'indices'] },
  facets: {
    infer: (call) => {
      const { exprs } = call;
      const x = tensorOf(call, 0, 'numeric');
      const axis = normalizeAxis(call, call.attrs['axis']!, x.shape.length);
      if (call.attrs['k'] === null) call.fail('attribute', 'k must be a dim');
      const k = dimOf(exprs, call.attrs['k']!);
      if (exprs.prove(exprs.lt(k, 0)) === 'yes' || exprs.prove(exprs.le(k, x.shape[axis]!)) === 'no') {
        call.fail('size', `k is ${exprs.valueOf(k) ?? '?'}, the axis has ${exprs.valueOf(x.shape[axis]!) ?? '?'} elements`);
      }
      const shape = x.shape.map((d, a) => (a === axis ? k : d));
      return [tensorType(x.dtype, shape), tensorType('i64', shape)];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const [size, k] = [x.shape[axis]!, results[0]!.shape[axis]!];
      const inner = elementCount(x.shape.slice(axis + 1));
      const outer = elementCount(x.shape.slice(0, axis));
      const values = allocate(x.dtype, results[0]!.shape);
      const indices = allocate('i64', results[1]!.shape);
      const sign = attrs['largest'] ? 1 : -1;
      const read: (i: number) => number | bigint = isFloat(x.dtype) ? reader(x) : bigReader(x);
      const compare = (a: number | bigint, b: number | bigint): number => {
        const [aNaN, bNaN] = [a !== a, b !== b];
        return aNaN || bNaN ? Number(bNaN) - Number(aNaN) : a > b ? -1 : a < b ? 1 : 0;
      };
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          const start = o * size * inner + i;
          const order = Array.from({ length: size }, (_, j) => j).sort((a, b) => sign * compare(read(start + a * inner), read(start + b * inner)) || a - b);
          for (let j = 0; j < k; j++) {
            const at = (o * k + j) * inner + i;
            copyElement(x.data as Float64Array, start + order[j]! * inner, values.data, at);
            (indices.data as BigInt64Array)[at] = BigInt(order[j]!);
          }
        }
      }
      return [values, indices];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const x = args[0]!;
      const [values, indices] = results as [Buffer, Buffer];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const k = values.shape[axis]!;
      const precedes = (a: Expr, c: Expr): Expr => {
        const [low, high] = attrs['largest'] ? [c, a] : [a, c];
        const less = exprs.lt(low, high);
        if (!isFloat(x.dtype)) return less;
        return exprs.or(less, exprs.and(exprs.call('isnan', [high]), exprs.not(exprs.call('isnan', [low]))));
      };
      // Insertion into the sorted results: k·size steps at worst, few where most elements stay out.
      b.block('topk', x.shape.filter((_, a) => a !== axis), (outer) => {
        const at = (i: Expr): Expr[] => [...outer.slice(0, axis), i, ...outer.slice(axis)];
        const place = b.local('place', 'i64', [1]);
        const p = (): Expr => b.load(place, [0]);
        b.loop(x.shape[axis]!, (j) => {
          const value = b.let(b.load(x, at(j)));
          b.store(place, [0], exprs.min(j, k));
          b.while(
            // A select, not `and`: with k = 0 there is nothing to compare with.
            () => exprs.select(exprs.lt(exprs.int(0), p()), precedes(value, b.load(values, at(exprs.sub(p(), 1)))), exprs.constant(false, 'bool')),
            () => {
              b.if(exprs.lt(p(), k), () => {
                b.store(values, at(p()), b.load(values, at(exprs.sub(p(), 1))));
                b.store(indices, at(p()), b.load(indices, at(exprs.sub(p(), 1))));
              });
              b.store(place, [0], exprs.sub(p(), 1));
            },
          );
          b.if(exprs.lt(p(), k), () => {
            b.store(values, at(p()), value);
            b.store(indices, at(p()), j);
          });
        });
      });
    },
    cost: (call) => ({ flops: call.exprs.product(call.tensor(0).shape) }),
    samples: () => [
      ...(['f32', 'i64', 'i32', 'u8'] as const).map((dtype) => sample([arg([3, 7], dtype, dtype === 'u8' ? [0, 4] : [-3, 3])], { k: 4 })),
      ...[true, false].map((largest) => sample([given([1, NaN, 3, -Infinity, NaN, 3, 0], 'f32')], { k: 7, largest })),
      sample([arg([2, 5, 3], 'i32', [0, 2])], { k: 3, axis: 1, largest: false }),
      sample([arg([4])], { k: 0 }),
      sample([arg([0, 4])], { k: 2 }),
      sample([arg([3, 1])], { k: 1 }),
    ],
  },
};
