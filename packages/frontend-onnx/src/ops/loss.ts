import type { Expr, TensorType, Value } from '@tenon/plugin';
import { type Conversion, type Converter, type ConverterTable, scalarConstant } from '../convert.ts';

/**
 * The loss −w[t]·x[n, t, …] of log probabilities x [N, C, …] for targets t [N, …]. Targets equal to `ignore_index` lose
 * nothing and weigh nothing; `mean` divides by the sum of weights.
 */
function negativeLogLikelihood(c: Conversion, x: Value, target: Value, weight: Value | null): Value {
  const { b } = c;
  const { dtype, shape } = x.type as TensorType;
  const targets = target.type as TensorType;
  const reduction = c.string('reduction', 'mean');
  if (reduction !== 'none' && reduction !== 'sum' && reduction !== 'mean') c.unsupported('onnx/unsupported-attribute', `unknown reduction ${reduction}`);
  const zero = scalarConstant(c, 0, dtype);
  const ignored = c.has('ignore_index') ? b.call('math.equal', [target, scalarConstant(c, c.int('ignore_index'), targets.dtype)]) : null;
  // Any class will do where the target is ignored, which may be none.
  const classes = ignored ? b.call('math.where', [ignored, scalarConstant(c, 0, targets.dtype), target]) : target;
  const [batch, , ...rest] = shape as readonly [Expr, Expr, ...Expr[]];
  const column = b.call('shape.reshape', [classes], { shape: [batch, 1, ...rest] });
  const picked = b.call('shape.reshape', [b.call('index.gather_elements', [x, column], { axis: 1 })], { shape: targets.shape });
  let loss = b.call('math.neg', [picked]);
  let weights = weight && b.call('index.gather', [weight, classes], { axis: 0 });
  if (weights) loss = b.call('math.mul', [loss, weights]);
  if (ignored) {
    loss = b.call('math.where', [ignored, zero, loss]);
    weights = b.call('math.where', [ignored, zero, weights ?? scalarConstant(c, 1, dtype)]);
  }
  const all = { axes: null, keepdims: false };
  if (reduction === 'none') return loss;
  if (reduction === 'mean' && !weights) return b.call('reduce.mean', [loss], all);
  const sum = b.call('reduce.sum', [loss], all);
  return reduction === 'mean' && weights ? b.call('math.div', [sum, b.call('reduce.sum', [weights], all)]) : sum;
}

const negativeLogLikelihoodLoss: Converter = (c) => [negativeLogLikelihood(c, c.input(0), c.input(1), c.optional(2))];

const softmaxCrossEntropyLoss: Converter = (c) => {
  const logProbabilities = c.b.call('nn.log_softmax', [c.input(0)], { axis: 1 });
  return [negativeLogLikelihood(c, logProbabilities, c.input(1), c.optional(2)), logProbabilities];
};

export const converters: ConverterTable = {
  NegativeLogLikelihoodLoss: { since: 12, convert: negativeLogLikelihoodLoss },
  SoftmaxCrossEntropyLoss: { since: 12, convert: softmaxCrossEntropyLoss },
};
