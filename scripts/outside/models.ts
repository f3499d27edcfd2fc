import { info, model, node, raw } from '../../packages/frontend-onnx/test/onnx-writer.ts';

/** y = max(x · w + b, 0) with a batch of any size: of ones it is 5.5, 0, 10 in every row. */
export const dense = (): Uint8Array => model({
  inputs: [info('x', 'f32', ['n', 2])],
  outputs: [info('y', 'f32', ['n', 3])],
  initializers: [raw('w', 'f32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6)), raw('b', 'f32', [3], Float32Array.of(0.5, -20, 1))],
  nodes: [node('MatMul', ['x', 'w'], ['xw']), node('Add', ['xw', 'b'], ['sum']), node('Relu', ['sum'], ['y'])],
});

/** Two dense layers, 512 → 512 with ReLU and 512 → 10 with softmax. */
export function twoLayers(): Uint8Array {
  const weights = (k: number, n: number): Float32Array => Float32Array.from({ length: k * n }, (_, i) => Math.sin(i) / Math.sqrt(k));
  return model({
    inputs: [info('x', 'f32', ['n', 512])],
    outputs: [info('y', 'f32', ['n', 10])],
    initializers: [raw('w1', 'f32', [512, 512], weights(512, 512)), raw('w2', 'f32', [512, 10], weights(512, 10))],
    nodes: [node('MatMul', ['x', 'w1'], ['p1']), node('Relu', ['p1'], ['h']), node('MatMul', ['h', 'w2'], ['p2']), node('Softmax', ['p2'], ['y'])],
  });
}
