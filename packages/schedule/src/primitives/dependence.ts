import type { Block, Expr, For, Stmt } from '@tenon/plugin';
import { expressionsOf, visitExprs, visitStmts } from '@tenon/core';
import { IterMap } from './iter-map.ts';
import { boxOver, spansOf, union, type Box, type Span } from './regions.ts';
import type { State } from './state.ts';
import { contains, pathTo, topBlocks } from './tree.ts';

/** Buffers that a block reads, without those it only accumulates into, and buffers that it writes. */
export function readsOf(block: Block): Set<string> {
  const reads = new Set(block.reads.map((r) => r.buffer));
  // Bindings and predicates may read, too.
  for (const e of [...block.iters.map((i) => i.binding), ...(block.predicate === null ? [] : [block.predicate])]) {
    visitExprs(e, (x) => void (x.op === 'load' && reads.add(x.value as string)));
  }
  return reads;
}
export function writesOf(block: Block): Set<string> {
  return new Set(block.writes.map((r) => r.buffer));
}

export interface Conflict {
  readonly first: string;
  readonly second: string;
  readonly buffer: string;
  readonly kind: 'reads what' | 'writes what' | 'overwrites what';
}

/** The first buffer by which the order of two blocks matters, `first` being the earlier one; null for none. */
export function conflict(first: Block, second: Block): Conflict | null {
  const [r1, w1, r2, w2] = [readsOf(first), writesOf(first), readsOf(second), writesOf(second)];
  for (const b of w1) if (r2.has(b)) return { first: first.name, second: second.name, buffer: b, kind: 'reads what' };
  for (const b of r1) if (w2.has(b)) return { first: first.name, second: second.name, buffer: b, kind: 'overwrites what' };
  for (const b of w1) if (w2.has(b)) return { first: first.name, second: second.name, buffer: b, kind: 'writes what' };
  return null;
}

/** The dependence in words, for refusals. */
export function described(c: Conflict): string {
  if (c.kind === 'reads what') return `block ${c.second} reads ${c.buffer}, which block ${c.first} writes before it`;
  if (c.kind === 'overwrites what') return `block ${c.second} writes ${c.buffer}, which block ${c.first} reads before it`;
  return `blocks ${c.first} and ${c.second} both write ${c.buffer}`;
}

/** Buffers allocated inside a statement. */
export function ownBuffers(stmt: Stmt): Set<string> {
  const own = new Set<string>();
  visitStmts(stmt, (s) => void (s.kind === 'alloc' && own.add(s.buffer.name)));
  return own;
}

/** The loops between a statement (included, if it is one) and a block inside it. */
export function loopsBetween(outer: Stmt, block: Block): For[] {
  return pathTo(outer, (s) => s === block)!.filter((s) => s.kind === 'for');
}

/**
 * Whether the iterations of `loops` touch parts of each other's memory: pairs of blocks under `inner`, the innermost of
 * them, that share a buffer living outside. null where no such dependence is carried; else the pair.
 */
export function carried(state: State, path: readonly Stmt[], loops: readonly For[], inner: For): Conflict | null {
  const blocks = topBlocks(inner);
  const own = ownBuffers(inner);
  for (const [i, a] of blocks.entries()) {
    for (const b of blocks.slice(i + 1)) {
      const found = conflictOutside(a, b, own);
      for (const c of found) if (!sameIteration(state, path, loops, inner, a, b, c.buffer)) return c;
    }
  }
  return null;
}

function conflictOutside(a: Block, b: Block, own: ReadonlySet<string>): Conflict[] {
  const all: Conflict[] = [];
  const [r1, w1, r2, w2] = [readsOf(a), writesOf(a), readsOf(b), writesOf(b)];
  const seen = new Set<string>();
  const add = (buffer: string, kind: Conflict['kind']): void => {
    if (own.has(buffer) || seen.has(buffer)) return;
    seen.add(buffer);
    all.push({ first: a.name, second: b.name, buffer, kind });
  };
  for (const x of w1) if (r2.has(x)) add(x, 'reads what');
  for (const x of r1) if (w2.has(x)) add(x, 'overwrites what');
  for (const x of w1) if (w2.has(x)) add(x, 'writes what');
  return all;
}

/** Everything that a block may touch of a buffer in one iteration of `inner`. */
function boxesIn(state: State, path: readonly Stmt[], inner: For, block: Block, buffer: string): Box[] {
  const spans = spansOf(loopsBetween(inner, block).filter((l) => l !== inner));
  const full = [...path, ...pathTo(inner, (s) => s === block)!];
  const scope = state.scopeAt(full.slice(0, -1));
  const regions = [...block.reads, ...block.writes].filter((r) => r.buffer === buffer);
  return regions.map((r) => boxOver(state.exprs, block, r, spans, scope));
}

/** Whether two blocks meet in a buffer only within one iteration of `loops`. */
function sameIteration(state: State, path: readonly Stmt[], loops: readonly For[], inner: For, a: Block, b: Block, buffer: string): boolean {
  const boxes = [...boxesIn(state, path, inner, a, buffer), ...boxesIn(state, path, inner, b, buffer)];
  const declared = [a, b].every((x) => [...x.reads, ...x.writes].some((r) => r.buffer === buffer));
  if (!declared || boxes.length === 0) return false;
  const scope = state.scopeAt([...path, ...loops]);
  const all = boxes.reduce((x, y) => union(state.exprs, x, y, scope));
  return disjoint(state, path, all, spansOf(loops));
}

