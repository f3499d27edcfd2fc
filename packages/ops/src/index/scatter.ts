import type { Buffer, Expr, InferCall, Operator, TensorBuilder } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { sameDType, tensorOf } from '../common/errors.ts';
import { allocate, elementCount, forEachIndex, reader, strides, type NumericTensor } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { choiceAttr, tensorType } from '../shape/attributes.ts';
import { flatten, knownArgument } from '../shape/movement.ts';
import { readPosition, wrapped64 } from './indices.ts';
import { combined, combiner, reductionAttr, type Reduction } from './reduction.ts';

const copyOf = (x: NumericTensor): NumericTensor => {
  const out = allocate(x.dtype, x.shape);
  out.data.set(x.data as never);
  return out;
};

/** Refuses sizes that differ for sure. */
function sameSize(call: InferCall, a: Expr, b: Expr, what: string): void {
  const { exprs } = call;
  if (exprs.prove(exprs.eq(a, b)) === 'no') call.fail('shape', `${what}: ${exprs.valueOf(a) ?? '?'} and ${exprs.valueOf(b) ?? '?'}`);
}

/** Where `index` is inside 0 … size − 1. */
const inside = (b: TensorBuilder, index: Expr, size: Expr): Expr => b.exprs.and(b.exprs.le(b.exprs.int(0), index), b.exprs.lt(index, size));

const outside = 'Negative indices count from the back; updates outside x are dropped. `reduction` (default none) combines an update with the element that is there by `add`, `mul`, `max` or `min`; ' +
  'with `none` it replaces it. Updates apply in row-major order, so of several updates of an element without reduction the last stays.';

export const scatterElements: Operator = {
  name: 'index.scatter_elements',
  doc: `A copy of x with single elements updated along \`axis\` (default 0): y[…, indices[…, i, …], …] = updates[…, i, …]. indices and updates have one shape, nowhere larger than x but along \`axis\`. ${outside} ONNX ScatterElements.`,
  signature: { params: ['x', 'indices', 'updates'], attrs: { axis: 0, reduction: 'none' }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      const indices = tensorOf(call, 1, 'integer');
      const updates = tensorOf(call, 2);
      sameDType(call, [0, 2]);
      reductionAttr(call, x.dtype);
      const rank = x.shape.length;
      normalizeAxis(call, call.attrs['axis']!, rank);
      if (indices.shape.length !== rank || updates.shape.length !== rank) call.fail('rank', `indices and updates must have rank ${rank}, as x has`);
      indices.shape.forEach((d, a) => sameSize(call, d, updates.shape[a]!, `indices and updates differ along axis ${a}`));
      return [tensorType(x.dtype, x.shape)];
    },
    reference: ({ args, attrs }) => {
      const [x, indices, updates] = args as [NumericTensor, NumericTensor, NumericTensor];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const out = copyOf(x);
      const stride = strides(x.shape);
      const read = reader(indices);
      const update = combiner(out, updates, attrs['reduction'] as Reduction);
      forEachIndex(indices.shape, (index, position) => {
        const given = read(position);
        const size = x.shape[axis]!;
        const target = given < 0 ? given + size : given;
        if (target < 0 || target >= size || index.some((i, a) => a !== axis && i >= x.shape[a]!)) return;
        update(index.reduce((at, i, a) => at + (a === axis ? target : i) * stride[a]!, 0), position);
      });
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, indices, updates] = args as [Buffer, Buffer, Buffer];
      const y = results[0]!;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      b.compute(y, (i) => b.load(x, i));
      // Elements move along `axis` only: iterations over the other axes never meet.
      const others = indices.shape.flatMap((_, a) => (a === axis ? [] : [a]));
      b.block('scatter', others.map((a) => indices.shape[a]!), (outer) => {
        b.loop(indices.shape[axis]!, (along) => {
          const index = indices.shape.map((_, a) => (a === axis ? along : outer[others.indexOf(a)]!));
          const target = b.let(wrapped64(b.exprs, b.load(indices, index), x.shape[axis]!));
          let fits = inside(b, target, x.shape[axis]!);
          for (const a of others) if (b.exprs.prove(b.exprs.le(indices.shape[a]!, x.shape[a]!)) !== 'yes') fits = b.exprs.and(fits, b.exprs.lt(index[a]!, x.shape[a]!));
          const at = index.map((i, a) => (a === axis ? target : i));
          b.if(fits, () => b.store(y, at, combined(b.exprs, attrs['reduction'] as Reduction, () => b.load(y, at), b.load(updates, index))));
        });
      });
    },
    cost: (call) => ({ flops: call.exprs.product(call.tensor(1).shape) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([5, 3], dtype), given([4, 0, 2, -5, 1, 1], 'i64', [2, 3]), arg([2, 3], dtype)])),
      ...(['add', 'mul', 'max', 'min'] as const).flatMap((reduction) => (['f32', 'i32'] as const).map((dtype) =>
        sample([arg([3, 4], dtype), arg([2, 6], 'i32', [-4, 3]), arg([2, 6], dtype)], { axis: -1, reduction }))),
      sample([arg([4]), given([9, -9, 1, 1], 'i64'), arg([4])]),
      sample([arg([3, 2]), arg([0, 2], 'i64'), arg([0, 2])]),
    ],
  },
};

