import type { Attrs, AttrValue, Expr, ExprBuilder, Scope } from '@tenon/plugin';
import { dimOf, dimsOf } from '../shape/attributes.ts';

/** An exact ratio [numerator, denominator]; the denominator is positive. */
export type Ratio<Size> = readonly [Size, Size];

export const coordinateModes = [
  'half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'tf_crop_and_resize',
] as const;
export type CoordinateMode = (typeof coordinateModes)[number];

export const roundings = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;
export type Rounding = (typeof roundings)[number];

/** One resized axis: sizes before and after. `ratio` is the scale of coordinates; after / before where none is given. */
export interface ResizedAxis<Size> {
  readonly axis: number;
  readonly before: Size;
  readonly after: Size;
  readonly ratio: Ratio<Size>;
  /** The part of the axis that is resized, as fractions of its length − 1; only for `tf_crop_and_resize`. */
  readonly region: readonly [start: Ratio<number>, end: Ratio<number>] | null;
  /** Every output position is the same input position. */
  readonly identity: boolean;
}

export const modeOf = (attrs: Attrs): CoordinateMode => attrs['coordinates'] as CoordinateMode;

/** The resized axes of a call that inference accepted. `dim` makes a size from an attribute. */
export function resizedAxes<Size>(
  attrs: Attrs, shape: readonly Size[], sizes: readonly Size[], dim: (value: AttrValue) => Size,
): ResizedAxis<Size>[] {
  const axes = attrs['axes'] as readonly number[];
  const scales = attrs['scales'] as readonly (Ratio<AttrValue> | null)[] | null;
  const regions = attrs['region'] as readonly (readonly [Ratio<number>, Ratio<number>])[] | null;
  return axes.map((given, i) => {
    const axis = given < 0 ? given + shape.length : given;
    const before = shape[axis]!;
    const after = sizes[i]!;
    const scale = scales?.[i] ?? null;
    const ratio: Ratio<Size> = scale === null ? [after, before] : [dim(scale[0]), dim(scale[1])];
    const identity = modeOf(attrs) !== 'tf_crop_and_resize' && before === after && (scale === null || scale[0] === scale[1]);
    return { axis, before, after, ratio, region: regions?.[i] ?? null, identity };
  });
}

/** {@link resizedAxes} in dims; ratios of sizes that divide each other are numbers. */
export function symbolicAxes(exprs: ExprBuilder, attrs: Attrs, shape: readonly Expr[]): ResizedAxis<Expr>[] {
  const whole = (a: Expr, b: Expr): Expr | null => {
    const quotient = exprs.floordiv(a, b);
    return exprs.valueOf(quotient) !== null && exprs.mul(quotient, b) === a ? quotient : null;
  };
  return resizedAxes(attrs, shape, dimsOf(exprs, attrs['sizes']!), (v) => dimOf(exprs, v)).map((a) => {
    const [p, q] = a.ratio;
    const up = whole(p, q);
    const down = up === null ? whole(q, p) : null;
    const ratio: Ratio<Expr> = up !== null ? [up, exprs.int(1)] : down !== null ? [exprs.int(1), down] : a.ratio;
    return { ...a, ratio };
  });
}

/** The input coordinate of output position x, an exact ratio. */
export function coordinate(exprs: ExprBuilder, mode: CoordinateMode, a: ResizedAxis<Expr>, x: Expr): Ratio<Expr> {
  const { add, sub, mul } = bound(exprs);
  const [p, q] = a.ratio;
  const one = exprs.int(1);
  const half = sub(mul(add(mul(x, 2), one), q), p);
  switch (mode) {
    case 'half_pixel': return [half, mul(p, 2)];
    case 'half_pixel_symmetric': return [add(sub(mul(a.before, p), mul(a.after, q)), half), mul(p, 2)];
    case 'pytorch_half_pixel': return [exprs.select(exprs.gt(a.after, 1), half, 0), mul(p, 2)];
    case 'asymmetric': return [mul(x, q), p];
    case 'align_corners': return [mul(x, sub(a.before, one)), atLeastOne(exprs, sub(a.after, one))];
    case 'tf_crop_and_resize': {
      const [[startN, startD], [endN, endD]] = a.region!;
      const start = startN * endD;
      const end = endN * startD;
      const denominator = startD * endD;
      const last = sub(a.before, one);
      const steps = sub(a.after, one);
      const many = exprs.gt(a.after, 1);
      return [
        exprs.select(many, mul(last, add(mul(steps, start), mul(x, end - start))), mul(last, start + end)),
        exprs.select(many, mul(steps, denominator), exprs.int(2 * denominator)),
      ];
    }
  }
}

