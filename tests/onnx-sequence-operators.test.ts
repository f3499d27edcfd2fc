import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import type { GraphFunction, HostTensor } from '@tenon/plugin';
import { info, model, node, raw, type AttributeValue, type Dimension } from '../packages/frontend-onnx/test/onnx-writer.ts';
import { hostOf } from '../packages/frontend-onnx/test/session.ts';
import { memory } from '../packages/frontend-onnx/test/source.ts';
import { outputAgreement } from './support/compare.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';

// Operators over sequences as onnxruntime has them: those of its own domain, which no conformance suite covers, and
// options of recurrent layers that ONNX's suite leaves out.

const microsoft = 'com.microsoft';
/** An input: its dims by name or size, with the sizes of this run; `values` instead of random elements; `weight`: an initializer. */
interface Input {
  readonly dims: readonly Dimension[];
  readonly dtype?: string;
  readonly range?: readonly [number, number];
  readonly values?: readonly number[];
  readonly weight?: boolean;
}
interface Call {
  readonly op: string;
  readonly domain?: string;
  readonly opset?: number;
  readonly attrs?: { readonly [name: string]: AttributeValue };
  readonly inputs: readonly (Input | null)[];
  /** false: an output that is left out. */
  readonly outputs?: readonly boolean[];
  readonly sizes?: { readonly [dim: string]: number };
}

const i = (value: number): AttributeValue => ({ i: value });
const f = (value: number): AttributeValue => ({ f: value });
const s = (value: string): AttributeValue => ({ s: value });
const x = (...dims: readonly Dimension[]): Input => ({ dims });
const w = (...dims: readonly number[]): Input => ({ dims, weight: true, range: [-0.7, 0.7] });
const ints = (dims: readonly Dimension[], values: readonly number[], dtype = 'i32'): Input => ({ dims, dtype, values });

function tensorOf(input: Input, sizes: { readonly [dim: string]: number }, random: () => number): HostTensor {
  const { dtype = 'f32', dims, values, range = values ? [0, 0] : [-1.5, 1.5] } = input;
  const shape = dims.map((d) => (typeof d === 'number' ? d : sizes[d!]!));
  const tensor = randomTensor(random, dtype, shape, range);
  if (values) values.forEach((v, k) => void (tensor.data[k] = dtype === 'i64' ? BigInt(v) : v));
  return tensor;
}

async function expectAgreement(call: Call): Promise<void> {
  const { op, domain, opset = 18, attrs = {}, inputs, outputs = [true], sizes = {} } = call;
  const random = generator(7);
  const tensors = inputs.map((input) => input && tensorOf(input, sizes, random));
  const name = (prefix: string) => (present: unknown, k: number): string => (present ? `${prefix}${k}` : '');
  const given = inputs.flatMap((input, k) => (input && !input.weight ? [{ name: `x${k}`, input, tensor: tensors[k]! }] : []));
  const wanted = outputs.flatMap((present, k) => (present ? [`y${k}`] : []));
  const bytes = model({
    opset,
    domains: domain === undefined ? {} : { [domain]: 1 },
    nodes: [node(op, inputs.map(name('x')), outputs.map(name('y')), { attrs, ...(domain !== undefined && { domain }) })],
    inputs: given.map(({ name: n, input }) => info(n, input.dtype ?? 'f32', input.dims)),
    outputs: wanted.map((n) => info(n, 'f32', null)),
    initializers: inputs.flatMap((input, k) => (input?.weight ? [raw(`x${k}`, tensors[k]!.dtype, tensors[k]!.shape, tensors[k]!.data)] : [])),
  });

  const types = { f32: 'float32', i32: 'int32', i64: 'int64' } as const;
  const reference = await InferenceSession.create(bytes, { logSeverityLevel: 4 });
  const want = await reference.run(Object.fromEntries(given.map(({ name: n, tensor }) =>
    [n, new Tensor(types[tensor.dtype as keyof typeof types], tensor.data as Float32Array, [...tensor.shape])])));
  await reference.release();

  const session = new Session({ config: { plugins: [standardOps(), onnx()] }, host: hostOf({}) });
  const module = await session.registry.frontends[0]!.import(memory('model.onnx', bytes), session, { dims: {} });
  const main = module.functions.get('main') as GraphFunction;
  const got = await evaluateGraph(module, main, given.map(({ tensor }) => tensor), session);
  wanted.forEach((n, k) => {
    const { data, dims } = want[n]!;
    const { error, problem } = outputAgreement(got[k]!, { dtype: 'f32', shape: dims, data: data as Float32Array });
    expect(problem, n).toBeNull();
    expect(error, n).toBeLessThan(1e-5);
  });
}

const sizes = { B: 2, S: 3, T: 5, P: 4 };
const heads = { num_heads: i(2) };
const present = [true, true, true];

