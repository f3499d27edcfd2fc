export { evaluateTensorFunction } from './tensor-function.ts';
export { evaluateGraph } from './graph.ts';
export { arrayFor, bytesOf, fromBytes, zeros } from './host-tensor.ts';
export { erf, floatIntrinsics, pow, roundHalfEven } from './intrinsics.ts';
export { toInteger } from './scalar.ts';
