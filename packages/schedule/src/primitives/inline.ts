import type { Block, Expr, Stmt, Store } from '@tenon/plugin';
import { mapChildren, mapExpressions, visitExprs } from '@tenon/core';
import { isVariable } from '../stages.ts';
import { described, conflict, readersOf, readsOf, requireLocal, scopeOf, writersOf, writesOf } from './dependence.ts';
import { outputOf, requireFullDomain, requireVisible } from './domain.ts';
import { parting } from './compute-at.ts';
import { IterMap } from './iter-map.ts';
import { iterSpans, refreshRegions, withSpans } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { allBlocks, pathTo, removeAlloc, replaceStmt, topBlocks } from './tree.ts';

/** The store of a block `t[v…] = value`, its indices distinct iteration variables; refuses any other. */
function pointwise(state: State, block: Block): Store {
  const store = block.body;
  const ok = block.init === null && store.kind === 'store' && block.iters.every((i) => i.type === 'spatial')
    && store.indices.every((e, k) => block.iters.some((i) => isVariable(e, i.name)) && store.indices.indexOf(e) === k)
    && block.iters.every((i) => store.indices.some((e) => isVariable(e, i.name)) || state.same(i.extent, state.exprs.one));
  if (!ok) {
    const reduces = block.iters.some((i) => i.type === 'reduce');
    state.refuse('not-elementwise', `block ${block.name} ${reduces ? 'is a reduction' : 'is not of the form t[v…] = value'}`);
  }
  return store as Store;
}

/** compute_inline: puts the value of a producer where it is read, and removes the producer with its buffer. */
export function computeInline(state: State, { block: name }: { readonly block: string }): Outcome {
  const { exprs } = state;
  const { block, path } = state.block(name);
  const scope = scopeOf(state, path);
  const store = pointwise(state, block);
  const buffer = store.buffer;
  if (state.isParameter(buffer)) state.refuse('output', `block ${name} writes ${buffer}, which is a result of the function`);
  requireLocal(state, scope.stmt, buffer);
  const others = writersOf(scope.stmt, buffer).filter((b) => b !== block);
  if (others.length > 0) state.refuse('several-writers', `block ${others[0]!.name} writes ${buffer} too`);
  if (readsOf(block).has(buffer)) state.refuse('dependence', `block ${name} reads ${buffer}, which it writes`);
  requireFullDomain(state, path);
  const readers = readersOf(scope.stmt, buffer);
  if (readers.length === 0) state.refuse('no-consumer', `no block reads ${buffer}, which block ${name} writes`);
  for (const reader of readers) {
    noWriteBetween(state, scope.stmt, block, reader);
    requireVisible(state, block, pathTo(state.fn.body, (s) => s === reader)!, buffer);
  }
  const spatial = new Map(store.indices.map((e, k) => [e.value as string, k]));
  const value = (load: Expr): Expr => {
    const values = new Map<string, Expr>(block.iters.map((i) => [i.name, spatial.has(i.name) ? load.args[spatial.get(i.name)!]! : exprs.zero]));
    return exprs.substitute(store.value, values);
  };
  const inline = (e: Expr): Expr => exprs.transform(e, (x) => (x.op === 'load' && x.value === buffer ? value(x) : x));
  const touched = new Set(readers.flatMap((r) => allBlocks(r).map((b) => b.name)));
  const visit = (s: Stmt): Stmt => {
    if (s.kind !== 'block' || !readers.includes(s)) return mapChildren(s, visit);
    const bare: Block = { ...s, reads: [], writes: [] };
    const calls = s.reads.filter((r) => r.buffer !== buffer);
    return { ...(mapExpressions(bare, inline) as Block), reads: calls, writes: s.writes };
  };
  const removed = removeAlloc(visit(replaceStmt(state.fn.body, block, null)), buffer);
  const next = state.with(removed);
  return { fn: { ...state.fn, body: refreshRegions(next, removed, touched) }, results: [] };
}

/** What the value reads must still be there where it is put. */
function noWriteBetween(state: State, scope: Stmt, producer: Block, reader: Block): void {
  const reads = readsOf(producer);
  const a = pathTo(scope, (s) => s === producer)!;
  const b = pathTo(scope, (s) => s === reader)!;
  const place = parting(a, b);
  if (place === null || place.a > place.b) state.refuse('position', `block ${reader.name} reads what block ${producer.name} writes, and does not stand behind it`);
  for (const crossed of place.items.slice(place.a, place.b + 1).flatMap(topBlocks)) {
    if (crossed === producer) continue;
    const written = [...writesOf(crossed)].find((x) => reads.has(x));
    if (written !== undefined) state.refuse('dependence', `block ${crossed.name} writes ${written}, which block ${producer.name} reads before it and block ${reader.name} would read after it`);
  }
}

