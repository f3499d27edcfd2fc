import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { printExpr, printFunction, Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { diagnosticOf, type GraphFunction, type HostTensor, type TensorType } from '@tenon/plugin';
import { info, model, node, raw, type AttributeValue, type ModelParts } from '../packages/frontend-onnx/test/onnx-writer.ts';
import { hostOf } from '../packages/frontend-onnx/test/session.ts';
import { failure, memory } from '../packages/frontend-onnx/test/source.ts';
import { outputAgreement } from './support/compare.ts';
import { generator } from './support/generator.ts';
import { integer, pick as pickFrom, randomTensor } from './support/random.ts';

const i = (value: number): AttributeValue => ({ i: value });
const f = (value: number): AttributeValue => ({ f: value });
const s = (value: string): AttributeValue => ({ s: value });
const ints = (values: readonly number[]): AttributeValue => ({ ints: values });
const floats = (values: readonly number[]): HostTensor => ({ dtype: 'f32', shape: [values.length], data: Float32Array.from(values) });
const longs = (values: readonly number[]): HostTensor => ({ dtype: 'i64', shape: [values.length], data: BigInt64Array.from(values, BigInt) });

async function imported(bytes: Uint8Array, dims = {}) {
  const session = new Session({ config: { plugins: [standardOps(), onnx()] }, host: hostOf({}) });
  const module = await session.registry.frontends[0]!.import(memory('model.onnx', bytes), session, { dims });
  return { session, module, main: module.functions.get('main') as GraphFunction };
}

/** One generated node: inputs, and initializers after them; null for one left out. */
interface Case {
  readonly inputs: readonly (HostTensor | null)[];
  readonly initializers?: readonly (HostTensor | null)[];
  readonly attrs: { readonly [name: string]: AttributeValue };
  readonly opset: number;
  readonly outputs?: readonly string[];
  readonly tolerance?: number;
}
interface Draw {
  readonly random: () => number;
  int(min: number, max: number): number;
  list(count: number, min: number, max: number): number[];
  pick<T>(from: readonly T[]): T;
  tensor(shape: readonly number[], range?: readonly [number, number]): HostTensor;
}

function drawing(seed: number): Draw {
  const random = generator(seed);
  const int = (min: number, max: number): number => integer(random, min, max);
  return {
    random, int,
    list: (count, min, max) => Array.from({ length: count }, () => int(min, max)),
    pick: (from) => pickFrom(random, from),
    tensor: (shape, range = [-2, 2]) => randomTensor(random, 'f32', shape, range),
  };
}

/**
 * Padding of a window: explicit, or automatic. Where a kernel does not cover its stride, onnxruntime treats automatic
 * padding of pools and transposed convolutions differently from the specification; such cases are left out.
 */
function padding(d: Draw, kernel: readonly number[], strides: readonly number[], most: number | null): { readonly [name: string]: AttributeValue } {
  const mode = d.pick(['NOTSET', 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID']);
  if (mode === 'VALID' || (mode !== 'NOTSET' && kernel.every((k, axis) => k >= strides[axis]!))) return { auto_pad: s(mode) };
  const side = (): number[] => kernel.map((k) => d.int(0, most ?? k - 1));
  return { pads: ints([...side(), ...side()]) };
}

function pool(d: Draw, spatial: number, dilated: boolean, ceil: boolean): Pick<Case, 'inputs' | 'attrs'> {
  const [kernel, strides] = [d.list(spatial, 1, 3), d.list(spatial, 1, 3)];
  const pads = padding(d, kernel, strides, null);
  return {
    inputs: [d.tensor([d.int(1, 2), d.int(1, 2), ...d.list(spatial, 5, 8)])],
    attrs: {
      kernel_shape: ints(kernel), strides: ints(strides), ...pads,
      ...(dilated && !('auto_pad' in pads) && { dilations: ints(d.list(spatial, 1, 2)) }), ...(ceil && { ceil_mode: i(d.int(0, 1)) }),
    },
  };
}

const generators: { readonly [op: string]: (d: Draw) => Case } = {
  Conv(d) {
    const [spatial, groups, inner] = [d.int(1, 3), d.pick([1, 1, 2, 3]), d.int(1, 3)];
    const [kernel, strides] = [d.list(spatial, 1, 3), d.list(spatial, 1, 3)];
    const pads = padding(d, kernel, strides, 2);
    const channels = groups * d.int(1, 3);
    return {
      inputs: [d.tensor([d.int(1, 2), groups * inner, ...d.list(spatial, 5, 8)]), d.tensor([channels, inner, ...kernel]), d.pick([null, d.tensor([channels])])],
      attrs: { strides: ints(strides), group: i(groups), ...pads, ...(!('auto_pad' in pads) && { dilations: ints(d.list(spatial, 1, 2)) }) },
      opset: d.pick([11, 22]),
    };
  },
  ConvTranspose(d) {
    const [spatial, groups] = [d.int(1, 2), d.pick([1, 1, 2])];
    const [kernel, strides] = [d.list(spatial, 1, 4), d.list(spatial, 1, 3)];
    const [inner, perGroup] = [groups * d.int(1, 2), d.int(1, 3)];
    const input = d.tensor([d.int(1, 2), inner, ...d.list(spatial, 2, 5)]);
    const shape = kernel.every((k, axis) => k >= strides[axis]!)
      ? d.pick([{}, { auto_pad: s('SAME_UPPER') }, { auto_pad: s('SAME_LOWER') }, { output_shape: ints(input.shape.slice(2).map((n, axis) => n * strides[axis]!)) }])
      : {};
    const explicit = { pads: ints(d.list(2 * spatial, 0, 1)), output_padding: ints(strides.map((n) => d.int(0, n - 1))), dilations: ints(d.list(spatial, 1, 2)) };
    return {
      inputs: [input, d.tensor([inner, perGroup, ...kernel]), d.pick([null, d.tensor([groups * perGroup])])],
      attrs: { strides: ints(strides), group: i(groups), ...(Object.keys(shape).length === 0 ? explicit : shape) },
      opset: d.pick([11, 22]),
    };
  },
  MaxPool: (d) => {
    const { inputs, attrs } = pool(d, d.int(1, 3), true, true);
    return { inputs, attrs: { ...attrs, storage_order: i(d.int(0, 1)) }, outputs: d.pick([['f32'], ['f32', 'i64']]), opset: d.pick([12, 22]) };
  },
  AveragePool: (d) => {
    const opset = d.pick([11, 19, 22]);
    const { inputs, attrs } = pool(d, d.int(1, 3), opset >= 19, true);
    return { inputs, attrs: { ...attrs, count_include_pad: i(d.int(0, 1)) }, opset };
  },
  LpPool: (d) => {
    const { inputs, attrs } = pool(d, d.int(1, 2), false, false);
    return { inputs, attrs: { ...attrs, p: i(d.int(1, 3)) }, opset: d.pick([11, 18]) };
  },
  MatMul(d) {
    const k = d.int(1, 5);
    const batch = d.list(d.int(0, 2), 1, 3);
    const other = batch.map((n) => d.pick([n, 1])).slice(d.int(0, batch.length));
    return { inputs: [d.tensor(d.pick([[k], [...batch, d.int(1, 4), k]])), d.tensor(d.pick([[k], [...other, k, d.int(1, 4)]]))], attrs: {}, opset: 13 };
  },
  Gemm(d) {
    const [m, k, n] = d.list(3, 1, 5) as [number, number, number];
    const [ta, tb] = d.list(2, 0, 1) as [number, number];
    return {
      inputs: [d.tensor(ta ? [k, m] : [m, k]), d.tensor(tb ? [n, k] : [k, n]), d.pick([null, d.tensor([n]), d.tensor([m, 1]), d.tensor([m, n]), d.tensor([])])],
      attrs: { transA: i(ta), transB: i(tb), alpha: f(d.pick([1, 0.5])), beta: f(d.pick([1, 0, 0.25])) },
      opset: 13,
    };
  },
  Resize(d) {
    const mode = d.pick(['nearest', 'linear', 'cubic']);
    const shape = [1, d.int(1, 2), ...d.list(2, 2, 7)];
    const opset = d.pick([11, 13, 18, 19]);
    const coordinates = d.pick(['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'tf_crop_and_resize']);
    const crop = coordinates === 'tf_crop_and_resize';
    // onnxruntime does not crop where no axis changes its size.
    const target = shape.slice(2).map((n) => { const m = d.int(2, 12); return crop && m === n ? m + 1 : m; });
    const sizes = crop || d.random() < 0.5;
    return {
      inputs: [d.tensor(shape)],
      initializers: [
        crop ? floats([0, 0, d.pick([0, 0.25]), d.pick([0, 0.4]), 1, 1, d.pick([1, 0.6]), d.pick([1.2, 0.75])]) : null,
        sizes ? null : floats([1, 1, d.pick([0.5, 0.6, 1, 2, 2.7]), d.pick([0.5, 0.6, 1, 1.5, 3])]),
        ...(sizes ? [longs([...shape.slice(0, 2), ...target])] : []),
      ],
      attrs: {
        mode: s(mode), coordinate_transformation_mode: s(coordinates),
        ...(mode === 'nearest' && { nearest_mode: s(d.pick(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'])) }),
        ...(mode === 'cubic' && { cubic_coeff_a: f(d.pick([-0.5, -0.75])), exclude_outside: i(d.int(0, 1)) }),
        ...(crop && { extrapolation_value: f(7) }),
        ...(opset >= 18 && mode !== 'nearest' && !crop && { antialias: i(d.int(0, 1)) }),
      },
      opset, tolerance: 1e-4,
    };
  },
  GridSample(d) {
    const opset = d.pick([16, 20, 22]);
    const spatial = opset < 20 ? 2 : d.pick([2, 3]);
    const modes = opset < 20 ? ['bilinear', 'nearest', 'bicubic'] : spatial === 3 ? ['linear', 'nearest'] : ['linear', 'nearest', 'cubic'];
    return {
      inputs: [d.tensor([2, 2, ...d.list(spatial, 1, 5)]), d.tensor([2, ...d.list(spatial, 1, 4), spatial], [-1.7, 1.7])],
      attrs: { mode: s(d.pick(modes)), padding_mode: s(d.pick(['zeros', 'border', 'reflection'])), align_corners: i(d.int(0, 1)) },
      opset, tolerance: 1e-4,
    };
  },
  LRN: (d) => ({ inputs: [d.tensor([1, d.int(1, 6), 3, 2])], attrs: { size: i(d.pick([1, 3, 5])), alpha: f(0.3), beta: f(0.6), bias: f(1.5) }, opset: 13 }),
  DeformConv(d) {
    const [groups, parts] = [d.pick([1, 2]), d.pick([1, 2])];
    const kernel = d.list(2, 1, 3);
    const [size, strides, pads] = [d.list(2, 4, 6), d.list(2, 1, 2), d.list(4, 0, 1)];
    const out = size.map((n, axis) => Math.floor((n + pads[axis]! + pads[axis + 2]! - kernel[axis]!) / strides[axis]!) + 1);
    const taps = parts * kernel[0]! * kernel[1]!;
    return {
      inputs: [
        d.tensor([1, 2 * groups, ...size]), d.tensor([2 * groups, 2, ...kernel]), d.tensor([1, 2 * taps, ...out]),
        d.pick([null, d.tensor([2 * groups])]), d.pick([null, d.tensor([1, taps, ...out])]),
      ],
      attrs: { group: i(groups), offset_group: i(parts), strides: ints(strides), pads: ints(pads), kernel_shape: ints(kernel) },
      opset: 19, tolerance: 1e-4,
    };
  },
  Einsum(d) {
    const size: { readonly [letter: string]: number } = { i: 2, j: 3, k: 4, l: 2, b: 3 };
    const terms = Array.from({ length: d.pick([1, 2, 2, 3]) }, () => Array.from({ length: d.int(1, 3) }, () => d.pick([...'ijklb'])));
    const ellipsis = d.random() < 0.3 ? '...' : '';
    const used = [...new Set(terms.flat())].filter(() => d.random() < 0.6);
    const output = d.random() < 0.8 ? `->${ellipsis}${used.reverse().join('')}` : '';
    // onnxruntime crashes where an ellipsis stands for no axis at all.
    return {
      inputs: terms.map((t) => d.tensor([...(ellipsis ? d.pick([[2], [1]]) : []), ...t.map((letter) => size[letter]!)])),
      attrs: { equation: s(terms.map((t) => ellipsis + t.join('')).join(',') + output) },
      opset: 12,
    };
  },
  Det: (d) => { const n = d.int(1, 5); return { inputs: [d.tensor([2, n, n])], attrs: {}, opset: 13 }; },
};

function build(op: string, c: Case): Uint8Array {
  const name = (k: number): string => `x${k}`;
  const all = [...c.inputs, ...(c.initializers ?? [])];
  const outputs = c.outputs ?? ['f32'];
  return model({
    opset: c.opset,
    nodes: [node(op, all.map((t, k) => (t ? name(k) : '')), outputs.map((_, k) => `y${k}`), { attrs: c.attrs })],
    inputs: c.inputs.flatMap((t, k) => (t ? [info(name(k), t.dtype, t.shape)] : [])),
    outputs: outputs.map((dtype, k) => info(`y${k}`, dtype, null)),
    initializers: all.flatMap((t, k) => (t && k >= c.inputs.length ? [raw(name(k), t.dtype, t.shape, t.data)] : [])),
  });
}

/** null: onnxruntime does not support the case. */
async function wanted(bytes: Uint8Array, c: Case): Promise<HostTensor[] | null> {
  try {
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 });
    const feeds = c.inputs.flatMap((t, k) => (t ? [[`x${k}`, new Tensor('float32', t.data as Float32Array, t.shape)] as const] : []));
    const results = await session.run(Object.fromEntries(feeds));
    return (c.outputs ?? ['f32']).map((dtype, k) => ({ dtype, shape: [...results[`y${k}`]!.dims], data: results[`y${k}`]!.data as Float32Array }));
  } catch {
    return null;
  }
}

describe('generated nodes give what onnxruntime gives', () => {
  it.each(Object.keys(generators))('%s', async (op) => {
    const rounds = 25;
    let compared = 0;
    for (let seed = 0; seed < rounds; seed++) {
      const c = generators[op]!(drawing(seed));
      const bytes = build(op, c);
      const want = await wanted(bytes, c);
      if (want === null) continue;
      const { session, module, main } = await imported(bytes);
      const got = await evaluateGraph(module, main, c.inputs.filter((t) => t !== null), session);
      const what = `seed ${seed}, opset ${c.opset}: ${JSON.stringify(c.attrs)} on ${c.inputs.map((t) => (t ? `[${t.shape.join()}]` : 'nothing')).join(' ')}`;
      want.forEach((w, k) => {
        const { error, problem } = outputAgreement(got[k]!, w);
        expect(problem, what).toBeNull();
        expect(error, what).toBeLessThanOrEqual(c.tolerance ?? 1e-5);
      });
      compared++;
    }
    expect(compared).toBeGreaterThan(rounds / 2);
  });
});

const y = info('y', 'f32', null);

async function shapesOf(parts: ModelParts): Promise<readonly (readonly string[])[]> {
  const { main } = await imported(model(parts));
  return main.results.map((r) => (r.type as TensorType).shape.map((d) => printExpr(d)));
}

describe('spatial sizes that are dims', () => {
  const image = info('x', 'f32', ['n', 3, 48, 'w']);
  const weights = raw('k', 'f32', [8, 3, 3, 3], new Float32Array(8 * 27));
  const one = (op: string, inputs: readonly string[], attrs: { readonly [name: string]: AttributeValue }, ...initializers: readonly ReturnType<typeof raw>[]) =>
    shapesOf({ inputs: [image], outputs: [y], initializers, nodes: [node(op, inputs, ['y'], { attrs })] });

  it('follow convolutions and pools', async () => {
    expect(await one('Conv', ['x', 'k'], { strides: ints([2, 2]), pads: ints([1, 1, 1, 1]) }, weights)).toEqual([['n', '8', '24', 'floordiv(w + 1, 2)']]);
    expect(await one('MaxPool', ['x'], { kernel_shape: ints([2, 2]), strides: ints([2, 2]) })).toEqual([['n', '3', '24', 'floordiv(w, 2)']]);
    expect(await one('GlobalAveragePool', ['x'], {})).toEqual([['n', '3', '1', '1']]);
  });

  it('keep their size, or divide it, where padding is automatic', async () => {
    expect(await one('Conv', ['x', 'k'], { auto_pad: s('SAME_UPPER') }, weights)).toEqual([['n', '8', '48', 'w']]);
    expect(await one('Conv', ['x', 'k'], { auto_pad: s('SAME_LOWER'), strides: ints([2, 2]) }, weights)).toEqual([['n', '8', '24', 'floordiv(w + 1, 2)']]);
  });

  it('grow by transposed convolution and Resize', async () => {
    expect(await one('ConvTranspose', ['x', 't'], { strides: ints([2, 2]) }, raw('t', 'f32', [3, 5, 2, 2], new Float32Array(60)))).toEqual([['n', '5', '96', 'w * 2']]);
    expect(await one('Resize', ['x', '', 's'], {}, raw('s', 'f32', [4], Float32Array.of(1, 1, 2, 0.5)))).toEqual([['n', '3', '96', 'floordiv(w, 2)']]);
  });
});

describe('nn.resize', () => {
  it.each(['half_pixel', 'asymmetric'])('with mode nearest and %s reads at a plain quotient for whole scales', (coordinates) => {
    const session = new Session({ config: { plugins: [standardOps()] }, host: hostOf({}) });
    const { exprs } = session;
    const w = exprs.variable('w');
    const attrs = { axes: [1, 2], sizes: [20, exprs.mul(w, 3)], coordinates, rounding: coordinates === 'asymmetric' ? 'floor' : 'round_prefer_floor' };
    const text = printFunction(session.define('f', 'nn.resize', [session.types.tensor('f32', [4, 10, w])], attrs)!);
    expect(text).toContain('= x[v_0, floordiv(v_1, 2), floordiv(v_2, 3)]');
  });
});

describe('what cannot be compiled is refused with a code', () => {
  const refused = async (op: string, shape: readonly (number | string)[], attrs: { readonly [name: string]: AttributeValue }, ...initializers: readonly ReturnType<typeof raw>[]) =>
    (await failure(imported(model({
      inputs: [info('x', 'f32', shape), info('s', 'f32', [4])], outputs: [y], initializers, nodes: [node(op, op === 'Resize' ? ['x', '', 's'] : ['x', 'k'].slice(0, 1 + initializers.length), ['y'], { attrs })],
    })))).code;

  it.each([
    ['a scale that only the call decides', () => refused('Resize', [1, 1, 4, 4], {}), 'onnx/dynamic-attribute'],
    ['a kernel larger than the input', () => refused('MaxPool', [1, 1, 4, 4], { kernel_shape: ints([5, 5]) }), 'op/window'],
    ['weights for other channels', () => refused('Conv', [1, 4, 8, 8], {}, raw('k', 'f32', [2, 3, 3, 3], new Float32Array(54))), 'op/channels'],
    ['inner sizes that differ', () => refused('MatMul', [2, 3], {}, raw('k', 'f32', [4, 2], new Float32Array(8))), 'op/inner-size'],
    ['inner sizes that may differ', () => refused('MatMul', [2, 'n'], {}, raw('k', 'f32', [4, 2], new Float32Array(8))), 'op/inner-size'],
    ['an equation with an output label of no operand', () => refused('Einsum', [2, 3], { equation: s('ij->k') }), 'onnx/invalid-attribute'],
    ['an unknown padding', () => refused('MaxPool', [1, 1, 4, 4], { kernel_shape: ints([2, 2]), auto_pad: s('SOME') }), 'onnx/unsupported-attribute'],
  ] as const)('%s', async (_, run, code) => {
    expect(await run()).toBe(code);
  });

  it('tells the dims to fix', () => {
    const session = new Session({ config: { plugins: [standardOps()] }, host: hostOf({}) });
    const [n, m] = [session.exprs.variable('n'), session.exprs.variable('m')];
    let hint: string | null = null;
    try {
      session.infer('nn.matmul', [session.types.tensor('f32', [2, n]), session.types.tensor('f32', [m, 2])], {});
    } catch (error) {
      hint = diagnosticOf(error)?.hint ?? null;
    }
    expect(hint).toContain('Fix or relate the dims');
  });
});
