import type { Block, Expr, For, Stmt } from '@tenon/plugin';
import { mapChildren, seq } from '@tenon/core';
import { carried, described } from './dependence.ts';
import { combinationOf } from './reduction-form.ts';
import type { Outcome, State } from './state.ts';
import { allBlocks, bodyOf, conjunction, conjuncts, contains, freshCopy, guarded, hasBareStatements, replaceStmt, substituteStmt, topBlocks, withAllocs } from './tree.ts';

/** Simplifies bindings and predicates of the blocks in a statement with what the loops around say. */
export function simplifyBindings(state: State, path: readonly Stmt[], stmt: Stmt): Stmt {
  const { exprs } = state;
  const visit = (s: Stmt, above: readonly Stmt[]): Stmt => {
    if (s.kind === 'block') {
      const scope = state.scopeAt(above);
      const predicate = conjunction(exprs, conjuncts(s.predicate).map((c) => exprs.simplify(c, scope)).filter((c) => !state.proves(c, scope)));
      return { ...s, iters: s.iters.map((i) => ({ ...i, binding: exprs.simplify(i.binding, scope) })), predicate };
    }
    if (s.kind === 'if') {
      const scope = state.scopeAt(above);
      const condition = exprs.simplify(s.condition, scope);
      if (condition === exprs.true) return visit(s.then, above);
      return { ...mapChildren(s, (x) => visit(x, above)) as typeof s, condition };
    }
    return mapChildren(s, (x) => visit(x, [...above, s]));
  };
  return visit(stmt, path);
}

export function requireSerial(state: State, loop: For): void {
  if (loop.loop !== 'serial') {
    const kind = typeof loop.loop === 'string' ? loop.loop : `bound to ${loop.loop.thread}`;
    state.refuse('loop-kind', `loop ${loop.variable} is ${kind}`, 'Transform loops first and give them a kind at the end.');
  }
}

/** Blocks under a loop whose reductions the loop drives and that still initialise themselves. */
export function undecomposed(state: State, loop: For): Block | undefined {
  return allBlocks(loop).find((b) => b.init !== null && b.iters.some((i) => i.type === 'reduce' && state.exprs.variables(i.binding).includes(loop.variable)));
}

export interface SplitArgs {
  readonly loop: string;
  /** Outermost first; one may be null and follows from the extent. */
  readonly factors: readonly (Expr | number | null)[];
  /** How a remainder runs: under a predicate, or in a loop of its own behind the full steps. */
  readonly tail: 'predicate' | 'partition';
}

/** split: a loop as a nest of loops, `i = (i0 · f1 + i1) · f2 + i2`. Gives the loops; partition may add the tail's loop. */
export function split(state: State, { loop: name, factors, tail }: SplitArgs): Outcome {
  const { exprs } = state;
  const { loop, path } = state.loop(name);
  requireSerial(state, loop);
  const scope = state.scopeAt(path.slice(0, -1));
  const open = factors.filter((f) => f === null).length;
  if (factors.length < 2 || open > 1) state.refuse('factors', `loop ${name} needs two factors or more, at most one of them null`);
  const given = factors.map((f) => (typeof f === 'number' ? exprs.int(f) : f));
  for (const f of given) if (f !== null && !state.proves(exprs.ge(f, 1), scope)) state.refuse('factors', `a factor of loop ${name} may be below 1`);
  const known = exprs.product(given.filter((f) => f !== null));
  if (tail === 'partition') return splitWithTail(state, loop, path, given);
  const all = given.map((f) => f ?? exprs.simplify(exprs.ceildiv(loop.extent, known), scope));
  const total = exprs.product(all);
  const exact = state.same(total, loop.extent, scope);
  if (!exact && open === 0 && !state.proves(exprs.ge(total, loop.extent), scope)) {
    state.refuse('factors', `the factors of loop ${name} do not cover its extent`, 'Leave one factor null: it follows from the extent.');
  }
  const names = all.map((_, k) => state.names.unique(`${name}_${k}`));
  const value = names.slice(1).reduce((v, n, k) => exprs.add(exprs.mul(v, all[k + 1]!), exprs.variable(n)), exprs.variable(names[0]!));
  let body = substituteStmt(exprs, loop.body, new Map([[name, value]]));
  if (!exact) body = guarded(exprs, body, exprs.lt(value, loop.extent));
  let nest = body;
  for (let k = all.length - 1; k >= 0; k--) {
    nest = { kind: 'for', variable: names[k]!, extent: all[k]!, loop: 'serial', annotations: k === 0 ? loop.annotations : {}, body: nest };
  }
  nest = simplifyBindings(state, path.slice(0, -1), nest);
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, loop, nest) }, results: names };
}

