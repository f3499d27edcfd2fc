import type { AttrValue, Expr, ExprBuilder, GraphFunction, Type } from '@tenon/plugin';

/** Every dim that a graph function mentions in types, attributes and scalars, by name. */
export function collectDims(fn: GraphFunction, exprs: ExprBuilder): readonly string[] {
  const names = new Set<string>();
  const expr = (e: Expr): void => exprs.variables(e).forEach((v) => names.add(v));
  const attr = (a: AttrValue): void => {
    if (a === null || typeof a !== 'object') return;
    if (Array.isArray(a)) a.forEach(attr);
    else if ((a as Expr).tag === 'expr') expr(a as Expr);
    else Object.values(a as { [name: string]: AttrValue }).forEach(attr);
  };
  const type = (t: Type): void => {
    // `contents` only says where dims come from.
    if (t.kind === 'tensor') t.shape.forEach(expr);
  };
  for (const p of fn.params) type(p.type);
  for (const b of fn.bindings) {
    b.results.forEach((r) => type(r.type));
    attr(b.attrs);
    b.scalars.forEach(expr);
  }
  return [...names].sort();
}
