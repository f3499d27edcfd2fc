import type { Buffer, Expr, Let, Stmt, Store, TensorFunction } from '@tenon/plugin';
import { childrenOf, expressionsOf, loadsOf, visitExprs, visitStmts } from '@tenon/core';

/**
 * Inputs of a lowered kernel whose memory its output may take over: `[output, input]` pairs. Safe where every load of
 * the input stands in the very store to the output, or in a let around it, and at its index, no loop stores to one index
 * again, and the output is never read: then an element is read before it is overwritten, and by nobody later.
 */
export function inPlacePairs(fn: TensorFunction): readonly (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  const alike = (input: Buffer, output: Buffer): boolean =>
    input.dtype === output.dtype && input.shape.length === output.shape.length && input.shape.every((d, axis) => d === output.shape[axis]);
  const loads = loadsOf(fn.body);
  fn.outputs.forEach((output, o) => {
    if (!fn.inputs.some((input) => alike(input, output))) return;
    const writes = writesTo(fn, output.name);
    const key = (indices: readonly Expr[]): string => indices.map((e) => e.id).join();
    if (writes.some((w) => w.repeated) || new Set(writes.map((w) => key(w.store.indices))).size !== writes.length) return;
    if (loads.some((l) => l.value === output.name)) return;
    fn.inputs.forEach((input, i) => {
      if (!alike(input, output)) return;
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
  /** Loops around the statement, each with the variables whose values follow from its own. */
  const varying: Set<string>[] = [];
  /** Those around the statement, up to the next loop. */
  let lets: Let[] = [];
  const inside = (s: Stmt, variables: Set<string>): void => {
    const outer = lets;
    lets = [];
    varying.push(variables);
    visit(s);
    varying.pop();
    lets = outer;
  };
  const visit = (s: Stmt): void => {
    switch (s.kind) {
      case 'store': {
        if (s.buffer !== buffer) return;
        const used = variablesOf(s.indices);
        writes.push({ store: s, lets: [...lets], repeated: varying.some((names) => !used.some((name) => names.has(name))) });
        return;
      }
      case 'let': {
        const used = variablesOf([s.value]);
        const following = varying.filter((names) => !names.has(s.variable) && used.some((name) => names.has(name)));
        for (const names of following) names.add(s.variable);
        lets.push(s);
        visit(s.body);
        lets.pop();
        for (const names of following) names.delete(s.variable);
        return;
      }
      case 'for':
        return inside(s.body, new Set([s.variable]));
      case 'while':
        return inside(s.body, new Set());
      default: {
        const outer = lets;
        for (const child of childrenOf(s)) {
          lets = [];
          visit(child);
        }
        lets = outer;
      }
    }
  };
  visit(fn.body);
  return writes;
}

function variablesOf(exprs: readonly Expr[]): string[] {
  const used: string[] = [];
  for (const expr of exprs) visitExprs(expr, (e) => void (e.op === 'var' && used.push(e.value as string)));
  return used;
}
