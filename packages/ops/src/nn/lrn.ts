import type { InferCall, Operator, TensorType } from '@tenon/plugin';
import { rankBetween, tensorOf } from '../common/errors.ts';
import { allocate, reader, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';

function resultType(call: InferCall): TensorType {
  const type = tensorOf(call, 0, 'float');
  rankBetween(call, 0, 2, Infinity);
  const { size } = call.attrs;
  if (typeof size !== 'number' || !Number.isInteger(size) || size < 1) call.fail('attribute', 'size must be a positive integer');
  return { ...type, annotations: {} };
}

/** Channels before the channel itself in its neighbourhood. */
const before = (size: number): number => Math.floor((size - 1) / 2);

export const localResponseNorm: Operator = {
  name: 'nn.local_response_norm',
  doc:
    'Normalises x [N, C, …] by its neighbours across channels: `out = x / (bias + alpha/size · Σ x²)^beta` over the `size` '
    + 'channels from c − ⌊(size−1)/2⌋ on, those that exist. Source: ONNX LRN-13.',
  signature: { params: ['x'], attrs: { size: null, alpha: 1e-4, beta: 0.75, bias: 1 }, results: ['out'] },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [read, write] = [reader(x), writer(out)];
      const [size, alpha, beta, bias] = [attrs['size'], attrs['alpha'], attrs['beta'], attrs['bias']] as [number, number, number, number];
      const channels = x.shape[1]!;
      const area = x.shape.slice(2).reduce((n, d) => n * d, 1);
      for (let p = 0; p < out.data.length; p++) {
        const c = Math.floor(p / area) % channels;
        let sum = 0;
        for (let k = Math.max(0, c - before(size)); k < Math.min(channels, c - before(size) + size); k++) sum += read(p + (k - c) * area) ** 2;
        write(p, read(p) / (bias + (alpha / size) * sum) ** beta);
      }
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const x = args[0]!;
      const out = results[0]!;
      const size = attrs['size'] as number;
      const c = (value: number) => exprs.constant(value, out.dtype);
      const sum = b.alloc('squares', out.dtype, out.shape);
      b.reduce(sum, [size], c(0), (acc, [n, channel, ...rest], [k]) => {
        const at = exprs.sub(exprs.add(channel!, k!), before(size));
        const inside = exprs.and(exprs.ge(at, 0), exprs.lt(at, x.shape[1]!));
        const value = b.load(x, [n!, at, ...rest]);
        return exprs.add(acc, exprs.select(inside, exprs.mul(value, value), c(0)));
      });
      b.compute(out, (index) => {
        const base = exprs.add(c(attrs['bias'] as number), exprs.mul(c((attrs['alpha'] as number) / size), b.load(sum, index)));
        return exprs.div(b.load(x, index), exprs.call('pow', [base, c(attrs['beta'] as number)]));
      });
    },
    cost(call) {
      return { flops: call.exprs.mul(call.exprs.product(resultType(call).shape), 2 * (call.attrs['size'] as number) + 4) };
    },
    samples: () => [
      sample([arg([2, 7, 3, 2])], { size: 3 }),
      sample([arg([1, 5, 4])], { size: 4, alpha: 0.5, beta: 0.6, bias: 2 }),
      sample([arg([2, 3])], { size: 7, alpha: 1 }),
      sample([arg([1, 0, 4])], { size: 3 }),
    ],
  },
};