function splitWithTail(state: State, loop: For, path: readonly Stmt[], factors: readonly (Expr | null)[]): Outcome {
  const { exprs } = state;
  const [first, width] = factors;
  if (factors.length !== 2 || first !== null || width === null || width === undefined) {
    state.refuse('factors', `a tail of its own needs the factors [null, f] for loop ${loop.variable}`);
  }
  refusePartition(state, loop);
  const scope = state.scopeAt(path.slice(0, -1));
  const count = exprs.simplify(exprs.floordiv(loop.extent, width), scope);
  const rest = exprs.simplify(exprs.mod(loop.extent, width), scope);
  if (exprs.valueOf(count) === 0) state.refuse('factors', `loop ${loop.variable} has fewer iterations than one step`);
  const names = [state.names.unique(`${loop.variable}_0`), state.names.unique(`${loop.variable}_1`)];
  const at = exprs.add(exprs.mul(exprs.variable(names[0]!), width), exprs.variable(names[1]!));
  const make = (variable: string, extent: Expr, body: Stmt): For => ({ kind: 'for', variable, extent, loop: 'serial', annotations: {}, body });
  const main = { ...make(names[0]!, count, make(names[1]!, width, substituteStmt(exprs, loop.body, new Map([[loop.variable, at]])))), annotations: loop.annotations };
  const parts: Stmt[] = [main];
  if (rest !== exprs.zero) {
    const variable = state.names.unique(`${loop.variable}_tail`);
    const start = exprs.add(exprs.mul(count, width), exprs.variable(variable));
    parts.push(make(variable, rest, substituteStmt(exprs, freshCopy(exprs, loop.body, state.names), new Map([[loop.variable, start]]))));
    names.push(variable);
  }
  const by = seq(parts.map((p) => simplifyBindings(state, path.slice(0, -1), p)));
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, loop, by) }, results: names };
}

/** A loop over a reduction that initialises itself cannot be cut: the second part would begin anew. */
export function refusePartition(state: State, loop: For): void {
  const block = undecomposed(state, loop);
  if (block !== undefined) {
    state.refuse('undecomposed-reduction', `loop ${loop.variable} carries the reduction of block ${block.name} into ${block.writes[0]?.buffer ?? '?'}, whose initial value would be set in both parts`, 'decompose_reduction first.');
  }
}

/** The loops, outermost first, checked to be nested with nothing but allocations between. */
function chain(state: State, names: readonly string[]): { loops: For[]; all: Stmt[]; above: readonly Stmt[] } {
  if (new Set(names).size !== names.length) state.refuse('loops', 'a loop is named twice');
  const found = names.map((n) => state.loop(n));
  const deepest = found.reduce((a, b) => (b.path.length > a.path.length ? b : a));
  const outermost = found.reduce((a, b) => (b.path.length < a.path.length ? b : a));
  for (const { loop } of found) {
    if (!deepest.path.includes(loop)) state.refuse('not-nested', `loops ${loop.variable} and ${deepest.loop.variable} are not inside one another`);
  }
  const start = deepest.path.indexOf(outermost.loop);
  const all = deepest.path.slice(start);
  for (const s of all) {
    if (s.kind !== 'for' && s.kind !== 'alloc') {
      state.refuse('not-perfect', `between loops ${outermost.loop.variable} and ${deepest.loop.variable} stands ${s.kind === 'block' ? `block ${s.name}` : `a ${s.kind}`}`);
    }
  }
  return { loops: deepest.path.filter((s): s is For => s.kind === 'for' && names.includes(s.variable)), all, above: deepest.path.slice(0, start) };
}

