import type { Operator } from '@tenon/plugin';
import { operators as argExtremes } from './arg-extreme.ts';
import { operators as reductions } from './reductions.ts';
import { operators as scans } from './scan.ts';

export const operators: readonly Operator[] = [...reductions, ...argExtremes, ...scans];
