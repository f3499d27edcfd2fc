import type { Block, Buffer, Expr, IterVar, Stmt } from '@tenon/plugin';
import { mapExpressions, seq, visitExprs, visitStmts, mapChildren, expressionsOf } from '@tenon/core';
import { isAccumulator, readersOf, readsOf, readOutsideBlocks, scopeOf, writersOf, writesOf } from './dependence.ts';
import { exactBox, nestOver, readBox } from './compute-at.ts';
import { itersFor, requireFullDomain, shiftedIter } from './domain.ts';
import { IterMap } from './iter-map.ts';
import { iterSpans, refreshRegions, withSpans, type Range } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { allocateIn, contains, replaceStmt } from './tree.ts';

/** A block that copies `target[…] = source[…]` over whole buffers or over `extents`, with fresh iteration variables. */
function copyBlock(state: State, name: string, extents: readonly Expr[], source: (v: readonly Expr[]) => Expr, target: (v: readonly Expr[]) => { buffer: string; indices: readonly Expr[] }): Block {
  const { exprs } = state;
  const iters = extents.map((extent, k): IterVar => ({ name: state.names.unique(`v${k}`), type: 'spatial', extent, binding: exprs.zero }));
  const v = iters.map((i) => exprs.variable(i.name));
  const { buffer, indices } = target(v);
  const body: Stmt = { kind: 'store', buffer, indices, value: source(v) };
  return { kind: 'block', name: state.names.unique(name), iters, reads: [], writes: [{ buffer, start: indices, extent: indices.map(() => exprs.one) }], predicate: null, init: null, body, annotations: {} };
}

/** Loads from, and stores to, another buffer. */
function redirect(state: State, stmt: Stmt, from: string, to: string, stores: boolean): Stmt {
  const { exprs } = state;
  const rename = (e: Expr): Expr => exprs.transform(e, (x) => (x.op === 'load' && x.value === from ? exprs.make('load', x.dtype, x.args, to) : x));
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    if (inside.kind === 'store' && stores && inside.buffer === from) return { ...inside, buffer: to };
    if (inside.kind === 'block') {
      const region = (r: Block['reads'][number]): Block['reads'][number] => (r.buffer === from ? { ...r, buffer: to } : r);
      return { ...inside, reads: inside.reads.map(region), writes: stores ? inside.writes.map(region) : inside.writes };
    }
    return inside;
  };
  return visit(mapExpressions(stmt, rename));
}

/** Where a copy goes: directly in front of or behind this statement, which stands at the end of the path. */
interface Place {
  readonly item: Stmt;
  readonly path: readonly Stmt[];
}

/** cache_read: a block reads a buffer through a copy in another scope. Gives the copying block and the new buffer. */
export function cacheRead(state: State, args: { readonly block: string; readonly buffer: string; readonly scope: string }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(args.block);
  const source = state.buffer(args.buffer);
  if (!readsOf(block).has(args.buffer)) state.refuse('no-access', `block ${args.block} does not read ${args.buffer}`);
  if (writesOf(block).has(args.buffer)) state.refuse('dependence', `block ${args.block} reads and writes ${args.buffer}`);
  if (readOutsideBlocks(block, args.buffer) || conditionsRead(block, args.buffer)) state.refuse('no-access', `block ${args.block} reads ${args.buffer} in a binding or predicate`);
  const scope = scopeOf(state, path);
  const writers = writersOf(scope.stmt, args.buffer);
  const place = placeFor(state, path, scope, writers, args.buffer);
  const copy: Buffer = { name: state.names.unique(`${args.buffer}_${args.scope}`), dtype: source.dtype, shape: source.shape, scope: args.scope };
  const copier = copyBlock(state, `${copy.name}_copy`, copy.shape, (v) => exprs.load(source, v), (v) => ({ buffer: copy.name, indices: v }));
  const around = place.path.findLast((s) => s.kind === 'for');
  // In the whole function the copy holds all of the buffer; inside loops what an iteration reads.
  const box = around === undefined ? [] : readBox(state, around, place.path.slice(0, place.path.indexOf(around) + 1), [block], args.buffer);
  const nest = nestOver(state, copier, around === undefined ? new Map() : itersFor(state, copier, copy.name, box), place.path);
  const reading = redirect(state, block, args.buffer, copy.name, false);
  const item = replaceStmt(place.item, block, reading);
  let body = replaceStmt(state.fn.body, place.item, seq([nest, item]));
  body = allocateIn(body, copy, around?.variable ?? null);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([copier.name, args.block])) }, results: [copier.name, copy.name] };
}

