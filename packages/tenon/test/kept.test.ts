import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildArtifact, cpuC, load, type BuildOptions } from 'tenon';
import { onnxModel, type Node, type Weights } from './onnx.ts';

let folder: string;
let cache: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenon-kept-'));
  cache = join(folder, 'cache');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A file with a fixed time: times go into artifacts. */
function file(name: string, bytes: Uint8Array, time = 1000): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  utimesSync(path, time, time);
  return path;
}

const numbers = (count: number, seed: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: count }, (_, i) => ((i * 7 + seed) % 11) - 5);
const ofFloats = (data: Float32Array<ArrayBuffer>): Uint8Array => new Uint8Array(data.buffer);

/** y = op(x · a) · b over f32[n, 96], and z = x · c over f32[n, 96]: three products, whose weights are packed. */
function model(op: string, data: (name: string) => Weights['data']): string {
  const nodes: Node[] = [
    { op: 'MatMul', inputs: ['x', 'a'], output: 's' }, { op, inputs: ['s'], output: 't' }, { op: 'MatMul', inputs: ['t', 'b'], output: 'y' },
    { op: 'MatMul', inputs: ['x', 'c'], output: 'z' },
  ];
  const weights = ['a', 'b', 'c'].map((name): Weights => ({ name, shape: [96, 96], data: data(name) }));
  return file('model.onnx', onnxModel(nodes, ['x'], ['y', 'z'], ['n', 96], weights));
}
const beside = (name: string): Weights['data'] => ({ file: `${name}.bin` });
const inside = (change: { readonly [name: string]: number } = {}) => (name: string): Weights['data'] => numbers(96 * 96, change[name] ?? name.charCodeAt(0));
const weightFiles = (): void => {
  for (const name of ['a', 'b', 'c']) file(`${name}.bin`, ofFloats(numbers(96 * 96, name.charCodeAt(0))));
};

let outputs = 0;
async function built(path: string, kept: string | false = cache, more: BuildOptions = {}): Promise<Buffer> {
  const output = join(folder, `out-${outputs++}.tenon`);
  const artifact = await buildArtifact(path, { output, cache: kept, ...more });
  expect(artifact.cached).toBe(false);
  return readFileSync(output);
}

const filesIn = (ending: string): string[] =>
  readdirSync(cache, { recursive: true, withFileTypes: true }).filter((f) => f.name.endsWith(ending)).map((f) => join(f.parentPath, f.name));

describe('a changed model is the same artifact as one that was never compiled before', () => {
  test.for([['beside', beside], ['inside', inside()]] as const)('with weights %s it', async ([, data]) => {
    weightFiles();
    await built(model('Relu', data));
    const entries = filesIn('.entry').length;
    const warm = await built(model('Tanh', data));
    // Of three kernels one is new: its schedule, its C and its object, and the object of the entries.
    expect(filesIn('.entry').length - entries).toBeLessThanOrEqual(4);
    expect(warm.equals(await built(model('Tanh', data), false))).toBe(true);
    expect(warm.equals(Buffer.from(await (await buildArtifact(model('Tanh', data), { cache: false })).read()))).toBe(true);
    expect(filesIn('.tmp')).toEqual([]);
  });

  test('when a weight becomes another of the same name and shape', async () => {
    weightFiles();
    await built(model('Relu', beside));
    file('b.bin', ofFloats(numbers(96 * 96, 3)), 2000);
    expect((await built(model('Relu', beside))).equals(await built(model('Relu', beside), false))).toBe(true);

    await built(model('Tanh', inside()));
    const changed = model('Tanh', inside({ b: 3 }));
    const bytes = await built(changed);
    expect(bytes.equals(await built(changed, false))).toBe(true);
    using loaded = await load(new Uint8Array(bytes), { allowNative: true });
    const x = new Float32Array(96).fill(0);
    x[0] = 1;
    const { y } = await loaded.run({ x: { dtype: 'f32', shape: [1, 96], data: x } });
    const [a, b] = [numbers(96 * 96, 'a'.charCodeAt(0)), numbers(96 * 96, 3)];
    const want = Array.from({ length: 96 }, (_, j) => Array.from({ length: 96 }, (_, k) => Math.tanh(a[k]!) * b[k * 96 + j]!).reduce((p, q) => p + q, 0));
    Array.from(y!.data as Float32Array).forEach((v, j) => expect(v).toBeCloseTo(want[j]!, 3));
  });

  test('when weights change their places', async () => {
    const swapped = (name: string): Weights['data'] => inside()(name === 'a' ? 'b' : name === 'b' ? 'a' : 'c');
    await built(model('Relu', inside()));
    const path = model('Relu', swapped);
    expect((await built(path)).equals(await built(path, false))).toBe(true);
  });

  test('when what is kept is damaged, cut off or gone', async () => {
    const cold = new Map<string, Buffer>();
    for (const op of ['Relu', 'Tanh', 'Sqrt', 'Neg', 'Abs']) cold.set(op, await built(model(op, inside()), false));
    await built(model('Relu', inside()));
    const damages: { readonly [op: string]: (artifact: string) => void } = {
      Tanh: (artifact) => truncateSync(artifact, 100_000),
      Sqrt: (artifact) => writeFileSync(artifact, readFileSync(artifact).map((b, i) => (i === 60_000 ? b ^ 1 : b))),
      Neg: (artifact) => rmSync(artifact),
      Abs: () => {
        for (const path of filesIn('.entry')) writeFileSync(path, readFileSync(path).map((b, i, all) => (i === all.length - 3 ? b ^ 255 : b)));
      },
    };
    for (const [op, damage] of Object.entries(damages)) {
      for (const artifact of filesIn('.tenon')) damage(artifact);
      expect((await built(model(op, inside()))).equals(cold.get(op)!), op).toBe(true);
    }
  });
});

test('other options find nothing of each other', async () => {
  await built(model('Relu', inside()));
  const config: BuildOptions['config'] = { plugins: [cpuC({ vectorBytes: 16 })] };
  expect((await built(model('Relu', inside()), cache, { config })).equals(await built(model('Relu', inside()), false, { config }))).toBe(true);
});

test('two compilations may share a cache', async () => {
  const path = model('Relu', inside());
  const [cold, ...both] = await Promise.all([built(path, false), built(path), built(path)]);
  for (const bytes of both) expect(cold.equals(bytes)).toBe(true);
});

test('a compilation that fails leaves nothing behind', async () => {
  await built(model('Relu', inside()));
  await expect(built(model('NoSuchOperator', inside()))).rejects.toThrow('NoSuchOperator');
  expect(filesIn('.tmp')).toEqual([]);
});
