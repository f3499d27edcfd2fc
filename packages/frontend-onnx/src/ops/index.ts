import type { ConverterTable } from '../convert.ts';
import { converters as core } from './core.ts';
import { converters as math } from './math.ts';
import { converters as reduce } from './reduce.ts';
import { converters as shape } from './shape.ts';
import { converters as indexing } from './index-ops.ts';
import { converters as nn } from './nn.ts';
import { converters as norm } from './norm.ts';
import { converters as attention } from './attention.ts';
import { converters as contribAttention } from './attention-contrib.ts';
import { converters as recurrent } from './recurrent.ts';
import { converters as loss } from './loss.ts';
import { converters as window } from './window.ts';

/** Every operator that this frontend converts. */
export const converters: ConverterTable = { ...core, ...math, ...reduce, ...shape, ...indexing, ...nn, ...norm, ...attention, ...contribAttention, ...recurrent, ...loss, ...window };
