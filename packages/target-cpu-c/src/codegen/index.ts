export { generateKernel, kernelSymbol, type Kernel, type KernelOptions, type Stage } from './kernel.ts';
export { entryDeclarations, generateEntry, type Entry } from './entry.ts';
export { supportedDTypes } from './types.ts';
export { Support } from './support.ts';
