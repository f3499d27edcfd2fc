import { diagnosticOf, type Block, type Expr, type For, type TensorFunction, type TensorIntrinsic } from '@tenon/plugin';
import { buffersOf, visitStmts, type Exprs } from '@tenon/core';
import type { Schedule } from '../src/index.ts';
import type { Random } from '../../../tests/support/generator.ts';

export interface Parts {
  readonly loops: readonly For[];
  readonly blocks: readonly Block[];
  readonly buffers: readonly string[];
  readonly temporaries: readonly string[];
}

export function partsOf(fn: TensorFunction): Parts {
  const loops: For[] = [];
  const blocks: Block[] = [];
  visitStmts(fn.body, (s) => {
    if (s.kind === 'for') loops.push(s);
    if (s.kind === 'block') blocks.push(s);
  });
  const parameters = new Set([...fn.inputs, ...fn.outputs].map((b) => b.name));
  const buffers = [...buffersOf(fn).keys()];
  return { loops, blocks, buffers, temporaries: buffers.filter((b) => !parameters.has(b)) };
}

/** Small loops over i32 of two to four iterations, as a vendor's instructions might do them. */
export const smallIntrinsics: readonly TensorIntrinsic[] = [2, 3, 4].flatMap((n) => {
  const elements = (name: string, operands: string, value: string): TensorIntrinsic => ({
    name: `test.${name}${n}`, target: 'test', doc: `${name} of ${n} elements.`, requires: {}, implementation: { kind: 'call', symbol: `${name}${n}` },
    description: `tensor @${name}(${operands}out C: i32[${n}]) { for i in 0..${n} { block b(v: spatial = i) { C[v] = ${value} } } }`,
  });
  return [
    elements('copy', `A: i32[${n}], `, 'A[v]'), elements('zero', '', '0i32'), elements('add', `A: i32[${n}], B: i32[${n}], `, 'A[v] + B[v]'),
    { ...elements('sum', '', ''), description: `tensor @sum(A: i32[${n}], out C: i32[]) { for i in 0..${n} { block b(r: reduce = i) { C[] = C[] + A[r] } } }` },
  ];
});

type Attempt = (s: Schedule, r: Random, p: Parts, exprs: Exprs) => void;

const loop = (r: Random, p: Parts): string => r.pick(p.loops).variable;
const block = (r: Random, p: Parts): string => r.pick(p.blocks).name;
/** A loop and loops directly inside one another below it. */
function chain(r: Random, p: Parts): string[] {
  const names: string[] = [];
  for (let at: For | undefined = r.pick(p.loops); at !== undefined; at = at.body.kind === 'for' ? at.body : undefined) names.push(at.variable);
  return names;
}
/** A block and one that reads what it writes, or any two. */
function related(r: Random, p: Parts): [string, string] {
  const pairs = p.blocks.flatMap((a) => p.blocks.filter((b) => b !== a && b.reads.some((x) => writes(a).includes(x.buffer))).map((b): [string, string] => [a.name, b.name]));
  return pairs.length > 0 && r.chance(0.9) ? r.pick(pairs) : [block(r, p), block(r, p)];
}
const reads = (b: Block): string[] => [...new Set(b.reads.map((x) => x.buffer))];
const writes = (b: Block): string[] => [...new Set(b.writes.map((x) => x.buffer))];

function randomMap(r: Random, exprs: Exprs, indices: readonly Expr[]): Expr[] {
  const k = r.below(Math.max(indices.length, 1));
  switch (r.below(3)) {
    case 0:
      return r.shuffled(indices);
    case 1: {
      const by = r.pick([2, 3, 4]);
      return indices.flatMap((e, n) => (n === k ? [exprs.floordiv(e, by), exprs.mod(e, by)] : [e]));
    }
    default: {
      const by = r.pick([2, 4]);
      return [...indices.map((e, n) => (n === k ? exprs.floordiv(e, by) : e)), ...(indices.length > 0 ? [exprs.mod(indices[k]!, by)] : [])];
    }
  }
}

