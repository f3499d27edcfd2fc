import type { AttrValue, Block, Buffer, Expr, For, IterVar, Scope, Stmt, VarFacts } from '@tenon/plugin';
import { expressionsOf, mapChildren, mapExpressions, visitExprs, visitStmts } from '@tenon/core';
import { readsOf, writesOf } from './dependence.ts';
import { applyMap, iterMapOf, mappedShape, type IndexMap } from './index-map.ts';
import { requireFullDomain } from './domain.ts';
import { perfect } from './loops.ts';
import { combinationOf } from './reduction-form.ts';
import { refreshRegions } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { allBlocks, pathTo, replaceStmt } from './tree.ts';

/** transform_layout: stores a buffer in another shape. Every access follows. A parameter's caller passes it in that shape. */
export function transformLayout(state: State, { buffer: name, map }: { readonly buffer: string; readonly map: IndexMap }): Outcome {
  const { exprs } = state;
  const buffer = state.buffer(name);
  if (map.inputs.length !== buffer.shape.length) state.refuse('index-map', `the map takes ${map.inputs.length} indices, ${name} has rank ${buffer.shape.length}`);
  const shape = mappedShape(exprs, map, buffer.shape, state.dims);
  const iters = iterMapOf(exprs, map, buffer.shape, state.dims);
  if (shape === null || !iters.separates(map.outputs, map.inputs)) state.refuse('index-map', `the map is not known to give every element of ${name} a place of its own`);
  const next: Buffer = { ...buffer, shape };
  const moved = (indices: readonly Expr[], scope: Scope): Expr[] => applyMap(exprs, map, indices).map((e) => exprs.simplify(e, scope));
  const expr = (e: Expr, scope: Scope): Expr => exprs.transform(e, (x) => (x.op === 'load' && x.value === name ? exprs.load(next, moved(x.args, scope)) : x));
  const touched = new Set(allBlocks(state.fn.body).filter((b) => readsOf(b).has(name) || writesOf(b).has(name)).map((b) => b.name));
  const visit = (s: Stmt, path: readonly Stmt[]): Stmt => {
    const uses = s.kind === 'store' || expressionsOf(s).some((e) => loads(e, name));
    const inner = mapChildren(s, (x) => visit(x, [...path, s]));
    if (inner.kind === 'alloc' && inner.buffer.name === name) return { ...inner, buffer: next };
    if (!uses && inner.kind !== 'block') return inner;
    const scope = state.scopeAt(path);
    switch (inner.kind) {
      case 'store': {
        const indices = inner.indices.map((e) => expr(e, scope));
        return { ...inner, indices: inner.buffer === name ? moved(indices, scope) : indices, value: expr(inner.value, scope) };
      }
      case 'block': {
        const own = state.scopeAt([...path, s]);
        const region = (r: Block['reads'][number]): Block['reads'][number] => (r.buffer === name ? movedRegion(r, own) : r);
        return {
          ...inner, reads: inner.reads.map(region), writes: inner.writes.map(region),
          iters: inner.iters.map((i) => ({ ...i, binding: expr(i.binding, scope) })), predicate: inner.predicate === null ? null : expr(inner.predicate, scope),
        };
      }
      case 'for':
        return { ...inner, extent: expr(inner.extent, scope) };
      case 'if':
      case 'while':
        return { ...inner, condition: expr(inner.condition, scope) };
      case 'let':
      case 'evaluate':
        return { ...inner, value: expr(inner.value, scope) };
      default:
        return inner;
    }
  };
  const movedRegion = (r: Block['reads'][number], scope: Scope): Block['reads'][number] => {
    const point = r.extent.every((e) => e === exprs.one);
    return { buffer: name, start: point ? moved(r.start, scope) : shape.map(() => exprs.zero), extent: point ? shape.map(() => exprs.one) : shape };
  };
  const calls = [...touched].find((t) => {
    let found = false;
    visitStmts(state.block(t).block.body, (s) => void (s.kind === 'evaluate' && (found = true)));
    return found;
  });
  if (calls !== undefined) state.refuse('opaque', `block ${calls} calls what may address ${name} itself`);
  const parameters = (list: readonly Buffer[]): readonly Buffer[] => list.map((b) => (b.name === name ? next : b));
  const fn = { ...state.fn, inputs: parameters(state.fn.inputs), outputs: parameters(state.fn.outputs), body: visit(state.fn.body, []) };
  const free = (shapes: readonly Buffer[]): Set<string> => new Set(shapes.flatMap((b) => b.shape.flatMap((d) => exprs.variables(d))));
  const now = free([...fn.inputs, ...fn.outputs]);
  const lost = [...free([...state.fn.inputs, ...state.fn.outputs])].find((v) => !now.has(v));
  if (lost !== undefined) state.refuse('index-map', `no parameter would tell the dim ${lost}`);
  return { fn: { ...fn, body: refreshRegions(state.withFunction(fn), fn.body, touched) }, results: [] };
}