/** fuse: directly nested loops as one, in the same order. Gives the loop. */
export function fuse(state: State, { loops: names }: { readonly loops: readonly string[] }): Outcome {
  const { exprs } = state;
  if (names.length < 2) state.refuse('loops', 'two loops or more are needed');
  const { loops, all, above } = chain(state, names);
  if (loops.some((l, k) => l.variable !== names[k])) state.refuse('loops', `loops ${names.join(', ')} are not given outermost first`);
  if (all.filter((s) => s.kind === 'for').length !== loops.length) state.refuse('not-perfect', `there is another loop between ${names.join(', ')}`);
  for (const l of loops) requireSerial(state, l);
  loops.forEach((l, k) => {
    const outer = loops.slice(0, k).find((o) => exprs.variables(l.extent).includes(o.variable));
    if (outer !== undefined) state.refuse('extent-depends', `the extent of loop ${l.variable} depends on loop ${outer.variable}`);
  });
  for (const block of allBlocks(loops[0]!)) {
    const drives = (type: 'reduce' | 'spatial', l: For): boolean => block.iters.some((i) => i.type === type && exprs.variables(i.binding).includes(l.variable));
    const reducing = loops.filter((l) => drives('reduce', l));
    if (block.init === null || reducing.length === 0 || reducing.length === loops.length) continue;
    const empty = loops.find((l) => !state.proves(exprs.ge(l.extent, 1), state.dims));
    if (empty !== undefined) state.refuse('empty-reduction', `loop ${empty.variable} may have no iterations; fused with spatial loops, the reduction of block ${block.name} would then never set ${block.writes[0]?.buffer ?? '?'}`, 'decompose_reduction first.');
  }
  const name = state.names.unique(`${names.join('_')}_fused`);
  const values = new Map<string, Expr>();
  let rest: Expr = exprs.variable(name);
  for (let k = loops.length - 1; k >= 0; k--) {
    values.set(loops[k]!.variable, k === 0 ? rest : exprs.mod(rest, loops[k]!.extent));
    rest = exprs.floordiv(rest, loops[k]!.extent);
  }
  const inner = loops.at(-1)!;
  const fused: Stmt = {
    kind: 'for', variable: name, extent: exprs.product(loops.map((l) => l.extent)), loop: 'serial',
    annotations: Object.assign({}, ...loops.map((l) => l.annotations)) as For['annotations'],
    body: substituteStmt(exprs, inner.body, values),
  };
  const allocs = all.flatMap((s) => (s.kind === 'alloc' ? [s.buffer] : []));
  const by = withAllocs(allocs, simplifyBindings(state, above, fused));
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, loops[0]!, by) }, results: [name] };
}

/** reorder: loops of one nest in another order; loops between that are not named stay where they are. */
export function reorder(state: State, { loops: names }: { readonly loops: readonly string[] }): Outcome {
  const { exprs } = state;
  const { loops, all, above } = chain(state, names);
  const inner = loops.at(-1)!;
  if (hasBareStatements(inner)) state.refuse('no-block', `statements under loop ${inner.variable} are in no block, so nothing is known of their dependences`);
  const nest = all.filter((s): s is For => s.kind === 'for');
  const wanted = names.map((n) => loops.find((l) => l.variable === n)!);
  let next = 0;
  const order = nest.map((l) => (loops.includes(l) ? wanted[next++]! : l));
  order.forEach((l, k) => {
    const inside = order.slice(k + 1).find((o) => exprs.variables(l.extent).includes(o.variable));
    if (inside !== undefined) state.refuse('extent-depends', `the extent of loop ${l.variable} depends on loop ${inside.variable}, which would be inside it`);
  });
  const moved = nest.filter((l, k) => order[k] !== l);
  for (const block of allBlocks(inner)) reduceInOrder(state, block, nest, order);
  const found = moved.length === 0 ? null : carried(state, above, moved, inner);
  if (found !== null) state.refuse('dependence', `${described(found)}, in another iteration of loops ${moved.map((l) => l.variable).join(', ')}`);
  const allocs = all.flatMap((s) => (s.kind === 'alloc' ? [s.buffer] : []));
  const body = nest.at(-1)!.body;
  const by = withAllocs(allocs, order.reduceRight<Stmt>((inside, l) => ({ ...l, body: inside }), body));
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, nest[0]!, by) }, results: [] };
}

/** A reduction may run in another order only where its combination is commutative. */
function reduceInOrder(state: State, block: Block, before: readonly For[], after: readonly For[]): void {
  const reducing = (loops: readonly For[]): string[] =>
    loops.filter((l) => block.iters.some((i) => i.type === 'reduce' && state.exprs.variables(i.binding).includes(l.variable))).map((l) => l.variable);
  const [x, y] = [reducing(before), reducing(after)];
  if (x.every((v, k) => v === y[k]) || combinationOf(block.body) !== null) return;
  state.refuse('reduction-order', `block ${block.name} reduces into ${block.writes[0]?.buffer ?? '?'} over loops ${x.join(', ')} in this order: its combination is not known to be commutative`);
}

