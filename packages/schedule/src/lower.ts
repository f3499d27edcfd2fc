import type { Block, Buffer, Expr, ExprBuilder, For, Scope, Stmt, TensorFunction, TensorIntrinsic, VarFacts } from '@tenon/plugin';
import { buffersOf, descriptionOf, mapChildren, seq, type Exprs } from '@tenon/core';
import { alignBuffers, alignmentsOf, compactBuffers } from './compact.ts';
import { conjunction, conjuncts } from './primitives/tree.ts';
import { declaredVariables, Names, renameStmt } from './rename.ts';
import { shareSubexpressions } from './share.ts';
import { intrinsicCall, matchIntrinsic, tensorizedName, withStrides } from './tensor-intrinsic.ts';

export interface LowerOptions {
  /** Intrinsics of the target: tensorized blocks become calls of them. Others run as what they are made of. */
  readonly intrinsics?: readonly TensorIntrinsic[];
}

/**
 * Removes blocks: iteration variables become their bindings, predicates become `if`, initial values of reductions run
 * before the outermost loop that reduces. Loops of extent one disappear, and expressions are simplified with what the
 * loops around them say. Buffers inside loops shrink to what is accessed there.
 */
export function lower(fn: TensorFunction, exprs: ExprBuilder, dims: Scope, options: LowerOptions = {}): TensorFunction {
  const names = new Names(fn);
  const intrinsics = new Map((options.intrinsics ?? []).map((i) => [i.name, descriptionOf(exprs, i)]));
  const alignments = alignmentsOf(fn.body);
  const decomposed = decomposeReductions(fn.body, exprs, names);
  const called = intrinsics.size === 0 ? decomposed : callIntrinsics(decomposed, buffersOf(fn), exprs as Exprs, intrinsics);
  const simple = simplifyStmt(removeBlocks(called, exprs), exprs, dims);
  const compact = compactBuffers(simple, exprs as Exprs, dims, intrinsics);
  const aligned = alignments.length === 0 ? compact : alignBuffers(compact, exprs, alignments);
  const body = intrinsics.size === 0 ? aligned : addStrides(aligned, { ...fn, body: aligned }, exprs, intrinsics);
  return { ...fn, body: shareSubexpressions(body, exprs, names) };
}

/** Puts calls of intrinsics in the place of tensorized blocks. */
function callIntrinsics(stmt: Stmt, buffers: ReadonlyMap<string, Buffer>, exprs: Exprs, intrinsics: ReadonlyMap<string, TensorFunction>): Stmt {
  const visit = (s: Stmt): Stmt => {
    const name = s.kind === 'block' ? tensorizedName(s) : null;
    const description = name === null ? undefined : intrinsics.get(name);
    if (s.kind !== 'block' || description === undefined) return mapChildren(s, visit);
    const operands = matchIntrinsic(exprs, s.body, description, buffers);
    return operands === null ? mapChildren(s, visit) : { ...s, body: intrinsicCall(exprs, name!, operands) };
  };
  return visit(stmt);
}

/** Gives calls of intrinsics the strides of their operands, once shapes of buffers are final. */
function addStrides(stmt: Stmt, fn: TensorFunction, exprs: ExprBuilder, intrinsics: ReadonlyMap<string, TensorFunction>): Stmt {
  const buffers = buffersOf(fn);
  const visit = (s: Stmt): Stmt => {
    if (s.kind !== 'evaluate' || s.value.op !== 'call') return mapChildren(s, visit);
    const description = intrinsics.get(s.value.value as string);
    if (description === undefined) return s;
    return { ...s, value: withStrides(exprs, s.value, description, buffers) };
  };
  return visit(stmt);
}

/** Moves the `init` of every reduction block in front of the outermost loop that its reduction variables use. */
export function decomposeReductions(stmt: Stmt, exprs: ExprBuilder, names: Names): Stmt {
  const declared = new Set(declaredVariables(stmt));
  const visit = (s: Stmt): Stmt => {
    if (s.kind === 'for') {
      const found = initUnder(s, exprs);
      if (found !== null) {
        const init = initNest(found.block, found.loops, exprs, names, declared);
        return seq([init, visit(withoutInit(s, found.block))]);
      }
    }
    if (s.kind === 'block' && s.init !== null && !s.iters.some((i) => i.type === 'reduce')) {
      return { ...s, init: null, body: seq([s.init, s.body]) };
    }
    return mapChildren(s, visit);
  };
  return visit(stmt);
}

