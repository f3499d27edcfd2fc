import { TenonError, type AttrValue, type Buffer, type Expr, type ExprBuilder, type Scope, type Stmt, type TensorFunction, type VarFacts } from '@tenon/plugin';
import { expressionsOf, mapChildren, mapExpressions, visitExprs, visitStmts, type Exprs } from '@tenon/core';
import { alignKey } from './primitives/layout.ts';
import { calledOperands } from './tensor-intrinsic.ts';
import { rangeOver, union, type Box, type Range, type Span } from './primitives/regions.ts';

interface Access {
  readonly box: Box;
}

/**
 * Shrinks buffers allocated inside loops to the box that is accessed there: what compute_at leaves to do. Runs on
 * statements without blocks. `intrinsics` gives the shapes of operands whose addresses calls take.
 */
export function compactBuffers(stmt: Stmt, exprs: Exprs, dims: Scope, intrinsics: ReadonlyMap<string, TensorFunction>): Stmt {
  const visit = (s: Stmt, scope: Scope, inLoop: boolean): Stmt => {
    if (s.kind === 'for') return mapChildren(s, (x) => visit(x, withLoop(exprs, scope, s.variable, s.extent), true));
    if (s.kind === 'let' && s.value.dtype === 'i64') {
      const inner = new Map<string, VarFacts>(scope).set(s.variable, exprs.bounds(s.value, scope));
      return mapChildren(s, (x) => visit(x, inner, inLoop));
    }
    if (s.kind !== 'alloc' || !inLoop) return mapChildren(s, (x) => visit(x, scope, inLoop));
    const compact = shrink(s.buffer, s.body, exprs, scope, intrinsics);
    const { buffer, body } = compact ?? s;
    return { ...s, buffer, body: visit(body, scope, inLoop) };
  };
  return visit(stmt, dims, false);
}

function withLoop(exprs: Exprs, scope: Scope, variable: string, extent: Expr): Scope {
  const inner = new Map<string, VarFacts>(scope).set(variable, { min: 0, max: exprs.sub(extent, 1) });
  if (extent.op === 'var') {
    const facts = scope.get(extent.value as string) ?? exprs.facts.get(extent.value as string) ?? { min: null, max: null };
    if (facts.min === null || (typeof facts.min === 'number' && facts.min < 1)) inner.set(extent.value as string, { ...facts, min: 1 });
  }
  return inner;
}

function shrink(buffer: Buffer, body: Stmt, exprs: Exprs, scope: Scope, intrinsics: ReadonlyMap<string, TensorFunction>): { buffer: Buffer; body: Stmt } | null {
  const accesses = accessesOf(buffer, body, exprs, scope, intrinsics);
  if (accesses === null || accesses.length === 0 || buffer.shape.length === 0) return null;
  const box = accesses.map((a) => a.box).reduce((a, b) => union(exprs, a, b, scope));
  const chosen = box.map((range, axis): Range | null => {
    const size = buffer.shape[axis]!;
    if (range === null) return null;
    const constant = exprs.valueOf(range.extent);
    const full = exprs.valueOf(size);
    const smaller = constant !== null && full !== null ? constant < full : constant !== null || exprs.prove(exprs.lt(range.extent, size), scope) === 'yes';
    return smaller ? range : null;
  });
  if (chosen.every((r) => r === null)) return null;
  const next: Buffer = { ...buffer, shape: buffer.shape.map((d, axis) => chosen[axis]?.extent ?? d) };
  const moved = (indices: readonly Expr[]): Expr[] => indices.map((e, axis) => (chosen[axis] ? exprs.sub(e, chosen[axis].start) : e));
  const loads = mapExpressions(body, (e) => exprs.transform(e, (x) => (x.op === 'load' && x.value === buffer.name ? exprs.load(next, moved(x.args)) : x)));
  const stores = (s: Stmt): Stmt => {
    const inside = mapChildren(s, stores);
    return inside.kind === 'store' && inside.buffer === buffer.name ? { ...inside, indices: moved(inside.indices) } : inside;
  };
  return { buffer: next, body: stores(loads) };
}

