import type { AttrValue, InferCall } from '@tenon/plugin';

/** An axis counted from the front. Refuses one outside the rank. For `infer`, `cost` and `shapeValue`. */
export function normalizeAxis(call: InferCall, axis: AttrValue, rank: number): number {
  if (typeof axis !== 'number' || !Number.isInteger(axis) || axis < -rank || axis >= rank) {
    call.fail('axis', `axis ${String(axis)} is outside a tensor of rank ${rank}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Axes counted from the front, in the order given; null means all. Refuses axes outside the rank and repeated ones. */
export function normalizeAxes(call: InferCall, axes: AttrValue, rank: number): number[] {
  if (axes === null) return Array.from({ length: rank }, (_, i) => i);
  if (!Array.isArray(axes)) call.fail('axis', `axes must be a list of integers`);
  const normal = (axes as readonly AttrValue[]).map((a) => normalizeAxis(call, a, rank));
  if (new Set(normal).size !== normal.length) call.fail('axis', `an axis occurs twice in [${(axes as readonly AttrValue[]).join(', ')}]`);
  return normal;
}

/** An axis that inference has accepted, counted from the front. For `reference` and `define`. */
export const axisOf = (axis: AttrValue, rank: number): number => ((axis as number) < 0 ? (axis as number) + rank : (axis as number));

/** Axes that inference has accepted, counted from the front; null means all. For `reference` and `define`. */
export function axesOf(axes: AttrValue, rank: number): number[] {
  return axes === null ? Array.from({ length: rank }, (_, i) => i) : (axes as readonly number[]).map((a) => axisOf(a, rank));
}
