import type { Block, Buffer, Expr, For, IterVar, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { renameStmt, declaredVariables } from '../rename.ts';
import { readsOf, writesOf } from './dependence.ts';
import { guardsOf, outputOf, requireFullDomain } from './domain.ts';
import { perfect } from './loops.ts';
import { combinationOf, combine, identityOf } from './reduction-form.ts';
import { refreshRegions } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { allocateIn, conjunction, conjuncts, pathTo, replaceAll, replaceStmt, topBlocks } from './tree.ts';
import { parting } from './compute-at.ts';

/** Loops that a reduction iteration variable of the block is bound to. */
export function reducingLoops(state: State, block: Block, loops: readonly For[]): For[] {
  return loops.filter((l) => block.iters.some((i) => i.type === 'reduce' && state.exprs.variables(i.binding).includes(l.variable)));
}

/**
 * The conjuncts of a predicate as the initial value sees them: those about loops that only reduce are left out, in
 * others such loops stand at their first iteration.
 */
function initialPredicate(state: State, conditions: readonly Expr[], reducing: readonly For[]): Expr | null {
  const { exprs } = state;
  const first = new Map(reducing.map((l) => [l.variable, exprs.zero]));
  const declared = new Set(declaredVariables(state.fn.body));
  const kept = conditions.filter((c) => {
    const used = exprs.variables(c);
    return !used.some((v) => first.has(v)) || used.some((v) => declared.has(v) && !first.has(v));
  });
  return conjunction(exprs, kept.map((c) => exprs.substitute(c, first)));
}

/** decompose_reduction: sets the initial value in a nest of its own in front of a loop. Gives the block that does. */
export function decomposeReduction(state: State, { block: name, loop: at }: { readonly block: string; readonly loop: string }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(name);
  const { loop } = state.loop(at);
  if (block.init === null) state.refuse('no-init', `block ${name} has no initial value`);
  const below = path.slice(path.indexOf(loop));
  const loops = state.loopsOf(path);
  if (!loops.includes(loop)) state.refuse('position', `block ${name} is not under loop ${at}`);
  const outer = reducingLoops(state, block, loops).find((l) => loops.indexOf(l) < loops.indexOf(loop));
  if (outer !== undefined) state.refuse('dependence', `loop ${outer.variable}, around loop ${at}, carries the reduction of block ${name} into ${block.writes[0]?.buffer ?? '?'}: it would begin anew in each of its iterations`);
  const own = below.flatMap((s) => (s.kind === 'alloc' ? [s.buffer.name] : []));
  const hidden = block.writes.find((w) => own.includes(w.buffer));
  if (hidden !== undefined) state.refuse('scope', `${hidden.buffer} is allocated under loop ${at}`);
  const spatial = block.iters.filter((i) => i.type === 'spatial');
  const inside = below.filter((s): s is For => s.kind === 'for');
  const used = new Set(spatial.flatMap((i) => exprs.variables(i.binding)));
  const kept = inside.filter((l) => used.has(l.variable));
  const reducing = inside.filter((l) => !used.has(l.variable));
  const tied = kept.find((l) => exprs.variables(l.extent).some((v) => reducing.some((r) => r.variable === v)));
  if (tied !== undefined) state.refuse('extent-depends', `the extent of loop ${tied.variable} depends on a loop that reduces`);
  const odd = below.find((s) => s.kind === 'let' || s.kind === 'while');
  const guards = guardsOf([...below.slice(0, -1), block]);
  if (odd !== undefined || guards.includes(null)) state.refuse('not-perfect', `between loop ${at} and block ${name} stands ${odd === undefined ? 'the else side of an if' : `a ${odd.kind}`}`);
  const conditions = [...guards.filter((c) => c !== null), ...conjuncts(block.predicate)];
  const initName = state.names.unique(`${name}_init`);
  const init: Block = {
    kind: 'block', name: initName, iters: spatial, reads: [], writes: block.writes, predicate: initialPredicate(state, conditions, reducing),
    init: null, body: block.init, annotations: {},
  };
  const nest = kept.reduceRight<Stmt>((body, l) => ({ ...l, loop: l.loop === 'unrolled' || l.loop === 'vectorized' ? l.loop : 'serial', annotations: {}, body }), init);
  const fresh = new Map([...kept.map((l) => l.variable), ...spatial.map((i) => i.name), ...declaredVariables(block.init)].map((v) => [v, state.names.unique(v)]));
  const first = renameStmt(exprs, nest, fresh, new Map());
  const update = replaceStmt(loop, block, { ...block, init: null });
  const body = replaceStmt(state.fn.body, loop, seq([first, update]));
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name, initName])) }, results: [initName] };
}

