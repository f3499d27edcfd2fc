import { beforeAll, describe, expect, test } from 'vitest';
import { axis, biasRelu, buildArtifact, call, param, result, ret, type TestArtifact } from '../test/build.ts';
import { failure } from '../test/failure.ts';
import { testLoader } from '../test/js-loader.ts';
import { createRuntime, type Inputs, type Model, tensor } from './index.ts';

/** `out[b, 2 s] = fill(k)` with ids i64[b, s], mask bool[b, s], image f32[3, 4], sizes i64[2] = (k, b). */
const artifact: TestArtifact = {
  blobs: { code: { entries: { r: { steps: [{ op: 'fill', dtype: 'f32', dim: 0, out: 4 }] } } } },
  regions: [{ name: 'r', dims: ['k'], on: [{ blob: 0 }] }],
  params: [
    { name: 'input_ids', dtype: 'i64', shape: [['$b'], ['$s']] },
    { name: 'mask', dtype: 'bool', shape: [['$b'], ['$s']] },
    { name: 'image', dtype: 'f32', shape: [[3], [4]] },
    { name: 'sizes', dtype: 'i64', shape: [[2]], contents: [['$k'], ['$b']] },
  ],
  results: [{ name: 'out', shape: [['$b'], ['$s', 2, '*']] }],
  dims: [
    axis('b', 0, 0, { min: 1, max: 8 }),
    axis('s', 0, 1, { min: 2, max: 64, multipleOf: 2 }),
    { name: 'k', min: -5, max: 5, binding: { kind: 'element', param: 3, element: 0 } },
  ],
  values: [
    param(0, { dtype: 'i64', shape: [['$b'], ['$s']], bytes: ['$b', '$s', '*', 8, '*'] }),
    param(1, { dtype: 'bool', shape: [['$b'], ['$s']], bytes: ['$b', '$s', '*'] }),
    param(2, { shape: [[3], [4]], bytes: [48] }),
    param(3, { dtype: 'i64', shape: [[2]], bytes: [16] }),
    result(0, { shape: [['$b'], ['$s', 2, '*']], bytes: ['$b', '$s', '*', 8, '*'] }),
  ],
  program: [call(0, [0, 1, 2, 3], [4], [['$k']]), ret(4)],
};

const good = {
  input_ids: tensor(BigInt64Array.of(1n, 2n, 3n, 4n), [1, 4]),
  mask: tensor(Uint8Array.of(1, 1, 0, 0), [1, 4], 'bool'),
  image: new Float32Array(12),
  sizes: [3, 1],
};
let model: Model;
beforeAll(async () => {
  model = await createRuntime({ loaders: [testLoader()] }).load(await buildArtifact(artifact));
});

