import type { Expr, ExprLike, Value } from '@tenon/plugin';
import { axis, axesOf, type Conversion, type Converter, type ConverterTable, dtypeOf, scalarConstant } from '../convert.ts';

const small = (dtype: string): boolean => dtype === 'f16' || dtype === 'bf16';

/**
 * Runs `convert` on inputs cast to f32 where they are of a smaller type, and casts its results back: the stages of
 * normalisations are computed in float32 (`stash_type`).
 */
function inFloat32(c: Conversion, inputs: readonly (Value | null)[], convert: (inputs: readonly (Value | null)[]) => readonly Value[]): readonly Value[] {
  const { dtype } = c.tensor(0);
  if (!small(dtype)) return convert(inputs);
  const wide = inputs.map((v) => v && c.b.call('math.cast', [v], { to: 'f32' }));
  return convert(wide).map((v) => c.b.call('math.cast', [v], { to: dtype }));
}

/** Before opset 13 the axes from `axis` on form one line. */
const alongAxis = (op: string): Converter => (c) => {
  const { shape } = c.tensor(0);
  if (c.opset >= 13) return [c.b.call(op, [c.input(0)], { axis: axis(c, 'axis', shape.length, -1) })];
  // axis may equal the rank: then every element is a line of its own.
  const given = c.int('axis', 1);
  const from = given === shape.length ? given : axis(c, given, shape.length);
  if (from === shape.length - 1) return [c.b.call(op, [c.input(0)], { axis: -1 })];
  const lines = c.b.call('shape.reshape', [c.input(0)], { shape: [c.exprs.product(shape.slice(0, from)), c.exprs.product(shape.slice(from))] });
  return [c.b.call('shape.reshape', [c.b.call(op, [lines], { axis: 1 })], { shape })];
};

const layerNormalization: Converter = (c) => {
  const { dtype, shape } = c.tensor(0);
  const attrs = { axis: axis(c, 'axis', shape.length, -1), epsilon: c.float('epsilon', 1e-5) };
  if (!c.used(1) && !c.used(2)) {
    return inFloat32(c, [c.input(0), c.input(1), c.optional(2)], (v) => [c.b.call('nn.layer_norm', v, attrs)]);
  }
  // Mean and InvStdDev keep the type that they are computed in.
  const stash = c.has('stash_type') ? dtypeOf(c.int('stash_type')) : 'f32';
  const inputs = [c.input(0), c.input(1), c.optional(2)].map((v) => (v && small(dtype) ? c.b.call('math.cast', [v], { to: 'f32' }) : v));
  const [y, mean, inverse] = c.b.op('nn.layer_norm', inputs, { ...attrs, statistics: true }) as [Value, Value, Value];
  const as = (v: Value, to: string): Value => (v.type.kind === 'tensor' && v.type.dtype !== to ? c.b.call('math.cast', [v], { to }) : v);
  return [as(y, dtype), as(mean, stash), as(inverse, stash)];
};

const rmsNormalization: Converter = (c) => {
  const attrs = { axis: axis(c, 'axis', c.tensor(0).shape.length, -1), epsilon: c.float('epsilon', 1e-5) };
  if (c.used(1)) c.unsupported('onnx/unsupported-output', 'the output InvStdDev is not supported');
  return inFloat32(c, [c.input(0), c.input(1)], (v) => [c.b.call('nn.rms_norm', v, attrs)]);
};

const instanceNormalization: Converter = (c) =>
  inFloat32(c, [c.input(0), c.input(1), c.input(2)], (v) => [c.b.call('nn.instance_norm', v, { epsilon: c.float('epsilon', 1e-5) })]);