/** The number of axes that an index tuple covers. */
function depthOf(call: InferCall): number {
  const { shape } = call.tensor(1);
  if (shape.length === 0) call.fail('rank', 'indices must have at least one axis');
  const depth = call.exprs.valueOf(shape.at(-1)!);
  if (depth === null) call.fail('symbolic', 'the size of the last axis of indices must be constant: it decides a rank');
  if (depth > call.tensor(0).shape.length) call.fail('shape', `index tuples of ${depth} do not fit x of rank ${call.tensor(0).shape.length}`);
  return depth;
}

export const scatterNd: Operator = {
  name: 'index.scatter_nd',
  doc: `A copy of x with slices updated by index tuples: y[indices[i…, :]…, s…] = updates[i…, s…], where the last axis of indices holds tuples that index the leading axes of x. ${outside} ONNX ScatterND.`,
  signature: { params: ['x', 'indices', 'updates'], attrs: { reduction: 'none' }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      const indices = tensorOf(call, 1, 'integer');
      const updates = tensorOf(call, 2);
      sameDType(call, [0, 2]);
      reductionAttr(call, x.dtype);
      const wanted = [...indices.shape.slice(0, -1), ...x.shape.slice(depthOf(call))];
      if (updates.shape.length !== wanted.length) call.fail('rank', `updates must have rank ${wanted.length}, not ${updates.shape.length}`);
      wanted.forEach((d, a) => sameSize(call, d, updates.shape[a]!, `updates has the wrong size along axis ${a}`));
      return [tensorType(x.dtype, x.shape)];
    },
    reference: ({ args, attrs }) => {
      const [x, indices, updates] = args as [NumericTensor, NumericTensor, NumericTensor];
      const out = copyOf(x);
      const depth = indices.shape.at(-1)!;
      const tuples = elementCount(indices.shape.slice(0, -1));
      const run = elementCount(x.shape.slice(depth));
      const stride = strides(x.shape);
      const read = reader(indices);
      const update = combiner(out, updates, attrs['reduction'] as Reduction);
      for (let t = 0; t < tuples; t++) {
        let at = 0;
        let fits = true;
        for (let a = 0; a < depth; a++) {
          const given = read(t * depth + a);
          const i = given < 0 ? given + x.shape[a]! : given;
          if (i < 0 || i >= x.shape[a]!) fits = false;
          at += i * stride[a]!;
        }
        if (fits) for (let s = 0; s < run; s++) update(at + s, t * run + s);
      }
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, indices, updates] = args as [Buffer, Buffer, Buffer];
      const y = results[0]!;
      const tuples = indices.shape.slice(0, -1);
      const depth = b.exprs.valueOf(indices.shape.at(-1)!)!;
      b.compute(y, (i) => b.load(x, i));
      b.block('scatter', x.shape.slice(depth), (within) => {
        const nest = (tuple: readonly Expr[]): void => {
          if (tuple.length < tuples.length) return b.loop(tuples[tuple.length]!, (i) => nest([...tuple, i]));
          let fits = b.exprs.constant(true, 'bool');
          const target = Array.from({ length: depth }, (_, a) => {
            const i = b.let(wrapped64(b.exprs, b.load(indices, [...tuple, a]), x.shape[a]!));
            fits = b.exprs.and(fits, inside(b, i, x.shape[a]!));
            return i;
          });
          const at = [...target, ...within];
          b.if(fits, () => b.store(y, at, combined(b.exprs, attrs['reduction'] as Reduction, () => b.load(y, at), b.load(updates, [...tuple, ...within]))));
        };
        nest([]);
      });
    },
    cost: (call) => ({ flops: call.exprs.product(call.tensor(2).shape) }),
    shapeValue: (call) => {
      const [x, indices, updates] = [knownArgument(call, 0), knownArgument(call, 1), knownArgument(call, 2)];
      if (x === null || indices === null || updates === null || call.attrs['reduction'] !== 'none') return [null];
      const depth = indices.shape.at(-1)!;
      const run = elementCount(x.shape.slice(depth));
      const elements = [...x.elements];
      for (let t = 0; t < elementCount(indices.shape.slice(0, -1)); t++) {
        const tuple: number[] = [];
        for (let a = 0; a < depth; a++) {
          const i = call.exprs.valueOf(indices.elements[t * depth + a]!);
          if (i === null || i < -x.shape[a]! || i >= x.shape[a]!) return [null];
          tuple.push(readPosition(i, x.shape[a]!));
        }
        const at = flatten(tuple, x.shape.slice(0, depth)) * run;
        for (let s = 0; s < run; s++) elements[at + s] = updates.elements[t * run + s]!;
      }
      return [elements];
    },
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([4, 3], dtype), given([3, -4, 1], 'i64', [3, 1]), arg([3, 3], dtype)])),
      ...(['add', 'mul', 'max', 'min'] as const).map((reduction) => sample([arg([3, 4]), arg([2, 5, 2], 'i32', [-3, 2]), arg([2, 5])], { reduction })),
      sample([arg([4]), given([9, -9, 1, 1], 'i64', [4, 1]), arg([4])]),
      sample([arg([2, 3, 2]), arg([0, 2], 'i64'), arg([0, 2])]),
      sample([arg([2, 3]), arg([1, 0], 'i64'), arg([1, 2, 3])]),
    ],
  },
};