/** unroll_init: decompose_reduction with the loops of the initial value unrolled. Gives the block that sets it. */
export function unrollInit(state: State, args: { readonly block: string; readonly loop: string }): Outcome {
  const { fn, results } = decomposeReduction(state, args);
  const next = state.with(fn.body);
  const { path } = next.block(results[0]!);
  const parent = path.findIndex((s, k) => s.kind === 'for' && !pathTo(state.fn.body, (x) => x.kind === 'for' && x.variable === s.variable) && k >= 0);
  const loops = parent < 0 ? [] : path.slice(parent).filter((s): s is For => s.kind === 'for');
  const symbolic = loops.find((l) => state.exprs.valueOf(l.extent) === null);
  if (symbolic !== undefined) state.refuse('extent', `loop ${symbolic.variable} of the initial value has an extent that is no constant`);
  const unrolled = loops.reduceRight<Stmt>((body, l) => ({ ...l, loop: 'unrolled', body }), path.at(-1)!);
  return { fn: { ...fn, body: loops.length === 0 ? fn.body : replaceStmt(fn.body, loops[0]!, unrolled) }, results };
}

/** merge_reduction: the inverse of decompose_reduction. The initial value goes back into the block that reduces. */
export function mergeReduction(state: State, { init: initName, block: name }: { readonly init: string; readonly block: string }): Outcome {
  const { exprs } = state;
  const a = state.block(initName);
  const b = state.block(name);
  const [init, block] = [a.block, b.block];
  if (block.init !== null) state.refuse('no-init', `block ${name} has an initial value already`);
  const reduce = block.iters.filter((i) => i.type === 'reduce');
  if (reduce.length === 0) state.refuse('not-reduction', `block ${name} does not reduce`);
  if (init.init !== null || init.body.kind !== 'store' || init.iters.some((i) => i.type === 'reduce')) state.refuse('not-elementwise', `block ${initName} is not of the form t[v…] = value`);
  if (block.body.kind !== 'store') state.refuse('not-elementwise', `block ${name} is not of the form t[…] = step`);
  const buffer = outputOf(state, init);
  if (outputOf(state, block) !== buffer) state.refuse('dependence', `block ${initName} writes ${buffer}, block ${name} writes ${outputOf(state, block)}`);
  // The same elements: index by index, initial iteration variables stand for those of the reduction.
  const values = new Map<string, Expr>();
  const spatial = block.iters.filter((i) => i.type === 'spatial');
  init.body.indices.forEach((index, axis) => {
    const want = (block.body as { indices: readonly Expr[] }).indices[axis]!;
    const iter = init.iters.find((i) => index.op === 'var' && index.value === i.name);
    if (iter !== undefined && !values.has(iter.name)) values.set(iter.name, want);
    else if (exprs.substitute(index, values) !== want) state.refuse('domain', `blocks ${initName} and ${name} index ${buffer} differently on axis ${axis}`);
    const other = spatial.find((i) => want.op === 'var' && want.value === i.name);
    if (iter !== undefined && (other === undefined || !state.same(iter.extent, other.extent))) state.refuse('domain', `blocks ${initName} and ${name} run over different parts of ${buffer} on axis ${axis}`);
  });
  if (init.iters.some((i) => !values.has(i.name)) || spatial.length !== init.iters.length) state.refuse('domain', `blocks ${initName} and ${name} have different domains`);
  const place = parting(a.path, b.path);
  if (place === null || place.a > place.b) state.refuse('position', `block ${initName} does not stand before block ${name}`);
  requireFullDomain(state, a.path);
  requireFullDomain(state, b.path);
  const nest = place.items[place.b]!;
  for (const crossed of place.items.slice(place.a, place.b + 1).flatMap(topBlocks)) {
    if (crossed === init || crossed === block) continue;
    if (readsOf(crossed).has(buffer) || writesOf(crossed).has(buffer)) state.refuse('dependence', `block ${crossed.name} uses ${buffer} between blocks ${initName} and ${name}`);
    const changed = [...readsOf(init)].find((x) => writesOf(crossed).has(x));
    if (changed !== undefined) state.refuse('dependence', `block ${crossed.name} writes ${changed}, which block ${initName} reads before it`);
  }
  // In the part that both run over, every element is set once: nothing outside of the reduction's nest may repeat it.
  const around = state.loopsOf(b.path).filter((l) => !a.path.includes(l));
  if (reducingLoops(state, block, state.loopsOf(b.path)).some((l) => !around.includes(l))) {
    state.refuse('dependence', `a loop around both blocks carries the reduction of block ${name} into ${buffer}`);
  }
  if (!perfect(nest, block)) {
    const empty = reduce.find((i) => !state.proves(exprs.ge(i.extent, 1), state.dims));
    if (empty !== undefined) state.refuse('empty-reduction', `the reduction ${empty.name} of block ${name} may be empty: ${buffer} would never be set`);
  }
  const merged: Block = { ...block, init: { kind: 'store', buffer, indices: block.body.indices, value: exprs.substitute(init.body.value, values) } };
  const body = replaceAll(state.fn.body, new Map<Stmt, Stmt | null>([[init, null], [block, merged]]));
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name])) }, results: [] };
}

