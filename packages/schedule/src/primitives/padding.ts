import type { Block, Buffer, Expr, Stmt } from '@tenon/plugin';
import { seq } from '@tenon/core';
import { isVariable } from '../stages.ts';
import { nestOver } from './compute-at.ts';
import { readsOf, scopeOf, writersOf } from './dependence.ts';
import { requireFullDomain } from './domain.ts';
import { perfect } from './loops.ts';
import { combinationOf } from './reduction-form.ts';
import { refreshRegions } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { allocateIn, conjunction, conjuncts, freshCopy, replaceStmt, substituteStmt } from './tree.ts';

/** The outermost statement around a block with nothing but loops between. */
function nestOf(path: readonly Stmt[]): { readonly nest: Stmt; readonly above: readonly Stmt[] } {
  const block = path.at(-1) as Block;
  let k = path.length - 1;
  while (k > 0 && path[k - 1]!.kind === 'for' && perfect(path[k - 1]!, block)) k--;
  return { nest: path[k]!, above: path.slice(0, k) };
}

/** Whether every iteration variable is one loop of the nest, over the same range. */
function boundByLoops(block: Block, nest: Stmt): boolean {
  const loops = new Map<string, Expr>();
  for (let s = nest; s.kind === 'for'; s = s.body) loops.set(s.variable, s.extent);
  return block.iters.length === loops.size && block.iters.every((i) => i.binding.op === 'var' && loops.get(i.binding.value as string) === i.extent);
}

/**
 * pad_einsum: a sum of products runs over extents that are multiples of `padding`, on copies of its operands filled up
 * with zeros. Gives the padding blocks and, where the result is padded, the block that copies it back.
 */
