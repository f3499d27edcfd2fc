import { settleBroadcast } from './broadcast.ts';
import type { Attrs, Value } from '@tenon/plugin';
import { dtypeOf, scalarConstant, type Conversion, type Converter, type ConverterEntry, type ConverterTable } from '../convert.ts';

const entry = (since: number, convert: Converter): ConverterEntry => ({ since, convert });
/** One operator on the first `inputs` inputs. */
const direct = (op: string, inputs: number, since = 7): ConverterEntry =>
  entry(since, (c) => [c.b.call(op, Array.from({ length: inputs }, (_, i) => c.input(i)))]);
/** A unary operator with float attributes: ONNX's name, ours, ONNX's default. */
const activation = (op: string, attributes: readonly (readonly [onnx: string, own: string, byDefault: number])[], since = 7): ConverterEntry =>
  entry(since, (c) => [c.b.call(op, [c.input(0)], Object.fromEntries(attributes.map(([onnx, own, byDefault]) => [own, c.float(onnx, byDefault)])))]);

/** Any number of inputs, broadcast from the left. */
const folded = (op: string): Converter => (c) => {
  let result = c.input(0);
  for (let i = 1; i < c.inputs.length; i++) result = c.b.call(op, [result, c.input(i)]);
  return [result];
};

const mean: Converter = (c) => {
  const [sum] = folded('math.add')(c) as [Value];
  return c.inputs.length === 1 ? [sum] : [c.b.call('math.div', [sum, scalarConstant(c, c.inputs.length, c.tensor(0).dtype)])];
};

const mod: Converter = (c) => [c.b.call(c.int('fmod', 0) === 1 ? 'math.fmod' : 'math.mod', [c.input(0), c.input(1)])];

const bitShift: Converter = (c) => {
  const direction = c.string('direction');
  if (direction !== 'LEFT' && direction !== 'RIGHT') c.unsupported('onnx/invalid-attribute', `direction must be LEFT or RIGHT, not ${direction}`);
  return [c.b.call(direction === 'LEFT' ? 'math.shl' : 'math.shr', [c.input(0), c.input(1)])];
};

const largestFloat = 3.4028234663852886e38;

/** The limits are attributes up to opset 10 and inputs after. */
const clip: Converter = (c) => {
  const x = c.input(0);
  const { dtype, shape } = c.tensor(0);
  if (c.opset < 11) {
    const limit = (name: string, byDefault: number): Value => scalarConstant(c, c.float(name, byDefault), dtype);
    return [c.b.call('math.clip', [x, limit('min', -largestFloat), limit('max', largestFloat)])];
  }
  const limit = (i: number): Value | null => {
    const value = c.optional(i);
    if (value === null || c.tensor(i).shape.length === 0) return value;
    // The specification wants a scalar; exporters also write one element of rank 1.
    if (shape.length >= c.tensor(i).shape.length && c.tensor(i).shape.every((d) => c.exprs.valueOf(d) === 1)) return value;
    return c.unsupported('onnx/invalid-shape', `input ${i} must be a scalar`);
  };
  const [lo, hi] = [limit(1), limit(2)];
  return [lo === null && hi === null ? x : c.b.call('math.clip', [x, lo, hi])];
};

function castTo(c: Conversion, to: string): readonly Value[] {
  const from = c.tensor(0).dtype;
  if (from === to) return [c.input(0)];
  for (const dtype of [from, to])
    if (!/^(f16|bf16|f32|f64|[iu](8|16|32|64)|bool)$/.test(dtype)) c.unsupported('onnx/unsupported-dtype', `casts from ${from} to ${to} are not supported`);
  return [c.b.call('math.cast', [c.input(0)], { to })];
}

/** Dropout as it is when a model is not trained: the identity, with a mask that keeps everything. */
const dropout: Converter = (c) => {
  if (c.opset >= 12 && c.optional(2)) {
    const training = c.numbers(2) ??
      c.unsupported('onnx/training', 'whether it is in training mode is known only at run time', 'export the model for inference');
    const ratio = c.optional(1) ? c.numbers(1) : [0.5];
    if (training[0] && ratio?.[0] !== 0) c.unsupported('onnx/training', 'Dropout in training mode is not supported', 'export the model for inference');
  }
  const x = c.input(0);
  if (!c.used(1)) return [x];
  const { dtype, shape } = c.tensor(0);
  return [x, c.b.call('shape.full', [], c.opset < 10 ? { shape, value: 1, dtype } : { shape, value: 1, dtype: 'bool' })];
};

const isInf: Converter = (c) => [
  c.b.call('math.isinf', [c.input(0)], { detect_positive: c.int('detect_positive', 1) !== 0, detect_negative: c.int('detect_negative', 1) !== 0 }),
];

const gelu: Converter = (c) => {
  const approximate = c.string('approximate', 'none');
  if (approximate !== 'none' && approximate !== 'tanh') c.unsupported('onnx/unsupported-attribute', `the approximation ${approximate} is not known`);
  return [c.b.call('nn.gelu', [c.input(0)], { approximate })];
};
/** Contrib operators of onnxruntime: gelu(x + bias), bias optional. */
const biasedGelu = (attrs: Attrs): Converter => (c) => {
  const bias = c.optional(1);
  return [c.b.call('nn.gelu', [bias ? c.b.call('math.add', [c.input(0), bias]) : c.input(0)], attrs)];
};

