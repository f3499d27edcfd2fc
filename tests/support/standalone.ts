import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { HostTensor } from '@tenon/plugin';
import { info, model, node, raw } from '../../packages/frontend-onnx/test/onnx-writer.ts';
import { generator } from './generator.ts';
import { randomTensor } from './random.ts';

const execute = promisify(execFile);

/** A model, with inputs to run it on and the values of its dims there. */
export interface StandaloneCase {
  readonly bytes: Uint8Array;
  readonly runs: readonly { readonly dims: { readonly [name: string]: number }; readonly inputs: { readonly [name: string]: HostTensor } }[];
  readonly outputs: readonly string[];
}

function drawing(seed: number) {
  const random = generator(seed);
  const tensor = (...shape: number[]): HostTensor => randomTensor(random, 'f32', shape, [-1, 1]);
  return { tensor, weight: (name: string, ...shape: number[]) => raw(name, 'f32', shape, tensor(...shape).data) };
}

/** Two layers, a normalization and a softmax on any number of rows, with two outputs. */
export function denseNet(): StandaloneCase {
  const { tensor, weight } = drawing(1);
  return {
    bytes: model({
      nodes: [
        node('Gemm', ['x', 'w1', 'b1'], ['h']), node('Relu', ['h'], ['r']), node('LayerNormalization', ['r', 'scale', 'bias'], ['l'], { attrs: { axis: { i: -1 } } }),
        node('MatMul', ['l', 'w2'], ['y']), node('Softmax', ['y'], ['p'], { attrs: { axis: { i: -1 } } }),
      ],
      initializers: [weight('w1', 24, 70), weight('b1', 70), weight('scale', 70), weight('bias', 70), weight('w2', 70, 10)],
      inputs: [info('x', 'f32', ['rows', 24])], outputs: [info('y', 'f32', ['rows', 10]), info('p', 'f32', ['rows', 10])],
    }),
    runs: [1, 5, 64].map((n) => ({ dims: { 'rows': n }, inputs: { x: tensor(n, 24) } })),
    outputs: ['y', 'p'],
  };
}

/** Convolutions of all kinds on an image, with a residual. */
export function convNet(): StandaloneCase {
  const { tensor, weight } = drawing(2);
  const pads = { ints: [1, 1, 1, 1] };
  return {
    bytes: model({
      nodes: [
        node('Conv', ['x', 'stem'], ['a'], { attrs: { pads, strides: { ints: [2, 2] } } }), node('Relu', ['a'], ['b']),
        node('Conv', ['b', 'depthwise'], ['c'], { attrs: { pads, group: { i: 24 } } }), node('Sigmoid', ['c'], ['g']), node('Mul', ['c', 'g'], ['d']),
        node('Conv', ['d', 'pointwise', 'bias'], ['e']), node('Add', ['e', 'b'], ['f']),
        node('MaxPool', ['f'], ['m'], { attrs: { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } } }),
        node('GlobalAveragePool', ['m'], ['p']), node('Flatten', ['p'], ['y']),
      ],
      initializers: [weight('stem', 24, 3, 3, 3), weight('depthwise', 24, 1, 3, 3), weight('pointwise', 24, 24, 1, 1), weight('bias', 24)],
      inputs: [info('x', 'f32', [1, 3, 20, 20])], outputs: [info('y', 'f32', [1, 24]), info('f', 'f32', [1, 24, 10, 10])],
    }),
    runs: [{ dims: {}, inputs: { x: tensor(1, 3, 20, 20) } }],
    outputs: ['y', 'f'],
  };
}

/** One matrix product that tiles of many sizes divide. */
export function product(): StandaloneCase {
  const { tensor, weight } = drawing(4);
  return {
    bytes: model({
      nodes: [node('MatMul', ['x', 'w'], ['y'])], initializers: [weight('w', 128, 64)],
      inputs: [info('x', 'f32', [32, 128])], outputs: [info('y', 'f32', [32, 64])],
    }),
    runs: [{ dims: {}, inputs: { x: tensor(32, 128) } }],
    outputs: ['y'],
  };
}