function conditionsRead(block: Block, buffer: string): boolean {
  let found = false;
  for (const e of expressionsOf(block)) visitExprs(e, (x) => void (x.op === 'load' && x.value === buffer && (found = true)));
  return found;
}

/** The outermost place around a block that holds none of these other blocks, and from which a buffer can be seen. */
function placeFor(state: State, path: readonly Stmt[], scope: { readonly stmt: Stmt }, others: readonly Block[], buffer: string): Place {
  const block = path.at(-1) as Block;
  const declared = state.isParameter(buffer) ? -1 : path.findIndex((s) => s.kind === 'alloc' && s.buffer.name === buffer);
  for (let k = Math.max(path.indexOf(scope.stmt), declared); k < path.length; k++) {
    const item = path[k]!;
    if (item.kind === 'seq' || item.kind === 'alloc' || item.kind === 'let') continue;
    if (others.some((o) => o !== block && contains(item, o))) continue;
    return { item, path: path.slice(0, k) };
  }
  return state.refuse('position', `there is no place around block ${block.name}`);
}

/**
 * cache_write: a block writes its result to a buffer in another scope, from where it is copied. Gives the copying block
 * and the new buffer.
 */
export function cacheWrite(state: State, args: { readonly block: string; readonly buffer: string; readonly scope: string }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(args.block);
  const target = state.buffer(args.buffer);
  if (!writesOf(block).has(args.buffer)) state.refuse('no-access', `block ${args.block} does not write ${args.buffer}`);
  if (readsOf(block).has(args.buffer) && !isAccumulator(block, args.buffer)) state.refuse('dependence', `block ${args.block} reads and writes ${args.buffer}`);
  if (block.init === null && block.iters.some((i) => i.type === 'reduce')) state.refuse('undecomposed-reduction', `block ${args.block} reduces into ${args.buffer} without an initial value of its own`, 'merge_reduction first.');
  const scope = scopeOf(state, path);
  if (scope.stmt !== state.fn.body) {
    const { block: outer } = state.block((scope.path.at(-1) as Block).name);
    if (writesOf(outer).has(args.buffer)) state.refuse('scope', `${args.buffer} lives outside of block ${outer.name}`);
  }
  const others = writersOf(scope.stmt, args.buffer).filter((b) => b !== block);
  if (others.length > 0) state.refuse('several-writers', `block ${others[0]!.name} writes ${args.buffer} too`);
  requireFullDomain(state, path);
  // What is copied must be what was written: a box.
  const region = block.writes.filter((r) => r.buffer === args.buffer);
  const shifts = region.length === 1 ? region[0]!.start.map((e, axis) => {
    if (region[0]!.extent[axis] !== exprs.one) return null;
    if (exprs.variables(e).every((v) => !block.iters.some((i) => i.name === v))) return { iter: null, offset: e };
    const s = shiftedIter(state, block, e);
    return s !== null && block.iters.some((i) => i.name === s.iter && i.type === 'spatial') ? s : null;
  }) : [];
  const iters = shifts.flatMap((s) => (s?.iter === null || s === null ? [] : [s.iter]));
  if (region.length !== 1 || shifts.includes(null) || new Set(iters).size !== iters.length) state.refuse('not-elementwise', `block ${args.block} is not known to write a box of ${args.buffer}`);
  const readers = readersOf(scope.stmt, args.buffer).filter((b) => b !== block);
  const place = placeFor(state, path, scope, readers, args.buffer);
  const around = place.path.findLast((s) => s.kind === 'for');
  const copy: Buffer = { name: state.names.unique(`${args.buffer}_${args.scope}`), dtype: target.dtype, shape: target.shape, scope: args.scope };
  const extents = shifts.map((s) => (s!.iter === null ? exprs.one : block.iters.find((i) => i.name === s!.iter)!.extent));
  const indices = (v: readonly Expr[]): Expr[] => v.map((e, k) => exprs.add(e, shifts[k]!.offset));
  const copier = copyBlock(state, `${args.block}_copy`, extents, (v) => exprs.load(copy, indices(v)), (v) => ({ buffer: args.buffer, indices: indices(v) }));
  const written = redirect(state, block, args.buffer, copy.name, true);
  const item = replaceStmt(place.item, block, written);
  let ranges: ReadonlyMap<string, Range> = new Map();
  if (around !== undefined) {
    const loopPath = place.path.slice(0, place.path.indexOf(around) + 1);
    const box = exactBox(state, around, loopPath, [block], args.buffer)
      ?? state.refuse('dependence', `block ${args.block} is not known to write a whole box of ${args.buffer} in each iteration of loop ${around.variable}`);
    ranges = itersFor(state, copier, args.buffer, box);
  }
  const nest = nestOver(state, copier, ranges, place.path);
  let body = replaceStmt(state.fn.body, place.item, seq([item, nest]));
  body = allocateIn(body, copy, around?.variable ?? null);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([copier.name, args.block])) }, results: [copier.name, copy.name] };
}

