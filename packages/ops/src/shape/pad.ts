import type { Attrs, Expr, ExprBuilder, InferCall, Operator } from '@tenon/plugin';
import { sameDType, tensorOf } from '../common/errors.ts';
import { strides } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { choiceAttr, dimsAttr, dimsOf, tensorType } from './attributes.ts';
import { rearrange } from './movement.ts';

const modes = ['constant', 'reflect', 'edge', 'wrap'] as const;
type Mode = (typeof modes)[number];

/** The position in an axis of `size` elements that position `at` of the padded axis (0 is the first element) repeats. */
function source(mode: Mode, at: number, size: number): number {
  if (at >= 0 && at < size) return at;
  if (mode === 'constant' || size === 0) return -1;
  if (mode === 'edge') return at < 0 ? 0 : size - 1;
  const period = mode === 'wrap' ? size : Math.max(1, 2 * (size - 1));
  const m = ((at % period) + period) % period;
  return m < size ? m : period - m;
}

function sourceExpr(exprs: ExprBuilder, mode: Mode, at: Expr, size: Expr): Expr {
  switch (mode) {
    case 'constant':
      return at;
    case 'edge':
      return exprs.max(exprs.min(at, exprs.sub(size, 1)), 0);
    case 'wrap':
      return exprs.mod(at, size);
    case 'reflect': {
      const twice = exprs.mul(exprs.sub(size, 1), 2);
      const period = exprs.valueOf(twice) === null ? exprs.max(twice, 1) : exprs.int(Math.max(1, exprs.valueOf(twice)!));
      const m = exprs.mod(at, period);
      return exprs.min(m, exprs.sub(period, m));
    }
  }
}

function padded(exprs: ExprBuilder, attrs: Attrs, rank: number): readonly { readonly before: Expr; readonly after: Expr }[] {
  const pads = dimsOf(exprs, attrs['pads']!);
  return Array.from({ length: rank }, (_, i) => ({ before: pads[i]!, after: pads[i + rank]! }));
}

function inferPad(call: InferCall): readonly ReturnType<typeof tensorType>[] {
  const { exprs } = call;
  const x = tensorOf(call, 0);
  const mode = choiceAttr(call, 'mode', modes);
  if (call.args[1] != null) {
    sameDType(call, [0, 1]);
    if (exprs.valueOf(exprs.product(call.tensor(1).shape)) !== 1) call.fail('shape', 'value must have one element');
  }
  const rank = x.shape.length;
  const pads = dimsAttr(call, 'pads', 2 * rank, true);
  const shape = x.shape.map((dim, axis) => {
    const size = exprs.add(exprs.add(dim, pads[axis]!), pads[axis + rank]!);
    if (exprs.prove(exprs.lt(size, 0)) === 'yes') call.fail('size', `padding makes the size of axis ${axis} negative: ${exprs.valueOf(size) ?? '?'}`);
    if (mode !== 'constant' && exprs.valueOf(dim) === 0 && exprs.prove(exprs.lt(size, 1)) === 'no') {
      call.fail('size', `axis ${axis} is empty: there is nothing to repeat in the mode ${mode}`);
    }
    return size;
  });
  return [tensorType(x.dtype, shape)];
}

export const pad: Operator = {
  name: 'shape.pad',
  doc:
    'Adds elements around x: `pads` (required) has for each axis the number before, then for each axis the number after, as dims; negative numbers crop. ' +
    'Added elements are by `mode`: `constant`: the one element of `value` (default 0); `edge`: the nearest element of x; `reflect`: x mirrored at its edge elements, ' +
    'which are not repeated themselves (period 2(n − 1); an axis of size 1 repeats its element); `wrap`: x repeated with period n. Along an axis that turns out to be empty the element is 0. numpy.pad.',
  signature: { params: ['x', 'value?'], attrs: { pads: null, mode: 'constant' }, results: ['y'] },
  facets: {
    infer: inferPad,
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const pads = attrs['pads'] as readonly number[];
      const mode = attrs['mode'] as Mode;
      const stride = strides(x.shape);
      return [rearrange(x, results[0]!.shape, (index) => {
        let from = 0;
        for (let axis = 0; axis < index.length; axis++) {
          const at = source(mode, index[axis]! - pads[axis]!, x.shape[axis]!);
          if (at < 0) return -1;
          from += at * stride[axis]!;
        }
        return from;
      }, args[1] ?? undefined)];
    },
    define: ({ args, attrs, results }, b) => {
      const { exprs } = b;
      const [x, value, y] = [args[0]!, args[1] ?? null, results[0]!];
      const mode = attrs['mode'] as Mode;
      const pads = padded(exprs, attrs, x.shape.length);
      b.compute(y, (indices) => {
        let inside = exprs.constant(true, 'bool');
        const at = indices.map((i, axis) => {
          const { before, after } = pads[axis]!;
          const [low, high] = [exprs.valueOf(before), exprs.valueOf(after)];
          const shifted = exprs.sub(i, before);
          const size = x.shape[axis]!;
          if (low !== null && high !== null && low <= 0 && high <= 0) return shifted;
          if (mode === 'constant') {
            if (low === null || low > 0) inside = exprs.and(inside, exprs.le(exprs.int(0), shifted));
            if (high === null || high > 0) inside = exprs.and(inside, exprs.lt(shifted, size));
          } else if (exprs.valueOf(size) === null) inside = exprs.and(inside, exprs.lt(exprs.int(0), size));
          return sourceExpr(exprs, mode, shifted, size);
        });
        const fill = value === null || mode !== 'constant' ? exprs.constant(0, y.dtype) : b.load(value, value.shape.map(() => exprs.int(0)));
        return exprs.select(inside, b.load(x, at), fill);
      });
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([2, 3], dtype), given([1], dtype, [])], { pads: [1, 0, 2, 3] })),
      sample([arg([4, 5])], { pads: [-1, 2, 1, -2] }),
      ...(['reflect', 'edge', 'wrap'] as const).flatMap((mode) => [
        sample([arg([4, 3])], { pads: [3, 2, 1, 2], mode }),
        sample([arg([3, 1])], { pads: [2, 1, 5, 2], mode }),
        sample([arg([5, 0])], { pads: [2, 0, -1, 0], mode }),
      ]),
      sample([arg([0, 2])], { pads: [1, 1, 1, 0] }),
      sample([arg([]), arg([])], { pads: [] }),
    ],
  },
};
