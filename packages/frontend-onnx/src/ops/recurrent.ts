import type { Attrs, AttrValue, Value } from '@tenon/plugin';
import type { Conversion, Converter, ConverterTable } from '../convert.ts';

/** By lower-case ONNX name: the function, and which of alpha and beta it takes. */
const functions: { readonly [name: string]: readonly [name: string, alpha: boolean, beta: boolean] } = {
  relu: ['relu', false, false],
  tanh: ['tanh', false, false],
  sigmoid: ['sigmoid', false, false],
  affine: ['affine', true, true],
  leakyrelu: ['leaky_relu', true, false],
  thresholdedrelu: ['thresholded_relu', true, false],
  scaledtanh: ['scaled_tanh', true, true],
  hardsigmoid: ['hard_sigmoid', true, true],
  elu: ['elu', true, false],
  softsign: ['softsign', false, false],
  softplus: ['softplus', false, false],
};

/** alpha and beta are lists that the functions which take one consume in order. */
function activations(c: Conversion): AttrValue {
  const names = c.strings('activations', null);
  if (!names) return null;
  const alphas = [...c.floats('activation_alpha', [])];
  const betas = [...c.floats('activation_beta', [])];
  return names.map((onnxName) => {
    const [name, hasAlpha, hasBeta] = functions[onnxName.toLowerCase()]
      ?? c.unsupported('onnx/unsupported-attribute', `the activation ${onnxName} is not supported`);
    const alpha = hasAlpha ? alphas.shift() : undefined;
    const beta = hasBeta ? betas.shift() : undefined;
    return { name, ...(alpha !== undefined && { alpha }), ...(beta !== undefined && { beta }) };
  });
}

/** With `layout` 1 the batch comes first in x, the states and the results. */
const recurrent = (op: string, inputs: number, own: (c: Conversion) => Attrs): Converter => (c) => {
  const batchFirst = c.int('layout', 0) === 1;
  const swapped = (v: Value): Value => (batchFirst ? c.b.call('shape.transpose', [v], { perm: [1, 0, 2] }) : v);
  const args = Array.from({ length: inputs }, (_, i) => {
    const value = i < 3 ? c.input(i) : c.optional(i);
    return value && (i === 0 || i === 5 || i === 6) ? swapped(value) : value;
  });
  const direction = c.string('direction', 'forward').toLowerCase();
  const [y, ...states] = c.b.op(op, args, { direction, activations: activations(c), clip: c.has('clip') ? c.float('clip') : null, ...own(c) }) as readonly [Value, ...Value[]];
  return [batchFirst ? c.b.call('shape.transpose', [y], { perm: [2, 0, 1, 3] }) : y, ...states.map(swapped)];
};

export const converters: ConverterTable = {
  LSTM: { since: 7, convert: recurrent('nn.lstm', 8, (c) => ({ coupled: c.int('input_forget', 0) === 1 })) },
  GRU: { since: 7, convert: recurrent('nn.gru', 6, (c) => ({ linear_before_reset: c.int('linear_before_reset', 0) !== 0 })) },
  RNN: { since: 7, convert: recurrent('nn.rnn', 6, () => ({})) },
};
