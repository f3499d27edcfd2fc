import type { Operator } from '@tenon/plugin';
import { operators as activations } from './activations.ts';
import { operators as binary } from './binary.ts';
import { operators as cast } from './cast.ts';
import { operators as select } from './select.ts';
import { operators as unary } from './unary.ts';

export const operators: readonly Operator[] = [...unary, ...activations, ...binary, ...select, ...cast];
