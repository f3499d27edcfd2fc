import type { Binding, Context, Expr, ExprBuilder, GraphFunction, TensorType, Value } from '@tenon/plugin';
import { usersOf } from '../graph.ts';
import type { Summary } from './access.ts';

/** A view that two groups could meet across. */
export interface Bridge {
  readonly view: Binding;
  readonly producer: Binding;
}

type SummaryOf = (b: Binding) => Summary | undefined;

/** A view without arguments besides what it views, which can be written as a tensor function. */
function isView(b: Binding, ctx: Context): boolean {
  return b.kind === 'op' && b.args.length === 1 && b.args[0] != null && !b.args[0].constant && b.results.length === 1
    && ctx.facet(b.callee, 'view') !== undefined && ctx.facet(b.callee, 'define') !== undefined;
}

const typeOf = (v: Value): TensorType => v.type as TensorType;

/**
 * Views between injective work and its only user, where indices stay sums of products: views that only add or drop axes of size one,
 * or split axes.
 */
export function bridgesOf(fn: GraphFunction, summaryOf: SummaryOf, ctx: Context): readonly Bridge[] {
  const users = usersOf(fn);
  const producers = producersOf(fn);
  return fn.bindings.flatMap((view) => {
    if (!isView(view, ctx)) return [];
    const [from, to] = [view.args[0]!, view.results[0]!];
    const producer = producers.get(from);
    const [user, ...more] = users.get(to) ?? [];
    const between = producer !== undefined && summaryOf(producer)?.kind === 'injective' && users.get(from)!.length === 1
      && user !== undefined && more.length === 0 && summaryOf(user) !== undefined && !fn.results.includes(to) && !fn.results.includes(from);
    if (!between || typeOf(from).dtype !== typeOf(to).dtype || !splits(ctx.exprs, typeOf(from).shape, typeOf(to).shape)) return [];
    return [{ view, producer: producer! }];
  });
}

/** Whether every axis of `from` is one of `to`, or several that follow each other; axes of size one do not count. */
function splits(exprs: ExprBuilder, from: readonly Expr[], to: readonly Expr[]): boolean {
  const [whole, parts] = [from, to].map((shape) => shape.filter((d) => exprs.valueOf(d) !== 1)) as [Expr[], Expr[]];
  let at = 0;
  return whole.every((d) => {
    let product: Expr = exprs.int(1);
    while (at < parts.length && product !== d) product = exprs.mul(product, parts[at++]!);
    return product === d;
  }) && at === parts.length;
}

function producersOf(fn: GraphFunction): ReadonlyMap<Value, Binding> {
  return new Map(fn.bindings.flatMap((b) => b.results.map((r) => [r, b] as const)));
}

/** A function in which some bindings are there once for each user. */
export interface Spread {
  readonly fn: GraphFunction;
  /** What each copy is a copy of. */
  readonly copies: ReadonlyMap<Binding, Binding>;
}

/**
 * Gives each user of moved data (a transposition, a slice, and views of it) a movement of its own, where the users together read no
 * element more than once: each may then read what was moved where it lay before, and nothing is moved. `kept` stay as they are.
 */
export function spreadMovements(fn: GraphFunction, summaryOf: SummaryOf, kept: ReadonlySet<Binding>, ctx: Context): Spread {
  const counts = readersOf(fn, summaryOf, kept, ctx);
  const copies = new Map<Binding, Binding>();
  if (![...counts.values()].some((n) => n > 1)) return { fn, copies };
  const waiting = new Map<Value, Value[]>();
  const take = (v: Value | null): Value | null => (v === null ? v : waiting.get(v)?.shift() ?? v);
  const bindings = fn.bindings.flatMap((binding) => {
    const count = counts.get(binding) ?? 1;
    return Array.from({ length: count }, (_, i): Binding => {
      const args = binding.args.map(take);
      if (count === 1) return args.every((a, k) => a === binding.args[k]) ? binding : { ...binding, args };
      const [result] = binding.results;
      const made: Value = i === 0 ? result! : { ...result!, name: `${result!.name}.${i}` };
      waiting.set(result!, [...waiting.get(result!) ?? [], made]);
      const copy: Binding = { ...binding, args, results: [made] };
      copies.set(copy, binding);
      return copy;
    });
  });
  return { fn: { ...fn, bindings }, copies };
}

/** How many readers each binding has that may be given one for each. */
function readersOf(fn: GraphFunction, summaryOf: SummaryOf, kept: ReadonlySet<Binding>, ctx: Context): ReadonlyMap<Binding, number> {
  const { exprs } = ctx;
  const users = usersOf(fn);
  const producers = producersOf(fn);
  const moves = (b: Binding | undefined): boolean => b !== undefined && (summaryOf(b)?.moves === true || (isView(b, ctx) && moves(producers.get(b.args[0]!))));
  const sum = (parts: readonly Expr[]): Expr => parts.reduce((a, b) => exprs.add(a, b), exprs.int(0));
  const elements = (v: Value): Expr => exprs.product(typeOf(v).shape);
  const counts = new Map<Binding, number>();
  /** Elements of a value that are read, through views and through copies. */
  const read = (v: Value): Expr => sum((users.get(v) ?? []).map((u) => (isView(u, ctx) || counts.has(u) ? read(u.results[0]!) : elements(u.results[0]!))));
  for (const binding of [...fn.bindings].reverse()) {
    const [result] = binding.results;
    const readers = result === undefined ? [] : users.get(result) ?? [];
    const count = readers.reduce((n, u) => n + (counts.get(u) ?? 1), 0);
    if (count < 2 || kept.has(binding) || fn.results.includes(result!) || !moves(binding) || !readers.every((u) => summaryOf(u)?.moves === true || isView(u, ctx))) continue;
    if (exprs.prove(exprs.le(read(result!), elements(result!))) === 'yes') counts.set(binding, count);
  }
  return counts;
}

/** The bindings whose copies did not come together with their users. */
export function apart({ fn, copies }: Spread, together: (a: Binding, b: Binding) => boolean): ReadonlySet<Binding> {
  const users = usersOf(fn);
  return new Set([...copies].flatMap(([copy, of]) => (together(copy, users.get(copy.results[0]!)![0]!) ? [] : [of])));
}
