import type { Operator } from '@tenon/plugin';
import { concat } from './concat.ts';
import { expand, tile } from './expand.ts';
import { dims, eye, full, iota, range, shapeOf, sizeOf } from './make.ts';
import { pad } from './pad.ts';
import { depthToSpace, reverse, reverseSequence, spaceToDepth, trilu } from './reorder.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { transpose } from './transpose.ts';

export const operators: readonly Operator[] = [
  reshape, transpose, concat, slice, pad, expand, tile, full, iota, range, shapeOf, sizeOf, dims, eye, trilu, reverse, reverseSequence, depthToSpace, spaceToDepth,
];
