export { kinds, licenses, scaffold, type Kind, type License, type ScaffoldOptions } from './scaffold.ts';
export { runCreate, type Terminal } from './create.ts';
