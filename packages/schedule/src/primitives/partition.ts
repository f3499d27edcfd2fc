import type { Block, Expr, For, If, Stmt, VarFacts } from '@tenon/plugin';
import { expressionsOf, mapChildren, mapExpressions, seq, visitExprs, visitStmts } from '@tenon/core';
import { declaredVariables } from '../rename.ts';
import { refusePartition, requireSerial, simplifyBindings } from './loops.ts';
import { extreme } from './proofs.ts';
import { rangeOver, spansOf, refreshRegions } from './regions.ts';
import type { Outcome, State } from './state.ts';
import { allBlocks, conjunction, conjuncts, freshCopy, pathTo, replaceStmt, substituteStmt, topBlocks } from './tree.ts';

/**
 * loop_partition: a loop as several that follow one another, so that guards are decided in the middle one. Without
 * `cuts` they follow from the conditions under the loop. Gives the loops, those that are empty for sure left out.
 */
export function loopPartition(state: State, { loop: name, cuts }: { readonly loop: string; readonly cuts: readonly Expr[] | null }): Outcome {
  const { exprs } = state;
  const { loop, path } = state.loop(name);
  requireSerial(state, loop);
  refusePartition(state, loop);
  const above = path.slice(0, -1);
  const scope = state.scopeAt(above);
  const points = cuts ?? guardCuts(state, loop, above);
  if (points.length === 0) state.refuse('no-guard', `no condition under loop ${name} is decided in part of its range`);
  const all = [exprs.zero, ...points, loop.extent];
  for (let k = 1; k < all.length; k++) {
    if (!state.proves(exprs.le(all[k - 1]!, all[k]!), scope)) state.refuse('cuts', `cut ${k - 1} of loop ${name} is not known to lie before the next`);
  }
  const names: string[] = [];
  const parts: Stmt[] = [];
  const touched = new Set<string>();
  for (let k = 1; k < all.length; k++) {
    const start = all[k - 1]!;
    const extent = exprs.simplify(exprs.sub(all[k]!, start), scope);
    if (exprs.valueOf(extent) === 0) continue;
    const variable = state.names.unique(`${name}_p${names.length}`);
    const inside = names.length === 0 ? loop.body : freshCopy(exprs, loop.body, state.names);
    const part: For = { ...loop, variable, extent, body: substituteStmt(exprs, inside, new Map([[name, exprs.add(exprs.variable(variable), start)]])) };
    names.push(variable);
    const bound = simplifyBindings(state, above, part);
    const simple = simplifyBodies(state, above, bound);
    for (const b of allBlocks(simple)) touched.add(b.name);
    parts.push(simple);
  }
  const body = replaceStmt(state.fn.body, loop, seq(parts));
  return { fn: { ...state.fn, body: refreshRegions(state.with(body), body, touched) }, results: names };
}

/** Where conditions under a loop begin and cease to hold for all that runs inside: at most two cuts. */
function guardCuts(state: State, loop: For, above: readonly Stmt[]): Expr[] {
  const { exprs } = state;
  const scope = state.scopeAt(above);
  const i = exprs.variable(loop.variable);
  let low: Expr = exprs.zero;
  let high: Expr = loop.extent;
  for (const block of topBlocks(loop)) {
    const below = pathTo(loop, (s) => s === block)!;
    const facts = state.scopeAt([...above, ...below.slice(0, -1)]);
    const inner = spansOf(below.filter((s): s is For => s.kind === 'for' && s !== loop));
    const bindings = new Map(block.iters.map((iter) => [iter.name, iter.binding]));
    for (const condition of [...conjuncts(block.predicate), ...conditionsIn(block).map((c) => exprs.substitute(c, bindings))]) {
      if (condition.op !== 'lt' && condition.op !== 'le') continue;
      const [x, y] = condition.args as [Expr, Expr];
      if (x.dtype !== 'i64' || !exprs.variables(condition).includes(loop.variable) || exprs.variables(condition).some((v) => bindings.has(v))) continue;
      const slack = condition.op === 'lt' ? exprs.sub(exprs.sub(y, x), 1) : exprs.sub(y, x);
      const least = rangeOver(exprs, slack, exprs.one, inner, facts)?.start;
      if (least === undefined) continue;
      // least = s + a · i with a constant a
      const s = exprs.substitute(least, new Map([[loop.variable, exprs.zero]]));
      const a = exprs.valueOf(exprs.sub(exprs.substitute(least, new Map([[loop.variable, exprs.one]])), s));
      if (a === null || a === 0 || exprs.sub(least, exprs.mul(i, a)) !== s) continue;
      if (exprs.variables(s).some((v) => inner.some((span) => span.variable === v))) continue;
      if (a < 0) {
        const end = exprs.simplify(exprs.add(exprs.floordiv(s, -a), 1), scope);
        high = extreme(exprs, 'min', high, extreme(exprs, 'max', end, exprs.zero, scope), scope);
      } else {
        const begin = exprs.simplify(exprs.ceildiv(exprs.neg(s), a), scope);
        low = extreme(exprs, 'max', low, extreme(exprs, 'min', begin, loop.extent, scope), scope);
      }
    }
  }
  high = extreme(exprs, 'max', low, high, scope);
  return [low, high].filter((c, k, list) => c !== exprs.zero && c !== loop.extent && list.indexOf(c) === k);
}

