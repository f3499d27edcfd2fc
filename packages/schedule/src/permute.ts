import type { BufferRegion, Buffer, Expr, IterVar, Stmt, TensorFunction } from '@tenon/plugin';
import { mapChildren, mapExpressions, type Exprs } from '@tenon/core';
import { computeForm, nest, stageOf } from './stages.ts';

/** By buffer: axis i of the buffer as it lies in memory is axis `permutation[i]` of the buffer as it was. */
export type Permutations = ReadonlyMap<string, readonly number[]>;

/**
 * The same function with buffers stored in another order of axes; whoever passes a parameter passes it in that order.
 * Stages that write a permuted buffer run over their axes in its order, so that their innermost axis is the contiguous one.
 */
export function permuteBuffers(fn: TensorFunction, permutations: Permutations, exprs: Exprs): TensorFunction {
  const buffer = (b: Buffer): Buffer => ({ ...b, shape: moved(b.name, b.shape) });
  const moved = <T>(name: string, axes: readonly T[]): readonly T[] => permutations.get(name)?.map((a) => axes[a]!) ?? axes;
  const expr = (e: Expr): Expr =>
    exprs.transform(e, (x) => (x.op === 'load' && permutations.has(x.value as string) ? exprs.make('load', x.dtype, [...moved(x.value as string, x.args)], x.value) : x));
  const region = (r: BufferRegion): BufferRegion => ({ ...r, start: moved(r.buffer, r.start), extent: moved(r.buffer, r.extent) });
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(inOrder(s, permutations), visit);
    switch (inside.kind) {
      case 'store':
        return { ...inside, indices: moved(inside.buffer, inside.indices) };
      case 'alloc':
        return { ...inside, buffer: buffer(inside.buffer) };
      case 'block':
        return { ...inside, reads: inside.reads.map(region), writes: inside.writes.map(region) };
      default:
        return inside;
    }
  };
  return { ...fn, inputs: fn.inputs.map(buffer), outputs: fn.outputs.map(buffer), body: visit(mapExpressions(fn.body, expr)) };
}

/** A nest that computes a permuted buffer, its axes in the buffer's new order; any other statement as it is. */
function inOrder(stmt: Stmt, permutations: Permutations): Stmt {
  if (stmt.kind !== 'for') return stmt;
  const stage = stageOf(stmt);
  const form = stage === null ? null : computeForm(stage.block);
  const permutation = form === null ? undefined : permutations.get(form.store.buffer);
  if (stage === null || permutation === undefined) return stmt;
  const { block, loops } = stage;
  const spatial = block.iters.filter((i) => i.type === 'spatial');
  const loopOf = (i: IterVar) => loops.find((l) => i.binding.op === 'var' && i.binding.value === l.variable);
  const iters = [...permutation.map((a) => spatial[a]!), ...block.iters.filter((i) => i.type !== 'spatial')];
  // Variables of one value may have no loop; all others must have one each.
  const ordered = iters.filter((i) => i.binding.op !== 'const').map(loopOf);
  if (ordered.some((l) => l === undefined) || new Set(ordered).size !== loops.length) return stmt;
  return nest(ordered.map((l) => l!), { ...block, iters });
}
