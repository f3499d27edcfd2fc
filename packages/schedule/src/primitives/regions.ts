import type { Block, Buffer, BufferRegion, Expr, For, IterVar, Scope, Stmt, VarFacts } from '@tenon/plugin';
import { blockRegions, mapChildren, visitStmts, type Exprs } from '@tenon/core';
import type { State } from './state.ts';

/** One axis of a box: from `start`, `extent` elements. */
export interface Range {
  readonly start: Expr;
  readonly extent: Expr;
}
/** Per axis; null: the whole axis, as far as is known. */
export type Box = readonly (Range | null)[];

/** Loops or iteration variables that an index is taken over. */
export interface Span {
  readonly variable: string;
  readonly extent: Expr;
}
export const spansOf = (loops: readonly For[]): Span[] => loops.map((l) => ({ variable: l.variable, extent: l.extent }));
export const iterSpans = (iters: readonly IterVar[]): Span[] => iters.map((i) => ({ variable: i.name, extent: i.extent }));

/**
 * All values of an index while `spans` run and everything else stays. null where they cannot be told. `scope` holds
 * facts about everything, spans included.
 */
export function rangeOver(exprs: Exprs, index: Expr, extent: Expr, spans: readonly Span[], scope: Scope): Range | null {
  const moving = new Map(spans.map((s) => [s.variable, s.extent]));
  const mentions = (e: Expr): boolean => exprs.variables(e).some((v) => moving.has(v));
  if (hasLoad(index)) return null;
  if (!mentions(index)) return { start: index, extent };
  const p = exprs.polynomial(index);
  let fixed: Expr = exprs.int(p.constant);
  let low: Expr = exprs.zero;
  let size: Expr = exprs.zero;
  const rest: Expr[] = [];
  for (const term of p.terms) {
    const value = exprs.mul(exprs.product(term.factors), exprs.int(term.coefficient));
    const inner = term.factors.filter((f) => mentions(f));
    if (inner.length === 0) {
      fixed = exprs.add(fixed, value);
      continue;
    }
    const factor = inner[0]!;
    const known = inner.length === 1 && factor.op === 'var' ? moving.get(factor.value as string) : undefined;
    const coefficient = exprs.mul(exprs.product(term.factors.filter((f) => f !== factor)), exprs.int(term.coefficient));
    if (known !== undefined && !mentions(known) && !hasLoad(known) && !mentions(coefficient)) {
      const reach = exprs.mul(coefficient, exprs.sub(known, 1));
      if (exprs.prove(exprs.ge(coefficient, 0), scope) === 'yes') size = exprs.add(size, reach);
      else if (exprs.prove(exprs.le(coefficient, 0), scope) === 'yes') {
        size = exprs.sub(size, reach);
        low = exprs.add(low, reach);
      } else return null;
    } else rest.push(value);
  }
  if (rest.length > 0) {
    const sum = rest.reduce((a, b) => exprs.add(a, b));
    const { min, max } = exprs.bounds(sum, scope);
    if (min === null || max === null) return null;
    low = exprs.add(low, min);
    size = exprs.add(size, max - min);
  }
  return { start: exprs.simplify(exprs.add(fixed, low), scope), extent: exprs.simplify(exprs.add(size, extent), scope) };
}

function hasLoad(e: Expr): boolean {
  return e.op === 'load' || e.args.some(hasLoad);
}

/** What a block's declared region covers while loops run. `scope` holds facts about loops and dims. */
export function boxOver(exprs: Exprs, block: Block, region: BufferRegion, spans: readonly Span[], scope: Scope): Box {
  const values = new Map(block.iters.map((i) => [i.name, i.binding]));
  return region.start.map((start, axis) => {
    const extent = exprs.substitute(region.extent[axis]!, values);
    if (exprs.variables(extent).some((v) => spans.some((s) => s.variable === v))) return null;
    return rangeOver(exprs, exprs.substitute(start, values), extent, spans, scope);
  });
}

/** The smallest box known to hold both; an axis whose starts cannot be compared is whole. */
export function union(exprs: Exprs, a: Box, b: Box, scope: Scope): Box {
  return a.map((x, axis) => {
    const y = b[axis] ?? null;
    if (x === null || y === null) return null;
    const start = lesser(exprs, x.start, y.start, scope, 'min');
    const end = lesser(exprs, exprs.add(x.start, x.extent), exprs.add(y.start, y.extent), scope, 'max');
    return start === null || end === null ? null : { start, extent: exprs.sub(end, start) };
  });
}

function lesser(exprs: Exprs, a: Expr, b: Expr, scope: Scope, side: 'min' | 'max'): Expr | null {
  if (a === b) return a;
  const order = exprs.prove(exprs.le(a, b), scope);
  if (order === 'yes') return side === 'min' ? a : b;
  return order === 'no' || exprs.prove(exprs.le(b, a), scope) === 'yes' ? (side === 'min' ? b : a) : null;
}

/** A box with null axes written out as the whole axis. */
export function wholeBox(exprs: Exprs, box: Box, shape: readonly Expr[]): Range[] {
  return box.map((r, axis) => r ?? { start: exprs.zero, extent: shape[axis]! });
}

