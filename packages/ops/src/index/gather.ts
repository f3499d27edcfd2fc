import type { Buffer, Expr, InferCall, Operator } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { elementCount, reader, strides } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { tensorType } from '../shape/attributes.ts';
import { flatten, knownArgument, movedContents, rearrange } from '../shape/movement.ts';
import { guardedLoad, readPosition, readPositionExpr } from './indices.ts';

/** Refuses reading from an empty axis where something is read. */
function refuseEmpty(call: InferCall, size: Expr, indices: readonly Expr[]): void {
  if (call.exprs.valueOf(size) === 0 && call.exprs.prove(call.exprs.lt(call.exprs.product(indices), 1)) === 'no') {
    call.fail('size', 'an axis without elements is indexed');
  }
}

function inferGather(call: InferCall): readonly ReturnType<typeof tensorType>[] {
  const x = tensorOf(call, 0);
  const indices = tensorOf(call, 1, 'integer');
  const axis = normalizeAxis(call, call.attrs['axis']!, x.shape.length);
  refuseEmpty(call, x.shape[axis]!, indices.shape);
  return [tensorType(x.dtype, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)])];
}

export const gather: Operator = {
  name: 'index.gather',
  doc:
    'Takes slices of x along `axis` (default 0): y[a…, i…, b…] = x[a…, indices[i…], b…], where a… are the axes before `axis` and b… those after it. ' +
    'Negative indices count from the back; indices outside are clamped. numpy.take.',
  signature: { params: ['x', 'indices'], attrs: { axis: 0 }, results: ['y'] },
  facets: {
    infer: inferGather,
    reference: ({ args, attrs, results }) => {
      const [x, indices] = [args[0]!, args[1]!];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const size = x.shape[axis]!;
      const inner = elementCount(x.shape.slice(axis + 1));
      const count = elementCount(indices.shape);
      const read = reader(indices);
      return [rearrange(x, results[0]!.shape, (_, position) => {
        const outer = Math.floor(position / (count * inner));
        const which = Math.floor(position / inner) % count;
        return (outer * size + readPosition(read(which), size)) * inner + (position % inner);
      })];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, indices] = args as [Buffer, Buffer];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const rank = indices.shape.length;
      b.compute(results[0]!, (i) => {
        const index = b.load(indices, i.slice(axis, axis + rank));
        const at = [...i.slice(0, axis), readPositionExpr(b.exprs, index, x.shape[axis]!), ...i.slice(axis + rank)];
        return guardedLoad(b, x, [x.shape[axis]!], at);
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const [x, indices] = [knownArgument(call, 0), knownArgument(call, 1)];
      if (x === null || indices === null) return [null];
      const axis = axisOf(call.attrs['axis']!, x.shape.length);
      const rank = indices.shape.length;
      const [type] = inferGather(call);
      return movedContents(call, type!.shape, (index) => {
        const which = call.exprs.valueOf(indices.elements[flatten(index.slice(axis, axis + rank), indices.shape)]!);
        if (which === null) return null;
        return x.elements[flatten([...index.slice(0, axis), readPosition(which, x.shape[axis]!), ...index.slice(axis + rank)], x.shape)]!;
      });
    },
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([5, 3], dtype), arg([4], 'i64', [-5, 4])])),
      sample([arg([2, 5, 3]), arg([2, 2], 'i32', [-5, 4])], { axis: -2 }),
      sample([arg([2, 5]), given([-1], 'i64', [])], { axis: 1 }),
      sample([arg([3]), given([9, -9, 1], 'i64')]),
      sample([arg([0, 3]), arg([0], 'i64')]),
      sample([arg([2, 3]), arg([0, 2], 'i64')], { axis: 1 }),
    ],
  },
};

