import type { Block, BufferRegion, Expr, For, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { conflict, described, isAccumulator, readersOf, readOutsideBlocks, readsOf, requireLocal, scopeOf, writersOf, writesOf } from './dependence.ts';
import { itersFor, outputOf, requireFullDomain, requireVisible, restriction, shiftedIter } from './domain.ts';
import { IterMap } from './iter-map.ts';
import { boxOver, refreshRegions, spansOf, union, type Box, type Range } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { bodyOf, conjunction, contains, pathTo, removeAlloc, replaceStmt, topBlocks, withAllocs } from './tree.ts';

/**
 * Where two places of one scope part: the items of their closest common ancestor that hold the one and the other, and
 * the items between them.
 */
export interface Parting {
  readonly items: readonly Stmt[];
  readonly a: number;
  readonly b: number;
}

export function parting(pathA: readonly Stmt[], pathB: readonly Stmt[]): Parting | null {
  let k = 0;
  while (k < pathA.length && k < pathB.length && pathA[k] === pathB[k]) k++;
  const common = pathA[k - 1];
  const [x, y] = [pathA[k], pathB[k]];
  if (common?.kind !== 'seq' || x === undefined || y === undefined) return null;
  return { items: common.body, a: common.body.indexOf(x), b: common.body.indexOf(y) };
}

/** A nest of a block over given ranges of its iteration variables; those without a range run over all of their domain. */
export function nestOver(state: State, block: Block, ranges: ReadonlyMap<string, Range>, path: readonly Stmt[]): Stmt {
  const { exprs } = state;
  const loops: For[] = [];
  const conditions: Expr[] = [];
  const iters = block.iters.map((iter) => {
    const range = ranges.get(iter.name);
    const scope = state.scopeAt([...path, ...loops]);
    const full = range === undefined || iter.type === 'reduce' || state.proves(exprs.ge(range.extent, iter.extent), scope);
    const extent = full ? iter.extent : range.extent;
    const start = full ? exprs.zero : range.start;
    if (exprs.valueOf(extent) === 1) {
      if (!full) bound(start, iter.extent, scope);
      return { ...iter, binding: start };
    }
    const variable = state.names.unique(`${iter.name}_l`);
    loops.push({ kind: 'for', variable, extent, loop: 'serial', annotations: {}, body: block });
    const binding = exprs.add(start, exprs.variable(variable));
    if (!full) bound(binding, iter.extent, state.scopeAt([...path, ...loops]));
    return { ...iter, binding };
  });
  function bound(value: Expr, extent: Expr, scope: ReturnType<State['scopeAt']>): void {
    for (const c of [exprs.ge(value, 0), exprs.lt(value, extent)]) if (!state.proves(c, scope)) conditions.push(c);
  }
  const inner: Block = { ...block, iters, predicate: conjunction(exprs, conditions) };
  return loops.reduceRight<Stmt>((inside, l) => ({ ...l, body: inside }), inner);
}

/** What blocks under a loop read of a buffer in one iteration of it. */
export function readBox(state: State, loop: For, path: readonly Stmt[], readers: readonly Block[], buffer: string): Box {
  return readers
    .flatMap((r): Box[] => {
      const below = pathTo(loop, (s) => s === r)!;
      const scope = state.scopeAt([...path.slice(0, -1), ...below.slice(0, -1)]);
      const loops = below.filter((s): s is For => s.kind === 'for' && s !== loop);
      const hidden = below.flatMap((s) => (s.kind === 'let' ? [s.variable] : []));
      return r.reads.filter((x) => x.buffer === buffer).map((x) =>
        boxOver(state.exprs, r, x, spansOf(loops), scope).map((range) => (range !== null && state.exprs.variables(range.start).some((v) => hidden.includes(v)) ? null : range)));
    })
    .reduce((a, b) => union(state.exprs, a, b, state.scopeAt(path)));
}

/** compute_at: moves a producer under a loop of its consumers, where it computes what each iteration reads. */
export function computeAt(state: State, { block: name, loop: at }: { readonly block: string; readonly loop: string }): Outcome {
  const { block, path } = state.block(name);
  const { loop, path: loopPath } = state.loop(at);
  const scope = scopeOf(state, path);
  if (scopeOf(state, loopPath).stmt !== scope.stmt) state.refuse('scope', `block ${name} and loop ${at} are inside different blocks`);
  if (path.includes(loop)) state.refuse('position', `block ${name} is under loop ${at} already`);
  const buffer = outputOf(state, block);
  if (state.isParameter(buffer)) state.refuse('output', `block ${name} writes ${buffer}, which is a result of the function: all of it must be computed`);
  requireLocal(state, scope.stmt, buffer);
  const others = writersOf(scope.stmt, buffer).filter((b) => b !== block);
  if (others.length > 0) state.refuse('several-writers', `block ${others[0]!.name} writes ${buffer} too`, others[0]!.init === null ? 'merge_reduction first, if it sets the initial value.' : null);
  if (block.init === null && block.iters.some((i) => i.type === 'reduce')) state.refuse('undecomposed-reduction', `block ${name} reduces into ${buffer} without an initial value of its own`);
  requireFullDomain(state, path);
  const readers = readersOf(scope.stmt, buffer);
  if (readers.length === 0) state.refuse('no-consumer', `no block reads ${buffer}, which block ${name} writes`);
  const outside = readers.find((r) => !contains(loop, r));
  if (outside !== undefined) state.refuse('consumer-outside', `block ${outside.name} reads ${buffer}, which block ${name} writes, and is not under loop ${at}`);
  const place = parting(path, loopPath);
  if (place === null || place.a > place.b) state.refuse('position', `block ${name} does not stand before loop ${at}`);
  const { allocs, items } = bodyOf(loop);
  const first = items.findIndex((s) => topBlocks(s).some((b) => readers.includes(b)));
  for (const crossed of place.items.slice(place.a, place.b + 1).flatMap(topBlocks)) {
    if (crossed === block || crossed.init === block) continue;
    const overwritten = [...writesOf(crossed)].find((b) => readsOf(block).has(b) && b !== buffer);
    if (overwritten !== undefined) {
      state.refuse('dependence', `block ${crossed.name} writes ${overwritten}, which block ${name} reads where it stands now`);
    }
  }
  requireVisible(state, block, loopPath, buffer);
  const box = readBox(state, loop, loopPath, readers, buffer);
  const nest = nestOver(state, block, itersFor(state, block, buffer, box), loopPath);
  const declared = state.buffer(buffer);
  const next: For = { ...loop, body: withAllocs([...allocs, declared], seq([...items.slice(0, first), nest, ...items.slice(first)])) };
  let body = replaceStmt(state.fn.body, loop, next);
  body = removeAlloc(body, buffer, next);
  body = replaceStmt(body, block, null);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name])) }, results: [] };
}

