import type { Binding, Expr, GraphFunction, IRModule, Match, Pattern, RejectedAlternative, Rule, Scope, Value, Verdict } from '@tenon/plugin';
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

/** A claim that a rule could make. */
export interface Offer extends Claim {
  readonly match: Match;
  readonly by: Rule;
}

/** Why a target does not take an operator, and what would have to change. */
export interface Refusal extends RejectedAlternative {
  readonly binding: Binding;
  /** What the rule matched. null: no rule of the target names the operator, or no pattern fits around it. */
  readonly match: Match | null;
  readonly by: Rule | null;
  /** Nothing else than this stands in the way. */
  readonly only: boolean;
}

export interface Offers {
  /** By target in order of preference, then by rule, then from the last operator to the first: as `greedy` takes them. */
  readonly offers: readonly Offer[];
  readonly refusals: ReadonlyMap<Binding, readonly Refusal[]>;
}

export interface Claims {
  readonly labels: ReadonlyMap<Binding, Offer>;
  readonly rejected: ReadonlyMap<Binding, readonly RejectedAlternative[]>;
}

/** How many operators a pattern covers: larger patterns are offered first. */
function patternSize(p: Pattern): number {
  switch (p.kind) {
    case 'op': return 1 + (p.args ?? []).reduce((n, a) => n + patternSize(a), 0);
    case 'optional': return patternSize(p.op) + patternSize(p.input);
    default: return 0;
  }
}

/** The rules of a target in the order in which they are tried: named operators before any, larger patterns first. */
function rulesOf(session: Session, target: string): readonly Rule[] {
  const generic = (r: Rule): number => (r.pattern.kind === 'op' && r.pattern.ops.includes('*') ? 1 : 0);
  return session.registry.rules
    .filter((r) => r.target === target)
    .sort((a, b) => generic(a) - generic(b) || patternSize(b.pattern) - patternSize(a.pattern) || (a.id < b.id ? -1 : 1));
}

/** Offers every operator of a function to every rule of every target. The host must take operators without conditions. */
export function collectOffers(fn: GraphFunction, module: IRModule, session: Session, targets: readonly ResolvedTarget[]): Offers {
  const offers: Offer[] = [];
  const refusals = new Map<Binding, Refusal[]>();
  const producers = producersOf(fn);
  const scope = dimScope(module);
  const convexity = new Convexity(fn);
  const host = targets.at(-1)!.name;
  const bindings = fn.bindings.filter((b) => b.kind === 'op' && b.results.length > 0).reverse();
  for (const { name: target } of targets) {
    const reasons = new Set<Binding>();
    const refuse = (binding: Binding, by: Rule | null, match: Match | null, only: boolean, code: string, message: string, hint: string | null): void => {
      const refusal = { target, rule: by?.id ?? null, code, message, hint, binding, by, match, only };
      const list = refusals.get(binding);
      if (list === undefined) refusals.set(binding, [refusal]);
      else list.push(refusal);
      reasons.add(binding);
    };
    const offered = new Set<Binding>();
    for (const rule of rulesOf(session, target)) {
      const { pattern } = rule;
      if (pattern.kind !== 'op') continue;
      for (const binding of bindings) {
        if (!pattern.ops.includes('*') && !pattern.ops.includes(binding.callee)) continue;
        const match = matchValue(pattern, binding.results[0]!, (v) => producers.get(v), module.constants, session);
        if (match === null) {
          refuse(binding, rule, null, true, 'partition/pattern', `the operators around ${binding.callee} do not match the rule's pattern`, null);
          continue;
        }
        // A pattern may meet one operator twice.
        const members = [...new Set(match.bindings)];
        const verdict = checkRule(rule, match, scope, session, target !== host);
        if (!verdict.ok) refuse(binding, rule, match, verdict.only, verdict.code, verdict.message, verdict.hint);
        else if (!convexity.admits(members)) {
          refuse(binding, rule, match, false, 'partition/not-convex', 'another operator works on a result inside the pattern and feeds it again', null);
        } else {
          offers.push({ target, rule: rule.id, guards: verdict.guards, bindings: members, match, by: rule });
          offered.add(binding);
        }
      }
    }
    for (const binding of fn.bindings) {
      if (binding.kind === 'op' && !offered.has(binding) && !reasons.has(binding)) {
        refuse(binding, null, null, true, 'partition/no-rule', `${target} has no rule for ${binding.callee}`, null);
      }
    }
  }
  return { offers, refusals };
}