/** The reduction block for which `loop` is the outermost reducing loop, with the loops from `loop` down to it. */
function initUnder(loop: For, exprs: ExprBuilder): { block: Block; loops: For[] } | null {
  const search = (s: Stmt, loops: For[]): { block: Block; loops: For[] } | null => {
    if (s.kind === 'block') {
      if (s.init === null) return null;
      const reduces = s.iters.some((i) => i.type === 'reduce' && exprs.variables(i.binding).includes(loop.variable));
      const spatial = s.iters.some((i) => i.type === 'spatial' && exprs.variables(i.binding).includes(loop.variable));
      return reduces && !spatial && beginsAtZero(s, loops, exprs) && hoists(s, loops, exprs) ? { block: s, loops } : null;
    }
    const next = s.kind === 'for' ? [...loops, s] : loops;
    const children = s.kind === 'seq' ? s.body : s.kind === 'for' || s.kind === 'alloc' || s.kind === 'let' ? [s.body] : [];
    for (const child of children) {
      const found = search(child, next);
      if (found !== null) return found;
    }
    return null;
  };
  return search(loop, []);
}

/** Whether the reduction's first point is where these loops are at their first iteration, whatever runs around them. */
function beginsAtZero(block: Block, loops: readonly For[], exprs: ExprBuilder): boolean {
  const first = new Map(loops.map((l) => [l.variable, exprs.int(0)]));
  return block.iters.every((i) => i.type === 'spatial' || exprs.valueOf(exprs.substitute(i.binding, first)) === 0);
}

/** Whether the loops that the initial value needs do without those that only reduce. */
function hoists(block: Block, loops: readonly For[], exprs: ExprBuilder): boolean {
  const used = new Set(block.iters.flatMap((i) => (i.type === 'spatial' ? exprs.variables(i.binding) : [])));
  const dropped = new Set(loops.filter((l) => !used.has(l.variable)).map((l) => l.variable));
  return loops.every((l) => !used.has(l.variable) || !exprs.variables(l.extent).some((v) => dropped.has(v)));
}

function initNest(block: Block, loops: readonly For[], exprs: ExprBuilder, names: Names, declared: ReadonlySet<string>): Stmt {
  const spatial = block.iters.filter((i) => i.type === 'spatial');
  const used = new Set(spatial.flatMap((i) => exprs.variables(i.binding)));
  const kept = loops.filter((l) => used.has(l.variable));
  const reduceLoops = new Set(loops.filter((l) => !used.has(l.variable)).map((l) => l.variable));
  // Conditions on the reduction do not concern the initial value; where they tie other loops too, its first point counts.
  const first = new Map([...reduceLoops].map((v) => [v, exprs.int(0)]));
  const conditions = conjuncts(block.predicate).filter((c) => {
    const variables = exprs.variables(c);
    return !variables.some((v) => reduceLoops.has(v)) || variables.some((v) => declared.has(v) && !reduceLoops.has(v));
  });
  const predicate = conjunction(exprs, conditions.map((c) => exprs.substitute(c, first)));
  let nest: Stmt = {
    kind: 'block', name: `${block.name}_init`, iters: spatial, reads: [], writes: block.writes, predicate, init: null, body: block.init!, annotations: {},
  };
  for (const loop of [...kept].reverse()) nest = { ...loop, body: nest };
  const fresh = new Map<string, string>();
  for (const loop of kept) fresh.set(loop.variable, names.fresh('i'));
  for (const iter of spatial) fresh.set(iter.name, names.fresh('v'));
  return renameStmt(exprs, nest, fresh, new Map());
}

function withoutInit(stmt: Stmt, block: Block): For {
  const visit = (s: Stmt): Stmt => (s === block ? { ...block, init: null } : mapChildren(s, visit));
  return visit(stmt) as For;
}

