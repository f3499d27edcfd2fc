import type { For, Stmt } from '@tenon/plugin';
import { childrenOf, visitStmts } from '@tenon/core';
import { concurrencyConflict } from './dependence.ts';
import type { State } from './state.ts';

/**
 * What holds of every function that a schedule gives: loops that run concurrently have independent iterations, kinds of
 * loops nest as they may, and no reduction loses its initial value where it is empty. `before` is the function that the
 * step began with: what was so already is not the step's fault.
 */
export function checkLegality(state: State, before: State): void {
  const known = new Set(lostInits(before));
  const lost = lostInits(state).find((b) => !known.has(b));
  if (lost !== undefined) {
    state.refuse('empty-reduction', `the reduction of block ${lost} may be empty, and its initial value would then never be set: something stands between its loops`, 'decompose_reduction first, or state that its extents are at least 1.');
  }
  const visit = (s: Stmt, path: readonly Stmt[]): void => {
    if (s.kind === 'for') checkLoop(state, s, path);
    for (const child of childrenOf(s)) visit(child, [...path, s]);
  };
  visit(state.fn.body, []);
}

function checkLoop(state: State, loop: For, path: readonly Stmt[]): void {
  const above = path.filter((s): s is For => s.kind === 'for');
  const { loop: kind, variable } = loop;
  const inside = (outer: For['loop']): string | undefined => above.find((l) => l.loop === outer)?.variable;
  if (kind === 'parallel' && inside('parallel') !== undefined) state.refuse('nested-parallel', `the parallel loop ${variable} is inside the parallel loop ${inside('parallel')}`);
  if (kind !== 'serial' && kind !== 'unrolled' && inside('vectorized') !== undefined) state.refuse('nested-kind', `loop ${variable} is inside the vectorized loop ${inside('vectorized')}`);
  if (kind === 'vectorized') {
    visitStmts(loop.body, (s) => {
      if (s.kind === 'while') state.refuse('nested-kind', `a while stands under the vectorized loop ${variable}`);
    });
  }
  if (typeof kind === 'object') {
    const outer = above.find((l) => typeof l.loop === 'object' && l.loop.thread === kind.thread);
    if (outer !== undefined) state.refuse('nested-thread', `loops ${outer.variable} and ${variable} are both bound to ${kind.thread}`);
  }
  if (kind === 'serial' || kind === 'unrolled') return;
  const reason = concurrencyConflict(state, path, loop);
  if (reason !== null) state.refuse('dependence', reason);
}

/** Blocks that would never set their initial value where one of their reduction loops has no iterations. */
function lostInits(state: State): string[] {
  const { exprs } = state;
  const found: string[] = [];
  const visit = (s: Stmt, path: readonly Stmt[]): void => {
    if (s.kind === 'block' && s.init !== null) {
      const start = path.findLastIndex((x) => x.kind === 'block') + 1;
      const own = path.slice(start);
      const reduces = (x: Stmt): x is For => x.kind === 'for' && s.iters.some((i) => i.type === 'reduce' && exprs.variables(i.binding).includes(x.variable));
      const first = own.findIndex(reduces);
      const broken = first >= 0 && own.slice(first).some((x) => x.kind !== 'for');
      if (broken && own.some((x, k) => reduces(x) && !state.proves(exprs.ge(x.extent, 1), state.scopeAt(path.slice(0, start + k))))) found.push(s.name);
    }
    for (const child of childrenOf(s)) visit(child, [...path, s]);
  };
  visit(state.fn.body, []);
  return found;
}
