import type { ConverterTable } from '../convert.ts';

export const converters: ConverterTable = {};
