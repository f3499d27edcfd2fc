import type { Attrs, DecomposeCall, EvaluateCall, Expr, GraphBuilder, HostTensor, InferCall, Operator, OperatorSample, TensorType, Value } from '@tenon/plugin';
import { sameDType, tensorOf } from '../common/errors.ts';
import { allocate, elementCount, numbers, reader, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { perChannel, rowStatistics } from './rows.ts';

/** Types of a normalisation over channels (axis 1): x, then vectors with one element per channel. */
function inferChannels(call: InferCall, minRank: number): readonly TensorType[] {
  const x = tensorOf(call, 0, 'float');
  if (x.shape.length < minRank) call.fail('rank', `x must have rank ${minRank} or more, not ${x.shape.length}`);
  sameDType(call, call.args.map((_, i) => i));
  for (let i = 1; i < call.args.length; i++) if (call.args[i] != null) perChannel(call, i, x.shape[1] ?? call.exprs.int(1));
  return [{ kind: 'tensor', dtype: x.dtype, shape: x.shape, annotations: {} }];
}

const flops = (operations: number) => (call: InferCall): { readonly flops: Expr } => ({
  flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), operations),
});

/** Normalises every group of `perGroup` channels of every sample. Arguments x, scale?, bias?. */
function evaluateGroups({ args, attrs, results }: EvaluateCall, perGroup: number): readonly HostTensor[] {
  const x = args[0]!;
  const [samples, channels] = x.shape as [number, number];
  const area = elementCount(x.shape.slice(2));
  const [scale, bias] = [args[1], args[2]].map((a) => a && numbers(a));
  const out = allocate(results[0]!.dtype, results[0]!.shape);
  const read = reader(x);
  const write = writer(out);
  const size = perGroup * area;
  for (let row = 0; row < (samples * channels) / perGroup; row++) {
    const start = row * size;
    let sum = 0;
    for (let k = 0; k < size; k++) sum += read(start + k);
    const mean = sum / size;
    let squares = 0;
    for (let k = 0; k < size; k++) squares += (read(start + k) - mean) ** 2;
    const inverse = 1 / Math.sqrt(squares / size + (attrs['epsilon'] as number));
    for (let k = 0; k < size; k++) {
      const channel = (row * perGroup + Math.floor(k / area)) % channels;
      write(start + k, (read(start + k) - mean) * inverse * (scale ? scale[channel]! : 1) + (bias ? bias[channel]! : 0));
    }
  }
  return [out];
}

const instanceNorm: Operator = {
  name: 'nn.instance_norm',
  doc: 'y = (x − mean) / sqrt(var + epsilon) · scale[c] + bias[c] for x of shape [N, C, …], with mean and variance over all axes but the first two, '
    + 'separately per sample and channel. `scale` and `bias` have shape [C]; left out they are 1 and 0. Source: Ulyanov, Vedaldi, Lempitsky 2016.',
  signature: { params: ['x', 'scale?', 'bias?'], attrs: { epsilon: 1e-5 } satisfies Attrs, results: ['y'] },
  facets: {
    infer: (call) => inferChannels(call, 2),
    reference: (call) => evaluateGroups(call, 1),
    define: ({ args, attrs, results }, b) => {
      const [x, scale, bias] = [args[0]!, args[1], args[2]];
      const { exprs: e } = b;
      const { mean, inverse } = rowStatistics(b, x.dtype, x.shape.slice(0, 2), x.shape.slice(2), attrs['epsilon'] as number, (row, r) => b.load(x, [...row, ...r]));
      b.compute(results[0]!, (i) => {
        const row = i.slice(0, 2);
        let value = e.mul(e.sub(b.load(x, i), b.load(mean, row)), b.load(inverse, row));
        if (scale) value = e.mul(value, b.load(scale, [i[1]!]));
        return bias ? e.add(value, b.load(bias, [i[1]!])) : value;
      });
    },
    cost: flops(8),
    samples: (): readonly OperatorSample[] => [
      sample([arg([2, 3, 5, 3]), arg([3]), arg([3])]),
      sample([arg([2, 3, 7])], { epsilon: 0.1 }),
      sample([arg([1, 3, 2, 3, 5]), arg([3])]),
      sample([arg([2, 3]), arg([3]), arg([3])]),
      sample([arg([0, 3, 4]), arg([3]), arg([3])]),
      sample([arg([2, 3, 0]), arg([3]), arg([3])]),
      sample([arg([2, 3, 5], 'f64'), null, arg([3], 'f64')], {}, 1e-12),
    ],
  },
};