describe('MultiHeadAttention', () => {
  const qkv = [x('B', 'S', 8), x('B', 'T', 8), x('B', 'T', 12)];
  const self = [x('B', 'S', 8), x('B', 'S', 8), x('B', 'S', 8)];
  const past = [x('B', 2, 'P', 4), x('B', 2, 'P', 4)];
  it.each<readonly [string, Partial<Call>]>([
    ['plain', { inputs: qkv }],
    ['bias', { inputs: [...qkv, w(28)] }],
    ['padding by mask', { inputs: [...qkv, null, ints(['B', 'T'], [1, 1, 1, 1, 0, 1, 1, 0, 0, 0])] }],
    ['padding by length', { inputs: [...qkv, null, ints(['B'], [5, 2])] }],
    ['mask value and scale', { inputs: [...qkv, null, ints(['B', 'T'], [1, 1, 1, 1, 0, 1, 1, 0, 0, 0])], attrs: { ...heads, mask_filter_value: f(-2), scale: f(0.3) } }],
    ['attention bias', { inputs: [...qkv, null, null, x(1, 2, 'S', 'T')] }],
    ['causal', { inputs: self, attrs: { ...heads, unidirectional: i(1) } }],
    ['present', { inputs: self, outputs: present }],
    ['past', { inputs: [...self, w(24), null, null, ...past], outputs: present }],
    ['causal with past', { inputs: [...self, null, null, null, ...past], outputs: present, attrs: { ...heads, unidirectional: i(1) } }],
    ['keys in heads', { inputs: [x('B', 'S', 8), x('B', 2, 'T', 4), x('B', 2, 'T', 4)] }],
  ])('%s', (_, call) => expectAgreement({ op: 'MultiHeadAttention', domain: microsoft, attrs: heads, sizes, inputs: [], ...call }));
});

describe('Attention of com.microsoft', () => {
  const projected = [x('B', 'S', 6), w(6, 24), w(24)];
  const past = x(2, 'B', 2, 'P', 4);
  it.each<readonly [string, Partial<Call>]>([
    ['plain', { inputs: projected }],
    ['causal', { inputs: projected, attrs: { ...heads, unidirectional: i(1) } }],
    ['mask', { inputs: [...projected, ints(['B', 'S'], [1, 1, 0, 1, 1, 1])] }],
    ['lengths', { inputs: [...projected, ints(['B'], [2, 3])] }],
    ['present', { inputs: projected, outputs: [true, true] }],
    ['past', { inputs: [...projected, null, past], outputs: [true, true], attrs: { ...heads, unidirectional: i(1) } }],
    ['unequal sizes', { inputs: [x('B', 'S', 6), w(6, 28), w(28)], attrs: { ...heads, qkv_hidden_sizes: { ints: [8, 8, 12] } } }],
  ])('%s', (_, call) => expectAgreement({ op: 'Attention', domain: microsoft, attrs: heads, sizes, inputs: [], ...call }));
});

describe('GroupQueryAttention', () => {
  const grouped = { num_heads: i(4), kv_num_heads: i(2) };
  const call = (past: number, length: number, attrs: { readonly [name: string]: AttributeValue }, packed: boolean): Call => {
    const rotary = 'do_rotary' in attrs ? [w(16, 8), w(16, 8)] : [];
    const qkv = packed ? [x('B', 'S', 128), null, null] : [x('B', 'S', 64), x('B', 'S', 32), x('B', 'S', 32)];
    return {
      op: 'GroupQueryAttention', domain: microsoft, attrs: { ...grouped, ...attrs }, sizes: { B: 2, S: length, P: past }, outputs: present,
      inputs: [
        ...qkv, x('B', 2, 'P', 16), x('B', 2, 'P', 16), ints(['B'], [past + length - 1, past + length - 1]),
        { dims: [], dtype: 'i32', values: [past + length], weight: true }, ...rotary,
      ],
    };
  };
  it.each<readonly [string, number, number, { readonly [name: string]: AttributeValue }, boolean]>([
    ['prompt', 0, 3, {}, false],
    ['step', 5, 1, {}, false],
    ['prompt with rotary embedding', 0, 3, { do_rotary: i(1) }, false],
    ['step with rotary embedding', 5, 1, { do_rotary: i(1), rotary_interleaved: i(1) }, false],
    ['packed', 0, 3, { do_rotary: i(1) }, true],
    ['local window', 0, 6, { local_window_size: i(2) }, false],
    ['step in a local window', 6, 1, { local_window_size: i(3) }, false],
    ['soft cap and scale', 0, 3, { softcap: f(2), scale: f(0.9) }, false],
  ])('%s', (_, past, length, attrs, packed) => expectAgreement(call(past, length, attrs, packed)));
});

describe('RotaryEmbedding of com.microsoft', () => {
  const tables = [w(10, 4), w(10, 4)];
  const positions = ints(['B', 'S'], [2, 0, 1, 3, 4, 5], 'i64');
  it.each<readonly [string, Partial<Call>]>([
    ['heads merged', { inputs: [x('B', 'S', 16), positions, ...tables] }],
    ['heads apart', { inputs: [x('B', 2, 'S', 8), positions, ...tables] }],
    ['interleaved', { inputs: [x('B', 'S', 16), positions, ...tables], attrs: { interleaved: i(1) } }],
    ['first position', { inputs: [x('B', 2, 'S', 8), ints([1], [4], 'i64'), ...tables] }],
    ['part of a head', { inputs: [x('B', 'S', 16), positions, w(10, 2), w(10, 2)], attrs: { num_heads: i(2), rotary_embedding_dim: i(4) } }],
  ])('%s', (_, call) => expectAgreement({ op: 'RotaryEmbedding', domain: microsoft, sizes, inputs: [], ...call }));
});

