import type { Expr, Scope } from '@tenon/plugin';
import type { Conversion } from '../convert.ts';

/** What is known of the module's dims. */
export function scopeOf(c: Conversion): Scope {
  return new Map([...c.module.dims.values()].map((d) => [d.name, { min: d.min, max: d.max, multipleOf: d.multipleOf }]));
}

/**
 * The integer elements of input i as dims, simplified by what is known of the dims. Refused where they are computed
 * from data: a shape would depend on them.
 */
export function sizes(c: Conversion, i: number, what: string): readonly Expr[] {
  const contents = c.contents(i);
  if (contents === null) {
    c.input(i);
    c.unsupported('onnx/dynamic-shape', `${what} (input ${i}) is computed from data while the model runs`, 'only values that follow from constants, shapes and small integer inputs may decide a shape');
  }
  const scope = scopeOf(c);
  return contents.map((e) => c.exprs.simplify(e, scope));
}

/** A single integer input as a dim. */
export function size(c: Conversion, i: number, what: string): Expr {
  const all = sizes(c, i, what);
  return all.length === 1 ? all[0]! : c.unsupported('onnx/invalid-shape', `${what} (input ${i}) must have one element, not ${all.length}`);
}