/** A rule's verdict on a match; of a refusal also whether nothing else stands in the way. */
function checkRule(rule: Rule, match: Match, scope: Scope, session: Session, guards: boolean): (Verdict & { ok: true }) | (Verdict & { ok: false } & { readonly only: boolean }) {
  const conditions: Expr[] = [];
  let refused: (Verdict & { ok: false }) | null = null;
  for (const constraint of rule.require) {
    const verdict = checkConstraints([constraint], match, scope, session, guards);
    if (verdict.ok) conditions.push(...verdict.guards);
    else if (refused !== null) return { ...refused, only: false };
    else refused = verdict;
  }
  // A rule's own check may rely on its constraints.
  if (refused !== null) return { ...refused, only: true };
  const verdict = rule.check?.(match, session) ?? { ok: true as const, guards: [] };
  if (!verdict.ok) return { ...verdict, only: true };
  conditions.push(...verdict.guards);
  if (conditions.length > 0 && !guards) {
    return { ok: false, code: 'partition/guard', message: 'the host must take an operator without conditions', hint: null, only: true };
  }
  return { ok: true, guards: conditions };
}

/** The first offer that takes an operator labels it; the order of offers decides. */
export function claimGreedily(fn: GraphFunction, { offers, refusals }: Offers, targets: readonly ResolvedTarget[]): Claims {
  const labels = new Map<Binding, Offer>();
  const taken = new Map<Binding, RejectedAlternative[]>();
  const convexity = new Convexity(fn, labels);
  for (const offer of offers) {
    const root = offer.bindings[0]!;
    if (labels.has(root)) continue;
    const refuse = (code: string, message: string): void => {
      taken.set(root, [...(taken.get(root) ?? []), { target: offer.target, rule: offer.rule, code, message, hint: null }]);
    };
    const other = offer.bindings.find((b) => labels.has(b));
    if (other !== undefined) refuse('partition/taken', `${other.callee}, which the pattern covers, is already placed on ${labels.get(other)!.target}`);
    else if (!convexity.admits(offer.bindings)) refuse('partition/not-convex', 'another operator works on a result inside the pattern and feeds it again');
    else for (const b of offer.bindings) labels.set(b, offer);
  }
  // A target after the one that took the operator was never asked.
  const order = new Map(targets.map((t, i) => [t.name, i]));
  const rejected = new Map<Binding, readonly RejectedAlternative[]>();
  for (const binding of fn.bindings) {
    const claim = labels.get(binding);
    const until = claim === undefined ? Infinity : order.get(claim.target)!;
    const reasons: RejectedAlternative[] = [...(refusals.get(binding) ?? []), ...(taken.get(binding) ?? [])]
      .filter((r) => order.get(r.target)! <= until)
      .map(plainReason);
    for (const { name } of targets) {
      if (order.get(name)! > until || claim?.target === name || reasons.some((r) => r.target === name)) continue;
      reasons.push({ target: name, rule: null, code: 'partition/no-rule', message: `${name} has no rule for ${binding.callee}`, hint: null });
    }
    rejected.set(binding, reasons.sort((a, b) => order.get(a.target)! - order.get(b.target)!));
  }
  return { labels, rejected };
}

/** A refusal without what only the compiler knows. */
export function plainReason({ target, rule, code, message, hint }: RejectedAlternative): RejectedAlternative {
  return { target, rule, code, message, hint };
}

/**
 * Whether matches can stay together: no path of the data flow may leave one and come back to it, neither directly nor
 * through other matches.
 */
class Convexity {
  readonly #users: ReadonlyMap<Value, readonly Binding[]>;
  readonly #labels: ReadonlyMap<Binding, Claim>;
  readonly #position: ReadonlyMap<Binding, number>;
  /** A match whose inner results are used outside exists: only then can a path come back. */
  #leaks = false;

  constructor(fn: GraphFunction, labels: ReadonlyMap<Binding, Claim> = new Map()) {
    this.#users = usersOf(fn);
    this.#labels = labels;
    this.#position = new Map(fn.bindings.map((b, i) => [b, i]));
  }

  admits(bindings: readonly Binding[]): boolean {
    // A path from a single operator back to itself would lead through matches that were not admitted.
    if (bindings.length === 1) return true;
    const members = new Set(bindings);
    const outside = (b: Binding): Binding[] => b.results.flatMap((r) => this.#users.get(r) ?? []).filter((user) => !members.has(user));
    const leaks = bindings.slice(1).some((b) => outside(b).length > 0);
    if (!leaks && !this.#leaks) return true;
    const pending = bindings.flatMap(outside);
    const seen = new Set<Binding>();
    // Without other matches no path leads backwards: what comes after the match cannot reach it.
    const last = this.#labels.size > 0 ? Infinity : Math.max(...bindings.map((b) => this.#position.get(b)!));
    while (pending.length > 0) {
      const binding = pending.pop()!;
      if (members.has(binding)) return false;
      if (seen.has(binding) || this.#position.get(binding)! > last) continue;
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