describe('normalisation of sums', () => {
  const sum = [true, false, false, true];
  it.each<readonly [string, Call]>([
    ['SkipLayerNormalization', { op: 'SkipLayerNormalization', inputs: [x('B', 'S', 4), x('B', 'S', 4), w(4), w(4), w(4)], outputs: sum }],
    ['SkipLayerNormalization without bias', { op: 'SkipLayerNormalization', inputs: [x('B', 'S', 4), x('B', 'S', 4), w(4)] }],
    ['SkipSimplifiedLayerNormalization', { op: 'SkipSimplifiedLayerNormalization', inputs: [x('B', 'S', 4), x('B', 'S', 4), w(4), w(4)], outputs: sum }],
    ['EmbedLayerNormalization', {
      op: 'EmbedLayerNormalization', outputs: [true, false, true],
      inputs: [ints(['B', 'S'], [1, 2, 0, 3, 1, 2]), ints(['B', 'S'], [0, 0, 1, 0, 1, 1]), w(5, 4), w(6, 4), w(2, 4), w(4), w(4)],
    }],
  ])('%s', (_, call) => expectAgreement({ ...call, domain: microsoft, sizes, attrs: { epsilon: f(1e-5) } }));
});

describe.each([['LSTM', 4, 3], ['GRU', 3, 2], ['RNN', 1, 2]] as const)('%s', (op, gates, results) => {
  const size = 4;
  const call = (direction: string, lengths: boolean, attrs: { readonly [name: string]: AttributeValue }): Call => {
    const n = direction === 'bidirectional' ? 2 : 1;
    return {
      op, sizes: { S: 4, B: 3 }, outputs: Array.from({ length: results }, () => true), attrs: { hidden_size: i(size), direction: s(direction), ...attrs },
      inputs: [
        x('S', 'B', 2), w(n, gates * size, 2), w(n, gates * size, size), w(n, 2 * gates * size), lengths ? ints(['B'], [4, 2, 1]) : null, x(n, 'B', size),
        ...(op === 'LSTM' ? [x(n, 'B', size), w(n, 3 * size)] : []),
      ],
    };
  };
  it.each(['forward', 'reverse', 'bidirectional'])('%s', (direction) => expectAgreement(call(direction, false, {})));
  it.each(['forward', 'reverse', 'bidirectional'])('%s with lengths', (direction) => expectAgreement(call(direction, true, {})));
  it('clips', () => expectAgreement(call('bidirectional', true, { clip: f(0.4) })));
  const functions = op === 'LSTM' ? 3 : op === 'GRU' ? 2 : 1;
  const all = (name: string) => ({ strings: Array.from({ length: functions }, () => name) });
  const every = (value: number) => ({ floats: Array.from({ length: functions }, () => value) });
  it.each<readonly [string, { readonly [name: string]: AttributeValue }]>([
    ['HardSigmoid', { activation_alpha: every(0.3), activation_beta: every(0.4) }],
    ['HardSigmoid', {}],
    ['LeakyRelu', { activation_alpha: every(0.3) }],
    ['LeakyRelu', {}],
    ['ScaledTanh', { activation_alpha: every(0.7), activation_beta: every(0.9) }],
    ['Affine', { activation_alpha: every(0.5), activation_beta: every(0.1) }],
    ['Elu', { activation_alpha: every(0.7) }],
    ['Softsign', {}],
    ['ThresholdedRelu', { activation_alpha: every(0.2) }],
  ])('activation %s %o', (name, attrs) => expectAgreement(call('reverse', true, { activations: all(name), ...attrs })));
  if (op === 'LSTM') it('couples gates', () => expectAgreement(call('forward', false, { input_forget: i(1) })));
  if (op === 'GRU') it('resets after the product', () => expectAgreement(call('bidirectional', true, { linear_before_reset: i(1) })));
  if (op === 'RNN') {
    it('takes functions by direction', () => expectAgreement(call('bidirectional', false, {
      activations: { strings: ['LeakyRelu', 'HardSigmoid'] }, activation_alpha: { floats: [0.3, 0.25] }, activation_beta: { floats: [0.4] },
    })));
  }
});

describe('softmax over trailing axes, before opset 13', () => {
  const cases = ['Softmax', 'LogSoftmax', 'Hardmax'].flatMap((op) => [7, 11].flatMap((opset) => [0, 1, 2, null].map((axis) => [op, opset, axis] as const)));
  it.each(cases)('%s-%i, axis %s', (op, opset, axis) =>
    expectAgreement({ op, opset, inputs: [x('B', 'S', 4)], sizes, attrs: axis === null ? {} : { axis: i(axis) } }));
});
