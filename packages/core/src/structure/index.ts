export { accessedRegions, blockRegions, type Access, type AccessAxis, type Accesses } from './accesses.ts';
export { diffAttrs, diffFunctions, diffModules, diffTypes, equalAttrs, equalExprs, equalFunctions, equalModules, equalTypes, type Difference } from './diff.ts';
export { hashFunction } from './hash.ts';
