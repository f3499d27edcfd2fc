import { addUnitLoop, fission, fuse, merge, reorder, split } from './loops.ts';
import { annotate, setKind } from './kinds.ts';
import { blockize } from './blockize.ts';
import { cacheRead, cacheWrite, reindex } from './cache.ts';
import { computeAt, reverseComputeAt } from './compute-at.ts';
import { computeInline, reverseComputeInline } from './inline.ts';
import { decomposePadding, padEinsum } from './padding.ts';
import { decomposeReduction, mergeReduction, rfactor, unrollInit } from './reduction.ts';
import { getBlock, getChildBlocks, getConsumers, getLoops, getProducers, workOn } from './queries.ts';
import { hoistGuards, loopPartition } from './partition.ts';
import { reorderBlockIters, setScope, storageAlign, transformBlockLayout, transformLayout } from './layout.ts';
import { tensorize } from './tensorize.ts';
import type { Outcome, State } from './state.ts';

interface LoopArgs {
  readonly loop: string;
}

/** Every primitive by its name in traces. Arguments are checked by the schedule's methods and by the primitives. */
export const primitives = {
  get_block: getBlock, get_loops: getLoops, get_child_blocks: getChildBlocks, get_producers: getProducers, get_consumers: getConsumers, work_on: workOn,
  split, fuse, reorder, merge, fission, add_unit_loop: addUnitLoop, loop_partition: loopPartition, hoist_guards: hoistGuards,
  parallel: (s: State, args: LoopArgs) => setKind(s, { ...args, kind: 'parallel' }),
  vectorize: (s: State, args: LoopArgs) => setKind(s, { ...args, kind: 'vectorized' }),
  unroll: (s: State, args: LoopArgs) => setKind(s, { ...args, kind: 'unrolled' }),
  serial: (s: State, args: LoopArgs) => setKind(s, { ...args, kind: 'serial' }),
  bind: (s: State, args: LoopArgs & { readonly thread: string }) => setKind(s, { loop: args.loop, kind: { thread: args.thread } }),
  annotate, unannotate: annotate,
  cache_read: cacheRead, cache_write: cacheWrite, reindex,
  compute_at: computeAt, reverse_compute_at: reverseComputeAt, compute_inline: computeInline, reverse_compute_inline: reverseComputeInline,
  decompose_reduction: decomposeReduction, merge_reduction: mergeReduction, unroll_init: unrollInit, rfactor,
  blockize, tensorize,
  transform_layout: transformLayout, transform_block_layout: transformBlockLayout, reorder_block_iters: reorderBlockIters,
  set_scope: setScope, storage_align: storageAlign,
  pad_einsum: padEinsum, decompose_padding: decomposePadding,
} as const satisfies { readonly [name: string]: (state: State, args: never) => Outcome };

export type PrimitiveName = keyof typeof primitives;