/** Every access of a buffer over the loops inside its allocation; null where one cannot be told. */
function accessesOf(buffer: Buffer, body: Stmt, exprs: Exprs, outside: Scope, intrinsics: ReadonlyMap<string, TensorFunction>): Access[] | null {
  const all: Access[] = [];
  let opaque = false;
  const record = (indices: readonly Expr[], extents: readonly Expr[], spans: readonly Span[], lets: ReadonlyMap<string, Expr>, scope: Scope): void => {
    const inner = new Set([...spans.map((s) => s.variable), ...lets.keys()]);
    all.push({
      box: indices.map((index, axis) => {
        const range = rangeOver(exprs, exprs.substitute(index, lets), extents[axis]!, spans, scope);
        const tied = range !== null && [range.start, range.extent].some((e) => exprs.variables(e).some((v) => inner.has(v)));
        return tied ? null : range;
      }),
    });
  };
  const visit = (s: Stmt, spans: readonly Span[], lets: ReadonlyMap<string, Expr>, scope: Scope): void => {
    const point = buffer.shape.map(() => exprs.one);
    const description = s.kind === 'evaluate' && s.value.op === 'call' ? intrinsics.get(s.value.value as string) : undefined;
    if (s.kind === 'evaluate' && description !== undefined) {
      for (const { load, operand, axes } of calledOperands(exprs, s.value, description)) {
        if (load.value !== buffer.name) continue;
        record(load.args, load.args.map((_, axis) => (axes.includes(axis) ? operand.shape[axes.indexOf(axis)]! : exprs.one)), spans, lets, scope);
      }
      return;
    }
    if (s.kind === 'evaluate') {
      // A call may go on from the address of what it is given.
      visitExprs(s.value, (x) => void (x.op === 'load' && x.value === buffer.name && (opaque = true)));
      return;
    }
    for (const e of expressionsOf(s)) visitExprs(e, (x) => void (x.op === 'load' && x.value === buffer.name && record(x.args, point, spans, lets, scope)));
    switch (s.kind) {
      case 'store':
        if (s.buffer === buffer.name) record(s.indices, point, spans, lets, scope);
        return;
      case 'for':
        return visit(s.body, [...spans, { variable: s.variable, extent: exprs.substitute(s.extent, lets) }], lets, withLoop(exprs, scope, s.variable, s.extent));
      case 'let':
        return visit(s.body, spans, s.value.dtype === 'i64' ? new Map(lets).set(s.variable, exprs.substitute(s.value, lets)) : lets, scope);
      case 'seq':
        return s.body.forEach((x) => visit(x, spans, lets, scope));
      case 'if':
        visit(s.then, spans, lets, scope);
        if (s.otherwise !== null) visit(s.otherwise, spans, lets, scope);
        return;
      case 'alloc':
      case 'while':
        return visit(s.body, spans, lets, scope);
      case 'block':
        opaque = true;
    }
  };
  visit(body, [], new Map(), outside);
  return opaque ? null : all;
}

/** What storage_align asks for. */
export interface Alignment {
  readonly buffer: string;
  readonly axis: number;
  readonly factor: number;
  readonly offset: number;
}

export function alignmentsOf(stmt: Stmt): Alignment[] {
  const found: Alignment[] = [];
  visitStmts(stmt, (s) => {
    if (s.kind !== 'block') return;
    for (const entry of (s.annotations[alignKey] as readonly AttrValue[] | undefined) ?? []) {
      const [buffer, axis, factor, offset] = entry as readonly [string, number, number, number];
      found.push({ buffer, axis, factor, offset });
    }
  });
  return found;
}

/** Pads axes of allocated buffers so that strides are what storage_align asked for. */
export function alignBuffers(stmt: Stmt, exprs: ExprBuilder, alignments: readonly Alignment[]): Stmt {
  const visit = (s: Stmt): Stmt => {
    const inside = mapChildren(s, visit);
    if (inside.kind !== 'alloc') return inside;
    const mine = alignments.filter((a) => a.buffer === inside.buffer.name).sort((a, b) => b.axis - a.axis);
    return mine.length === 0 ? inside : { ...inside, buffer: mine.reduce((b, a) => aligned(b, exprs, a), inside.buffer) };
  };
  return visit(stmt);
}

function aligned(buffer: Buffer, exprs: ExprBuilder, { axis, factor, offset }: Alignment): Buffer {
  const last = buffer.shape.length - 1;
  const padded = (k: number, size: Expr): Buffer => ({ ...buffer, shape: buffer.shape.map((d, n) => (n === k ? size : d)) });
  const upTo = (k: number, multiple: number, over: number): Buffer => {
    const size = buffer.shape[k]!;
    return padded(k, exprs.add(exprs.mul(exprs.ceildiv(exprs.sub(size, over), multiple), multiple), over));
  };
  const rest = exprs.valueOf(exprs.product(buffer.shape.slice(axis + 2)));
  // Along the next axis, where what is inside it is known; with an offset, the one size that gives it.
  if (rest !== null) {
    const step = factor / gcd(rest, factor);
    for (let over = 0; over < step; over++) if ((over * rest) % factor === offset) return upTo(axis + 1, step, over);
  } else if (offset === 0) return upTo(last, factor, 0);
  throw new TenonError({ code: 'schedule/align', message: `storage_align: no padding makes the stride of axis ${axis} of ${buffer.name} a multiple of ${factor} plus ${offset}` });
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