/** Opset 18 scales groups, opset 21 channels. */
const groupNormalization: Converter = (c) => {
  const { shape } = c.tensor(0);
  const groups = c.int('num_groups');
  const perChannel = (i: number): Value => {
    if (c.opset >= 21) return c.input(i);
    const channels = shape[1]!;
    const own = c.exprs.floordiv(channels, groups);
    const column = c.b.call('shape.reshape', [c.input(i)], { shape: [groups, 1] });
    return c.b.call('shape.reshape', [c.b.call('shape.expand', [column], { shape: [groups, own] })], { shape: [channels] });
  };
  return inFloat32(c, [c.input(0), perChannel(1), perChannel(2)], (v) => [c.b.call('nn.group_norm', v, { groups, epsilon: c.float('epsilon', 1e-5) })]);
};

const batchNormalization: Converter = (c) => {
  const { dtype, shape } = c.tensor(0);
  const epsilon = c.float('epsilon', 1e-5);
  if (c.opset < 9 && c.int('spatial', 1) !== 1) c.unsupported('onnx/unsupported-attribute', 'spatial = 0 (statistics per element) is not supported');
  const like = (v: Value, to: string): Value => (v.type.kind === 'tensor' && v.type.dtype !== to ? c.b.call('math.cast', [v], { to }) : v);
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => like(c.input(i), dtype)) as [Value, Value, Value, Value];
  if (c.opset < 14 || c.int('training_mode', 0) === 0) {
    for (let i = 1; i < c.outputs; i++) if (c.used(i)) c.unsupported('onnx/unsupported-output', 'statistics of the batch are outputs of training only');
    return inFloat32(c, [c.input(0), scale, bias, mean, variance], (v) => [c.b.call('nn.batch_norm', v, { epsilon })]);
  }
  const momentum = c.float('momentum', 0.9);
  const axes = shape.map((_, i) => i).filter((i) => i !== 1);
  const keepdims = true;
  const batchMean = c.b.call('reduce.mean', [c.input(0)], { axes, keepdims });
  const distance = c.b.call('math.sub', [c.input(0), batchMean]);
  const flat = (v: Value): Value => c.b.call('shape.reshape', [v], { shape: [shape[1] ?? 1] });
  const ownMean = flat(batchMean);
  const ownVariance = flat(c.b.call('reduce.mean', [c.b.call('math.mul', [distance, distance])], { axes, keepdims }));
  const running = (old: Value, now: Value): Value => c.b.call('math.add', [
    c.b.call('math.mul', [old, scalarConstant(c, momentum, dtype)]), c.b.call('math.mul', [now, scalarConstant(c, 1 - momentum, dtype)]),
  ]);
  const y = c.b.call('nn.batch_norm', [c.input(0), scale, bias, ownMean, ownVariance], { epsilon });
  const typeOf = (i: number): string => c.tensor(i).dtype;
  return [y, like(running(mean, ownMean), typeOf(3)), like(running(variance, ownVariance), typeOf(4))];
};

const lpNormalization: Converter = (c) => {
  const p = c.int('p', 2);
  if (p !== 1 && p !== 2) c.unsupported('onnx/unsupported-attribute', `p must be 1 or 2, not ${p}`);
  return [c.b.call('nn.lp_norm', [c.input(0)], { axis: axis(c, 'axis', c.tensor(0).shape.length, -1), p })];
};

/** (x − mean) / (sqrt(variance) + 1e-9). */
const meanVarianceNormalization: Converter = (c) => {
  for (const name of ['across_channels', 'normalize_variance']) {
    if (c.has(name)) c.unsupported('onnx/unsupported-attribute', `the attribute ${name} of the experimental operator before opset 9 is not supported`);
  }
  const { dtype, shape } = c.tensor(0);
  const axes = c.has('axes') ? axesOf(c, -1, 'axes')! : [0, 2, 3].map((a) => axis(c, a, shape.length));
  const distance = c.b.call('math.sub', [c.input(0), c.b.call('reduce.mean', [c.input(0)], { axes, keepdims: true })]);
  const variance = c.b.call('reduce.mean', [c.b.call('math.mul', [distance, distance])], { axes, keepdims: true });
  const deviation = c.b.call('math.add', [c.b.call('math.sqrt', [variance]), scalarConstant(c, 1e-9, dtype)]);
  return [c.b.call('math.div', [distance, deviation])];
};

