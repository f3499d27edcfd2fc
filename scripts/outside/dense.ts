import { info, model, node, raw } from '../../packages/frontend-onnx/test/onnx-writer.ts';

/** y = max(x · w + b, 0) with a batch of any size: of ones it is 5.5, 0, 10 in every row. */
export const dense = (): Uint8Array => model({
  inputs: [info('x', 'f32', ['n', 2])],
  outputs: [info('y', 'f32', ['n', 3])],
  initializers: [raw('w', 'f32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6)), raw('b', 'f32', [3], Float32Array.of(0.5, -20, 1))],
  nodes: [node('MatMul', ['x', 'w'], ['xw']), node('Add', ['xw', 'b'], ['sum']), node('Relu', ['sum'], ['y'])],
});