/** Comparisons that decide a `select` or an `if` in a block, of nothing that the block declares inside. */
function conditionsIn(block: Block): Expr[] {
  const found = new Set<Expr>();
  visitStmts(block.body, (s) => {
    if (s.kind === 'if') for (const c of conjuncts(s.condition)) found.add(c);
    for (const e of expressionsOf(s)) visitExprs(e, (x) => void (x.op === 'select' && conjuncts(x.args[0]!).forEach((c) => found.add(c))));
  });
  const inside = new Set(declaredVariables(block.body));
  const fixed = (e: Expr): boolean => e.op !== 'load' && !(e.op === 'var' && inside.has(e.value as string)) && e.args.every(fixed);
  return [...found].filter(fixed);
}

/** Simplifies what blocks compute with the ranges that their iteration variables have under these loops. */
function simplifyBodies(state: State, above: readonly Stmt[], stmt: Stmt): Stmt {
  const { exprs } = state;
  const visit = (s: Stmt, path: readonly Stmt[]): Stmt => {
    if (s.kind !== 'block') return mapChildren(s, (x) => visit(x, [...path, s]));
    const facts = state.scopeAt(path);
    const loops = path.filter((x): x is For => x.kind === 'for');
    const scope = new Map<string, VarFacts>(facts);
    for (const iter of s.iters) {
      const range = rangeOver(exprs, iter.binding, exprs.one, spansOf(loops), facts);
      const max = range === null ? exprs.sub(iter.extent, 1) : exprs.sub(exprs.add(range.start, range.extent), 1);
      const tight = state.proves(exprs.lt(max, iter.extent), facts) ? max : exprs.sub(iter.extent, 1);
      scope.set(iter.name, { min: range !== null && state.proves(exprs.ge(range.start, 0), facts) ? range.start : 0, max: tight });
    }
    const simple = (x: Stmt): Stmt => mapExpressions(x, (e) => exprs.simplify(e, scope));
    return { ...s, init: s.init === null ? null : simple(s.init), body: simple(s.body) };
  };
  return visit(stmt, above);
}

/** hoist_guards: what all blocks under a loop are guarded by, and the loop does not change, is asked once around the loop. */
export function hoistGuards(state: State, { loop: name }: { readonly loop: string }): Outcome {
  const { exprs } = state;
  const { loop } = state.loop(name);
  const blocks = topBlocks(loop);
  const declared = new Set<string>();
  visitStmts(loop, (s) => void ((s.kind === 'for' || s.kind === 'let') && declared.add(s.variable)));
  const [first] = blocks;
  const common = conjuncts(first?.predicate ?? null).filter((c) =>
    !exprs.variables(c).some((v) => declared.has(v)) && blocks.every((b) => conjuncts(b.predicate).includes(c)));
  const loadsAny = (e: Expr): boolean => e.op === 'load' || e.args.some(loadsAny);
  const hoisted = common.filter((c) => !loadsAny(c));
  if (hoisted.length === 0) {
    const tied = conjuncts(first?.predicate ?? null)[0];
    state.refuse('no-guard', tied === undefined ? `blocks under loop ${name} have no predicate` : `the predicates under loop ${name} depend on it, or on loops inside it`);
  }
  const visit = (s: Stmt): Stmt => (s.kind === 'block' ? { ...s, predicate: conjunction(exprs, conjuncts(s.predicate).filter((c) => !hoisted.includes(c))) } : mapChildren(s, visit));
  const guard: If = { kind: 'if', condition: conjunction(exprs, hoisted)!, then: visit(loop), otherwise: null };
  return { fn: { ...state.fn, body: replaceStmt(state.fn.body, loop, guard) }, results: [] };
}