/** reverse_compute_at: moves a consumer under a loop of its producers, behind them, where it uses what each iteration made. */
export function reverseComputeAt(state: State, { block: name, loop: at }: { readonly block: string; readonly loop: string }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(name);
  const { loop, path: loopPath } = state.loop(at);
  if (scopeOf(state, loopPath).stmt !== scopeOf(state, path).stmt) state.refuse('scope', `block ${name} and loop ${at} are inside different blocks`);
  if (path.includes(loop)) state.refuse('position', `block ${name} is under loop ${at} already`);
  const place = parting(loopPath, path);
  if (place === null || place.a > place.b) state.refuse('position', `block ${name} does not stand behind loop ${at}`);
  requireFullDomain(state, path);
  requireVisible(state, block, [...loopPath, ...loop.body.kind === 'alloc' ? allocations(loop) : []]);
  const reads = readsOf(block);
  const writes = writesOf(block);
  for (const b of writes) if (reads.has(b) && !isAccumulator(block, b)) state.refuse('dependence', `block ${name} reads and writes ${b}`);
  if (block.init === null && block.iters.some((i) => i.type === 'reduce')) state.refuse('undecomposed-reduction', `block ${name} reduces without an initial value of its own: it would accumulate again`);
  const nest = place.items[place.a]!;
  const producers = topBlocks(nest).filter((p) => [...writesOf(p)].some((b) => reads.has(b)));
  if (producers.length === 0) state.refuse('no-producer', `no block under loop ${at} writes what block ${name} reads`);
  for (const p of producers) {
    if (!contains(loop, p)) state.refuse('producer-outside', `block ${name} reads what block ${p.name} writes, which is not under loop ${at}`);
  }
  for (const crossed of topBlocks(nest)) {
    const b = [...writes].find((w) => readsOf(crossed).has(w) || writesOf(crossed).has(w));
    if (b !== undefined) state.refuse('dependence', `block ${name} writes ${b}, which block ${crossed.name} under the same loops touches`);
  }
  const between = place.items.slice(place.a + 1, place.b + 1).flatMap(topBlocks);
  const own = between.indexOf(block);
  for (const [k, crossed] of between.entries()) {
    if (crossed === block) continue;
    const found = conflict(crossed, block);
    // Blocks behind it in loops that it leaves may read its result, but not change what it reads.
    const harmless = k > own && found !== null && ![...writesOf(crossed)].some((b) => reads.has(b) || writes.has(b));
    if (found !== null && !harmless) state.refuse('dependence', described(found));
  }
  // What an iteration reads must be final: no reduction of a producer runs on in a loop at or around the place.
  const around = loopPath.slice(loopPath.indexOf(nest)).filter((s) => s.kind === 'for');
  for (const p of producers) {
    for (const l of around) {
      const reduces = p.iters.some((i) => i.type === 'reduce' && exprs.variables(i.binding).includes(l.variable));
      if (reduces) state.refuse('dependence', `block ${name} reads ${outputOf(state, p)}, which is not complete within an iteration of loop ${l.variable}: block ${p.name} reduces over it`);
    }
  }
  const ranges = new Map<string, Range>();
  const scope = state.scopeAt(loopPath);
  /** The access that bounds the iteration variables: parts that two ask for would only meet on a diagonal. */
  let source: BufferRegion | null = null;
  for (const buffer of reads) {
    const writers = producers.filter((p) => writesOf(p).has(buffer));
    if (writers.length === 0) continue;
    const box = writtenBox(state, loop, loopPath, writers, buffer);
    const shape = state.buffer(buffer).shape;
    for (const region of block.reads.filter((r) => r.buffer === buffer)) {
      region.start.forEach((start, axis) => {
        const range = box[axis] ?? null;
        if (range !== null && isFull(state, range, shape[axis]!, scope)) return;
        const other = writersOf(scopeOf(state, path).stmt, buffer).find((w) => !writers.includes(w));
        if (other !== undefined) state.refuse('several-writers', `block ${other.name}, which is not under loop ${at}, writes ${buffer} too`);
        const index = region.extent[axis] === exprs.one ? shiftedIter(state, block, start) : null;
        if (range === null || index === null || exprs.variables(index.offset).length > 0) {
          state.refuse('dependence', `block ${name} reads more of ${buffer} on axis ${axis} than an iteration of loop ${at} makes in block ${writers[0]!.name}`);
        }
        const iter = block.iters.find((i) => i.name === index.iter)!;
        if (iter.type === 'reduce') state.refuse('dependence', `block ${name} reduces over axis ${axis} of ${buffer}, of which an iteration of loop ${at} makes only a part in block ${writers[0]!.name}`);
        const last = exprs.add(iter.extent, index.offset);
        if (!state.proves(exprs.ge(index.offset, 0), scope) || !state.proves(exprs.le(last, shape[axis]!), scope)) {
          state.refuse('domain', `block ${name} runs over more than axis ${axis} of ${buffer}: what is outside would not be computed under loop ${at}`);
        }
        const want = { start: exprs.sub(range.start, index.offset), extent: range.extent };
        const known = ranges.get(iter.name);
        if (source !== null && source !== region && known === undefined) {
          state.refuse('dependence', `block ${name} reads ${source.buffer} and ${buffer} with different variables: no iteration of loop ${at} makes all that ${iter.name} needs together with the others`);
        }
        source = region;
        if (known !== undefined && (known.start !== want.start || known.extent !== want.extent)) {
          state.refuse('dependence', `block ${name} reads several parts of ${buffer} on axis ${axis}, which different iterations of loop ${at} make in block ${writers[0]!.name}`);
        }
        ranges.set(iter.name, want);
      });
    }
  }
  const { allocs, items } = bodyOf(loop);
  const last = items.findLastIndex((s) => topBlocks(s).some((b) => producers.includes(b)));
  const moved = nestOver(state, block, ranges, loopPath);
  const next: For = { ...loop, body: withAllocs(allocs, seq([...items.slice(0, last + 1), moved, ...items.slice(last + 1)])) };
  const body = replaceStmt(replaceStmt(state.fn.body, block, null), loop, next);
  const placed = privatised(state.with(body), at, producers);
  return { fn: { ...state.fn, body: refreshRegions(state.with(placed), placed, new Set([name])) }, results: [] };
}

