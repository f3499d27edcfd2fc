import type { Attrs, Expr, ExprBuilder, InferCall, Operator } from '@tenon/plugin';
import { axesOf, normalizeAxes } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { strides } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { dimsAttr, dimsOf, tensorType } from './attributes.ts';
import { flatten, knownArgument, movedContents, rearrange } from './movement.ts';

/** Per axis of x: where the slice starts and how far apart its elements are; null where the axis is taken whole. */
function slicedAxes(exprs: ExprBuilder, attrs: Attrs, rank: number): ({ readonly start: Expr; readonly step: Expr } | null)[] {
  const starts = dimsOf(exprs, attrs['starts']!);
  const steps = attrs['steps'] === null ? starts.map(() => exprs.int(1)) : dimsOf(exprs, attrs['steps']!);
  const result: ({ start: Expr; step: Expr } | null)[] = Array.from({ length: rank }, () => null);
  axesOf(attrs['axes'] ?? starts.map((_, i) => i), rank).forEach((axis, i) => {
    result[axis] = { start: starts[i]!, step: steps[i]! };
  });
  return result;
}

function inferSlice(call: InferCall): readonly ReturnType<typeof tensorType>[] {
  const { exprs } = call;
  const x = tensorOf(call, 0);
  const starts = dimsAttr(call, 'starts', null, true);
  const axes = normalizeAxes(call, call.attrs['axes'] ?? starts.map((_, i) => i), x.shape.length);
  const sizes = dimsAttr(call, 'sizes', starts.length);
  const steps = call.attrs['steps'] === null ? starts.map(() => exprs.int(1)) : dimsAttr(call, 'steps', starts.length, true);
  if (axes.length !== starts.length) call.fail('attribute', `axes must have ${starts.length} elements, as starts has, not ${axes.length}`);
  const shape = [...x.shape];
  axes.forEach((axis, i) => {
    const [start, size, step, dim] = [starts[i]!, sizes[i]!, steps[i]!, x.shape[axis]!];
    const last = exprs.add(start, exprs.mul(exprs.sub(size, 1), step));
    const inside = (at: Expr): boolean => exprs.prove(exprs.lt(at, 0)) !== 'yes' && exprs.prove(exprs.lt(at, dim)) !== 'no';
    if (exprs.prove(exprs.lt(size, 1)) === 'no' && !(inside(start) && inside(last))) {
      call.fail('slice', `${exprs.valueOf(size) ?? '?'} elements from ${exprs.valueOf(start) ?? '?'} on in steps of ${exprs.valueOf(step) ?? '?'} leave axis ${axis} of size ${exprs.valueOf(dim) ?? '?'}`);
    }
    shape[axis] = size;
  });
  return [tensorType(x.dtype, shape)];
}

export const slice: Operator = {
  name: 'shape.slice',
  doc:
    'Along each of `axes` (default: the leading ones), `sizes[i]` elements from `starts[i]` on, `steps[i]` apart (default 1; may be negative): y[j] = x[start + j·step]. ' +
    '`starts` and `sizes` are required lists of dims, `steps` are dims too; starts count from the front, and no element may lie outside x.',
  signature: { params: ['x'], attrs: { starts: null, sizes: null, axes: null, steps: null }, results: ['y'] },
  facets: {
    infer: inferSlice,
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const starts = attrs['starts'] as readonly number[];
      const steps = attrs['steps'] as readonly number[] | null;
      const stride = strides(x.shape);
      const scale = [...stride];
      let origin = 0;
      axesOf(attrs['axes'] ?? starts.map((_, i) => i), x.shape.length).forEach((axis, i) => {
        origin += starts[i]! * stride[axis]!;
        scale[axis] = stride[axis]! * (steps?.[i] ?? 1);
      });
      return [rearrange(x, results[0]!.shape, (index) => index.reduce((at, i, axis) => at + i * scale[axis]!, origin))];
    },
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const sliced = slicedAxes(b.exprs, attrs, x.shape.length);
      b.compute(results[0]!, (indices) =>
        b.load(x, indices.map((i, axis) => {
          const s = sliced[axis];
          return s ? b.exprs.add(s.start, b.exprs.mul(i, s.step)) : i;
        })));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const x = knownArgument(call, 0);
      if (x === null) return [null];
      const [type] = inferSlice(call);
      const sliced = slicedAxes(call.exprs, call.attrs, x.shape.length);
      return movedContents(call, type!.shape, (index) => {
        const at = index.map((i, axis) => {
          const s = sliced[axis];
          return s ? call.exprs.valueOf(call.exprs.add(s.start, call.exprs.mul(s.step, i))) : i;
        });
        return at.every((i, axis) => i !== null && i >= 0 && i < x.shape[axis]!) ? x.elements[flatten(at as number[], x.shape)]! : null;
      });
    },
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([5, 7], dtype)], { starts: [1, 2], sizes: [3, 4] })),
      sample([arg([5, 7])], { starts: [6], sizes: [3], axes: [-1], steps: [-2] }),
      sample([arg([5, 7])], { starts: [0, 4], sizes: [3, 5], axes: [1, 0], steps: [3, -1] }),
      sample([arg([5, 7])], { starts: [1, 0], sizes: [2, 3], axes: [1, 0], steps: [3, 2] }),
      sample([arg([5, 7])], { starts: [2], sizes: [0], axes: [0] }),
      sample([arg([0, 3])], { starts: [1], sizes: [2], axes: [1] }),
      sample([arg([4])], { starts: [], sizes: [] }),
    ],
  },
};