/** add_unit_loop: a loop of one iteration around a block or loop. Gives the loop. */
export function addUnitLoop(state: State, args: { readonly block?: string; readonly loop?: string }): Outcome {
  const target: Stmt = args.block !== undefined ? state.block(args.block).block : state.loop(args.loop!).loop;
  const variable = state.names.unique('u');
  const by: Stmt = { kind: 'for', variable, extent: state.exprs.one, loop: 'serial', annotations: {}, body: target };
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, target, by) }, results: [variable] };
}

/** fission: a loop over several nests as one loop per nest. Gives the loops. */
export function fission(state: State, { loop: name }: { readonly loop: string }): Outcome {
  const { exprs } = state;
  const { loop, path } = state.loop(name);
  requireSerial(state, loop);
  const { allocs, items } = bodyOf(loop);
  if (items.length < 2) state.refuse('not-sequence', `loop ${name} holds one nest only`);
  if (hasBareStatements(loop)) state.refuse('no-block', `statements under loop ${name} are in no block`);
  const shared = allocs.find((b) => items.filter((s) => topBlocks(s).some((x) => [...x.reads, ...x.writes].some((r) => r.buffer === b.name))).length > 1);
  if (shared !== undefined) state.refuse('dependence', `${shared.name} holds what one iteration of loop ${name} passes between its nests`);
  const found = carried(state, path.slice(0, -1), [loop], loop);
  if (found !== null) state.refuse('dependence', `${described(found)}, in another iteration of loop ${name}`);
  const names: string[] = [];
  const parts = items.map((item, k): Stmt => {
    const variable = k === 0 ? name : state.names.unique(name);
    names.push(variable);
    const own = allocs.filter((b) => topBlocks(item).some((x) => [...x.reads, ...x.writes].some((r) => r.buffer === b.name)));
    const body = k === 0 ? item : substituteStmt(exprs, item, new Map([[name, exprs.variable(variable)]]));
    return { ...loop, variable, body: withAllocs(own, body) };
  });
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, loop, seq(parts)) }, results: names };
}

/** merge: two loops that follow one another, over the same range, as one. Gives the loop. */
export function merge(state: State, { first, second }: { readonly first: string; readonly second: string }): Outcome {
  const { exprs } = state;
  const a = state.loop(first);
  const b = state.loop(second);
  requireSerial(state, a.loop);
  requireSerial(state, b.loop);
  const parent = a.path.at(-2);
  const at = parent?.kind === 'seq' ? parent.body.indexOf(a.loop) : -1;
  if (parent?.kind !== 'seq' || parent.body[at + 1] !== b.loop) state.refuse('not-adjacent', `loop ${second} does not follow loop ${first} directly`);
  if (!state.same(a.loop.extent, b.loop.extent, state.scopeAt(a.path.slice(0, -1)))) state.refuse('extent', `loops ${first} and ${second} are not known to have the same extent`);
  if (hasBareStatements(a.loop) || hasBareStatements(b.loop)) state.refuse('no-block', `statements under loops ${first} and ${second} are in no block`);
  const x = bodyOf(a.loop);
  const y = itemsOfRenamed(state, b.loop, first);
  const merged: For = { ...a.loop, body: withAllocs([...x.allocs, ...y.allocs], seq([...x.items, ...y.items])) };
  const rest = [...parent.body.slice(0, at), merged, ...parent.body.slice(at + 2)];
  const body = replaceStmt(state.fn.body, parent, seq(rest));
  const next = state.with(body);
  const place = next.loop(first);
  const found = carried(next, place.path.slice(0, -1), [place.loop], place.loop);
  if (found !== null) state.refuse('dependence', `${described(found)}, in another iteration of loop ${first}`);
  return { fn: { ...state.fn, body }, results: [first] };

  function itemsOfRenamed(s: State, loop: For, to: string): ReturnType<typeof bodyOf> {
    return bodyOf({ ...loop, body: substituteStmt(exprs, loop.body, new Map([[loop.variable, s.exprs.variable(to)]])) });
  }
}

/** The loops around a block inside a statement, and whether only loops and allocations stand between. */
export function perfect(outer: Stmt, block: Block): boolean {
  if (!contains(outer, block)) return false;
  let s = outer;
  while (s !== block) {
    if (s.kind !== 'for') return false;
    s = s.body;
  }
  return true;
}