/**
 * rfactor: one loop of a reduction becomes spatial in partial results, which a second block combines. Gives the block
 * of partial results, the combining block (of the old name) and the buffer of partial results.
 */
export function rfactor(state: State, { loop: at, axis }: { readonly loop: string; readonly axis: number }): Outcome {
  const { exprs } = state;
  const { loop } = state.loop(at);
  const blocks = topBlocks(loop).filter((b) => reducingLoops(state, b, [loop]).length > 0);
  const block = blocks[0];
  if (blocks.length !== 1 || block === undefined) return state.refuse('not-reduction', `loop ${at} carries ${blocks.length === 0 ? 'no reduction' : 'several reductions'}`);
  const name = block.name;
  const { path } = state.block(name);
  const form = combinationOf(block.body);
  const buffer = outputOf(state, block);
  if (block.init === null || block.init.kind !== 'store') state.refuse('no-init', `block ${name} reduces into ${buffer} without an initial value of its own`, 'merge_reduction first.');
  if (form === null) return state.refuse('reduction-order', `block ${name} combines into ${buffer} in a way that is not known to be commutative`);
  const declared = state.buffer(buffer);
  const identity = identityOf(exprs, form.op, declared.dtype) ?? state.refuse('reduction-order', `${form.op} of ${declared.dtype} has no neutral element`);
  const loops = state.loopsOf(path);
  const reducing = reducingLoops(state, block, loops);
  const spatial = block.iters.filter((i) => i.type === 'spatial');
  const drivesSpatial = (l: For): boolean => spatial.some((i) => exprs.variables(i.binding).includes(l.variable));
  const mixed = reducing.find(drivesSpatial);
  if (mixed !== undefined) state.refuse('dependence', `loop ${mixed.variable} drives spatial and reduction variables of block ${name}`);
  const outer = loops.find((l) => reducing.includes(l))!;
  if (!perfect(outer, block)) state.refuse('not-perfect', `between loop ${outer.variable} and block ${name} stand other statements`);
  const rank = declared.shape.length;
  if (axis < -rank - 1 || axis > rank) state.refuse('axis', `axis ${axis} is not one of the ${rank + 1} axes of the partial results`);
  const position = axis < 0 ? axis + rank + 1 : axis;
  // Every loop of the reduction becomes an iteration variable; that of the factored loop is spatial.
  const variables = new Map(reducing.map((l) => [l, state.names.unique(l === loop ? `${at}_f` : `${l.variable}_r`)]));
  const bound = new Map<string, Expr>(reducing.map((l) => [l.variable, exprs.variable(variables.get(l)!)]));
  const inIters = new Map<string, Expr>();
  for (const iter of block.iters) if (iter.type === 'reduce') inIters.set(iter.name, exprs.substitute(iter.binding, bound));
  const factored: IterVar = { name: variables.get(loop)!, type: 'spatial', extent: loop.extent, binding: exprs.variable(at) };
  const rest = reducing.filter((l) => l !== loop).map((l): IterVar => ({ name: variables.get(l)!, type: 'reduce', extent: l.extent, binding: exprs.variable(l.variable) }));
  const conditions = conjuncts(block.predicate);
  const aboutReduction = conditions.filter((c) => exprs.variables(c).some((v) => bound.has(v)));
  const tangled = aboutReduction.find((c) => exprs.variables(c).some((v) => loops.some((l) => l.variable === v && !reducing.includes(l))));
  if (tangled !== undefined) state.refuse('predicate', `the predicate of block ${name} ties its reduction to other loops`);
  const holds = conjunction(exprs, aboutReduction.map((c) => exprs.substitute(c, bound)));
  const partial: Buffer = {
    name: state.names.unique(`${buffer}_rf`), dtype: declared.dtype, scope: declared.scope === 'local' ? 'local' : 'global',
    shape: [...declared.shape.slice(0, position), loop.extent, ...declared.shape.slice(position)],
  };
  const insert = (indices: readonly Expr[], e: Expr): Expr[] => [...indices.slice(0, position), e, ...indices.slice(position)];
  const partialName = state.names.unique(`${name}_rf`);
  const at1 = insert(form.store.indices, exprs.variable(factored.name));
  const value = exprs.substitute(form.value, inIters);
  const guardedValue = holds === null ? value : exprs.select(holds, value, identity);
  const first: Block = {
    kind: 'block', name: partialName, iters: [...spatial, factored, ...rest], reads: [], writes: [], predicate: conjunction(exprs, conditions.filter((c) => !aboutReduction.includes(c))),
    init: rest.length === 0 ? null : { kind: 'store', buffer: partial.name, indices: at1, value: identity },
    body: { kind: 'store', buffer: partial.name, indices: at1, value: rest.length === 0 ? guardedValue : combine(exprs, form.op, exprs.load(partial, at1), guardedValue) },
    annotations: block.annotations,
  };
  // The second block: the loops below the outermost reducing one that are spatial, then the factored one.
  const inner = path.slice(path.indexOf(outer)).filter((s): s is For => s.kind === 'for');
  const kept = inner.filter(drivesSpatial);
  // Loops that drive nothing are not repeated: their first iteration stands for them.
  const idle = new Map(inner.filter((l) => !kept.includes(l)).map((l) => [l.variable, exprs.zero]));
  const rename = new Map([...kept.map((l) => l.variable), ...spatial.map((i) => i.name)].map((v) => [v, state.names.unique(v)]));
  const variable = state.names.unique(at);
  const k = state.names.unique(`${at}_r`);
  const partsRead = exprs.load(partial, insert(form.store.indices, exprs.variable(k)));
  const second: Block = {
    kind: 'block', name, iters: [...spatial, { name: k, type: 'reduce', extent: loop.extent, binding: exprs.variable(variable) }], reads: [], writes: [],
    predicate: conjunction(exprs, conjuncts(first.predicate).map((c) => exprs.substitute(c, idle))), init: block.init, body: { ...form.store, value: combine(exprs, form.op, exprs.load(declared, form.store.indices), partsRead) }, annotations: {},
  };
  const combining: Stmt = { kind: 'for', variable, extent: loop.extent, loop: 'serial', annotations: {}, body: second };
  const secondNest = renameStmt(exprs, kept.reduceRight<Stmt>((body, l) => ({ ...l, loop: 'serial', annotations: {}, body }), combining), rename, new Map());
  const parts = seq([replaceStmt(outer, block, first), secondNest]);
  const body = allocateIn(replaceStmt(state.fn.body, outer, parts), partial, state.loopsOf(path.slice(0, path.indexOf(outer))).at(-1)?.variable ?? null);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name, partialName])) }, results: [partialName, name, partial.name] };
}