export const gatherElements: Operator = {
  name: 'index.gather_elements',
  doc:
    'Takes single elements of x along `axis` (default 0): y[…, i, …] = x[…, indices[…, i, …], …]. indices has the rank of x and is nowhere larger than x but along `axis`. ' +
    'Negative indices count from the back; indices outside are clamped. numpy.take_along_axis.',
  signature: { params: ['x', 'indices'], attrs: { axis: 0 }, results: ['y'] },
  facets: {
    infer: (call) => {
      const { exprs } = call;
      const x = tensorOf(call, 0);
      const indices = tensorOf(call, 1, 'integer');
      if (indices.shape.length !== x.shape.length) call.fail('rank', `indices must have rank ${x.shape.length}, not ${indices.shape.length}`);
      const axis = normalizeAxis(call, call.attrs['axis']!, x.shape.length);
      indices.shape.forEach((d, i) => {
        if (i !== axis && exprs.prove(exprs.le(d, x.shape[i]!)) === 'no') call.fail('shape', `indices is larger than x along axis ${i}`);
      });
      refuseEmpty(call, x.shape[axis]!, indices.shape);
      return [tensorType(x.dtype, indices.shape)];
    },
    reference: ({ args, attrs, results }) => {
      const [x, indices] = [args[0]!, args[1]!];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const stride = strides(x.shape);
      const read = reader(indices);
      return [rearrange(x, results[0]!.shape, (index, position) =>
        index.reduce((at, i, a) => at + (a === axis ? readPosition(read(position), x.shape[axis]!) : i) * stride[a]!, 0))];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, indices] = args as [Buffer, Buffer];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      b.compute(results[0]!, (i) => {
        const at = i.map((index, a) => {
          if (a === axis) return readPositionExpr(b.exprs, b.load(indices, i), x.shape[axis]!);
          // Sizes that are not known to be in order are kept from reading outside.
          return b.exprs.prove(b.exprs.le(indices.shape[a]!, x.shape[a]!)) === 'yes' ? index : readPositionExpr(b.exprs, index, x.shape[a]!);
        });
        return guardedLoad(b, x, x.shape.filter((d, a) => a === axis || d !== indices.shape[a]), at);
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([5, 3], dtype), arg([2, 3], 'i64', [-5, 4])])),
      sample([arg([3, 4, 2]), arg([2, 7, 1], 'i32', [-4, 3])], { axis: -2 }),
      sample([arg([3]), given([9, -9], 'i64')]),
      sample([arg([3, 2]), arg([0, 2], 'i64')]),
    ],
  },
};

/** How many leading axes of indices and x are batches, and how many axes of x an index tuple covers. */
function tupleOf(call: InferCall): { readonly batch: number; readonly depth: number } {
  const { exprs } = call;
  const x = tensorOf(call, 0);
  const indices = tensorOf(call, 1, 'integer');
  const batch = call.attrs['batch_dims'] ?? 0;
  if (indices.shape.length === 0) call.fail('rank', 'indices must have at least one axis');
  const depth = exprs.valueOf(indices.shape.at(-1)!);
  if (depth === null) call.fail('symbolic', 'the size of the last axis of indices must be constant: it decides a rank');
  if (typeof batch !== 'number' || !Number.isInteger(batch) || batch < 0 || batch >= indices.shape.length || batch + depth > x.shape.length) {
    call.fail('shape', `index tuples of ${depth} after ${String(batch)} batch axes do not fit x of rank ${x.shape.length} and indices of rank ${indices.shape.length}`);
  }
  return { batch, depth };
}

