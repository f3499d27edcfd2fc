import type { Attrs, Operator, OperatorSample } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { allocate, reader, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';
import { forEachLine, inserted, without } from './rows.ts';

const lpNorm: Operator = {
  name: 'nn.lp_norm',
  doc: 'y = x / n along `axis` (default −1), where n = Σ |x| for `p` = 1 and n = sqrt(Σ x²) for `p` = 2 (default). A line with n = 0 gives 0. '
    + 'Same shape and dtype as x.',
  signature: { params: ['x'], attrs: { axis: -1, p: 2 } satisfies Attrs, results: ['y'] },
  facets: {
    infer: (call) => {
      const x = tensorOf(call, 0, 'float');
      normalizeAxis(call, call.attrs['axis']!, x.shape.length);
      if (call.attrs['p'] !== 1 && call.attrs['p'] !== 2) call.fail('attribute', 'p must be 1 or 2');
      return [{ kind: 'tensor', dtype: x.dtype, shape: x.shape, annotations: {} }];
    },
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const read = reader(x);
      const write = writer(out);
      forEachLine(x.shape, axisOf(attrs['axis']!, x.shape.length), (start, step, size) => {
        let sum = 0;
        for (let k = 0; k < size; k++) sum += Math.abs(read(start + k * step)) ** (attrs['p'] as number);
        const norm = attrs['p'] === 1 ? sum : Math.sqrt(sum);
        for (let k = 0; k < size; k++) write(start + k * step, norm === 0 ? 0 : read(start + k * step) / norm);
      });
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const x = args[0]!;
      const { exprs: e } = b;
      const axis = axisOf(attrs['axis']!, x.shape.length);
      const zero = e.constant(0, x.dtype);
      const norm = b.alloc('line_norm', x.dtype, without(x.shape, axis));
      b.reduce(norm, [x.shape[axis]!], zero, (acc, line, [k]) => {
        const value = b.load(x, inserted(line, axis, k!));
        return e.add(acc, attrs['p'] === 1 ? e.call('abs', [value]) : e.mul(value, value));
      });
      b.compute(results[0]!, (i) => {
        const sum = b.load(norm, without(i, axis));
        return e.select(e.eq(sum, zero), zero, e.div(b.load(x, i), attrs['p'] === 1 ? sum : e.call('sqrt', [sum])));
      });
    },
    cost: (call) => ({ flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), 3) }),
    samples: (): readonly OperatorSample[] => [1, 2].flatMap((p) => [
      sample([arg([7])], { p }),
      sample([arg([3, 5])], { p, axis: 0 }),
      sample([arg([2, 3, 4])], { p, axis: -2 }),
      sample([arg([0, 4])], { p }),
      sample([arg([4, 0])], { p }),
      sample([given([0, 0, 0, 1, -2, 3], 'f32', [2, 3])], { p }),
      sample([arg([3, 5], 'f64')], { p }, 1e-12),
    ]),
  },
};

export const operators: readonly Operator[] = [lpNorm];
