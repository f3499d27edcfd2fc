export { generateKernel, kernelSymbol, type Kernel } from './kernel.ts';
export { comment, entryDeclarations, generateEntry } from './entry.ts';
export { supportedDTypes } from './types.ts';
export { Support } from './support.ts';