export const gatherNd: Operator = {
  name: 'index.gather_nd',
  doc:
    'Takes slices of x by index tuples: the last axis of indices holds tuples that index the axes of x after the first `batch_dims` (default 0), which x and indices share. ' +
    'y[b…, i…, s…] = x[b…, indices[b…, i…, :]…, s…]. Negative indices count from the back; indices outside are clamped. ONNX GatherND.',
  signature: { params: ['x', 'indices'], attrs: { batch_dims: 0 }, results: ['y'] },
  facets: {
    infer: (call) => {
      const { exprs } = call;
      const x = tensorOf(call, 0);
      const indices = tensorOf(call, 1);
      const { batch, depth } = tupleOf(call);
      for (let a = 0; a < batch; a++) {
        if (exprs.prove(exprs.eq(x.shape[a]!, indices.shape[a]!)) === 'no') call.fail('shape', `batch axis ${a} has sizes ${exprs.valueOf(x.shape[a]!) ?? '?'} and ${exprs.valueOf(indices.shape[a]!) ?? '?'}`);
      }
      for (let a = batch; a < batch + depth; a++) refuseEmpty(call, x.shape[a]!, indices.shape);
      return [tensorType(x.dtype, [...indices.shape.slice(0, -1), ...x.shape.slice(batch + depth)])];
    },
    reference: ({ args, attrs, results }) => {
      const [x, indices] = [args[0]!, args[1]!];
      const batch = attrs['batch_dims'] as number;
      const depth = indices.shape.at(-1)!;
      const tuples = indices.shape.slice(0, -1);
      const stride = strides(x.shape);
      const read = reader(indices);
      return [rearrange(x, results[0]!.shape, (index) => {
        const tuple = flatten(index.slice(0, tuples.length), tuples) * depth;
        let at = 0;
        for (let a = 0; a < x.shape.length; a++) {
          const i = a < batch ? index[a]! : a < batch + depth ? readPosition(read(tuple + a - batch), x.shape[a]!) : index[tuples.length + a - batch - depth]!;
          at += i * stride[a]!;
        }
        return at;
      })];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, indices] = args as [Buffer, Buffer];
      const batch = attrs['batch_dims'] as number;
      const depth = b.exprs.valueOf(indices.shape.at(-1)!)!;
      const rank = indices.shape.length - 1;
      b.compute(results[0]!, (i) => {
        const tuple = i.slice(0, rank);
        const at = x.shape.map((size, a) => {
          if (a < batch) return size === indices.shape[a] ? i[a]! : readPositionExpr(b.exprs, i[a]!, size);
          return a < batch + depth ? readPositionExpr(b.exprs, b.load(indices, [...tuple, a - batch]), size) : i[rank + a - batch - depth]!;
        });
        return guardedLoad(b, x, x.shape.filter((d, a) => (a < batch ? d !== indices.shape[a] : a < batch + depth)), at);
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const [x, indices] = [knownArgument(call, 0), knownArgument(call, 1)];
      if (x === null || indices === null) return [null];
      const { batch, depth } = tupleOf(call);
      const tuples = indices.shape.slice(0, -1);
      const shape = [...tuples, ...x.shape.slice(batch + depth)].map((d) => call.exprs.int(d));
      return movedContents(call, shape, (index) => {
        const tuple = flatten(index.slice(0, tuples.length), tuples) * depth;
        const at: number[] = [];
        for (let a = 0; a < x.shape.length; a++) {
          const i = a < batch ? index[a]! : a < batch + depth ? call.exprs.valueOf(indices.elements[tuple + a - batch]!) : index[tuples.length + a - batch - depth]!;
          if (i === null) return null;
          at.push(a < batch + depth && a >= batch ? readPosition(i, x.shape[a]!) : i);
        }
        return x.elements[flatten(at, x.shape)]!;
      });
    },
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([3, 4, 2], dtype), arg([5, 2], 'i64', [-3, 2])])),
      sample([arg([3, 4, 2]), arg([2, 3, 3], 'i32', [-2, 1])]),
      sample([arg([2, 3, 4]), arg([2, 5, 1], 'i64', [-3, 2])], { batch_dims: 1 }),
      sample([arg([2, 3, 4]), arg([2, 3, 1], 'i64', [-4, 3])], { batch_dims: 2 }),
      sample([arg([3, 2]), arg([0, 1], 'i64')]),
      sample([arg([3]), arg([1], 'i64', [0, 2])]),
    ],
  },
};
