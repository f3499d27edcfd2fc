import type { Expr, Let, Stmt, Store, TensorFunction } from '@tenon/plugin';
import { childrenOf, expressionsOf, loadsOf, visitExprs, visitStmts } from '@tenon/core';

/**
 * Inputs of a lowered kernel whose memory its output may take over: `[output, input]` pairs. Safe where every load of
 * the input stands in the very store to the output, or in a let around it, and at its index, no loop stores to one index
 * again, and the output is never read: then an element is read before it is overwritten, and by nobody later.
 */
export function inPlacePairs(fn: TensorFunction): readonly (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  const loads = loadsOf(fn.body);
  fn.outputs.forEach((output, o) => {
    const writes = writesTo(fn, output.name);
    const key = (indices: readonly Expr[]): string => indices.map((e) => e.id).join();
    if (writes.some((w) => w.repeated) || new Set(writes.map((w) => key(w.store.indices))).size !== writes.length) return;
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

interface Write {
  readonly store: Store;
  /** The lets that name parts of its value. */
  readonly lets: readonly Let[];
  /** A loop around it leaves its index as it is. */
  readonly repeated: boolean;
}

function writesTo(fn: TensorFunction, buffer: string): Write[] {
  const writes: Write[] = [];
  /** `varying`: loops around the statement, each with the variables whose values follow from its own. */
  const visit = (s: Stmt, lets: readonly Let[], varying: readonly ReadonlySet<string>[]): void => {
    switch (s.kind) {
      case 'store': {
        if (s.buffer !== buffer) return;
        const used = new Set<string>();
        for (const index of s.indices) visitExprs(index, (e) => void (e.op === 'var' && used.add(e.value as string)));
        writes.push({ store: s, lets, repeated: varying.some((names) => [...names].every((name) => !used.has(name))) });
        return;
      }
      case 'let': {
        const used = new Set<string>();
        visitExprs(s.value, (e) => void (e.op === 'var' && used.add(e.value as string)));
        return visit(s.body, [...lets, s], varying.map((names) => ([...names].some((name) => used.has(name)) ? new Set([...names, s.variable]) : names)));
      }
      case 'for':
        return visit(s.body, [], [...varying, new Set([s.variable])]);
      case 'while':
        return visit(s.body, [], [...varying, new Set()]);
      default:
        for (const child of childrenOf(s)) visit(child, [], varying);
    }
  };
  visit(fn.body, [], []);
  return writes;
}