export function padEinsum(state: State, { block: name, padding }: { readonly block: string; readonly padding: readonly number[] }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(name);
  const form = combinationOf(block.body);
  const init = block.init;
  if (padding.length !== block.iters.length || padding.some((p) => !Number.isInteger(p) || p < 1)) state.refuse('factors', `block ${name} has ${block.iters.length} iteration variables, each needs a multiple`);
  if (form === null || form.op !== 'add' || init?.kind !== 'store' || init.value.op !== 'const' || Number(init.value.value) !== 0) {
    return state.refuse('not-einsum', `block ${name} is no sum of products that begins at zero`);
  }
  const loads = factorsOf(form.value);
  const plain = (indices: readonly Expr[]): boolean => indices.every((e, k) => block.iters.some((i) => isVariable(e, i.name)) && indices.indexOf(e) === k);
  if (loads === null || !plain(form.store.indices) || !loads.every((l) => plain(l.args))) {
    return state.refuse('not-einsum', `block ${name} does not multiply elements that its iteration variables index`);
  }
  requireFullDomain(state, path);
  const { nest, above } = nestOf(path);
  if (!boundByLoops(block, nest) || above.some((s) => s.kind === 'for')) state.refuse('domain', `block ${name} does not run over its domain loop by loop in a nest of its own`);
  for (let s = nest; s.kind === 'for'; s = s.body) if (s.loop !== 'serial') state.refuse('loop-kind', `loop ${s.variable} has a kind already`);
  const scope = scopeOf(state, path);
  if (scope.stmt !== state.fn.body) state.refuse('scope', `block ${name} is inside another block`);
  const extents = new Map(block.iters.map((iter, k) => [iter.name, exprs.simplify(exprs.mul(exprs.ceildiv(iter.extent, padding[k]!), padding[k]!), state.dims)]));
  const padded = block.iters.filter((i) => !state.same(extents.get(i.name)!, i.extent));
  if (padded.length === 0) state.refuse('no-padding', `the extents of block ${name} are multiples already`);
  for (const iter of padded) {
    if (iter.type !== 'reduce') continue;
    const without = loads.find((l) => !l.args.some((e) => isVariable(e, iter.name)));
    if (without !== undefined) state.refuse('not-einsum', `${String(without.value)} is not indexed by ${iter.name} of block ${name}: infinite elements would not vanish in the padding`);
  }
  const results: string[] = [];
  const before: Stmt[] = [];
  const after: Stmt[] = [];
  const buffers: Buffer[] = [];
  const iterOf = (e: Expr): Block['iters'][number] => block.iters.find((i) => isVariable(e, i.name))!;
  const paddedCopy = (name: string, indices: readonly Expr[]): Buffer => {
    const source = state.buffer(name);
    const copy: Buffer = { ...source, name: state.names.unique(`${name}_pad`), scope: 'global', shape: indices.map((e) => extents.get(iterOf(e).name)!) };
    buffers.push(copy);
    return copy;
  };
  const substitutes = new Map<Expr, Expr>();
  const done = new Map<string, Buffer>();
  for (const load of new Set(loads)) {
    const iters = load.args.map(iterOf);
    if (!iters.some((i) => padded.includes(i))) continue;
    const source = load.value as string;
    const key = `${source} ${iters.map((i) => i.name).join()}`;
    let copy = done.get(key);
    if (copy === undefined) {
      copy = paddedCopy(source, load.args);
      done.set(key, copy);
      const own = iters.map((i, k) => ({ name: state.names.unique(`v${k}`), type: 'spatial' as const, extent: extents.get(i.name)!, binding: exprs.zero }));
      const v = own.map((i) => exprs.variable(i.name));
      const inside = conjunction(exprs, iters.flatMap((i, k) => (padded.includes(i) ? [exprs.lt(v[k]!, i.extent)] : [])))!;
      const value = exprs.select(inside, exprs.make('load', load.dtype, v, source), exprs.constant(0, load.dtype));
      const filler: Block = {
        kind: 'block', name: state.names.unique(copy.name), iters: own, reads: [], writes: [{ buffer: copy.name, start: v, extent: v.map(() => exprs.one) }],
        predicate: null, init: null, body: { kind: 'store', buffer: copy.name, indices: v, value }, annotations: {},
      };
      results.push(filler.name);
      before.push(nestOver(state, filler, new Map(), above));
    }
    substitutes.set(load, exprs.load(copy, load.args));
  }
  let target: { name: string } = { name: form.store.buffer };
  if (form.store.indices.some((e) => padded.includes(iterOf(e)))) {
    const copy = paddedCopy(form.store.buffer, form.store.indices);
    target = copy;
    const own = form.store.indices.map((e, k) => ({ name: state.names.unique(`v${k}`), type: 'spatial' as const, extent: iterOf(e).extent, binding: exprs.zero }));
    const v = own.map((i) => exprs.variable(i.name));
    const back: Block = {
      kind: 'block', name: state.names.unique(`${name}_unpad`), iters: own, reads: [], writes: [{ buffer: form.store.buffer, start: v, extent: v.map(() => exprs.one) }],
      predicate: null, init: null, body: { kind: 'store', buffer: form.store.buffer, indices: v, value: exprs.load(copy, v) }, annotations: {},
    };
    results.push(back.name);
    after.push(nestOver(state, back, new Map(), above));
  }
  const others = writersOf(scope.stmt, form.store.buffer).filter((b) => b !== block);
  if (others.length > 0) state.refuse('several-writers', `block ${others[0]!.name} writes ${form.store.buffer} too`);
  const value = exprs.transform(form.store.value, (x) => {
    if (x.op !== 'load') return x;
    return x.value === form.store.buffer ? exprs.make('load', x.dtype, x.args, target.name) : (substitutes.get(x) ?? x);
  });
  const inner: Block = {
    ...block, iters: block.iters.map((i) => ({ ...i, extent: extents.get(i.name)! })), predicate: null,
    init: { ...init, buffer: target.name }, body: { ...form.store, buffer: target.name, value },
  };
  const body0 = replaceStmt(state.fn.body, nest, seq([...before, nestOver(state, inner, new Map(), above), ...after]));
  const body = buffers.reduceRight<Stmt>((b, buffer) => allocateIn(b, buffer, null), body0);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name, ...results])) }, results };
}

/** The loads of a product of loads, casts looked through; null for anything else. */
function factorsOf(e: Expr): Expr[] | null {
  if (e.op === 'load') return [e];
  if (e.op === 'cast') return factorsOf(e.args[0]!);
  if (e.op !== 'mul') return null;
  const [a, b] = e.args.map(factorsOf);
  return a && b ? [...a, ...b] : null;
}

/**
 * decompose_padding: `t[v…] = select(inside, value, constant)` as two nests: one fills with the constant, one writes the
 * inside only. Gives the block that fills.
 */
