export * from './visit.ts';
export { GraphFragment, ModuleUnderConstruction, contentsOfConstantOrParam } from '../build/graph-builder.ts';
export { FunctionBody } from '../build/tensor-builder.ts';
