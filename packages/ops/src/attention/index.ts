import type { Operator } from '@tenon/plugin';

export const operators: readonly Operator[] = [];