export function decomposePadding(state: State, { block: name }: { readonly block: string }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(name);
  const store = block.body;
  if (block.init !== null || store.kind !== 'store' || store.value.op !== 'select' || block.iters.some((i) => i.type === 'reduce')) {
    return state.refuse('not-padding', `block ${name} is not of the form t[v…] = select(inside, value, constant)`);
  }
  const [condition, value, constant] = store.value.args as [Expr, Expr, Expr];
  if (constant.op !== 'const') state.refuse('not-padding', `block ${name} fills with something that is no constant`);
  if (readsOf(block).has(store.buffer)) state.refuse('dependence', `block ${name} reads ${store.buffer}, which it writes`);
  const loadsIn = (e: Expr): boolean => e.op === 'load' || e.args.some(loadsIn);
  if (loadsIn(condition)) state.refuse('not-padding', `what is inside depends on data in block ${name}`);
  const { nest, above } = nestOf(path);
  const fillName = state.names.unique(`${name}_fill`);
  const copied = new Map<string, string>();
  const fillBlock: Block = { ...block, body: { ...store, value: constant } };
  const fillNest = freshCopy(exprs, replaceStmt(nest, block, fillBlock), state.names, copied);
  const fill = renameBlock(fillNest, copied.get(name)!, fillName);
  const bindings = new Map(block.iters.map((i) => [i.name, i.binding]));
  const main: Block = { ...block, body: { ...store, value } };
  let inside: Stmt;
  if (boundByLoops(block, nest) && block.predicate === null && serial(nest)) {
    const rest: Expr[] = [];
    const low = new Map<string, Expr>();
    const high = new Map<string, Expr>();
    for (const c of conjuncts(condition)) {
      const bound = boundOf(state, block, c);
      if (bound === null) rest.push(c);
      else if (bound.side === 'min') low.set(bound.iter, exprs.max(low.get(bound.iter) ?? exprs.zero, bound.value));
      else high.set(bound.iter, exprs.min(high.get(bound.iter) ?? block.iters.find((i) => i.name === bound.iter)!.extent, bound.value));
    }
    // The inside becomes the block's domain: v = start + v'.
    const shifts = new Map<string, Expr>();
    const iters = block.iters.map((iter) => {
      const start = exprs.simplify(low.get(iter.name) ?? exprs.zero, state.dims);
      const end = exprs.simplify(high.get(iter.name) ?? iter.extent, state.dims);
      if (start !== exprs.zero) shifts.set(iter.name, exprs.add(exprs.variable(iter.name), start));
      return { ...iter, extent: exprs.simplify(exprs.max(exprs.sub(end, start), 0), state.dims) };
    });
    const narrowed = nestOver(state, { ...main, iters, body: substituteStmt(exprs, main.body, shifts) }, new Map(), above);
    inside = restrict(state, narrowed, rest.map((c) => exprs.substitute(c, shifts)));
  } else {
    const condition2 = conjunction(exprs, [...conjuncts(block.predicate), ...conjuncts(condition).map((c) => exprs.substitute(c, bindings))]);
    inside = replaceStmt(nest, block, { ...main, predicate: condition2 });
  }
  const body = replaceStmt(state.fn.body, nest, seq([fill, inside]));
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([name, fillName])) }, results: [fillName] };
}

function serial(nest: Stmt): boolean {
  return nest.kind !== 'for' || (nest.loop === 'serial' && serial(nest.body));
}

function renameBlock(nest: Stmt, from: string, to: string): Stmt {
  if (nest.kind === 'for') return { ...nest, body: renameBlock(nest.body, from, to) };
  return nest.kind === 'block' && nest.name === from ? { ...nest, name: to } : nest;
}

/** Adds conditions about iteration variables to a block's predicate, which is about loops. */
function restrict(state: State, nest: Stmt, conditions: readonly Expr[]): Stmt {
  if (nest.kind === 'for') return { ...nest, body: restrict(state, nest.body, conditions) };
  if (nest.kind !== 'block' || conditions.length === 0) return nest;
  const { exprs } = state;
  const bindings = new Map(nest.iters.map((i) => [i.name, i.binding]));
  return { ...nest, predicate: conjunction(exprs, [...conjuncts(nest.predicate), ...conditions.map((c) => exprs.substitute(c, bindings))]) };
}

/** `v ≥ value` (min) or `v < value` (max), where a condition says so of one iteration variable; null otherwise. */
function boundOf(state: State, block: Block, condition: Expr): { iter: string; side: 'min' | 'max'; value: Expr } | null {
  const { exprs } = state;
  if (condition.op !== 'lt' && condition.op !== 'le') return null;
  const [x, y] = condition.args as [Expr, Expr];
  if (x.dtype !== 'i64') return null;
  const slack = condition.op === 'lt' ? exprs.sub(exprs.sub(y, x), 1) : exprs.sub(y, x);
  const used = exprs.variables(slack).filter((v) => block.iters.some((i) => i.name === v));
  if (used.length !== 1) return null;
  const v = exprs.variable(used[0]!);
  const plus = exprs.sub(slack, v);
  if (!exprs.variables(plus).includes(used[0]!)) return { iter: used[0]!, side: 'min', value: exprs.neg(plus) };
  const minus = exprs.add(slack, v);
  if (!exprs.variables(minus).includes(used[0]!)) return { iter: used[0]!, side: 'max', value: exprs.add(minus, 1) };
  return null;
}
