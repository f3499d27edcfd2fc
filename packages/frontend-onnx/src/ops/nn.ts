import type { ConverterTable } from '../convert.ts';
import { converters as convolution } from './convolution.ts';
import { converters as einsum } from './einsum.ts';
import { converters as matmul } from './matmul.ts';
import { converters as pooling } from './pooling.ts';
import { converters as resize } from './resize.ts';
import { converters as sampling } from './sampling.ts';

/** Linear algebra, convolution, pooling, resampling. */
export const converters: ConverterTable = { ...einsum, ...matmul, ...convolution, ...pooling, ...resize, ...sampling };
