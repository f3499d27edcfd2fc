import type { Binding, Expr, GraphFunction, IRModule, Pattern, Placement, Rule, Value } from '@tenon/plugin';
import { checkConstraints, matchValue, producersOf, type ResolvedTarget, type Session } from '@tenon/core';
import { dimScope, usersOf } from '../graph.ts';

/**
 * A rule's hold on the operators of one match, which stay together: all of them carry the same object. Guards must be
 * true at run time for the region that they join.
 */
export interface Claim {
  readonly target: string;
  readonly rule: string;
  readonly guards: readonly Expr[];
  /** The bindings that the match covers, the root first. */
  readonly bindings: readonly Binding[];
}
export type Rejection = Placement['rejected'][number];

export interface Claims {
  readonly labels: ReadonlyMap<Binding, Claim>;
  readonly rejected: ReadonlyMap<Binding, readonly Rejection[]>;
}

/** How many operators a pattern covers: larger patterns are offered first. */
function patternSize(p: Pattern): number {
  switch (p.kind) {
    case 'op': return 1 + (p.args ?? []).reduce((n, a) => n + patternSize(a), 0);
    case 'optional': return patternSize(p.op) + patternSize(p.input);
    default: return 0;
  }
}

/**
 * Offers every operator of a function to the targets in order of preference. The first rule that takes an operator
 * labels it; larger patterns come before smaller, and a named operator before `*`.
 */
export function claimGreedily(fn: GraphFunction, module: IRModule, session: Session, targets: readonly ResolvedTarget[]): Claims {
  const labels = new Map<Binding, Claim>();
  const rejected = new Map<Binding, Rejection[]>();
  const producers = producersOf(fn);
  const producer = (v: Value): Binding | undefined => producers.get(v);
  const scope = dimScope(module);
  const host = targets.at(-1)!.name;
  const convex = new Convexity(fn, labels);
  for (const target of targets) {
    const rules = rulesOf(session, target.name);
    for (const rule of rules) {
      for (let i = fn.bindings.length - 1; i >= 0; i--) {
        const binding = fn.bindings[i]!;
        if (binding.kind !== 'op' || labels.has(binding)) continue;
        offer(rule, binding, target.name, target.name !== host);
      }
    }
    for (const binding of fn.bindings) {
      if (binding.kind !== 'op' || labels.has(binding)) continue;
      const reasons = reasonsFor(binding);
      if (reasons.some((r) => r.target === target.name)) continue;
      reasons.push({ target: target.name, rule: null, code: 'partition/no-rule', message: `${target.name} has no rule for ${binding.callee}`, hint: null });
    }
  }
  return { labels, rejected };

  function reasonsFor(binding: Binding): Rejection[] {
    let reasons = rejected.get(binding);
    if (reasons === undefined) {
      reasons = [];
      rejected.set(binding, reasons);
    }
    return reasons;
  }

  function offer(rule: Rule, binding: Binding, target: string, guards: boolean): void {
    const root = binding.results[0];
    if (root === undefined || rule.pattern.kind !== 'op') return;
    if (!rule.pattern.ops.includes('*') && !rule.pattern.ops.includes(binding.callee)) return;
    const refuse = (code: string, message: string, hint: string | null): void => {
      reasonsFor(binding).push({ target, rule: rule.id, code, message, hint });
    };
    const match = matchValue(rule.pattern, root, producer, module.constants, session);
    if (match === null) return refuse('partition/pattern', `the operators around ${binding.callee} do not match the rule's pattern`, null);
    const taken = match.bindings.find((b) => labels.has(b));
    if (taken !== undefined) return refuse('partition/taken', `${taken.callee}, which the pattern covers, is already placed on ${labels.get(taken)!.target}`, null);
    const fixed = checkConstraints(rule.require, match, scope, session, guards);
    if (!fixed.ok) return refuse(fixed.code, fixed.message, fixed.hint);
    const verdict = rule.check?.(match, session) ?? { ok: true as const, guards: [] };
    if (!verdict.ok) return refuse(verdict.code, verdict.message, verdict.hint);
    const conditions = [...fixed.guards, ...verdict.guards];
    if (conditions.length > 0 && !guards) return refuse('partition/guard', 'the host must take an operator without conditions', null);
    const claim: Claim = { target, rule: rule.id, guards: conditions, bindings: match.bindings };
    if (!convex.admits(claim)) return refuse('partition/not-convex', 'another operator works on a result inside the pattern and feeds it again', null);
    for (const b of match.bindings) labels.set(b, claim);
  }
}

function rulesOf(session: Session, target: string): readonly Rule[] {
  const generic = (r: Rule): number => (r.pattern.kind === 'op' && r.pattern.ops.includes('*') ? 1 : 0);
  return session.registry.rules
    .filter((r) => r.target === target)
    .sort((a, b) => generic(a) - generic(b) || patternSize(b.pattern) - patternSize(a.pattern) || (a.id < b.id ? -1 : 1));
}


/**
 * Whether matches can stay together: no path of the data flow may leave one and come back to it, neither directly nor
 * through other matches.
 */
class Convexity {
  readonly #users: ReadonlyMap<Value, readonly Binding[]>;
  readonly #labels: ReadonlyMap<Binding, Claim>;
  /** A match whose inner results are used outside exists: only then can a path come back. */
  #leaks = false;

  constructor(fn: GraphFunction, labels: ReadonlyMap<Binding, Claim>) {
    this.#users = usersOf(fn);
    this.#labels = labels;
  }

  admits(claim: Claim): boolean {
    // A path from a single operator back to itself would lead through matches that were not admitted.
    if (claim.bindings.length === 1) return true;
    const members = new Set(claim.bindings);
    const outside = (b: Binding): Binding[] => b.results.flatMap((r) => this.#users.get(r) ?? []).filter((user) => !members.has(user));
    const leaks = claim.bindings.slice(1).some((b) => outside(b).length > 0);
    if (!leaks && !this.#leaks) return true;
    const pending = claim.bindings.flatMap(outside);
    const seen = new Set<Binding>();
    while (pending.length > 0) {
      const binding = pending.pop()!;
      if (members.has(binding)) return false;
      if (seen.has(binding)) continue;
      seen.add(binding);
      // Whoever enters a match may leave it anywhere.
      for (const b of this.#labels.get(binding)?.bindings ?? [binding]) {
        seen.add(b);
        for (const r of b.results) pending.push(...(this.#users.get(r) ?? []).filter((user) => !seen.has(user)));
      }
    }
    if (leaks) this.#leaks = true;
    return true;
  }
}
