import type { Binding, Context, Expr, GraphFunction, IRModule, PassContext, Scope, Value, VarFacts } from '@tenon/plugin';
import { contentsOfConstantOrParam } from '@tenon/core';

/** What a module declares of its dims, as facts for the prover. */
export function dimScope(module: IRModule): Scope {
  const scope = new Map<string, VarFacts>();
  for (const dim of module.dims.values()) scope.set(dim.name, { min: dim.min, max: dim.max, multipleOf: dim.multipleOf });
  return scope;
}

/** The bindings that use each value, and how often. */
export function usersOf(fn: GraphFunction): ReadonlyMap<Value, readonly Binding[]> {
  const users = new Map<Value, Binding[]>();
  for (const binding of fn.bindings) {
    for (const arg of binding.args) {
      if (arg === null || arg.constant) continue;
      const list = users.get(arg);
      if (list === undefined) users.set(arg, [binding]);
      else list.push(binding);
    }
  }
  return users;
}

/** Replaces functions of a module; the module itself where none differs. */
export function withFunctions(module: IRModule, functions: Iterable<GraphFunction>): IRModule {
  let changed = false;
  const all = new Map(module.functions);
  for (const fn of functions) {
    if (all.get(fn.name) === fn) continue;
    all.set(fn.name, fn);
    changed = true;
  }
  return changed ? { ...module, functions: all } : module;
}

export function* graphFunctions(module: IRModule): Generator<GraphFunction> {
  for (const fn of module.functions.values()) if (fn.kind === 'graph') yield fn;
}

/**
 * The functions that a pass which works on any operators may change. From `legalize` on these are the kernel regions of
 * the target at hand: what a target of the form `graph` claimed stays as its rules saw it.
 */
export function* openFunctions(module: IRModule, ctx: PassContext): Generator<GraphFunction> {
  for (const fn of graphFunctions(module)) {
    if (ctx.target === null || (ctx.target.form === 'kernels' && fn.attrs['target'] === ctx.target.name)) yield fn;
  }
}

/** Whether a binding may be merged, folded or dropped. */
export function isPure(binding: Binding, ctx: Context): boolean {
  return binding.kind === 'op' && binding.effects === null && ctx.facet(binding.callee, 'impure') === undefined;
}

/** Integer contents of the values of a function, as far as they are known as dims. Computed in order, on demand. */
export class Contents {
  readonly #known = new Map<Value, readonly Expr[] | null>();
  readonly #module: IRModule;
  readonly #ctx: Context;

  constructor(module: IRModule, ctx: Context) {
    this.#module = module;
    this.#ctx = ctx;
  }

  /** Takes in a binding; bindings must come in order. */
  visit(binding: Binding): void {
    if (binding.kind !== 'op' || this.#ctx.facet(binding.callee, 'shapeValue') === undefined) return;
    const known = (i: number): readonly Expr[] | null => {
      const arg = binding.args[i];
      return arg ? this.of(arg) : null;
    };
    const contents = this.#ctx.shapeValue(binding.callee, binding.args.map((a) => a?.type ?? null), binding.attrs, known);
    binding.results.forEach((result, i) => this.#known.set(result, contents[i] ?? null));
  }

  of(value: Value): readonly Expr[] | null {
    let known = this.#known.get(value);
    if (known === undefined) {
      known = contentsOfConstantOrParam(this.#ctx.exprs, value, this.#module.constants);
      this.#known.set(value, known);
    }
    return known;
  }
}

/** A name for a function that the module does not have yet. `next`: where counting goes on for each base, for many names of one base. */
export function freshName(taken: { has(name: string): boolean }, base: string, next: Map<string, number> = new Map()): string {
  const clean = base.replace(/[^A-Za-z0-9_]/g, '_');
  let name = clean;
  let n = next.get(clean) ?? 0;
  if (n > 0) name = `${clean}_${n}`;
  while (taken.has(name)) name = `${clean}_${++n}`;
  next.set(clean, n);
  return name;
}