/** The sum of the inputs that are there, normalised. Output 3 is the sum. */
const skipNormalization = (op: string, parameters: readonly number[], biasInput: number): Converter => (c) => {
  const bias = c.optional(biasInput);
  let sum = c.b.call('math.add', [c.input(0), c.input(1)]);
  if (bias) sum = c.b.call('math.add', [sum, bias]);
  const statistics = c.used(1) || c.used(2);
  if (statistics && op !== 'nn.layer_norm') c.unsupported('onnx/unsupported-output', 'only the outputs 0 (normalised) and 3 (sum) are supported');
  const attrs = { epsilon: c.float('epsilon', 1e-12) };
  const [y, mean, inverse] = statistics
    ? c.b.op(op, [sum, ...parameters.map((i) => c.optional(i))], { ...attrs, statistics })
    : inFloat32(c, [sum, ...parameters.map((i) => c.optional(i))], (v) => [c.b.call(op, v, attrs)]);
  return [y!, mean ?? y!, inverse ?? y!, sum];
};

/** Word, position and segment embeddings, added and normalised. Output 2 is their sum. */
const embedLayerNormalization: Converter = (c) => {
  const [batch, length] = c.tensor(0).shape as readonly [Expr, Expr];
  const rows = (table: number, ids: Value): Value => c.b.call('index.gather', [c.input(table), ids], { axis: 0 });
  const positions = c.optional(8);
  const hidden: ExprLike = c.tensor(3).shape[1]!;
  const positionRows = positions
    ? rows(3, positions)
    : c.b.call('shape.slice', [c.input(3)], { starts: [0, 0], sizes: [length, hidden], axes: [0, 1] });
  let sum = c.b.call('math.add', [rows(2, c.input(0)), positionRows]);
  const segments = c.optional(1);
  if (segments) sum = c.b.call('math.add', [sum, rows(4, segments)]);
  const [y] = inFloat32(c, [sum, c.input(5), c.input(6)], (v) => [c.b.call('nn.layer_norm', v, { epsilon: c.float('epsilon', 1e-12) })]) as [Value];
  const mask = c.optional(7);
  const counts = c.used(1)
    ? mask ? c.b.call('math.cast', [c.b.call('reduce.sum', [mask], { axes: [1], keepdims: false })], { to: 'i32' }) : c.b.call('shape.full', [], { shape: [batch], value: 0, dtype: 'i32' })
    : y;
  return [y, counts, sum];
};

export const converters: ConverterTable = {
  Softmax: { since: 1, convert: alongAxis('nn.softmax') },
  LogSoftmax: { since: 1, convert: alongAxis('nn.log_softmax') },
  Hardmax: { since: 1, convert: alongAxis('nn.hardmax') },
  LayerNormalization: { since: 1, convert: layerNormalization },
  RMSNormalization: { since: 23, convert: rmsNormalization },
  InstanceNormalization: { since: 6, convert: instanceNormalization },
  GroupNormalization: { since: 18, convert: groupNormalization },
  BatchNormalization: { since: 7, convert: batchNormalization },
  LpNormalization: { since: 1, convert: lpNormalization },
  MeanVarianceNormalization: { since: 7, convert: meanVarianceNormalization },
  SimplifiedLayerNormalization: { since: 1, convert: rmsNormalization },
  'com.microsoft::SimplifiedLayerNormalization': { since: 1, convert: rmsNormalization },
  'com.microsoft::SkipLayerNormalization': { since: 1, convert: skipNormalization('nn.layer_norm', [2, 3], 4) },
  'com.microsoft::SkipSimplifiedLayerNormalization': { since: 1, convert: skipNormalization('nn.rms_norm', [2], 3) },
  'com.microsoft::EmbedLayerNormalization': { since: 1, convert: embedLayerNormalization },
};
