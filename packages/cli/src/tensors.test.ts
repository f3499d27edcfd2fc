import { describe, expect, test } from 'vitest';
import { diagnosticOf, type HostTensor, type Model } from 'tenon';
import { filledTensor, halfBits, halfValue, parseFill } from './fill.ts';
import { readInputs } from './inputs.ts';
import { fileNames, summarize } from './outputs.ts';

describe('made-up tensors', () => {
  test('fills', () => {
    expect(filledTensor('f32', [3], 'iota', 0).data).toEqual(Float32Array.of(0, 1, 2));
    expect(filledTensor('i64', [2], 'ones', 0).data).toEqual(BigInt64Array.of(1n, 1n));
    expect(Array.from(filledTensor('f16', [2], -1.5, 0).data as Uint16Array, halfValue)).toEqual([-1.5, -1.5]);
    expect(filledTensor('bf16', [1], 1, 0).data).toEqual(Uint16Array.of(0x3f80));
    expect(filledTensor('bool', [2], 7, 0).data).toEqual(Uint8Array.of(1, 1));
    expect(['random', '1.5', '-2e-3', '.5', 'x', ''].map(parseFill)).toEqual(['random', 1.5, -0.002, 0.5, null, null]);
  });
  test('random ones follow their seed and stay in their range', () => {
    const draw = (seed: number): number[] => Array.from(filledTensor('f32', [1000], 'random', seed).data as Float32Array);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const values = draw(3);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(Math.min(...values)).toBeLessThan(-0.9);
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / 1000)).toBeLessThan(0.1);
    expect(new Set(filledTensor('i64', [100], 'random', 1).data as BigInt64Array)).toEqual(new Set([0n, 1n]));
  });
  test('half floats round to the nearest', () => {
    for (let bits = 0; bits < 0x7c00; bits += 7) expect(halfBits(halfValue(bits))).toBe(bits);
    expect(halfBits(65519)).toBe(0x7bff);
    expect(halfBits(65520)).toBe(0x7c00);
    expect(halfBits(-0)).toBe(0x8000);
    expect(halfBits(2 ** -25)).toBe(0);
    expect(halfBits(1 + 2 ** -11)).toBe(0x3c00);
    expect(halfBits(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(halfBits(NaN) & 0x7c00).toBe(0x7c00);
  });
});

describe('inputs', () => {
  const entry = { params: [{ name: 'x', dtype: 'f32', shape: [['$n'], [3]] }, { name: 'ids', dtype: 'i64', shape: [['$n', 2, '*']] }] };
  const model = {
    inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 3] }, { name: 'ids', dtype: 'i64', shape: ['n * 2'] }],
    manifest: { entries: [entry] },
  } as unknown as Model;
  const read = (given: string[], dims: Record<string, number> = {}, otherwise: 'random' | null = null): Promise<{ [name: string]: HostTensor }> =>
    readInputs(model, { given, dims: new Map(Object.entries(dims)), seed: 0, otherwise });
  const code = async (given: string[]): Promise<string | undefined> => read(given).then(() => undefined, (e: unknown) => diagnosticOf(e)?.code);

  test('contents with and without shape', async () => {
    expect({ ...(await read(['x=f32[2,3]:zeros'])) }).toEqual({ x: { dtype: 'f32', shape: [2, 3], data: new Float32Array(6) } });
    expect((await read(['x=[1,3]:1.5']))['x']!.data).toEqual(Float32Array.of(1.5, 1.5, 1.5));
    expect((await read(['ids=ones'], { n: 2 }))['ids']).toEqual({ dtype: 'i64', shape: [4], data: BigInt64Array.of(1n, 1n, 1n, 1n) });
    expect((await read(['x=[]:iota']))['x']!.shape).toEqual([]);
    const all = await read([], { n: 1 }, 'random');
    expect(Object.keys(all)).toEqual(['x', 'ids']);
  });
  test('what is wrong', async () => {
    expect(await code(['y=zeros'])).toBe('usage/input');
    expect(await code(['zeros'])).toBe('usage/input'); // two inputs: which?
    expect(await code(['x=zeros'])).toBe('usage/input'); // n is not known
    expect(await code(['x=[1,3]:often'])).toBe('usage/input');
    expect(await code(['x=[1,3]', 'x=[1,3]'])).toBe('usage/input');
    expect(await code(['x=/no/such/file.npy'])).toBe('file/not-found');
  });
});

describe('outputs', () => {
  test('file names are safe and different', () => {
    expect([...fileNames(['a/b', 'a:b', '../x', '', 'y', 'Y'], 'npy').values()]).toEqual(['a_b.npy', 'a_b_2.npy', '__x.npy', 'output.npy', 'y.npy', 'Y_2.npy']);
  });
  test('summaries leave out what is not finite', () => {
    expect(summarize({ dtype: 'f32', shape: [4], data: Float32Array.of(1, NaN, 3, Infinity) })).toEqual({ dtype: 'f32', shape: [4], min: 1, max: 3, mean: 2, notFinite: 2, first: [1, NaN, 3, Infinity] });
    expect(summarize({ dtype: 'f16', shape: [1], data: Uint16Array.of(0x4000) })).toMatchObject({ min: 2 });
    expect(summarize({ dtype: 'i64', shape: [0], data: new BigInt64Array(0) })).toMatchObject({ min: null, max: null, mean: null });
  });
});
