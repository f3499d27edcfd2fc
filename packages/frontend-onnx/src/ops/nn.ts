import type { ConverterTable } from '../convert.ts';
import { converters as convolution } from './convolution.ts';
import { converters as matmul } from './matmul.ts';
import { converters as pooling } from './pooling.ts';
import { converters as resize } from './resize.ts';

/** Linear algebra, convolution, pooling, resampling. */
export const converters: ConverterTable = { ...matmul, ...convolution, ...pooling, ...resize };