/** Adds facts about loops or iteration variables to a scope. */
export function withSpans(exprs: Exprs, scope: Scope, spans: readonly Span[]): Scope {
  const all = new Map<string, VarFacts>(scope);
  for (const s of spans) all.set(s.variable, { min: 0, max: exprs.sub(s.extent, 1) });
  return all;
}

/**
 * Reads and writes of a block found anew: from its statements, or, where it holds other blocks, from theirs over the
 * loops between. Blocks with calls keep what they declare.
 */
export function refreshBlock(state: State, block: Block, buffers: ReadonlyMap<string, Buffer>): Block {
  const { exprs } = state;
  const visible = new Map(buffers);
  visitStmts(block.body, (s) => {
    if (s.kind === 'alloc') visible.set(s.buffer.name, s.buffer);
  });
  let calls = false;
  let nested = false;
  const refreshed = mapChildren(block, function inside(s): Stmt {
    if (s.kind === 'evaluate') calls = true;
    if (s.kind === 'block') {
      nested = true;
      return refreshBlock(state, s, visible);
    }
    return mapChildren(s, inside);
  }) as Block;
  if (calls) return refreshed;
  if (!nested) return { ...refreshed, ...blockRegions(refreshed.init, refreshed.body, visible.values(), exprs) };
  const own = new Set<string>();
  const reads: BufferRegion[] = [];
  const writes: BufferRegion[] = [];
  const add = (list: BufferRegion[], buffer: string, box: Box): void => {
    const shape = visible.get(buffer)?.shape;
    if (shape === undefined) return;
    const ranges = wholeBox(exprs, box, shape);
    const at = list.findIndex((r) => r.buffer === buffer);
    const scope = withSpans(exprs, state.dims, iterSpans(block.iters));
    const merged = at < 0 ? ranges : wholeBox(exprs, union(exprs, list[at]!.start.map((start, i) => ({ start, extent: list[at]!.extent[i]! })), ranges, scope), shape);
    const region = { buffer, start: merged.map((r) => r.start), extent: merged.map((r) => r.extent) };
    if (at < 0) list.push(region);
    else list[at] = region;
  };
  const visit = (s: Stmt, spans: readonly Span[]): void => {
    switch (s.kind) {
      case 'block': {
        const scope = withSpans(exprs, state.dims, [...iterSpans(block.iters), ...spans]);
        for (const r of s.reads) if (!own.has(r.buffer)) add(reads, r.buffer, boxOver(exprs, s, r, spans, scope));
        for (const r of s.writes) if (!own.has(r.buffer)) add(writes, r.buffer, boxOver(exprs, s, r, spans, scope));
        for (const r of conditionReads(s)) if (!own.has(r)) add(reads, r, visible.get(r)!.shape.map(() => null));
        return;
      }
      case 'for':
        return visit(s.body, [...spans, { variable: s.variable, extent: s.extent }]);
      case 'alloc':
        own.add(s.buffer.name);
        visit(s.body, spans);
        own.delete(s.buffer.name);
        return;
      case 'seq':
        return s.body.forEach((x) => visit(x, spans));
      case 'let':
        return visit(s.body, spans);
      case 'if':
        visit(s.then, spans);
        if (s.otherwise !== null) visit(s.otherwise, spans);
        return;
      case 'while':
        return visit(s.body, spans);
      case 'store': {
        const found = blockRegions(null, s, visible.values(), exprs);
        for (const r of found.reads) if (!own.has(r.buffer)) add(reads, r.buffer, r.start.map(() => null));
        for (const r of found.writes) if (!own.has(r.buffer)) add(writes, r.buffer, r.start.map(() => null));
        return;
      }
      case 'evaluate':
    }
  };
  if (refreshed.init !== null) visit(refreshed.init, []);
  visit(refreshed.body, []);
  return { ...refreshed, reads, writes };
}

/** Buffers that a block's bindings and predicate read. */
function conditionReads(block: Block): string[] {
  const found: string[] = [];
  const visit = (e: Expr): void => {
    if (e.op === 'load') found.push(e.value as string);
    e.args.forEach(visit);
  };
  for (const iter of block.iters) visit(iter.binding);
  if (block.predicate !== null) visit(block.predicate);
  return found;
}

/** The function's body with the regions of these blocks, and of those around them, found anew. */
export function refreshRegions(state: State, body: Stmt, names: ReadonlySet<string>): Stmt {
  const buffers = new Map([...state.fn.inputs, ...state.fn.outputs].map((b) => [b.name, b]));
  const touched = (s: Stmt): boolean => {
    let found = false;
    visitStmts(s, (x) => void (x.kind === 'block' && names.has(x.name) && (found = true)));
    return found;
  };
  const visit = (s: Stmt): Stmt => {
    if (s.kind === 'alloc') buffers.set(s.buffer.name, s.buffer);
    if (s.kind === 'block') return touched(s) ? refreshBlock(state, s, buffers) : s;
    return mapChildren(s, visit);
  };
  return visit(body);
}