function bound(exprs: ExprBuilder) {
  return {
    add: exprs.add.bind(exprs) as ExprBuilder['add'],
    sub: exprs.sub.bind(exprs) as ExprBuilder['sub'],
    mul: exprs.mul.bind(exprs) as ExprBuilder['mul'],
  };
}

function atLeastOne(exprs: ExprBuilder, e: Expr): Expr {
  const value = exprs.valueOf(e);
  return value === null ? exprs.max(e, 1) : exprs.int(Math.max(value, 1));
}

/** {@link coordinate} in numbers. */
export function concreteCoordinate(mode: CoordinateMode, a: ResizedAxis<number>, x: number): Ratio<number> {
  const [p, q] = a.ratio;
  const half = (2 * x + 1) * q - p;
  switch (mode) {
    case 'half_pixel': return [half, 2 * p];
    case 'half_pixel_symmetric': return [a.before * p - a.after * q + half, 2 * p];
    case 'pytorch_half_pixel': return a.after > 1 ? [half, 2 * p] : [0, 1];
    case 'asymmetric': return [x * q, p];
    case 'align_corners': return [x * (a.before - 1), Math.max(a.after - 1, 1)];
    case 'tf_crop_and_resize': {
      const [[startN, startD], [endN, endD]] = a.region!;
      const start = startN * endD;
      const end = endN * startD;
      const last = a.before - 1;
      if (a.after <= 1) return [last * (start + end), 2 * startD * endD];
      return [last * (start * (a.after - 1) + x * (end - start)), startD * endD * (a.after - 1)];
    }
  }
}

/** A quotient of integers rounded down, exactly. */
export function floorRatio([n, d]: Ratio<number>): number {
  const rest = n % d;
  return (n - rest) / d - (rest < 0 ? 1 : 0);
}

/** The nearest input position, before it is kept inside the input. */
export function roundRatio(rounding: Rounding, [n, d]: Ratio<number>): number {
  switch (rounding) {
    case 'floor': return floorRatio([n, d]);
    case 'ceil': return -floorRatio([-n, d]);
    case 'round_prefer_floor': return -floorRatio([d - 2 * n, 2 * d]);
    case 'round_prefer_ceil': return floorRatio([2 * n + d, 2 * d]);
  }
}

/** The nearest input position to output position x of a resized axis. Integer scales give plain divisions. */
export function nearestIndex(exprs: ExprBuilder, mode: CoordinateMode, rounding: Rounding, a: ResizedAxis<Expr>, x: Expr): Expr {
  if (a.identity) return x;
  const [n, d] = coordinate(exprs, mode, a, x);
  const twice = exprs.mul(n, 2);
  let index: Expr;
  switch (rounding) {
    case 'floor': index = exprs.floordiv(n, d); break;
    case 'ceil': index = exprs.ceildiv(n, d); break;
    case 'round_prefer_floor': index = exprs.ceildiv(exprs.sub(twice, d), exprs.mul(d, 2)); break;
    case 'round_prefer_ceil': index = exprs.floordiv(exprs.add(twice, d), exprs.mul(d, 2)); break;
  }
  return clampIndex(exprs, index, a, x);
}

/** Keeps an index inside the input; without a clamp where it provably is. */
function clampIndex(exprs: ExprBuilder, index: Expr, a: ResizedAxis<Expr>, x: Expr): Expr {
  const last = exprs.sub(a.before, 1);
  const scope: Scope = typeof x.value === 'string' ? new Map([[x.value, { min: 0, max: exprs.sub(a.after, 1) }]]) : new Map();
  const proved = (condition: Expr): boolean => exprs.prove(condition, scope) === 'yes';
  // ⌊n / d⌋ ≤ m where n ≤ m·d + d − 1; the division itself hides x from the proof.
  const [n, d] = index.op === 'floordiv' ? (index.args as readonly [Expr, Expr]) : [null, null];
  const divisor = d && exprs.valueOf(d);
  const divides = n !== null && divisor !== null && divisor > 0;
  const low = proved(exprs.ge(index, 0)) || (divides && proved(exprs.ge(n, 0)));
  const high = proved(exprs.le(index, last))
    || (divides && proved(exprs.le(n, exprs.add(exprs.mul(last, divisor), divisor - 1))));
  const raised = low ? index : exprs.max(index, 0);
  return high ? raised : exprs.min(raised, last);
}
