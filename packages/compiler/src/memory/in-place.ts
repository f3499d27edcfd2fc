import type { Expr, Let, Stmt, Store, TensorFunction } from '@tenon/plugin';
import { expressionsOf, loadsOf, visitExprs, visitStmts } from '@tenon/core';

/**
 * Inputs of a lowered kernel whose memory its output may take over: `[output, input]` pairs. Safe where every load of
 * the input stands in the very store to the output, or in a let around it, and at its index, every such index is stored once, and the output is
 * never read: then an element is read before it is overwritten, and by nobody later.
 */
export function inPlacePairs(fn: TensorFunction): readonly (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  const loads = loadsOf(fn.body);
  fn.outputs.forEach((output, o) => {
    const writes = writesTo(fn, output.name);
    const key = (indices: readonly Expr[]): string => indices.map((e) => e.id).join();
    if (new Set(writes.map((w) => key(w.store.indices))).size !== writes.length) return;
    if (loads.some((l) => l.value === output.name)) return;
    fn.inputs.forEach((input, i) => {
      if (input.dtype !== output.dtype || input.shape.length !== output.shape.length || !input.shape.every((d, axis) => d === output.shape[axis])) return;
      const mine = new Set(loads.filter((l) => l.value === input.name));
      if (mine.size === 0) return;
      const inside = new Set<Stmt>(writes.flatMap((w) => [w.store, ...w.lets]));
      // Loads elsewhere (in conditions, in stores to other buffers) might come later than a store.
      let elsewhere = false;
      visitStmts(fn.body, (s) => {
        if (inside.has(s)) return;
        for (const e of expressionsOf(s)) visitExprs(e, (x) => void (mine.has(x) && (elsewhere = true)));
      });
      if (elsewhere) return;
      const inPlace = writes.every(({ store, lets }) => {
        let same = true;
        for (const value of [store.value, ...lets.map((l) => l.value)]) {
          visitExprs(value, (x) => void (mine.has(x) && key(x.args) !== key(store.indices) && (same = false)));
        }
        for (const index of store.indices) visitExprs(index, (x) => void (mine.has(x) && (same = false)));
        return same;
      });
      if (inPlace) pairs.push([o, i]);
    });
  });
  return pairs;
}

/** The stores to a buffer, each with the lets that name parts of its value. */
function writesTo(fn: TensorFunction, buffer: string): { store: Store; lets: Let[] }[] {
  const writes: { store: Store; lets: Let[] }[] = [];
  const taken = new Set<Stmt>();
  visitStmts(fn.body, (s) => {
    const lets: Let[] = [];
    let inner = s;
    while (inner.kind === 'let') {
      lets.push(inner);
      inner = inner.body;
    }
    if (inner.kind !== 'store' || inner.buffer !== buffer || taken.has(inner)) return;
    taken.add(inner);
    writes.push({ store: inner, lets });
  });
  return writes;
}