function loads(e: Expr, buffer: string): boolean {
  let found = false;
  visitExprs(e, (x) => void (x.op === 'load' && x.value === buffer && (found = true)));
  return found;
}

/**
 * transform_block_layout: a block runs over other iteration variables, functions of those it has. Its nest is made anew,
 * one loop per variable. Gives the loops.
 */
export function transformBlockLayout(state: State, { block: name, map }: { readonly block: string; readonly map: IndexMap }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(name);
  if (map.inputs.length !== block.iters.length) state.refuse('index-map', `the map takes ${map.inputs.length} variables, block ${name} has ${block.iters.length}`);
  const loops = state.loopsOf(path);
  const outer = loops[0] ?? block;
  if (loops.length > 0 && !perfect(outer, block)) state.refuse('not-perfect', `between loop ${loops[0]!.variable} and block ${name} stand other statements`);
  if (loops.length !== block.iters.length || block.iters.some((i) => !loops.some((l) => i.binding.op === 'var' && i.binding.value === l.variable && state.same(l.extent, i.extent)))) {
    state.refuse('domain', `block ${name} does not run over its domain loop by loop`);
  }
  if (loops.some((l) => l.loop !== 'serial')) state.refuse('loop-kind', `loops of block ${name} have a kind already`);
  requireFullDomain(state, path);
  const sizes = block.iters.map((i) => i.extent);
  const shape = mappedShape(exprs, map, sizes, state.dims);
  const iterMap = iterMapOf(exprs, map, sizes, state.dims);
  const types = map.outputs.map((e) => {
    const used = new Set(exprs.variables(e).map((v) => block.iters[map.inputs.indexOf(v)]?.type));
    return used.size === 1 ? [...used][0]! : used.size === 0 ? 'spatial' : null;
  });
  const mixed = types.indexOf(null);
  if (mixed >= 0) state.refuse('index-map', `output ${mixed} of the map mixes spatial and reduction variables of block ${name}`);
  const fresh = map.outputs.map(() => state.names.unique(`${name}_w`));
  const inverse = shape === null ? null : iterMap.inverse(map.outputs, fresh.map((v) => exprs.variable(v)));
  if (shape === null || inverse === null) return state.refuse('index-map', `the map of block ${name} is not known to be invertible`);
  if (combinationOf(block.body) === null && !iterMap.keepsOrder(map.outputs.filter((_, k) => types[k] === 'reduce'), map.inputs.filter((_, k) => block.iters[k]!.type === 'reduce'))) {
    state.refuse('reduction-order', `the map changes the order in which block ${name} reduces into ${block.writes[0]?.buffer ?? '?'}, and its combination is not known to be commutative`);
  }
  const exact = state.same(exprs.product(shape), exprs.product(sizes));
  const facts = new Map<string, VarFacts>(state.dims);
  fresh.forEach((v, k) => facts.set(v, { min: 0, max: exprs.sub(shape[k]!, 1) }));
  const values = new Map<string, Expr>(block.iters.map((iter, k) => [iter.name, exprs.simplify(inverse.get(map.inputs[k]!)!, facts)]));
  if (!exact) state.refuse('index-map', `the map leaves gaps: block ${name} would run outside of its domain`);
  const next = map.outputs.map(() => state.names.unique(`${name}_l`));
  const iters = fresh.map((v, k): IterVar => ({ name: v, type: types[k]!, extent: shape[k]!, binding: exprs.variable(next[k]!) }));
  const substituted = mapExpressions({ ...block, iters: [], predicate: null, reads: [], writes: [] }, (e) => exprs.simplify(exprs.substitute(e, values), facts)) as Block;
  const mappedRegions = (list: Block['reads']): Block['reads'] => list.map((r) => ({ ...r, start: r.start.map((e) => exprs.substitute(e, values)), extent: r.extent.map((e) => exprs.substitute(e, values)) }));
  const inner: Block = { ...substituted, iters, reads: mappedRegions(block.reads), writes: mappedRegions(block.writes) };
  const nest = next.reduceRight<Stmt>((body, variable, k): For => ({ kind: 'for', variable, extent: shape[k]!, loop: 'serial', annotations: {}, body }), inner);
  const body = replaceStmt(state.fn.body, outer, nest);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name])) }, results: next };
}

