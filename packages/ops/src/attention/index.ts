import type { Operator } from '@tenon/plugin';
import { operators as attention } from './attention.ts';
import { operators as rotary } from './rotary.ts';

/** Attention and position embeddings. */
export const operators: readonly Operator[] = [...attention, ...rotary];
