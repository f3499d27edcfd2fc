import type { Attrs, AttrValue, Binding, ConstantDecl, DimDecl, Expr, GraphFunction, IRModule, SourceDecl, Type, Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';

/**
 * Puts the entry functions of several modules of one session side by side into one: parameter `x` of the third module
 * becomes `m2.x`, and so do results, dims and constants. Modules with further functions are not taken.
 */
export function mergeModules(modules: readonly IRModule[], session: Session): IRModule {
  const dims = new Map<string, DimDecl>();
  const sources = new Map<string, SourceDecl>();
  const constants = new Map<string, ConstantDecl>();
  const params: Value[] = [];
  const bindings: Binding[] = [];
  const results: Value[] = [];
  const resultNames: string[] = [];
  modules.forEach((module, part) => {
    const main = module.functions.get('main');
    if (main?.kind !== 'graph' || module.functions.size !== 1) throw new Error('only modules with one graph function can be merged');
    const prefix = `m${part}.`;
    const dimName = (name: string): string => `m${part}_${name}`;
    const substitution = new Map([...module.dims.keys()].map((name) => [name, session.exprs.variable(dimName(name))]));
    const expr = (e: Expr): Expr => session.exprs.substitute(e, substitution);
    const attr = (a: AttrValue): AttrValue => {
      if (a === null || typeof a !== 'object') return a;
      if (Array.isArray(a)) return a.map(attr);
      return (a as Expr).tag === 'expr' ? expr(a as Expr) : attrs(a as Attrs);
    };
    const attrs = (a: Attrs): Attrs => Object.fromEntries(Object.entries(a).map(([k, v]) => [k, attr(v)]));
    const type = <T extends Type>(t: T): T => (t.kind === 'tensor' ? { ...t, shape: t.shape.map(expr), annotations: attrs(t.annotations) } : t);
    const values = new Map<Value, Value>();
    const constantValues = new Map<string, Value>();
    const value = (v: Value): Value => {
      let mapped = v.constant ? constantValues.get(v.name) : values.get(v);
      if (mapped === undefined) {
        mapped = { name: prefix + v.name, type: type(v.type), constant: v.constant };
        if (v.constant) constantValues.set(v.name, mapped);
        else values.set(v, mapped);
      }
      return mapped;
    };
    for (const d of module.dims.values()) dims.set(dimName(d.name), { ...d, name: dimName(d.name) });
    // Sources are named by the session, which keeps them apart.
    for (const s of module.sources.values()) sources.set(s.name, s);
    for (const c of module.constants.values()) constants.set(prefix + c.name, { ...c, name: prefix + c.name, type: type(c.type) });
    params.push(...main.params.map(value));
    for (const b of main.bindings) {
      bindings.push({ ...b, args: b.args.map((a) => a && value(a)), scalars: b.scalars.map(expr), attrs: attrs(b.attrs), results: b.results.map(value) });
    }
    results.push(...main.results.map(value));
    resultNames.push(...main.resultNames.map((n) => prefix + n));
  });
  const main: GraphFunction = { kind: 'graph', name: 'main', params, bindings, results, resultNames, attrs: {} };
  return { dims, sources, constants, functions: new Map([['main', main]]) };
}