/** 1 above the threshold, 0 elsewhere, in the dtype of x. */
const binarizer: Converter = (c) => {
  const { dtype } = c.tensor(0);
  const above = c.b.call('math.greater', [c.input(0), scalarConstant(c, c.float('threshold', 0), dtype)]);
  return [c.b.call('math.cast', [above], { to: dtype })];
};

const unary = (names: { readonly [onnx: string]: string }, since = 7): ConverterTable =>
  Object.fromEntries(Object.entries(names).map(([onnx, op]) => [onnx, direct(op, 1, since)]));
const binary = (names: { readonly [onnx: string]: string }, since = 7): ConverterTable =>
  Object.fromEntries(Object.entries(names).map(([onnx, op]) => [onnx, broadcasting(direct(op, 2, since))]));
const broadcasting = ({ since, convert }: ConverterTable[string]): ConverterTable[string] => ({
  since,
  convert: (c) => {
    settleBroadcast(c, c.inputs.filter((v) => v !== null));
    return convert(c);
  },
});

export const converters: ConverterTable = {
  ...unary({
    Abs: 'math.abs', Neg: 'math.neg', Exp: 'math.exp', Log: 'math.log', Sqrt: 'math.sqrt', Reciprocal: 'math.reciprocal', Floor: 'math.floor', Ceil: 'math.ceil',
    Sin: 'math.sin', Cos: 'math.cos', Tan: 'math.tan', Asin: 'math.asin', Acos: 'math.acos', Atan: 'math.atan',
    Sigmoid: 'math.sigmoid', Tanh: 'math.tanh', Not: 'math.not', Relu: 'nn.relu', Softplus: 'nn.softplus', Softsign: 'nn.softsign',
  }),
  ...unary({
    Sign: 'math.sign', Erf: 'math.erf', Sinh: 'math.sinh', Cosh: 'math.cosh', Asinh: 'math.asinh', Acosh: 'math.acosh', Atanh: 'math.atanh', IsNaN: 'math.isnan',
  }, 9),
  Round: direct('math.round', 1, 11),
  HardSwish: direct('nn.hard_swish', 1, 14),
  Mish: direct('nn.mish', 1, 18),
  BitwiseNot: direct('math.bitnot', 1, 18),

  ...binary({
    Add: 'math.add', Sub: 'math.sub', Mul: 'math.mul', Div: 'math.div', Pow: 'math.pow', And: 'math.and', Or: 'math.or', Xor: 'math.xor',
    Equal: 'math.equal', Less: 'math.less', Greater: 'math.greater', PRelu: 'nn.prelu',
  }),
  ...binary({ LessOrEqual: 'math.less_equal', GreaterOrEqual: 'math.greater_equal' }, 12),
  ...binary({ BitwiseAnd: 'math.bitand', BitwiseOr: 'math.bitor', BitwiseXor: 'math.bitxor' }, 18),
  BitShift: entry(11, bitShift),
  Mod: entry(10, mod),
  Where: broadcasting(direct('math.where', 3, 9)),

  Sum: entry(6, folded('math.add')),
  Max: entry(6, folded('math.max')),
  Min: entry(6, folded('math.min')),
  Mean: entry(6, mean),

  Clip: entry(6, clip),
  Cast: entry(6, (c) => castTo(c, dtypeOf(c.int('to')))),
  CastLike: entry(15, (c) => castTo(c, c.tensor(1).dtype)),
  BitCast: entry(26, (c) => [c.b.call('math.bitcast', [c.input(0)], { to: dtypeOf(c.int('to')) })]),
  IsInf: entry(10, isInf),
  Dropout: entry(7, dropout),

  LeakyRelu: activation('nn.leaky_relu', [['alpha', 'alpha', 0.01]], 6),
  Elu: activation('nn.elu', [['alpha', 'alpha', 1]], 6),
  Celu: activation('nn.celu', [['alpha', 'alpha', 1]], 12),
  Selu: activation('nn.selu', [['alpha', 'alpha', 1.67326319217681884765625], ['gamma', 'gamma', 1.05070102214813232421875]], 6),
  HardSigmoid: activation('nn.hard_sigmoid', [['alpha', 'alpha', 0.2], ['beta', 'beta', 0.5]], 6),
  ThresholdedRelu: activation('nn.thresholded_relu', [['alpha', 'alpha', 1]]),
  Shrink: activation('nn.shrink', [['bias', 'bias', 0], ['lambd', 'lambd', 0.5]], 9),
  Swish: activation('nn.silu', [['alpha', 'alpha', 1]], 24),
  Gelu: entry(20, gelu),
  'com.microsoft::Gelu': entry(1, biasedGelu({})),
  'com.microsoft::BiasGelu': entry(1, biasedGelu({})),
  'com.microsoft::FastGelu': entry(1, biasedGelu({ approximate: 'tanh' })),
  'com.microsoft::QuickGelu': activation('nn.silu', [['alpha', 'alpha', 1.702]], 1),
  'ai.onnx.ml::Binarizer': entry(1, binarizer),
};
