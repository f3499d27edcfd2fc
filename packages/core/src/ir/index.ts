export * from './visit.ts';
export { GraphFragment, learnDim, ModuleUnderConstruction, contentsOfConstantOrParam } from '../build/graph-builder.ts';
export { FunctionBody } from '../build/tensor-builder.ts';