/** The allocations directly in a loop's body. */
function allocations(loop: For): Stmt[] {
  const found: Stmt[] = [];
  for (let s = loop.body; s.kind === 'alloc'; s = s.body) found.push(s);
  return found;
}

/** Allocations whose buffers only one loop's iterations use, each what it wrote itself, move into that loop. */
function privatised(state: State, at: string, producers: readonly Block[]): Stmt {
  let body = state.fn.body;
  for (const buffer of new Set(producers.flatMap((p) => [...writesOf(p)]))) {
    const now = state.with(body);
    const { loop, path } = now.loop(at);
    const { allocs, items } = bodyOf(loop);
    if (state.isParameter(buffer) || allocs.some((b) => b.name === buffer)) continue;
    const scope = scopeOf(now, path).stmt;
    const readers = readersOf(scope, buffer);
    const writers = writersOf(scope, buffer);
    if (![...readers, ...writers].every((u) => contains(loop, u)) || readOutsideBlocks(scope, buffer)) continue;
    const box = exactBox(now, loop, path, writers, buffer);
    if (box === null || !within(now, readBox(now, loop, path, readers, buffer), box, buffer, path)) continue;
    const next: For = { ...loop, body: withAllocs([...allocs, state.buffer(buffer)], seq(items)) };
    body = removeAlloc(replaceStmt(body, loop, next), buffer, next);
  }
  return body;
}