/** A random attempt at each primitive, on random places. */
export const attempts: { readonly [name: string]: Attempt } = {
  split: (s, r, p) => void s.split(loop(r, p), r.pick([[null, 2], [null, 3], [null, 4], [2, null], [null, 2, 2], [3, null]])),
  split_tail: (s, r, p) => void s.split(loop(r, p), [null, r.pick([2, 3, 4])], { tail: 'partition' }),
  fuse: (s, r, p) => {
    const names = chain(r, p);
    s.fuse(...names.slice(0, 2 + r.below(2)));
  },
  reorder: (s, r, p) => s.reorder(...r.shuffled(chain(r, p)).slice(0, 2 + r.below(3))),
  parallel: (s, r, p) => s.parallel(loop(r, p)),
  vectorize: (s, r, p) => s.vectorize(loop(r, p)),
  serial: (s, r, p) => s.serial(loop(r, p)),
  unroll: (s, r, p) => s.unroll(loop(r, p)),
  bind: (s, r, p) => s.bind(loop(r, p), r.pick(['blockIdx.x', 'threadIdx.x'])),
  annotate: (s, r, p) => s.annotate(r.chance(0.5) ? { loop: loop(r, p) } : { block: block(r, p) }, 'pragma', r.below(9)),
  unannotate: (s, r, p) => s.unannotate(r.chance(0.5) ? { loop: loop(r, p) } : { block: block(r, p) }, 'pragma'),
  add_unit_loop: (s, r, p) => void s.addUnitLoop(r.chance(0.5) ? { loop: loop(r, p) } : { block: block(r, p) }),
  merge: (s, r, p) => {
    const pairs: [string, string][] = [];
    const scan = (stmt: TensorFunction['body']): void => visitStmts(stmt, (x) => {
      if (x.kind !== 'seq') return;
      x.body.forEach((a, k) => {
        const b = x.body[k + 1];
        if (a.kind === 'for' && b?.kind === 'for') pairs.push([a.variable, b.variable]);
      });
    });
    scan(s.fn.body);
    if (pairs.length === 0) s.merge(loop(r, p), loop(r, p));
    else s.merge(...r.pick(pairs));
  },
  fission: (s, r, p) => void s.fission(loop(r, p)),
  loop_partition: (s, r, p, exprs) => void s.loopPartition(loop(r, p), r.chance(0.6) ? null : [r.chance(0.5) ? 1 : exprs.int(2)]),
  hoist_guards: (s, r, p) => {
    const guarded = p.blocks.filter((b) => b.predicate !== null);
    s.hoistGuards(guarded.length === 0 ? loop(r, p) : r.pick([...s.copy().getLoops(r.pick(guarded).name), loop(r, p)]));
  },
  cache_read: (s, r, p) => {
    const b = r.pick(p.blocks);
    s.cacheRead(b.name, r.pick([...reads(b), ...p.buffers.slice(0, 1)]), r.pick(['global', 'local', 'shared']));
  },
  cache_write: (s, r, p) => {
    const b = r.pick(p.blocks);
    s.cacheWrite(b.name, r.pick(writes(b).length === 0 ? p.buffers : writes(b)), r.pick(['global', 'local']));
  },
  reindex: (s, r, p) => {
    const b = r.pick(p.blocks);
    const access = r.pick(['read', 'write'] as const);
    s.reindex(b.name, r.pick(access === 'read' ? [...reads(b), ...p.buffers.slice(0, 1)] : [...writes(b), ...p.buffers.slice(0, 1)]), access);
  },
  transform_layout: (s, r, p, exprs) => {
    if (p.temporaries.length === 0) return s.transformLayout('absent', (i) => [i]);
    s.transformLayout(r.pick(p.temporaries), (...indices) => randomMap(r, exprs, indices));
  },
  transform_block_layout: (s, r, p, exprs) => void s.transformBlockLayout(block(r, p), (...indices) => randomMap(r, exprs, indices)),
  reorder_block_iters: (s, r, p) => {
    const b = r.pick(p.blocks);
    s.reorderBlockIters(b.name, r.shuffled(b.iters.map((_, k) => k)));
  },
  set_scope: (s, r, p) => s.setScope(r.pick(p.buffers), r.pick(['local', 'shared', 'global'])),
  storage_align: (s, r, p) => s.storageAlign(r.pick(p.buffers), r.below(3) - 1, r.pick([2, 4]), 0),
  compute_at: (s, r, p) => {
    const [producer, consumer] = related(r, p);
    s.computeAt(producer, r.pick([...s.copy().getLoops(consumer), loop(r, p)]));
  },
  reverse_compute_at: (s, r, p) => {
    const [producer, consumer] = related(r, p);
    s.reverseComputeAt(consumer, r.pick([...s.copy().getLoops(producer), loop(r, p)]));
  },
  compute_inline: (s, r, p) => s.computeInline(block(r, p)),
  reverse_compute_inline: (s, r, p) => s.reverseComputeInline(block(r, p)),
  decompose_reduction: (s, r, p) => {
    const b = r.pick(p.blocks.filter((x) => x.init !== null).concat(p.blocks.slice(0, 1)));
    s.decomposeReduction(b.name, r.pick([...s.copy().getLoops(b.name), loop(r, p)]));
  },
  unroll_init: (s, r, p) => {
    const b = r.pick(p.blocks.filter((x) => x.init !== null).concat(p.blocks.slice(0, 1)));
    s.unrollInit(b.name, r.pick([...s.copy().getLoops(b.name), loop(r, p)]));
  },
  merge_reduction: (s, r, p) => {
    const init = r.pick(p.blocks.filter((x) => x.name.includes('_init')).concat(p.blocks.slice(0, 1)));
    s.mergeReduction(init.name, r.pick(p.blocks.filter((x) => writes(x).some((w) => writes(init).includes(w)))).name);
  },
  rfactor: (s, r, p) => void s.rfactor(loop(r, p), r.pick([0, -1, 1])),
  pad_einsum: (s, r, p) => {
    const b = r.pick(p.blocks.filter((x) => x.init !== null).concat(p.blocks.slice(0, 1)));
    s.padEinsum(b.name, b.iters.map(() => r.pick([1, 2, 4])));
  },
  decompose_padding: (s, r, p) => void s.decomposePadding(block(r, p)),
  blockize: (s, r, p) => void s.blockize(loop(r, p)),
  tensorize: (s, r, p, exprs) => {
    // The innermost loops of fitting size are tried with each, since few do what an intrinsic does.
    const inner = p.loops.filter((l) => l.body.kind === 'block' && [2, 3, 4].includes(exprs.valueOf(l.extent) ?? 0));
    for (const { variable } of r.shuffled(inner)) {
      for (const { name } of smallIntrinsics) {
        const copy = s.copy();
        try {
          copy.tensorize({ loop: variable }, name);
        } catch (error) {
          if (diagnosticOf(error) === null) throw error;
          continue;
        }
        return void s.tensorize({ loop: variable }, name);
      }
    }
    s.tensorize({ loop: loop(r, p) }, r.pick(smallIntrinsics).name);
  },
  work_on: (s, r, p) => s.workOn(r.chance(0.5) ? null : block(r, p)),
};