function removeBlocks(stmt: Stmt, exprs: ExprBuilder): Stmt {
  const visit = (s: Stmt, values: ReadonlyMap<string, Expr>): Stmt => {
    const expr = (e: Expr): Expr => exprs.substitute(e, values);
    switch (s.kind) {
      case 'block': {
        const inner = new Map(values);
        for (const iter of s.iters) inner.set(iter.name, expr(iter.binding));
        const body = visit(s.body, inner);
        const withInit = s.init === null ? body : seq([
          { kind: 'if', condition: firstIteration(s, inner, exprs), then: visit(s.init, inner), otherwise: null }, body,
        ]);
        return s.predicate === null ? withInit : { kind: 'if', condition: expr(s.predicate), then: withInit, otherwise: null };
      }
      case 'for':
        return { ...s, extent: expr(s.extent), body: visit(s.body, values) };
      case 'store':
        return { ...s, indices: s.indices.map(expr), value: expr(s.value) };
      case 'let':
        return { ...s, value: expr(s.value), body: visit(s.body, values) };
      case 'if':
        return { ...s, condition: expr(s.condition), then: visit(s.then, values), otherwise: s.otherwise === null ? null : visit(s.otherwise, values) };
      case 'while':
        return { ...s, condition: expr(s.condition), body: visit(s.body, values) };
      case 'evaluate':
        return { ...s, value: expr(s.value) };
      case 'alloc':
        return { ...s, buffer: { ...s.buffer, shape: s.buffer.shape.map(expr) }, body: visit(s.body, values) };
      case 'seq':
        return seq(s.body.map((x) => visit(x, values)));
    }
  };
  return visit(stmt, new Map());
}

function firstIteration(block: Block, values: ReadonlyMap<string, Expr>, exprs: ExprBuilder): Expr {
  return block.iters
    .filter((i) => i.type === 'reduce')
    .map((i) => exprs.eq(values.get(i.name)!, 0))
    .reduce((a, b) => exprs.and(a, b), exprs.constant(true, 'bool'));
}

/** Simplifies every expression with facts about the loops around it, and drops loops and branches that decide themselves. */
export function simplifyStmt(stmt: Stmt, exprs: ExprBuilder, dims: Scope): Stmt {
  const visit = (s: Stmt, scope: Scope, values: ReadonlyMap<string, Expr>): Stmt => {
    const expr = (e: Expr): Expr => exprs.simplify(exprs.substitute(e, values), scope);
    switch (s.kind) {
      case 'for': {
        const extent = expr(s.extent);
        if (exprs.valueOf(extent) === 0) return { kind: 'seq', body: [] };
        if (exprs.valueOf(extent) === 1 && s.loop !== 'parallel') {
          return visit(s.body, scope, new Map(values).set(s.variable, exprs.int(0)));
        }
        const inner = new Map<string, VarFacts>(scope).set(s.variable, { min: 0, max: exprs.sub(extent, 1) });
        // Inside the loop its extent is at least one.
        if (extent.op === 'var') {
          const facts = inner.get(extent.value as string);
          if (facts !== undefined && typeof facts.min === 'number' && facts.min < 1) inner.set(extent.value as string, { ...facts, min: 1 });
        }
        return { ...s, extent, body: visit(s.body, inner, values) };
      }
      case 'if': {
        const condition = expr(s.condition);
        if (condition.op === 'const') {
          if (condition.value !== 0) return visit(s.then, scope, values);
          return s.otherwise === null ? { kind: 'seq', body: [] } : visit(s.otherwise, scope, values);
        }
        return { ...s, condition, then: visit(s.then, scope, values), otherwise: s.otherwise === null ? null : visit(s.otherwise, scope, values) };
      }
      case 'store':
        return { ...s, indices: s.indices.map(expr), value: expr(s.value) };
      case 'let': {
        const value = expr(s.value);
        // A value that is a constant or another variable needs no name.
        if (value.op === 'const' || value.op === 'var') return visit(s.body, scope, new Map(values).set(s.variable, value));
        const inner = value.dtype === 'i64' ? new Map<string, VarFacts>(scope).set(s.variable, exprs.bounds(value, scope)) : scope;
        return { ...s, value, body: visit(s.body, inner, values) };
      }
      case 'while':
        return { ...s, condition: expr(s.condition), body: visit(s.body, scope, values) };
      case 'evaluate':
        return { ...s, value: expr(s.value) };
      case 'alloc':
        return { ...s, buffer: { ...s.buffer, shape: s.buffer.shape.map(expr) }, body: visit(s.body, scope, values) };
      case 'seq':
        return seq(s.body.map((x) => visit(x, scope, values)));
      case 'block':
        throw new RangeError('simplifyStmt runs after blocks are removed');
    }
  };
  return visit(stmt, dims, new Map());
}

