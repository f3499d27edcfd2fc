import type { Attrs, Expr, InferCall, Operator, TensorType } from '@tenon/plugin';
import { optionalTensor, rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex, reader, strides, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { checkBias, groupsOf } from './conv.ts';
import { interpolate, interpolateNumbers, linearTaps } from './interpolate.ts';
import { checkWindow, concreteWindow, windowOf, windowSizes } from './window.ts';

function resultType(call: InferCall): TensorType {
  const { exprs, attrs } = call;
  const dtype = sameDType(call, [0, 1, 2, 3, 4]);
  tensorOf(call, 0, 'float');
  const x = rankBetween(call, 0, 3, 5);
  const w = rankBetween(call, 1, x.length);
  const offset = rankBetween(call, 2, x.length);
  const spatial = x.length - 2;
  checkWindow(call, spatial);
  const groups = groupsOf(call, [x[1]!, w[0]!]);
  if (exprs.prove(exprs.eq(x[1]!, exprs.mul(w[1]!, groups))) !== 'yes') call.fail('channels', 'the weights are for another number of input channels');
  const parts = attrs['offset_groups'];
  if (typeof parts !== 'number' || !Number.isInteger(parts) || parts < 1 || exprs.divisor(x[1]!) % parts !== 0) {
    call.fail('groups', 'offset_groups must be a positive integer that divides the channels');
  }
  checkBias(call, 3, w[0]!);
  const shape = [x[0]!, w[0]!, ...windowSizes(call, x.slice(2), w.slice(2))];
  const taps = exprs.mul(exprs.product(w.slice(2)), parts);
  const expected = (channels: Expr): Expr[] => [x[0]!, channels, ...shape.slice(2)];
  const check = (name: string, given: readonly Expr[], wanted: readonly Expr[]): void => {
    if (given.length !== wanted.length || given.some((d, i) => exprs.prove(exprs.eq(d, wanted[i]!)) !== 'yes')) {
      call.fail('shape', `${name} must have ${name === 'mask' ? 'one channel' : `${spatial} channels`} per tap and offset group, and the result's spatial sizes`);
    }
  };
  check('offset', offset, expected(exprs.mul(taps, spatial)));
  const mask = optionalTensor(call, 4);
  if (mask !== null) check('mask', mask.shape, expected(taps));
  return { kind: 'tensor', dtype, shape, annotations: {} };
}

const partsOf = (attrs: Attrs): number => attrs['offset_groups'] as number;

export const deformConv: Operator = {
  name: 'nn.deform_conv',
  doc:
    'Deformable convolution: as nn.conv (weights [O, C/groups, k…]), but tap k at output position p reads x at `p · stride − begin '
    + '+ k · dilation + offset[n, ((g · Π k) + k) · rank + axis, p…]` by linear interpolation with zeros outside, times '
    + '`mask[n, g · Π k + k, p…]`, where g is the offset group of the input channel, of `offset_groups`. Source: ONNX DeformConv-22.',
  signature: {
    params: ['x', 'weight', 'offset', 'bias?', 'mask?'],
    attrs: { strides: null, dilations: null, pads: null, groups: 1, offset_groups: 1 },
    results: ['out'],
  },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const [x, w, offset, bias, mask] = [args[0]!, args[1]!, args[2]!, args[3] ?? null, args[4] ?? null];
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [readX, readW, readOffset, write] = [reader(x), reader(w), reader(offset), writer(out)];
      const readBias = bias && reader(bias);
      const readMask = mask && reader(mask);
      const [xSteps, wSteps, offsetSteps] = [strides(x.shape), strides(w.shape), strides(offset.shape)];
      const maskSteps = mask && strides(mask.shape);
      const sizes = x.shape.slice(2);
      const kernel = w.shape.slice(2);
      const taps = kernel.reduce((n, d) => n * d, 1);
      const window = concreteWindow(attrs, sizes.length);
      const inner = w.shape[1]!;
      const perGroup = w.shape[0]! / (attrs['groups'] as number);
      const perPart = x.shape[1]! / partsOf(attrs);
      forEachIndex(out.shape, (index, position) => {
        const [n, o] = [index[0]!, index[1]!];
        const at = index.slice(2);
        let sum = readBias ? readBias(o) : 0;
        for (let i = 0; i < inner; i++) {
          const channel = Math.floor(o / perGroup) * inner + i;
          const part = Math.floor(channel / perPart);
          forEachIndex(kernel, (k, tap) => {
            const spot = (steps: readonly number[], row: number): number => n * steps[0]! + row * steps[1]! + at.reduce((s, p, a) => s + p * steps[a + 2]!, 0);
            const axes = sizes.map((_, a) => {
              const p = at[a]! * window.strides[a]! - window.begin[a]! + k[a]! * window.dilations[a]!
                + readOffset(spot(offsetSteps, (part * taps + tap) * sizes.length + a));
              const floor = Math.floor(p);
              return [{ position: floor, weight: 1 - (p - floor) }, { position: floor + 1, weight: p - floor }];
            });
            const value = interpolateNumbers(axes, (positions) =>
              (positions.every((p, a) => p >= 0 && p < sizes[a]!)
                ? readX(positions.reduce((s, p, a) => s + p * xSteps[a + 2]!, n * xSteps[0]! + channel * xSteps[1]!)) : 0));
            const factor = readMask ? readMask(spot(maskSteps!, part * taps + tap)) : 1;
            sum += value * factor * readW(o * wSteps[0]! + i * wSteps[1]! + tap);
          });
        }
        write(position, sum);
      });
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const [x, w, offset, bias, mask] = [args[0]!, args[1]!, args[2]!, args[3] ?? null, args[4] ?? null];
      const out = results[0]!;
      const { dtype } = out;
      const sizes = x.shape.slice(2);
      const rank = sizes.length;
      const kernel = w.shape.slice(2);
      const window = windowOf(exprs, attrs, rank);
      const groups = attrs['groups'] as number;
      const inner = w.shape[1]!;
      const perPart = exprs.floordiv(x.shape[1]!, partsOf(attrs));
      const columns = b.alloc('columns', dtype, [x.shape[0]!, x.shape[1]!, ...kernel, ...out.shape.slice(2)]);
      b.compute(columns, ([n, c, ...rest]) => {
        const k = rest.slice(0, rank);
        const at = rest.slice(rank);
        const tap = k.reduce((sum, index, a) => exprs.add(exprs.mul(sum, kernel[a]!), index), exprs.int(0));
        const row = exprs.add(exprs.mul(exprs.floordiv(c!, perPart), exprs.product(kernel)), tap);
        const axes = sizes.map((size, a) => {
          const p = exprs.sub(exprs.add(exprs.mul(at[a]!, window.strides[a]!), exprs.mul(k[a]!, window.dilations[a]!)), window.begin[a]!);
          const moved = exprs.add(exprs.cast(p, dtype), b.load(offset, [n!, exprs.add(exprs.mul(row, rank), a), ...at]));
          return linearTaps(exprs, moved, size);
        });
        const value = interpolate(exprs, axes, dtype, (positions) => b.load(x, [n!, c!, ...positions]));
        return mask === null ? value : exprs.mul(value, b.load(mask, [n!, row, ...at]));
      });
      const sum = bias === null ? out : b.alloc('sum', dtype, out.shape);
      b.reduce(sum, [inner, ...kernel], exprs.constant(0, dtype), (acc, [n, o, ...at], [c, ...k]) => {
        const group = exprs.floordiv(o!, exprs.floordiv(w.shape[0]!, groups));
        const channel = groups === 1 ? c! : exprs.add(exprs.mul(group, inner), c!);
        return exprs.add(acc, exprs.mul(b.load(columns, [n!, channel, ...k, ...at]), b.load(w, [o!, c!, ...k])));
      });
      if (bias !== null) b.compute(out, (index) => exprs.add(b.load(sum, index), b.load(bias, [index[1]!])));
    },
    cost(call) {
      const { exprs } = call;
      const type = resultType(call);
      return { flops: exprs.mul(exprs.mul(exprs.product(type.shape), exprs.product(call.tensor(1).shape.slice(1))), 2) };
    },
    samples: () => [
      sample([arg([1, 2, 5, 4]), arg([3, 2, 2, 3]), arg([1, 12, 4, 2])], {}, 1e-4),
      sample([arg([2, 4, 5, 5]), arg([4, 2, 3, 2]), arg([2, 24, 3, 3]), arg([4]), arg([2, 12, 3, 3])],
        { groups: 2, offset_groups: 2, strides: [2, 2], pads: [1, 1, 1, 0] }, 1e-4),
      sample([arg([1, 2, 6]), arg([1, 2, 3]), arg([1, 3, 2])], { dilations: [2] }, 1e-4),
      sample([arg([0, 2, 3, 3]), arg([1, 2, 2, 2]), arg([0, 8, 2, 2])]),
    ],
  },
};