/**
 * reindex: the block reads (or writes) a copy of the buffer that its own iteration variables index. Gives the copying
 * block and the new buffer.
 */
export function reindex(state: State, args: { readonly block: string; readonly buffer: string; readonly access: 'read' | 'write' }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(args.block);
  const buffer = state.buffer(args.buffer);
  const indices = onlyAccess(state, block, args.buffer, args.access);
  const scope = scopeOf(state, path);
  const used = block.iters.filter((i) => indices.some((e) => exprs.variables(e).includes(i.name)));
  const facts = withSpans(exprs, state.dims, iterSpans(block.iters));
  const copy: Buffer = { name: state.names.unique(`${args.buffer}_reindex`), dtype: buffer.dtype, shape: used.map((i) => i.extent), scope: 'global' };
  const mapped = (v: readonly Expr[]): Expr[] => indices.map((e) => exprs.substitute(e, new Map(used.map((i, k) => [i.name, v[k]!]))));
  const own = used.map((i) => exprs.variable(i.name));
  if (args.access === 'read') {
    if (writesOf(block).has(args.buffer)) state.refuse('dependence', `block ${args.block} reads and writes ${args.buffer}`);
    indices.forEach((e, axis) => {
      if (!state.proves(exprs.ge(e, 0), facts) || !state.proves(exprs.lt(e, buffer.shape[axis]!), facts)) {
        state.refuse('domain', `block ${args.block} may read ${args.buffer} outside of its axis ${axis}, under a condition`);
      }
    });
    const writers = writersOf(scope.stmt, args.buffer);
    const place = placeFor(state, path, scope, writers, args.buffer);
    if (place.path.some((s) => s.kind === 'for')) state.refuse('position', `${args.buffer} is written under a loop around block ${args.block}`);
    const copier = copyBlock(state, `${copy.name}_copy`, copy.shape, (v) => exprs.load(buffer, mapped(v)), (v) => ({ buffer: copy.name, indices: v }));
    const reading = mapBody(state, block, (e) => exprs.transform(e, (x) => (x.op === 'load' && x.value === args.buffer ? exprs.load(copy, own) : x)), null);
    let body = replaceStmt(state.fn.body, place.item, seq([nestOver(state, copier, new Map(), place.path), replaceStmt(place.item, block, reading)]));
    body = allocateIn(body, copy, null);
    return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([copier.name, args.block])) }, results: [copier.name, copy.name] };
  }
  const spatial = block.iters.filter((i) => i.type === 'spatial');
  if (used.some((i) => i.type === 'reduce')) state.refuse('dependence', `a reduction variable of block ${args.block} indexes ${args.buffer}`);
  if (!new IterMap(exprs, facts, new Map(spatial.map((i) => [i.name, i.extent]))).separates(indices, used.map((i) => i.name)) || used.length !== spatial.filter((i) => !state.same(i.extent, exprs.one)).length + used.filter((i) => state.same(i.extent, exprs.one)).length) {
    state.refuse('dependence', `iterations of block ${args.block} are not known to write different elements of ${args.buffer}`);
  }
  if (block.init === null && block.iters.some((i) => i.type === 'reduce')) state.refuse('undecomposed-reduction', `block ${args.block} reduces into ${args.buffer} without an initial value of its own`);
  const others = writersOf(scope.stmt, args.buffer).filter((b) => b !== block);
  if (others.length > 0) state.refuse('several-writers', `block ${others[0]!.name} writes ${args.buffer} too`);
  if (scope.stmt !== state.fn.body) state.refuse('scope', `block ${args.block} is inside another block`);
  const place = placeFor(state, path, scope, readersOf(scope.stmt, args.buffer).filter((b) => b !== block), args.buffer);
  if (place.path.some((s) => s.kind === 'for')) state.refuse('position', `${args.buffer} is read under a loop around block ${args.block}`);
  const copier = copyBlock(state, `${copy.name}_copy`, copy.shape, (v) => exprs.load(copy, v), (v) => ({ buffer: args.buffer, indices: mapped(v) }));
  const writing = mapBody(state, block, (e) => exprs.transform(e, (x) => (x.op === 'load' && x.value === args.buffer ? exprs.load(copy, own) : x)), { from: args.buffer, to: copy.name, indices: own });
  let body = replaceStmt(state.fn.body, place.item, seq([replaceStmt(place.item, block, writing), nestOver(state, copier, new Map(), place.path)]));
  body = allocateIn(body, copy, null);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([copier.name, args.block])) }, results: [copier.name, copy.name] };
}