/** Its result has the shape that the contents of an input say. */
export function expanded(): StandaloneCase {
  const { tensor, weight } = drawing(3);
  const shape = (...sizes: number[]): HostTensor => ({ dtype: 'i64', shape: [sizes.length], data: BigInt64Array.from(sizes, BigInt) });
  return {
    bytes: model({
      nodes: [node('Add', ['x', 'w'], ['s']), node('Expand', ['s', 'shape'], ['y'])], initializers: [weight('w', 4)],
      inputs: [info('x', 'f32', [1, 4]), info('shape', 'i64', [2])], outputs: [info('y', 'f32', [null, 4])],
    }),
    runs: [{ dims: {}, inputs: { x: tensor(1, 4), shape: shape(3, 4) } }],
    outputs: ['y'],
  };
}

/** Builds the C files of a folder. Answers what the compiler said. */
export async function makeC(folder: string, ...variables: readonly string[]): Promise<string> {
  const { stdout, stderr } = await execute('make', ['-j2', '-C', folder, ...variables], { env: { PATH: process.env['PATH'] } });
  return stdout + stderr;
}

/** Runs the example on inputs, in a process without Node. `through`: an emulator. Answers results by name, as bytes. */
export async function runC(folder: string, run: StandaloneCase['runs'][number], outputs: readonly string[], through: readonly string[] = [], threads = 2): Promise<ReadonlyMap<string, Uint8Array>> {
  const data = mkdtempSync(join(folder, 'data-'));
  const args = ['--weights', join(folder, 'model.weights'), '--threads', String(threads)];
  for (const [name, value] of Object.entries(run.dims)) args.push('--dim', `${name}=${value}`);
  for (const [name, { data: elements }] of Object.entries(run.inputs)) {
    const file = join(data, `in-${name}`);
    if (!ArrayBuffer.isView(elements)) throw new TypeError('strings have no file');
    writeFileSync(file, new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength));
    args.push('--in', `${name}=${file}`);
  }
  for (const name of outputs) args.push('--out', `${name}=${join(data, `out-${name}`)}`);
  const [program, ...rest] = [...through, join(folder, 'main'), ...args] as [string, ...string[]];
  await execute(program, rest, { env: {} });
  return new Map(outputs.map((name) => [name, new Uint8Array(readFileSync(join(data, `out-${name}`)))]));
}

/** Functions that generated code computes by itself, on ordinary numbers and on the others. */
export function elementwise(): StandaloneCase {
  const { tensor } = drawing(5);
  const x = tensor(37);
  const data = Float32Array.from(x.data as Float32Array, (v) => 20 * v);
  data.set([NaN, Infinity, -Infinity, 0, -0, 1e-40, 3e38, -100]);
  return {
    bytes: model({
      nodes: [
        node('Exp', ['x'], ['e']), node('Tanh', ['x'], ['t']), node('Erf', ['x'], ['f']), node('Sigmoid', ['x'], ['s']), node('Abs', ['x'], ['a']),
        node('Log', ['a'], ['l']), node('Sqrt', ['a'], ['q']), node('Round', ['x'], ['r']), node('Clip', ['x', '', 'six'], ['c']), node('Sin', ['s'], ['n']),
      ],
      initializers: [raw('six', 'f32', [], Float32Array.of(6))],
      inputs: [info('x', 'f32', [37])], outputs: ['e', 't', 'f', 's', 'l', 'q', 'r', 'c', 'n'].map((name) => info(name, 'f32', [37])),
    }),
    runs: [{ dims: {}, inputs: { x: { dtype: 'f32', shape: [37], data } } }],
    outputs: ['e', 't', 'f', 's', 'l', 'q', 'r', 'c', 'n'],
  };
}
