import type { Operator } from '@tenon/plugin';
import { avgPool, lpPool } from './avg-pool.ts';
import { conv } from './conv.ts';
import { convTranspose } from './conv-transpose.ts';
import { matmul } from './matmul.ts';
import { resize } from './resize.ts';
import { maxPool, maxPoolWithIndices } from './max-pool.ts';

/** Linear algebra, convolution, pooling, resampling. */
export const operators: readonly Operator[] = [matmul, conv, convTranspose, maxPool, maxPoolWithIndices, avgPool, lpPool, resize];
