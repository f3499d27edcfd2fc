import type { Operator } from '@tenon/plugin';
import { gather, gatherElements, gatherNd } from './gather.ts';
import { scatterElements, scatterNd, tensorScatter } from './scatter.ts';
import { oneHot, topK } from './select.ts';

export const operators: readonly Operator[] = [gather, gatherElements, gatherNd, scatterElements, scatterNd, tensorScatter, oneHot, topK];
