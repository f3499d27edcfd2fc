import type { Stmt, TensorFunction } from '@tenon/plugin';
import { buffersOf, mapChildren, type Exprs } from '@tenon/core';
import { renameStmt } from '../rename.ts';
import { NameSet } from './state.ts';

/** The function with a name of its own for every loop, iteration variable, `let` and block; itself where that is so. */
export function uniqueNames(fn: TensorFunction, exprs: Exprs): TensorFunction {
  const all = new NameSet(fn, exprs);
  const seen = new Set<string>([...buffersOf(fn).keys(), ...fn.scalars]);
  for (const b of [...fn.inputs, ...fn.outputs]) for (const d of b.shape) for (const v of exprs.variables(d)) seen.add(v);
  const blocks = new Set<string>();
  const fresh = (name: string, taken: Set<string> = seen): string | null => {
    const other = taken.has(name) ? all.unique(name) : null;
    taken.add(other ?? name);
    return other;
  };
  const visit = (s: Stmt): Stmt => {
    let mine = s;
    if (s.kind === 'for' || s.kind === 'let') {
      const other = fresh(s.variable);
      if (other !== null) mine = renameStmt(exprs, s, new Map([[s.variable, other]]), new Map());
    } else if (s.kind === 'block') {
      const renamed = new Map<string, string>();
      for (const iter of s.iters) {
        const other = fresh(iter.name);
        if (other !== null) renamed.set(iter.name, other);
      }
      if (renamed.size > 0) mine = renamedIters(s, renamed);
      const name = fresh(s.name, blocks);
      if (name !== null) mine = { ...(mine as typeof s), name };
    }
    return mapChildren(mine, visit);
  };
  // The bindings of a block may use a variable of the same name: only what stands inside is renamed.
  const renamedIters = (s: Stmt & { kind: 'block' }, names: ReadonlyMap<string, string>): Stmt => {
    const inside = renameStmt(exprs, { ...s, iters: s.iters.map((i) => ({ ...i, binding: exprs.zero, extent: exprs.zero })), predicate: null }, names, new Map()) as typeof s;
    return { ...inside, iters: s.iters.map((i) => ({ ...i, name: names.get(i.name) ?? i.name })), predicate: s.predicate };
  };
  const body = visit(fn.body);
  return body === fn.body ? fn : { ...fn, body };
}