function mapBody(_state: State, block: Block, expr: (e: Expr) => Expr, stores: { from: string; to: string; indices: readonly Expr[] } | null): Block {
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    return stores !== null && inside.kind === 'store' && inside.buffer === stores.from ? { ...inside, buffer: stores.to, indices: stores.indices } : inside;
  };
  const map = (s: Stmt): Stmt => visit(mapExpressions(s, expr));
  return { ...block, reads: [], writes: [], init: block.init === null ? null : map(block.init), body: map(block.body) };
}

/** The indices with which a block accesses a buffer, always the same and in terms of its iteration variables. */
function onlyAccess(state: State, block: Block, buffer: string, access: 'read' | 'write'): readonly Expr[] {
  const { exprs } = state;
  const found: (readonly Expr[])[] = [];
  const collect = (indices: readonly Expr[]): void => {
    if (!found.some((f) => f.every((e, k) => e === indices[k]))) found.push(indices);
  };
  for (const s of block.init === null ? [block.body] : [block.init, block.body]) {
    visitStmts(s, (x) => {
      if (x.kind === 'store' && x.buffer === buffer) collect(x.indices);
      for (const e of expressionsOf(x)) visitExprs(e, (y) => void (y.op === 'load' && y.value === buffer && collect(y.args)));
    });
  }
  const [indices] = found;
  if (indices === undefined) return state.refuse('no-access', `block ${block.name} does not ${access} ${buffer}`);
  if (found.length > 1) state.refuse('several-accesses', `block ${block.name} accesses ${buffer} with different indices`);
  if (access === 'write' ? !writesOf(block).has(buffer) : !readsOf(block).has(buffer)) state.refuse('no-access', `block ${block.name} does not ${access} ${buffer}`);
  const dims = new Set(state.fn.scalars);
  for (const b of [...state.fn.inputs, ...state.fn.outputs]) for (const d of b.shape) for (const v of exprs.variables(d)) dims.add(v);
  for (const e of indices) {
    let loads = false;
    visitExprs(e, (x) => void (x.op === 'load' && (loads = true)));
    if (loads || exprs.variables(e).some((v) => !dims.has(v) && !block.iters.some((i) => i.name === v))) {
      state.refuse('several-accesses', `an index of ${buffer} in block ${block.name} varies inside the block`);
    }
  }
  return indices;
}

