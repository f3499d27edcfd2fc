import type { Binding, Context, GraphBuilder, GraphFunction, IRModule, Match, OpPattern, Value } from '@tenon/plugin';
import { GraphFragment, ModuleUnderConstruction } from '../build/graph-builder.ts';
import { matchValue } from './match.ts';

/** `pattern → function`: where the pattern matches, the values that `apply` returns stand in for the root's results. */
export interface RewriteRule {
  readonly name: string;
  readonly pattern: OpPattern;
  /** Returns replacements of the root binding's results, or null where the rule does not apply after all. */
  readonly apply: (match: Match, b: GraphBuilder, ctx: Context) => readonly Value[] | null;
  readonly doc: string;
}

/** A binding may be rewritten this often before the rules are taken to chase each other. */
const rewriteLimit = 64;

/**
 * Applies rules to every graph function of a module until none matches. Rules are indexed by root operator; new
 * bindings are offered again. `only` leaves functions out. Functions without a match keep their identity.
 */
export function rewriteModule(module: IRModule, rules: readonly RewriteRule[], ctx: Context, only: (fn: GraphFunction) => boolean = () => true): IRModule {
  const byOp = new Map<string, RewriteRule[]>();
  const anyOp: RewriteRule[] = [];
  for (const rule of rules) {
    for (const op of rule.pattern.ops) {
      if (op === '*') anyOp.push(rule);
      else byOp.set(op, [...(byOp.get(op) ?? []), rule]);
    }
  }
  const rulesFor = (op: string): readonly RewriteRule[] => (anyOp.length === 0 ? (byOp.get(op) ?? []) : [...(byOp.get(op) ?? []), ...anyOp]);

  const builder = new ModuleUnderConstruction(ctx, module);
  let changed = false;
  for (const fn of module.functions.values()) {
    if (fn.kind !== 'graph' || !only(fn)) continue;
    const rewritten = rewriteFunction(fn, builder, rulesFor, ctx);
    if (rewritten !== fn) {
      builder.add(rewritten);
      changed = true;
    }
  }
  return changed ? builder.finish() : module;
}

function rewriteFunction(
  fn: GraphFunction, module: ModuleUnderConstruction, rulesFor: (op: string) => readonly RewriteRule[], ctx: Context,
): GraphFunction {
  const replaced = new Map<Value, Value>();
  const producers = new Map<Value, Binding>();
  const out: Binding[] = [];
  const names = takenNames(fn);
  let changed = false;

  const current = (v: Value): Value => {
    let value = v;
    for (let next = replaced.get(value); next !== undefined; next = replaced.get(value)) value = next;
    return value;
  };
  const emit = (binding: Binding, depth: number): void => {
    const resolved = resolveArgs(binding, current);
    for (const result of resolved.results) producers.set(result, resolved);
    if (resolved.kind === 'op') {
      const [root] = resolved.results;
      for (const rule of root === undefined ? [] : rulesFor(resolved.callee)) {
        const match = matchValue(rule.pattern, root!, (v) => producers.get(v), module.constants, ctx);
        if (match === null) continue;
        const fragment = new GraphFragment(module, names);
        fragment.loc = resolved.loc;
        const values = rule.apply(match, fragment, ctx);
        if (values === null) continue;
        if (depth >= rewriteLimit) {
          ctx.fail({ code: 'rewrite/cycle', message: `rewrite rules chase each other at ${resolved.callee}; last applied: ${rule.name}`, op: resolved.callee, loc: resolved.loc });
        }
        if (values.length !== resolved.results.length) {
          ctx.fail({ code: 'rewrite/results', message: `rule ${rule.name} returned ${values.length} values for the ${resolved.results.length} results of ${resolved.callee}` });
        }
        changed = true;
        for (const result of resolved.results) producers.delete(result);
        for (const made of fragment.bindings) emit(made, depth + 1);
        resolved.results.forEach((result, i) => {
          const value = current(values[i]!);
          if (value === result) ctx.fail({ code: 'rewrite/results', message: `rule ${rule.name} returned the very value of ${resolved.callee} that it replaces; null says that it does not apply` });
          replaced.set(result, value);
        });
        return;
      }
    }
    if (resolved !== binding) changed = true;
    out.push(resolved);
  };
  for (const binding of fn.bindings) emit(binding, 0);
  if (!changed) return fn;
  return { ...fn, bindings: out, results: fn.results.map(current) };
}

/** The binding with arguments replaced; identical where none is. */
export function resolveArgs(binding: Binding, current: (v: Value) => Value): Binding {
  let changed = false;
  const args = binding.args.map((arg) => {
    if (arg === null) return null;
    const value = current(arg);
    if (value !== arg) changed = true;
    return value;
  });
  return changed ? { ...binding, args } : binding;
}

/** Names of all values of a function. */
export function takenNames(fn: GraphFunction): Set<string> {
  const names = new Set(fn.params.map((p) => p.name));
  for (const binding of fn.bindings) for (const result of binding.results) names.add(result.name);
  return names;
}