describe('arguments', () => {
  test('bind dims from shapes and contents', () => {
    const { out } = model.runSync(good);
    expect(out!.shape).toEqual([1, 8]);
    expect([...out!.data]).toEqual(Array(8).fill(3));
    expect([...model.runSync({ ...good, sizes: BigInt64Array.of(-5n, 1n) })['out']!.data]).toEqual(Array(8).fill(-5));
  });

  test('plain arrays take shapes that follow from other inputs', () => {
    const { out } = model.runSync({ ...good, mask: new Uint8Array(4), image: [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]] });
    expect(out!.shape).toEqual([1, 8]);
    // b from the contents of `sizes`, then s from the number of elements.
    expect(model.runSync({ ...good, input_ids: new Int32Array(12), mask: new Uint8Array(12), sizes: [0, 2] })['out']!.shape).toEqual([2, 12]);
  });

  const wrong: readonly (readonly [string, Inputs, string, RegExp])[] = [
    ['a wrong name', { ...good, inputs_id: [1] }, 'runtime/unknown-input', /no input 'inputs_id'/],
    ['a missing input', { input_ids: good.input_ids, mask: good.mask, image: good.image }, 'runtime/missing-input', /'sizes' is missing: expected i64\[2\]/],
    ['a wrong array', { ...good, image: new Float64Array(12) }, 'runtime/dtype', /'image': expected f32\[3, 4\], got a Float64Array/],
    ['a wrong dtype', { ...good, image: tensor(new Uint8Array(12), [3, 4]) }, 'runtime/dtype', /'image': expected f32\[3, 4\], got u8/],
    ['a wrong rank', { ...good, image: tensor(new Float32Array(12)) }, 'runtime/shape', /'image': expected f32\[3, 4\], got rank 1: \[12\]/],
    ['a wrong shape', { ...good, image: tensor(new Float32Array(12), [4, 3]) }, 'runtime/shape', /'image': expected f32\[3, 4\], got \[4, 3\]/],
    ['a wrong length', { ...good, image: new Float32Array(11) }, 'runtime/shape', /'image': expected f32\[3, 4\], that is 12 elements, got 11/],
    ['shapes that contradict each other', { ...good, mask: tensor(new Uint8Array(6), [1, 6], 'bool') }, 'runtime/shape', /'mask': expected bool\[b, s\] where b = 1, s = 4, got \[1, 6\]/],
    ['contents that contradict shapes', { ...good, sizes: [3, 2] }, 'runtime/contents', /'sizes': element 1 is 2, but b is 1/],
    ['a dim out of range', { ...good, sizes: [6, 1] }, 'runtime/dim-range', /dim 'k' \(element 0 of input 'sizes'\) is 6: it must be in -5 … 5/],
    ['a dim of the wrong multiple', { ...good, input_ids: tensor(new Int32Array(3), [1, 3]), mask: tensor(new Uint8Array(3), [1, 3], 'bool') }, 'runtime/dim-range', /is 3: it must be a multiple of 2/],
    ['numbers that do not fit', { ...good, sizes: [1.5, 1] }, 'runtime/tensor', /'sizes': 1.5 is not an integer/],
    ['ragged arrays', { ...good, image: [[1, 2], [3]] }, 'runtime/tensor', /'image': nested arrays of different lengths/],
    ['no object', new Float32Array(3) as never, 'runtime/inputs', /input_ids, mask, image, sizes/],
    ['an object that is no tensor', { ...good, image: { pixels: 1 } as never }, 'runtime/dtype', /got an object/],
  ];
  test.each(wrong)('%s is refused', async (_, inputs, code, message) => {
    const problem = await failure(() => model.runSync(inputs));
    expect(problem.code).toBe(code);
    expect(problem.message).toMatch(message);
    expect(await failure(() => model.run(inputs))).toEqual(problem);
  });

  test('a misspelt name comes with a suggestion, and all problems come at once', async () => {
    const problem = await failure(() => model.run({ inputIds: [1], mask: new Float32Array(4), image: good.image, sizes: good.sizes }));
    expect(problem.hint).toBe("did you mean 'input_ids'?");
    expect(problem.related.map((p) => p.code)).toEqual(['runtime/unknown-input', 'runtime/missing-input', 'runtime/dtype']);
    expect(problem.message).toMatch(/inputIds.*input_ids.*mask/);
  });

  test('a shape that does not follow from a length is asked for', async () => {
    const two: TestArtifact = { ...biasRelu(), params: [{ name: 'x', shape: [['$n'], ['$m']] }], dims: [axis('n', 0, 0), axis('m', 0, 1)], values: [param(0, { shape: [['$n'], ['$m']], bytes: ['$n', '$m', '*', 4, '*'] }), result(0)] };
    using other = await createRuntime({ loaders: [testLoader()] }).load(await buildArtifact(two));
    expect(await failure(() => other.run({ x: new Float32Array(6) }))).toMatchObject({ code: 'runtime/shape-unknown', hint: 'give a tensor: tensor(data, shape)' });
  });

  test('booleans other than 0 and 1 become 1, without touching the caller\'s memory', async () => {
    const identity: TestArtifact = { blobs: { code: { entries: {} } }, regions: [], params: [{ name: 'x', dtype: 'bool' }], results: [{ name: 'y', dtype: 'bool' }], values: [param(0, { dtype: 'bool', bytes: ['$n'] })], program: [ret(0)] };
    using other = await createRuntime({ loaders: [] }).load(await buildArtifact(identity));
    const x = Uint8Array.of(0, 1, 7, 255);
    expect([...other.runSync({ x })['y']!.data]).toEqual([0, 1, 1, 1]);
    expect([...other.runSync({ x: [true, false] })['y']!.data]).toEqual([1, 0]);
    expect([...x]).toEqual([0, 1, 7, 255]);
  });
});

describe('dims bound when loading', () => {
  const paged: TestArtifact = { ...artifact, dims: [...artifact.dims!, { name: 'pages', min: 1, max: 100, binding: { kind: 'load' } }] };
  test('are given to load, and checked', async () => {
    const bytes = await buildArtifact(paged);
    const runtime = createRuntime({ loaders: [testLoader()] });
    using loaded = await runtime.load(bytes, { dims: { pages: 7 } });
    expect(loaded.runSync(good)['out']!.shape).toEqual([1, 8]);
    expect(await failure(() => runtime.load(bytes))).toMatchObject({ code: 'runtime/unbound-dim', hint: 'load with { dims: { pages: … } }' });
    expect((await failure(() => runtime.load(bytes, { dims: { pages: 0 } }))).code).toBe('runtime/dim-range');
    expect(await failure(() => runtime.load(bytes, { dims: { page: 1 } }))).toMatchObject({ code: 'runtime/unknown-dim', hint: "did you mean 'pages'?" });
  });
});
