import type { Buffer, BufferRegion, Expr, ExprBuilder, Stmt } from '@tenon/plugin';
import { equalExprs } from './diff.ts';

/** One axis of an access: a point, or the whole axis where the index varies inside the statements or depends on data. */
export type AccessAxis = Expr | 'whole';
export interface Access {
  readonly buffer: string;
  readonly axes: readonly AccessAxis[];
}
export interface Accesses {
  readonly reads: readonly Access[];
  readonly writes: readonly Access[];
}

/**
 * What the statements of a block read and write, in order of first occurrence, each access once. Buffers allocated
 * inside are left out.
 */
export function accessedRegions(init: Stmt | null, body: Stmt): Accesses {
  const reads: Access[] = [];
  const writes: Access[] = [];
  const buffers = new Set<string>();
  const variables = new Set<string>();

  const varies = (e: Expr): boolean => e.op === 'load' || (e.op === 'var' && variables.has(String(e.value))) || e.args.some(varies);
  const record = (list: Access[], buffer: string, indices: readonly Expr[]) => {
    if (buffers.has(buffer)) return;
    const axes = indices.map((index): AccessAxis => (varies(index) ? 'whole' : index));
    if (!list.some((known) => known.buffer === buffer && sameAxes(known.axes, axes))) list.push({ buffer, axes });
  };
  const expr = (e: Expr): void => {
    if (e.op === 'load') record(reads, String(e.value), e.args);
    for (const arg of e.args) expr(arg);
  };
  /** The same name may mean something else once the scope ends. */
  const scoped = (set: Set<string>, names: readonly string[], inside: () => void) => {
    const added = names.filter((name) => !set.has(name));
    for (const name of added) set.add(name);
    inside();
    for (const name of added) set.delete(name);
  };
  const visit = (s: Stmt): void => {
    switch (s.kind) {
      case 'store':
        s.indices.forEach(expr);
        expr(s.value);
        record(writes, s.buffer, s.indices);
        break;
      case 'evaluate':
        expr(s.value);
        break;
      case 'seq':
        s.body.forEach(visit);
        break;
      case 'let':
        expr(s.value);
        scoped(variables, [s.variable], () => visit(s.body));
        break;
      case 'alloc':
        s.buffer.shape.forEach(expr);
        scoped(buffers, [s.buffer.name], () => visit(s.body));
        break;
      case 'if':
        expr(s.condition);
        visit(s.then);
        if (s.otherwise !== null) visit(s.otherwise);
        break;
      case 'while':
        expr(s.condition);
        visit(s.body);
        break;
      case 'for':
        expr(s.extent);
        scoped(variables, [s.variable], () => visit(s.body));
        break;
      case 'block':
        for (const iter of s.iters) {
          expr(iter.extent);
          expr(iter.binding);
        }
        if (s.predicate !== null) expr(s.predicate);
        scoped(variables, s.iters.map((iter) => iter.name), () => {
          if (s.init !== null) visit(s.init);
          visit(s.body);
        });
    }
  };
  if (init !== null) visit(init);
  visit(body);
  return { reads, writes };
}

function sameAxes(a: readonly AccessAxis[], b: readonly AccessAxis[]): boolean {
  return a.length === b.length && a.every((x, i) => {
    const y = b[i]!;
    return typeof x === 'string' || typeof y === 'string' ? x === y : equalExprs(x, y);
  });
}

export function isOne(e: Expr): boolean {
  return e.op === 'const' && e.dtype === 'i64' && e.value === 1;
}
function isZero(e: Expr): boolean {
  return e.op === 'const' && e.dtype === 'i64' && e.value === 0;
}

/** Whether declared regions are just these accesses. */
export function matchesAccesses(regions: readonly BufferRegion[], accesses: readonly Access[], shapes: ReadonlyMap<string, readonly Expr[]>): boolean {
  return regions.length === accesses.length && regions.every((region, r) => {
    const { buffer, axes } = accesses[r]!;
    const shape = shapes.get(buffer);
    if (region.buffer !== buffer || region.start.length !== axes.length || region.extent.length !== axes.length) return false;
    return axes.every((axis, i) => {
      const start = region.start[i]!;
      const extent = region.extent[i]!;
      if (axis !== 'whole') return isOne(extent) && equalExprs(start, axis);
      const whole = shape?.[i];
      return whole !== undefined && isZero(start) && equalExprs(extent, whole);
    });
  });
}

/** The regions of these accesses. An access whose whole axis is unknown (no such buffer or axis in `shapes`) is left out. */
export function regionsOf(accesses: readonly Access[], shapes: ReadonlyMap<string, readonly Expr[]>, exprs: ExprBuilder): BufferRegion[] {
  const zero = exprs.make('const', 'i64', [], 0);
  const one = exprs.make('const', 'i64', [], 1);
  return accesses.flatMap(({ buffer, axes }) => {
    const shape = shapes.get(buffer);
    if (axes.some((axis, i) => axis === 'whole' && shape?.[i] === undefined)) return [];
    return [{
      buffer,
      start: axes.map((axis) => (axis === 'whole' ? zero : axis)),
      extent: axes.map((axis, i) => (axis === 'whole' ? shape![i]! : one)),
    }];
  });
}

/** The regions that a block with these statements reads and writes; `buffers` are those in scope around it. */
export function blockRegions(init: Stmt | null, body: Stmt, buffers: Iterable<Buffer>, exprs: ExprBuilder): { readonly reads: BufferRegion[]; readonly writes: BufferRegion[] } {
  const shapes = new Map<string, readonly Expr[]>();
  for (const buffer of buffers) shapes.set(buffer.name, buffer.shape);
  const { reads, writes } = accessedRegions(init, body);
  return { reads: regionsOf(reads, shapes, exprs), writes: regionsOf(writes, shapes, exprs) };
}
