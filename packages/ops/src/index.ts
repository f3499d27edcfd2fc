import { definePlugin, type Operator } from '@tenon/plugin';
import { operators as attention } from './attention/index.ts';
import { canonicalizeOps } from './canonicalize/index.ts';
import { operators as index } from './index/index.ts';
import { operators as math } from './math/index.ts';
import { operators as nn } from './nn/index.ts';
import { operators as norm } from './norm/index.ts';
import { operators as recurrent } from './recurrent/index.ts';
import { operators as reduce } from './reduce/index.ts';
import { operators as shape } from './shape/index.ts';

/** Every standard operator. */
export const standardOperators: readonly Operator[] = [
  ...math, ...reduce, ...shape, ...index, ...nn, ...norm, ...attention, ...recurrent,
];

/** The plugin with the standard operators and their canonicalization. */
export const standardOps = definePlugin({ name: '@tenon/ops', namespace: 'std' }, () => ({
  ops: standardOperators,
  passes: [canonicalizeOps],
}));