/** reorder_block_iters: the iteration variables of a block in another order. */
export function reorderBlockIters(state: State, { block: name, order }: { readonly block: string; readonly order: readonly number[] }): Outcome {
  const { block } = state.block(name);
  if ([...order].sort((a, b) => a - b).some((v, k) => v !== k) || order.length !== block.iters.length) state.refuse('order', `${order.join(', ')} is no order of the ${block.iters.length} variables of block ${name}`);
  const next = { ...block, iters: order.map((k) => block.iters[k]!) };
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, block, next) }, results: [] };
}

/** set_scope: where a buffer of the function lives. */
export function setScope(state: State, { buffer: name, scope }: { readonly buffer: string; readonly scope: string }): Outcome {
  if (state.isParameter(name)) state.refuse('parameter', `${name} is a parameter: its memory is the caller's`, 'cache_read or cache_write makes a copy.');
  const buffer = state.buffer(name);
  if (scope === 'local') {
    const at = pathTo(state.fn.body, (s) => s.kind === 'alloc' && s.buffer.name === name)!.at(-1)!;
    visitStmts(at, (s) => {
      if (s.kind === 'for' && s.loop === 'parallel' && allBlocks(s).some((b) => readsOf(b).has(name) || writesOf(b).has(name))) {
        state.refuse('dependence', `${name} lives outside of the parallel loop ${s.variable}, whose iterations share it`);
      }
    });
  }
  const visit = (s: Stmt): Stmt => (s.kind === 'alloc' && s.buffer.name === name ? { ...s, buffer: { ...buffer, scope } } : mapChildren(s, visit));
  return { fn: { ...state.fn, body: visit(state.fn.body) }, results: [] };
}

/**
 * storage_align: the stride of an axis becomes a multiple of `factor` plus `offset`. It is stated on a block that writes
 * the buffer, and lowering pads the next axis.
 */
export function storageAlign(state: State, args: { readonly buffer: string; readonly axis: number; readonly factor: number; readonly offset: number }): Outcome {
  const { buffer: name, axis, factor, offset } = args;
  if (state.isParameter(name)) state.refuse('parameter', `${name} is a parameter: its memory is the caller's`);
  const buffer = state.buffer(name);
  const rank = buffer.shape.length;
  const k = axis < 0 ? axis + rank : axis;
  if (!(k >= 0 && k < rank - 1)) state.refuse('axis', `axis ${axis} of ${name} has no stride to align: its rank is ${rank}`);
  if (!Number.isInteger(factor) || factor < 1 || !Number.isInteger(offset) || offset < 0 || offset >= factor) state.refuse('factors', `factor ${factor} and offset ${offset} are no alignment`);
  const writer = allBlocks(state.fn.body).findLast((b) => writesOf(b).has(name));
  if (writer === undefined) return state.refuse('no-access', `no block writes ${name}`);
  const known = (writer.annotations[alignKey] as readonly AttrValue[] | undefined) ?? [];
  const others = known.filter((a) => (a as readonly AttrValue[])[0] !== name || (a as readonly AttrValue[])[1] !== k);
  const annotations = { ...writer.annotations, [alignKey]: [...others, [name, k, factor, offset]] };
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, writer, { ...writer, annotations }) }, results: [] };
}

/** The block annotation of storage_align: a list of [buffer, axis, factor, offset]. */
export const alignKey = 'storage_align';
