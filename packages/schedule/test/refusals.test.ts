import { expect, it } from 'vitest';
import { primitives, type PrimitiveName, type Schedule } from '../src/index.ts';
import { chain, matmul, refusal, stencil } from './support.ts';

/** A place where each primitive must not apply; a primitive without one does not compile. */
const forbidden: { readonly [name in PrimitiveName]: readonly [text: string, apply: (s: Schedule) => void] } = {
  get_block: [matmul, (s) => s.getBlock('nope')],
  get_loops: [matmul, (s) => s.getLoops('nope')],
  get_child_blocks: [matmul, (s) => s.getChildBlocks({ loop: 'nope' })],
  get_producers: [matmul, (s) => s.getProducers('nope')],
  get_consumers: [matmul, (s) => s.getConsumers('nope')],
  work_on: [matmul, (s) => s.workOn('nope')],
  split: [matmul, (s) => s.split('i', [2, 2])],
  fuse: [matmul, (s) => s.fuse('j', 'i')],
  reorder: [chain, (s) => s.reorder('j', 'j1')],
  merge: [matmul, (s) => s.merge('i', 'j')],
  fission: [matmul, (s) => s.fission('k')],
  add_unit_loop: [matmul, (s) => s.addUnitLoop({ block: 'nope' })],
  loop_partition: [matmul, (s) => s.loopPartition('i', [9])],
  hoist_guards: [matmul, (s) => s.hoistGuards('i')],
  parallel: [matmul, (s) => s.parallel('k')],
  vectorize: [matmul, (s) => s.vectorize('k')],
  unroll: [chain, (s) => s.unroll('i')],
  serial: [matmul, (s) => s.serial('nope')],
  bind: [matmul, (s) => s.bind('k', 'threadIdx.x')],
  annotate: [matmul, (s) => s.annotate({ block: 'nope' }, 'key', 1)],
  unannotate: [matmul, (s) => s.unannotate({ loop: 'i' }, 'key')],
  cache_read: [matmul, (s) => s.cacheRead('mm', 'C', 'local')],
  cache_write: [matmul, (s) => s.cacheWrite('mm', 'A', 'local')],
  reindex: [matmul, (s) => s.reindex('mm', 'A', 'write')],
  compute_at: [stencil, (s) => s.computeAt('blur', 'i')],
  reverse_compute_at: [chain, (s) => s.reverseComputeAt('double', 'i')],
  compute_inline: [chain, (s) => s.computeInline('sum')],
  reverse_compute_inline: [chain, (s) => s.reverseComputeInline('double')],
  decompose_reduction: [stencil, (s) => s.decomposeReduction('blur', 'i')],
  merge_reduction: [matmul, (s) => s.mergeReduction('mm', 'mm')],
  unroll_init: [stencil, (s) => s.unrollInit('blur', 'i')],
  rfactor: [matmul, (s) => s.rfactor('i', 0)],
  blockize: [matmul, (s) => s.blockize('nope')],
  tensorize: [matmul, (s) => s.tensorize({ loop: 'k' }, 'acme.none')],
  transform_layout: [chain, (s) => s.transformLayout('T', (i) => [i!])],
  transform_block_layout: [matmul, (s) => s.transformBlockLayout('mm', (i, j) => [j!, i!])],
  reorder_block_iters: [matmul, (s) => s.reorderBlockIters('mm', [0, 0, 1])],
  set_scope: [matmul, (s) => s.setScope('A', 'local')],
  storage_align: [matmul, (s) => s.storageAlign('A', 0, 4)],
  pad_einsum: [stencil, (s) => s.padEinsum('blur', [4])],
  decompose_padding: [matmul, (s) => s.decomposePadding('mm')],
};

it('every primitive says which place, dependence or form forbids it', () => {
  const told = Object.entries(forbidden).map(([name, [text, apply]]) => {
    const said = refusal(text, apply);
    expect(said).toMatch(new RegExp(`^schedule/[a-z-]+: ${name}: `));
    return said;
  });
  expect(Object.keys(forbidden).sort()).toEqual(Object.keys(primitives).sort());
  expect(`\n${told.join('\n')}\n`).toMatchInlineSnapshot(`
    "
    schedule/no-block: get_block: @matmul has no block nope
    schedule/no-block: get_loops: @matmul has no block nope
    schedule/no-loop: get_child_blocks: @matmul has no loop nope
    schedule/no-block: get_producers: @matmul has no block nope
    schedule/no-block: get_consumers: @matmul has no block nope
    schedule/no-block: work_on: @matmul has no block nope
    schedule/factors: split: the factors of loop i do not cover its extent
    schedule/loops: fuse: loops j, i are not given outermost first
    schedule/not-nested: reorder: loops j1 and j are not inside one another
    schedule/not-adjacent: merge: loop j does not follow loop i directly
    schedule/not-sequence: fission: loop k holds one nest only
    schedule/no-block: add_unit_loop: @matmul has no block nope
    schedule/cuts: loop_partition: cut 1 of loop i is not known to lie before the next
    schedule/no-guard: hoist_guards: blocks under loop i have no predicate
    schedule/dependence: parallel: loop k carries the reduction vk of block mm into C
    schedule/dependence: vectorize: loop k carries the reduction vk of block mm into C
    schedule/extent: unroll: loop i has an extent that is no constant
    schedule/no-loop: serial: @matmul has no loop nope
    schedule/dependence: bind: loop k carries the reduction vk of block mm into C
    schedule/no-block: annotate: @matmul has no block nope
    schedule/no-annotation: unannotate: loop i has no annotation key
    schedule/dependence: cache_read: block mm reads and writes C
    schedule/no-access: cache_write: block mm does not write A
    schedule/no-access: reindex: block mm does not write A
    schedule/output: compute_at: block blur writes B, which is a result of the function: all of it must be computed
    schedule/position: reverse_compute_at: block double is under loop i already
    schedule/not-elementwise: compute_inline: block sum is a reduction
    schedule/no-producer: reverse_compute_inline: block double reads nothing that another block writes
    schedule/no-init: decompose_reduction: block blur has no initial value
    schedule/no-init: merge_reduction: block mm has an initial value already
    schedule/no-init: unroll_init: block blur has no initial value
    schedule/not-reduction: rfactor: loop i carries no reduction
    schedule/no-loop: blockize: @matmul has no loop nope
    schedule/no-intrinsic: tensorize: no intrinsic acme.none is declared
    schedule/index-map: transform_layout: the map is not known to give every element of T a place of its own
    schedule/index-map: transform_block_layout: the map of block mm is not known to be invertible
    schedule/order: reorder_block_iters: 0, 0, 1 is no order of the 3 variables of block mm
    schedule/parameter: set_scope: A is a parameter: its memory is the caller's
    schedule/parameter: storage_align: A is a parameter: its memory is the caller's
    schedule/not-einsum: pad_einsum: block blur is no sum of products that begins at zero
    schedule/not-padding: decompose_padding: block mm is not of the form t[v…] = select(inside, value, constant)
    "
  `);
});

