import type { Binding, GraphFunction, Value } from '@tenon/plugin';

/**
 * The operators of a call, in order, as a graph function: one parameter for each argument that is no constant. Constants are
 * named inside, as the operators name them.
 */
export function sourceFunction(name: string, operators: readonly Binding[], args: readonly (Value | null)[], results: readonly Value[]): GraphFunction {
  const names = new Set(operators.flatMap((b) => [...b.args, ...b.results].map((v) => v?.name)));
  const params: Value[] = [];
  for (const arg of args) {
    if (arg === null || arg.constant) continue;
    if (!params.includes(arg)) {
      params.push(arg);
      continue;
    }
    // An argument that is passed twice: the operators know it by its first place.
    let again = `${arg.name}.again`;
    for (let n = 2; names.has(again); n++) again = `${arg.name}.again${n}`;
    names.add(again);
    params.push({ ...arg, name: again });
  }
  return { kind: 'graph', name, params, bindings: operators, results, resultNames: results.map((r) => r.name), attrs: {} };
}

/** The operators of a call whose function has them as its `source`, on the values of the call. */
export function inlineSource(call: Binding, source: GraphFunction): readonly Binding[] {
  const values = new Map<Value, Value>();
  const args = call.args.filter((a) => a !== null && !a.constant);
  source.params.forEach((param, i) => values.set(param, args[i]!));
  source.results.forEach((result, i) => values.set(result, call.results[i]!));
  const at = (v: Value): Value => values.get(v) ?? v;
  return source.bindings.map((b) => ({ ...b, args: b.args.map((a) => (a === null ? null : at(a))), results: b.results.map(at) }));
}
