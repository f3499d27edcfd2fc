import type { Operator } from '@tenon/plugin';
import { operators as channels } from './channel-norm.ts';
import { operators as rows } from './layer-norm.ts';
import { operators as lp } from './lp-norm.ts';
import { operators as softmax } from './softmax.ts';

/** Softmax and its kin, and normalisations. */
export const operators: readonly Operator[] = [...softmax, ...rows, ...channels, ...lp];