/** Whether the boxes of different iterations of `spans` have nothing in common. */
function disjoint(state: State, path: readonly Stmt[], box: Box, spans: readonly Span[]): boolean {
  const { exprs } = state;
  const extents = new Map(spans.map((s) => [s.variable, s.extent]));
  const values: Expr[] = [];
  box.forEach((range, axis) => {
    if (range === null) return;
    const inside = `element ${axis}`;
    extents.set(inside, range.extent);
    values.push(exprs.add(range.start, exprs.variable(inside)));
  });
  const scope = new Map(state.scopeAt(path));
  for (const [variable, extent] of extents) scope.set(variable, { min: 0, max: exprs.sub(extent, 1) });
  return new IterMap(exprs, scope, extents).separates(values, spans.map((s) => s.variable));
}

/**
 * Why the iterations of a loop cannot run at the same time; null where they can. Each writes memory of its own: buffers
 * allocated inside, or elements that no other iteration touches.
 */
export function concurrencyConflict(state: State, path: readonly Stmt[], loop: For): string | null {
  const { exprs } = state;
  const own = ownBuffers(loop);
  const above = path.at(-1) === loop ? path.slice(0, -1) : path;
  let bare: string | null = null;
  visitStmts(loop.body, (s) => {
    if (s.kind === 'store' && !own.has(s.buffer)) bare = s.buffer;
    return s.kind !== 'block';
  });
  if (bare !== null) return `a store to ${String(bare)} under loop ${loop.variable} is in no block, so nothing is known of its dependences`;
  for (const block of topBlocks(loop)) {
    const outside = [...writesOf(block)].filter((b) => !own.has(b));
    if (outside.length === 0) continue;
    const between = loopsBetween(loop, block);
    const extents = new Map(between.map((l) => [l.variable, l.extent]));
    const full = [...above, ...pathTo(loop, (s) => s === block)!.slice(0, -1)];
    const spatial = block.iters.filter((i) => i.type === 'spatial').map((i) => i.binding);
    if (new IterMap(exprs, state.scopeAt(full), extents).separates(spatial, [loop.variable])) continue;
    const reduces = block.iters.find((i) => i.type === 'reduce' && exprs.variables(i.binding).includes(loop.variable));
    return reduces !== undefined
      ? `loop ${loop.variable} carries the reduction ${reduces.name} of block ${block.name} into ${outside[0]}`
      : `iterations of loop ${loop.variable} may write the same elements of ${outside[0]} in block ${block.name}`;
  }
  const found = carried(state, above, [loop], loop);
  return found === null ? null : `${described(found)}, in another iteration of loop ${loop.variable}`;
}

/** The blocks of a scope that write, or read for more than to accumulate, a buffer. */
export function writersOf(stmt: Stmt, buffer: string): Block[] {
  return topBlocks(stmt).filter((b) => writesOf(b).has(buffer));
}
export function readersOf(stmt: Stmt, buffer: string): Block[] {
  return topBlocks(stmt).filter((b) => readsOf(b).has(buffer) && !isAccumulator(b, buffer));
}

/** Whether a block only reads back what it writes: an accumulation. */
export function isAccumulator(block: Block, buffer: string): boolean {
  if (!writesOf(block).has(buffer)) return false;
  const writes = block.writes.filter((r) => r.buffer === buffer);
  return block.reads.filter((r) => r.buffer === buffer).every((r) =>
    writes.some((w) => w.start.every((e, i) => e === r.start[i]) && w.extent.every((e, i) => e === r.extent[i])));
}

/** Everything below which the work goes on: the function, or the inside of a block. */
export function workScope(state: State): Stmt {
  return state.root === null ? state.fn.body : state.block(state.root).block.body;
}

/** The scope (function or enclosing block's body) that a block stands in. */
export function scopeOf(state: State, path: readonly Stmt[]): { readonly stmt: Stmt; readonly path: readonly Stmt[] } {
  for (let i = path.length - 2; i >= 0; i--) {
    const s = path[i]!;
    if (s.kind !== 'block') continue;
    const inside = s.init !== null && contains(s.init, path.at(-1)!) ? s.init : s.body;
    return { stmt: inside, path: path.slice(0, i + 1) };
  }
  return { stmt: state.fn.body, path: [] };
}

/** Whether anything but a block reads a buffer: an extent, a condition, a statement of its own. */
export function readOutsideBlocks(stmt: Stmt, buffer: string): boolean {
  let found = false;
  const check = (e: Expr): void => visitExprs(e, (x) => void (x.op === 'load' && x.value === buffer && (found = true)));
  visitStmts(stmt, (s) => {
    if (s.kind === 'block') return false;
    expressionsOf(s).forEach(check);
    return true;
  });
  return found;
}

/** Refuses buffers that anything outside of a scope could see, or that something other than a block reads. */
export function requireLocal(state: State, scope: Stmt, buffer: string): void {
  if (scope !== state.fn.body && !ownBuffers(scope).has(buffer)) state.refuse('scope', `${buffer} lives outside of the enclosing block, which others may read`);
  if (readOutsideBlocks(scope, buffer)) state.refuse('consumer-outside', `${buffer} is read by a loop's extent, a condition or a statement in no block`);
}
