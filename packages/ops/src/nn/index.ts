import type { Operator } from '@tenon/plugin';
import { avgPool, lpPool } from './avg-pool.ts';
import { col2im } from './col2im.ts';
import { convTranspose } from './conv-transpose.ts';
import { conv } from './conv.ts';
import { deformConv } from './deform-conv.ts';
import { det } from './det.ts';
import { affineGrid, gridSample } from './grid-sample.ts';
import { localResponseNorm } from './lrn.ts';
import { matmul } from './matmul.ts';
import { maxPool, maxPoolWithIndices } from './max-pool.ts';
import { resize } from './resize.ts';

/** Linear algebra, convolution, pooling, resampling. */
export const operators: readonly Operator[] = [
  matmul, conv, convTranspose, deformConv, col2im, maxPool, maxPoolWithIndices, avgPool, lpPool, localResponseNorm, resize,
  gridSample, affineGrid, det,
];