const groupNorm: Operator = {
  name: 'nn.group_norm',
  doc: 'y = (x − mean) / sqrt(var + epsilon) · scale[c] + bias[c] for x of shape [N, C, …]. The channels form `groups` (required) groups of C / groups '
    + 'neighbours; mean and variance are those of a sample\'s group, over its channels and all further axes. `scale` and `bias` have shape [C]; left out they '
    + 'are 1 and 0. Source: Wu, He 2018.',
  signature: { params: ['x', 'scale?', 'bias?'], attrs: { groups: null, epsilon: 1e-5 } satisfies Attrs, results: ['y'] },
  facets: {
    infer: (call: InferCall) => {
      const { groups } = call.attrs;
      if (typeof groups !== 'number' || !Number.isInteger(groups) || groups < 1) call.fail('attribute', 'groups must be a positive integer');
      const result = inferChannels(call, 2);
      const channels = call.tensor(0).shape[1]!;
      if (call.exprs.divisor(channels) % groups !== 0) call.fail('shape', `the channels do not divide into ${groups} groups`);
      return result;
    },
    reference: (call) => evaluateGroups(call, call.args[0]!.shape[1]! / (call.attrs['groups'] as number)),
    define: ({ args, attrs, results }, b) => {
      const [x, scale, bias] = [args[0]!, args[1], args[2]];
      const { exprs: e } = b;
      const groups = attrs['groups'] as number;
      const perGroup = e.floordiv(x.shape[1]!, groups);
      const { mean, inverse } = rowStatistics(
        b, x.dtype, [x.shape[0]!, e.int(groups)], [perGroup, ...x.shape.slice(2)], attrs['epsilon'] as number,
        ([n, g], [c, ...r]) => b.load(x, [n!, e.add(e.mul(g!, perGroup), c!), ...r]),
      );
      b.compute(results[0]!, (i) => {
        const row = [i[0]!, e.floordiv(i[1]!, perGroup)];
        let value = e.mul(e.sub(b.load(x, i), b.load(mean, row)), b.load(inverse, row));
        if (scale) value = e.mul(value, b.load(scale, [i[1]!]));
        return bias ? e.add(value, b.load(bias, [i[1]!])) : value;
      });
    },
    cost: flops(8),
    samples: (): readonly OperatorSample[] => [
      sample([arg([2, 6, 5, 3]), arg([6]), arg([6])], { groups: 3 }),
      sample([arg([2, 6, 7])], { groups: 1, epsilon: 0.1 }),
      sample([arg([2, 6, 7]), arg([6])], { groups: 6 }),
      sample([arg([2, 4]), arg([4]), arg([4])], { groups: 2 }),
      sample([arg([0, 4, 3]), arg([4])], { groups: 2 }),
      sample([arg([2, 4, 5], 'f64'), null, arg([4], 'f64')], { groups: 2 }, 1e-12),
    ],
  },
};

/** x · factor + shift with vectors that follow from the parameters alone, so that they fold where those are constant. */
function decomposeBatchNorm({ args, attrs, results }: DecomposeCall, b: GraphBuilder): readonly Value[] | null {
  const [x, scale, bias, mean, variance] = args as [Value, Value, Value, Value, Value];
  const type = results[0];
  if (type?.kind !== 'tensor') return null;
  const epsilon = b.constant([attrs['epsilon'] as number], type.dtype, []);
  const factor = b.call('math.div', [scale, b.call('math.sqrt', [b.call('math.add', [variance, epsilon])])]);
  const shift = b.call('math.sub', [bias, b.call('math.mul', [mean, factor])]);
  const aligned = (v: Value): Value => {
    const ones = type.shape.slice(2).map(() => 1);
    return ones.length === 0 || v.type.kind !== 'tensor' ? v : b.call('shape.reshape', [v], { shape: [v.type.shape[0]!, ...ones] });
  };
  return [b.call('math.add', [b.call('math.mul', [x, aligned(factor)]), aligned(shift)])];
}

const batchNorm: Operator = {
  name: 'nn.batch_norm',
  doc: 'y = (x − mean[c]) / sqrt(var[c] + epsilon) · scale[c] + bias[c] with given statistics, for x of shape [N, C, …] and vectors of shape [C]; x of rank 1 '
    + 'has one channel. This is inference: nothing is computed over the batch. Source: Ioffe, Szegedy 2015.',
  signature: { params: ['x', 'scale', 'bias', 'mean', 'var'], attrs: { epsilon: 1e-5 } satisfies Attrs, results: ['y'] },
  facets: {
    infer: (call) => inferChannels(call, 1),
    reference: ({ args, attrs, results }) => {
      const x = args[0]!;
      const [scale, bias, mean, variance] = args.slice(1).map((a) => numbers(a!)) as [Float64Array, Float64Array, Float64Array, Float64Array];
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const read = reader(x);
      const write = writer(out);
      const channels = x.shape[1] ?? 1;
      const area = elementCount(x.shape.slice(2));
      for (let i = 0; i < x.data.length; i++) {
        const c = Math.floor(i / area) % channels;
        write(i, ((read(i) - mean[c]!) / Math.sqrt(variance[c]! + (attrs['epsilon'] as number))) * scale[c]! + bias[c]!);
      }
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, ...parameters] = args.map((a) => a!);
      const { exprs: e } = b;
      // One stage, so that it fuses into its producer; what depends on the channel alone is constant in the inner loops.
      b.compute(results[0]!, (i) => {
        const channel = i[1] ?? e.int(0);
        const [scale, bias, mean, variance] = parameters.map((p) => b.load(p, [channel])) as [Expr, Expr, Expr, Expr];
        const factor = e.div(scale, e.call('sqrt', [e.add(variance, e.constant(attrs['epsilon'] as number, x!.dtype))]));
        return e.add(e.mul(e.sub(b.load(x!, i), mean), factor), bias);
      });
    },
    decompose: decomposeBatchNorm,
    cost: flops(4),
    samples: (): readonly OperatorSample[] =>
      ([[[2, 3, 5, 3], 3], [[2, 3], 3], [[5], 1], [[0, 3, 2], 3], [[1, 3, 2, 2, 2], 3]] as const).map(([shape, c]) =>
        sample([arg(shape), arg([c]), arg([c]), arg([c]), arg([c], 'f32', [0.1, 2])])),
  },
};

export const operators: readonly Operator[] = [instanceNorm, groupNorm, batchNorm];
