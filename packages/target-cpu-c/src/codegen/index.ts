export { kernelSymbol, type Kernel } from './kernel.ts';
export { keptKernels } from './kept.ts';
export { comment, entryDeclarations, generateEntry } from './entry.ts';
export { supportedDTypes } from './types.ts';
export { Support } from './support.ts';
