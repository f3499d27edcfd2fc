import type { Rule } from '@tenon/plugin';

export const rules: readonly Rule[] = [];