export const tensorScatter: Operator = {
  name: 'index.tensor_scatter',
  doc:
    'A copy of x with `update` written into a window along `axis` (default −2): y[b, …, start[b] + t, …] = update[b, …, t, …]. Axis 0 is the batch; start has one integer per batch (default 0). ' +
    'With `mode` `linear` (default) positions outside are dropped; with `circular` they are taken modulo the size of the axis. Updates apply in order of t. ONNX TensorScatter: a KV-cache update.',
  signature: { params: ['x', 'update', 'start?'], attrs: { axis: -2, mode: 'linear' }, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0);
      const update = tensorOf(call, 1);
      sameDType(call, [0, 1]);
      choiceAttr(call, 'mode', ['linear', 'circular']);
      const axis = normalizeAxis(call, call.attrs['axis']!, x.shape.length);
      if (axis === 0) call.fail('axis', 'axis 0 is the batch');
      if (update.shape.length !== x.shape.length) call.fail('rank', `update must have rank ${x.shape.length}, not ${update.shape.length}`);
      update.shape.forEach((d, a) => {
        if (a !== axis) sameSize(call, d, x.shape[a]!, `update differs from x along axis ${a}`);
      });
      if (call.args[2] != null) {
        const start = tensorOf(call, 2, 'integer');
        if (start.shape.length !== 1) call.fail('rank', 'start must be a vector');
        sameSize(call, start.shape[0]!, x.shape[0]!, 'start must have one element per batch');
      }
      return [tensorType(x.dtype, x.shape)];
    },
    reference: ({ args, attrs }) => {
      const [x, update] = args as [NumericTensor, NumericTensor];
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const size = x.shape[axis]!;
      const start = args[2] ? reader(args[2]) : (): number => 0;
      const out = copyOf(x);
      const stride = strides(x.shape);
      const write = combiner(out, update, 'none');
      forEachIndex(update.shape, (index, position) => {
        let t = start(index[0]!) + index[axis]!;
        if (attrs['mode'] === 'circular') t = size === 0 ? -1 : ((t % size) + size) % size;
        if (t >= 0 && t < size) write(index.reduce((at, i, a) => at + (a === axis ? t : i) * stride[a]!, 0), position);
      });
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const [x, update] = args as [Buffer, Buffer];
      const start = args[2] ?? null;
      const y = results[0]!;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      b.compute(y, (i) => b.load(x, i));
      const others = update.shape.flatMap((_, a) => (a === axis ? [] : [a]));
      b.block('scatter', others.map((a) => update.shape[a]!), (outer) => {
        b.loop(update.shape[axis]!, (t) => {
          const first = start === null ? exprs.int(0) : exprs.cast(b.load(start, [outer[0]!]), 'i64');
          const position = exprs.add(first, t);
          const target = b.let(attrs['mode'] === 'circular' ? exprs.mod(position, x.shape[axis]!) : position);
          const index = update.shape.map((_, a) => (a === axis ? t : outer[others.indexOf(a)]!));
          b.if(inside(b, target, x.shape[axis]!), () => b.store(y, index.map((i, a) => (a === axis ? target : i)), b.load(update, index)));
        });
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64'] as const).map((dtype) => sample([arg([2, 5, 3], dtype), arg([2, 2, 3], dtype), given([1, 3], 'i64')])),
      sample([arg([2, 2, 5, 3]), arg([2, 2, 3, 3]), given([4, 13], 'i64')], { mode: 'circular' }),
      sample([arg([2, 5]), arg([2, 3])], { axis: 1 }),
      sample([arg([2, 3, 1]), arg([2, 2, 1]), given([-1, 2], 'i32')]),
      sample([arg([2, 4, 2]), arg([2, 0, 2]), given([1, 2], 'i64')]),
    ],
  },
};
