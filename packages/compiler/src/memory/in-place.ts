import type { Expr, TensorFunction } from '@tenon/plugin';
import { expressionsOf, loadsOf, visitExprs, visitStmts } from '@tenon/core';

/**
 * Inputs of a lowered kernel whose memory its output may take over: `[output, input]` pairs. Safe where every load of
 * the input stands in the very store to the output and at its index, every such index is stored once, and the output is
 * never read: then an element is read before it is overwritten, and by nobody later.
 */
export function inPlacePairs(fn: TensorFunction): readonly (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  fn.outputs.forEach((output, o) => {
    const stores: { indices: readonly Expr[]; value: Expr }[] = [];
    visitStmts(fn.body, (s) => {
      if (s.kind === 'store' && s.buffer === output.name) stores.push(s);
    });
    const key = (indices: readonly Expr[]): string => indices.map((e) => e.id).join();
    if (new Set(stores.map((s) => key(s.indices))).size !== stores.length) return;
    const loads = loadsOf(fn.body);
    if (loads.some((l) => l.value === output.name)) return;
    fn.inputs.forEach((input, i) => {
      if (input.dtype !== output.dtype || input.shape.length !== output.shape.length || !input.shape.every((d, axis) => d === output.shape[axis])) return;
      const mine = new Set(loads.filter((l) => l.value === input.name));
      if (mine.size === 0) return;
      // Loads outside the stores (in lets, conditions, stores to other buffers) might come later than a store.
      let elsewhere = false;
      visitStmts(fn.body, (s) => {
        if (s.kind === 'store' && s.buffer === output.name) return;
        for (const e of expressionsOf(s)) visitExprs(e, (x) => void (mine.has(x) && (elsewhere = true)));
      });
      if (elsewhere) return;
      const inStore = stores.every((s) => {
        let same = true;
        visitExprs(s.value, (x) => void (mine.has(x) && key(x.args) !== key(s.indices) && (same = false)));
        for (const index of s.indices) visitExprs(index, (x) => void (mine.has(x) && (same = false)));
        return same;
      });
      if (inStore) pairs.push([o, i]);
    });
  });
  return pairs;
}