/** reverse_compute_inline: puts what an elementwise consumer does with a value where the value is made. */
export function reverseComputeInline(state: State, { block: name }: { readonly block: string }): Outcome {
  const { exprs } = state;
  const { block: consumer, path } = state.block(name);
  const scope = scopeOf(state, path);
  const store = pointwise(state, consumer);
  requireFullDomain(state, path);
  const candidates = [...readsOf(consumer)].map((b) => ({ buffer: b, writers: writersOf(scope.stmt, b) })).filter((c) => c.writers.length > 0);
  if (candidates.length === 0) state.refuse('no-producer', `block ${name} reads nothing that another block writes`);
  // The one written last: what other blocks write is there by then.
  const order = topBlocks(scope.stmt);
  const last = (c: (typeof candidates)[number]): number => Math.max(...c.writers.map((w) => order.indexOf(w)));
  const { buffer, writers } = candidates.reduce((x, y) => (last(y) > last(x) ? y : x));
  if (state.isParameter(buffer)) state.refuse('output', `${buffer}, which block ${name} reads, is a result of the function`);
  requireLocal(state, scope.stmt, buffer);
  const [producer] = writers;
  if (writers.length !== 1 || producer === undefined) state.refuse('several-writers', `blocks ${writers.map((w) => w.name).join(', ')} write ${buffer}`);
  if (producer.init !== null || producer.iters.some((i) => i.type === 'reduce')) {
    state.refuse('dependence', `block ${producer.name} reduces into ${buffer}: block ${name} needs the sum when it is complete`, 'reverse_compute_at puts it behind the reduction loops.');
  }
  if (producer.body.kind !== 'store') state.refuse('not-elementwise', `block ${producer.name} is not of the form t[…] = value`);
  const made = producer.body;
  const others = readersOf(scope.stmt, buffer).filter((b) => b !== consumer);
  if (others.length > 0) state.refuse('consumer-outside', `block ${others[0]!.name} reads ${buffer} too`);
  if (readsOf(producer).has(buffer)) state.refuse('dependence', `block ${producer.name} reads ${buffer}, which it writes`);
  const output = outputOf(state, consumer);
  if (writersOf(scope.stmt, output).length > 1) state.refuse('several-writers', `${output}, which block ${name} writes, is written by another block too`);
  // Every read is of one element, whose indices are the consumer's iteration variables.
  const loads = new Set<Expr>();
  visitExprs(store.value, (x) => void (x.op === 'load' && x.value === buffer && loads.add(x)));
  const [load] = [...loads];
  if (loads.size !== 1 || load === undefined) state.refuse('not-elementwise', `block ${name} reads several elements of ${buffer}`);
  const shape = state.buffer(buffer).shape;
  const values = new Map<string, Expr>();
  load.args.forEach((index, axis) => {
    const iter = consumer.iters.find((i) => isVariable(index, i.name));
    if (iter === undefined) {
      if (state.same(shape[axis]!, exprs.one)) return;
      state.refuse('not-elementwise', `block ${name} does not read ${buffer} element by element on axis ${axis}`);
    }
    if (values.has(iter.name)) state.refuse('not-elementwise', `block ${name} reads a diagonal of ${buffer}`);
    if (!state.same(iter.extent, shape[axis]!)) state.refuse('domain', `block ${name} reads only part of ${buffer} on axis ${axis}`);
    values.set(iter.name, made.indices[axis]!);
  });
  for (const iter of consumer.iters) {
    if (values.has(iter.name)) continue;
    if (!state.same(iter.extent, exprs.one)) state.refuse('not-elementwise', `${iter.name} of block ${name} does not index ${buffer}: elements are read again`);
    values.set(iter.name, exprs.zero);
  }
  const a = pathTo(scope.stmt, (s) => s === producer)!;
  const b = pathTo(scope.stmt, (s) => s === consumer)!;
  requireFullDomain(state, a);
  const domain = new IterMap(exprs, withSpans(exprs, state.dims, iterSpans(producer.iters)), new Map(producer.iters.map((i) => [i.name, i.extent])));
  requireVisible(state, consumer, state.block(producer.name).path);
  const whole = state.same(exprs.product(producer.iters.map((i) => i.extent)), exprs.product(shape));
  if (!whole || !domain.separates(made.indices, producer.iters.map((i) => i.name))) state.refuse('domain', `block ${producer.name} is not known to write all of ${buffer}`);
  const place = parting(a, b);
  if (place === null || place.a > place.b) state.refuse('position', `block ${name} does not stand behind block ${producer.name}`);
  const between = place.items.slice(place.a, place.b + 1).flatMap(topBlocks);
  for (const crossed of between.slice(0, between.indexOf(consumer))) {
    if (crossed === producer) continue;
    const found = conflict(crossed, consumer);
    if (found !== null) state.refuse('dependence', described(found));
  }
  const put = exprs.transform(exprs.substitute(store.value, values), (x) => (x.op === 'load' && x.value === buffer ? made.value : x));
  const next: Block = { ...producer, body: { ...made, buffer: output, indices: store.indices.map((e) => exprs.substitute(e, values)), value: put } };
  const replaced = replaceStmt(replaceStmt(state.fn.body, consumer, null), producer, next);
  const body = removeAlloc(replaced, buffer);
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, new Set([producer.name])) }, results: [] };
}