function within(state: State, inner: Box, outer: Box, buffer: string, path: readonly Stmt[]): boolean {
  const { exprs } = state;
  const scope = state.scopeAt(path);
  return inner.every((x, axis) => {
    const y = outer[axis]!;
    if (y === null) return false;
    if (isFull(state, y, state.buffer(buffer).shape[axis]!, scope)) return true;
    return x !== null && state.proves(exprs.ge(x.start, y.start), scope) && state.proves(exprs.le(exprs.add(x.start, x.extent), exprs.add(y.start, y.extent)), scope);
  });
}

function writtenBox(state: State, loop: For, path: readonly Stmt[], writers: readonly Block[], buffer: string): Box {
  return exactBox(state, loop, path, writers, buffer)
    ?? state.refuse('dependence', `block ${writers.map((w) => w.name).join(', ')} does not write a whole box of ${buffer} in each iteration of loop ${loop.variable}`);
}

/** The part of a buffer that every iteration of a loop writes, all of it; null where that is not known to be a box. */
export function exactBox(state: State, loop: For, path: readonly Stmt[], writers: readonly Block[], buffer: string): Box | null {
  const { exprs } = state;
  let found: Box | null = null;
  for (const w of writers) {
    const below = pathTo(loop, (s) => s === w)!;
    const full = [...path.slice(0, -1), ...below.slice(0, -1)];
    const scope = state.scopeAt(full);
    if (below.some((s) => s.kind === 'if' || s.kind === 'while') || restriction(state, w, scope) !== null) return null;
    const loops = below.filter((s): s is For => s.kind === 'for' && s !== loop);
    const regions = w.writes.filter((x) => x.buffer === buffer);
    if (regions.length !== 1) return null;
    const box = boxOver(exprs, w, regions[0]!, spansOf(loops), scope);
    const map = new IterMap(exprs, scope, new Map(loops.map((l) => [l.variable, l.extent])));
    const values = new Map(w.iters.map((i) => [i.name, i.binding]));
    const moving = new Set(loops.map((l) => l.variable));
    const taken = new Set<string>();
    for (const [axis, range] of box.entries()) {
      const index = exprs.substitute(regions[0]!.start[axis]!, values);
      if (range === null || regions[0]!.extent[axis] !== exprs.one) return null;
      const used = exprs.variables(index).filter((v) => moving.has(v));
      if (used.some((v) => taken.has(v))) return null;
      for (const v of used) taken.add(v);
      const size = map.size(exprs.sub(index, range.start));
      if (size === null || !state.same(size, range.extent, scope)) return null;
    }
    if (found !== null && !found.every((r, axis) => r!.start === box[axis]!.start && r!.extent === box[axis]!.extent)) return null;
    found = box;
  }
  return found;
}

function isFull(state: State, range: Range, size: Expr, scope: ReturnType<State['scopeAt']>): boolean {
  const { exprs } = state;
  return state.proves(exprs.le(range.start, 0), scope) && state.proves(exprs.ge(exprs.add(range.start, range.extent), size), scope);
}
