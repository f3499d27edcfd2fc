import type { AttrValue, Expr, ExprBuilder, InferCall } from '@tenon/plugin';
import { normalizeAxes } from '../common/axes.ts';

const isExpr = (a: AttrValue): a is Expr => typeof a === 'object' && a !== null && 'tag' in a;

/** Axes as numbers; null where some are dims that are not constant. `null` means all. */
export function staticAxes(e: ExprBuilder, axes: AttrValue): readonly number[] | 'all' | null {
  if (axes === null) return 'all';
  const values = (axes as readonly AttrValue[]).map((a) => (isExpr(a) ? e.valueOf(a) : (a as number)));
  return values.every((v) => v !== null) ? values : null;
}

/**
 * For every axis of a shape, whether a reduction runs over it: a constant condition, or one on the dims that say at run
 * time which axes are meant.
 */
export function reducedAxes(e: ExprBuilder, axes: AttrValue, rank: number): readonly Expr[] {
  const known = staticAxes(e, axes);
  const all = Array.from({ length: rank }, (_, axis) => axis);
  if (known === 'all') return all.map(() => e.constant(true, 'bool'));
  if (known !== null) {
    const normal = new Set(known.map((a) => (a < 0 ? a + rank : a)));
    return all.map((axis) => e.constant(normal.has(axis), 'bool'));
  }
  return all.map((axis) => {
    let reduced = e.constant(false, 'bool');
    for (const a of axes as readonly (Expr | number)[]) reduced = e.or(reduced, e.eq(e.mod(a, rank), axis));
    return reduced;
  });
}

/** Checks `axes` and `keepdims` of a reduction of argument 0; the result's shape. */
export function reducedShape(call: InferCall): Expr[] {
  const { exprs, attrs } = call;
  const { shape } = call.tensor(0);
  const { axes = null, keepdims = true } = attrs;
  if (axes !== null && !Array.isArray(axes)) call.fail('axis', 'axes must be a list of integers');
  const known = staticAxes(exprs, axes);
  if (known !== null && known !== 'all') normalizeAxes(call, known, shape.length);
  if (known === null && !keepdims) {
    call.fail('axis', 'axes that are known only at run time need keepdims, since they would change which axes the result has', 'Keep the dims and reshape the result.');
  }
  const reduced = reducedAxes(exprs, axes, shape.length);
  if (keepdims) return shape.map((d, axis) => exprs.select(reduced[axis]!, exprs.int(1), d));
  return shape.filter((_, axis) => exprs.valueOf(reduced[axis]!) === 0);
}

/** A reduction as a tensor-level definition sees it. */
export interface Domain {
  /** Extents of the reduction. */
  readonly extents: readonly Expr[];
  /** Where the input is read for an index of the result and of the domain. */
  readonly index: (i: readonly Expr[], r: readonly Expr[]) => Expr[];
}

export function reductionDomain(e: ExprBuilder, shape: readonly Expr[], axes: AttrValue, keepdims: boolean): Domain {
  if (staticAxes(e, axes) === null) {
    // Either the result or the domain has extent 1 on an axis, so one of the two indices is 0.
    const reduced = reducedAxes(e, axes, shape.length);
    return {
      extents: shape.map((d, axis) => e.select(reduced[axis]!, d, e.int(1))),
      index: (i, r) => shape.map((_, axis) => e.add(i[axis]!, r[axis]!)),
    };
  }
  const flags = reducedAxes(e, axes, shape.length).map((c) => e.valueOf(c) === 1);
  return {
    extents: shape.filter((_, axis) => flags[axis]),
    index: (i, r) => {
      let nextResult = 0;
      let nextDomain = 0;
      return flags.map((flag, axis) => {
        if (flag) return r[nextDomain++]!;
        return keepdims ? i[axis]! : i[nextResult++]!;
      });
    },
  };
}

/** For every element of a tensor, row-major, the position of the result it is reduced into. `axes` are numbers. */
export function reducedPositions(shape: readonly number[], axes: AttrValue): Int32Array {
  const rank = shape.length;
  const flags = new Set(axes === null ? shape.map((_, i) => i) : (axes as readonly number[]).map((a) => ((a % rank) + rank) % rank));
  const steps = Array.from({ length: rank }, () => 0);
  for (let axis = rank - 1, stride = 1; axis >= 0; axis--) {
    if (flags.has(axis)) continue;
    steps[axis] = stride;
    stride *= shape[axis]!;
  }
  const count = shape.reduce((n, d) => n * d, 1);
  const positions = new Int32Array(count);
  const index = Array.from({ length: rank }, () => 0);
  for (let i = 0, at = 0; i < count; i++) {
    positions[i] = at;
    for (let axis = rank - 1; axis >= 0; axis--) {
      at += steps[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= steps[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return positions;
}
