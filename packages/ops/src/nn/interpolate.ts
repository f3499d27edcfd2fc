import type { Expr, ExprBuilder } from '@tenon/plugin';

/** One element that counts on an axis: its position, which is inside the axis, its weight, and whether it is there at all. */
export interface Tap {
  readonly position: Expr;
  /** null: 1. */
  readonly weight: Expr | null;
  /** null: always. An element that is not there counts as 0 and is not read. */
  readonly present: Expr | null;
}

/** `Σ Π weight · element` over all combinations of one tap per axis. */
export function interpolate(exprs: ExprBuilder, axes: readonly (readonly Tap[])[], dtype: string, load: (positions: readonly Expr[]) => Expr): Expr {
  const visit = (axis: number, positions: readonly Expr[], present: Expr): Expr => {
    if (axis === axes.length) return exprs.select(present, load(positions), exprs.constant(0, dtype));
    let sum: Expr | null = null;
    for (const tap of axes[axis]!) {
      const value = visit(axis + 1, [...positions, tap.position], tap.present === null ? present : exprs.and(present, tap.present));
      const term = tap.weight === null ? value : exprs.mul(value, exprs.cast(tap.weight, dtype));
      sum = sum === null ? term : exprs.add(sum, term);
    }
    return sum!;
  };
  return visit(0, [], exprs.constant(true, 'bool'));
}

/** A position that counts only where it is inside an axis of this size. */
export function zeroOutside(exprs: ExprBuilder, position: Expr, size: Expr): Pick<Tap, 'position' | 'present'> {
  return { position, present: exprs.and(exprs.ge(position, 0), exprs.lt(position, size)) };
}

/** The two taps of linear interpolation at a coordinate, with zeros outside the axis. */
export function linearTaps(exprs: ExprBuilder, coordinate: Expr, size: Expr): Tap[] {
  const floor = exprs.call('floor', [coordinate]);
  const fraction = exprs.sub(coordinate, floor);
  const first = exprs.cast(floor, 'i64');
  return [
    { ...zeroOutside(exprs, first, size), weight: exprs.sub(exprs.constant(1, coordinate.dtype), fraction) },
    { ...zeroOutside(exprs, exprs.add(first, 1), size), weight: fraction },
  ];
}

/** `Σ Π weight · element` in numbers; `at` gives the element at a position per axis, 0 where there is none. */
export function interpolateNumbers(axes: readonly (readonly { readonly position: number; readonly weight: number }[])[], at: (positions: readonly number[]) => number): number {
  const visit = (axis: number, positions: readonly number[]): number => {
    if (axis === axes.length) return at(positions);
    let sum = 0;
    for (const tap of axes[axis]!) sum += visit(axis + 1, [...positions, tap.position]) * tap.weight;
    return sum;
  };
  return visit(0, []);
}
