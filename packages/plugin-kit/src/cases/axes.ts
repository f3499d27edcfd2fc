/** Which axes of an instance's leaves can change, and which change together. */
import type { Session } from '@tenon/core';
import { typesOf, type Instance } from './instance.ts';

/** Axes that must have one size. */
export interface AxisClass {
  readonly axes: readonly (readonly [leaf: number, axis: number])[];
  readonly size: number;
}

/** Sets the sizes of classes; the other axes stay. */
export function resize(instance: Instance, classes: readonly AxisClass[], sizes: readonly number[]): Instance {
  const leaves = instance.leaves.map((leaf, i) => {
    const shape = [...leaf.shape];
    classes.forEach((c, n) => {
      for (const [l, axis] of c.axes) if (l === i) shape[axis] = sizes[n]!;
    });
    const same = shape.every((d, axis) => d === leaf.shape[axis]);
    if (same) return leaf;
    const constant = leaf.values !== null && leaf.values.every((v) => v === leaf.values![0]);
    const values = constant ? Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => leaf.values![0]!) : null;
    return { ...leaf, shape, values };
  });
  return { ...instance, leaves };
}

/** Found by trying: sizes are changed one at a time and together, and inference says what is allowed. */
export function axisClasses(instance: Instance, session: Session): readonly AxisClass[] {
  const bySize = new Map<number, [number, number][]>();
  instance.leaves.forEach((leaf, i) => leaf.shape.forEach((d, axis) => {
    if (leaf.values === null || !leaf.constant) bySize.set(d, [...(bySize.get(d) ?? []), [i, axis]]);
  }));
  const classes: AxisClass[] = [];
  for (const [size, axes] of bySize) {
    const changes = (group: readonly (readonly [number, number])[]): boolean =>
      [size + 1, size * 2, size + 4].some((next) => next !== size && typesOf(resize(instance, [{ axes: group, size }], [next]), session) !== null);
    const alone = axes.filter((a) => changes([a]));
    const rest = axes.filter((a) => !alone.includes(a));
    for (const a of alone) classes.push({ axes: [a], size });
    if (size === 1 || rest.length === 0) continue;
    if (changes(rest)) classes.push(...split(rest, changes).map((group) => ({ axes: group, size })));
    else classes.push(...pairs(rest, changes).map((group) => ({ axes: group, size })));
  }
  return classes;
}

type Axes = readonly (readonly [number, number])[];

/** Axes that change together are often several groups of equal size by accident. */
function split(axes: Axes, changes: (group: Axes) => boolean): readonly Axes[] {
  const groups = pairs(axes, changes);
  return groups.length > 1 && groups.flat().length === axes.length ? groups : [axes];
}

function pairs(axes: Axes, changes: (group: Axes) => boolean): readonly Axes[] {
  const groups: Axes[] = [];
  let left = [...axes];
  while (left.length > 1) {
    const [first, ...others] = left;
    const partner = others.find((o) => changes([first!, o]));
    if (partner === undefined) left = others;
    else {
      groups.push([first!, partner]);
      left = others.filter((o) => o !== partner);
    }
  }
  return groups;
}
