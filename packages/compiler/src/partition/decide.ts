import type { Binding, GraphFunction, IRModule, PartitionReport, PartitionStrategy } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import { claimGreedily, collectOffers, type Claim, type Claims, type Offers } from './claim.ts';
import { claimAll, decomposeBindings, Decompositions, roundLimit } from './claim-all.ts';
import { formulate, type Formulation } from './formulate.ts';
import { Evaluator, type Plan } from './labelling/evaluate.ts';
import { layOut } from './labelling/problem.ts';
import { solve } from './labelling/solve.ts';
import { unsupported } from './unsupported.ts';

/** Where every operator of a function goes, with what there was to choose from. */
export interface Decision extends Round, Choice {
  readonly labels: ReadonlyMap<Binding, Claim>;
  readonly totals: PartitionReport['totals'];
  /** Why targets were passed over, where the order of targets decided and not the cost. */
  readonly rejected: Claims['rejected'] | null;
}

/** A plan, by the strategy that found it. */
interface Choice {
  readonly chosen: PartitionStrategy;
  readonly plan: Plan;
  /** Seconds of the plan: measured as a whole, else estimated. */
  readonly total: number;
}

/** One state of the function: as it came, or with some operators decomposed. */
interface Round {
  readonly module: IRModule;
  readonly fn: GraphFunction;
  readonly offers: Offers;
  readonly formulation: Formulation;
  readonly evaluator: Evaluator;
}

/** Compares the plans of all strategies, by what they take as a whole where that was measured, else by one estimate, and keeps the cheapest. */
export function decideByCost(module: IRModule, name: string, session: Session, targets: readonly ResolvedTarget[]): Decision {
  const decompositions = new Decompositions(session, targets.at(-1)!);
  let current = module;
  let first: PartitionReport['totals'] | null = null;
  let whole: Decision | null = null;
  for (let round = 0; ; round++) {
    session.progress('partition');
    const fn = current.functions.get(name) as GraphFunction;
    const offers = collectOffers(fn, current, session, targets);
    const offered = new Set(offers.offers.flatMap((o) => o.bindings));
    const open = fn.bindings.filter((b) => !offered.has(b));
    if (open.length > 0) {
      // Nobody takes these as they are.
      const next = round < roundLimit ? decomposeBindings(current, name, session, open) : current;
      if (next === current) throw unsupported(open, offers.refusals);
      current = next;
      continue;
    }
    const state = prepare(current, fn, session, targets, offers, decompositions);
    const { evaluator } = state;
    const greedy = greedyPlan(state, targets);
    const host = evaluator.plan(new Int32Array(fn.bindings.length).fill(targets.length - 1));
    const cost = solve(evaluator.layout, evaluator, [greedy, host].flatMap((p) => (p === null ? [] : [p.labels])));
    const totals = { cost: totalOf(state, cost), greedy: totalOf(state, greedy), host: totalOf(state, host) };
    first ??= totals;
    // Equal plans: as the user prefers the targets, then the simpler one.
    const plans = { greedy, host, cost };
    let best: Choice | null = null;
    for (const chosen of ['greedy', 'host', 'cost'] as const) {
      const plan = plans[chosen];
      if (plan === null) continue;
      const choice = { chosen, plan, total: totals[chosen]! };
      if (best === null || isBetter(choice, best)) best = choice;
    }
    if (best === null) throw unsupported(fn.bindings.filter((_, i) => targets.every((_, t) => evaluator.layout.single[i * targets.length + t]! < 0)), offers.refusals);
    const { plan, total } = best;
    // Greedy takes what the accelerators offer for whole operators; after a decomposition there is no way back to that.
    if (greedy !== null && isWhole(state, greedy)) {
      const choice: Choice = { chosen: 'greedy', plan: greedy, total: totals.greedy! };
      if (whole === null || isBetter(choice, whole)) whole = decision(state, choice, totals);
    }
    const pieces = fn.bindings.filter((_, i) => state.formulation.offers[plan.units[i]!] === null);
    if (pieces.length > 0 && round < roundLimit) {
      current = decomposeBindings(current, name, session, pieces);
      continue;
    }
    if (whole !== null && isBetter(whole, best)) return { ...whole, totals: { ...first, cost: total } };
    if (first === totals) return decision(state, best, totals);
    // After decompositions by choice, the plans of the whole operators stand for greedy and host.
    const onHost = plan.labels.every((t) => t === targets.length - 1);
    return decision(state, { chosen: onHost ? 'host' : 'cost', plan, total }, { ...first, cost: total, ...(onHost ? { host: total } : {}) });
  }
}

/** The plan of `greedy` or `host`, with its estimate. */
export function decideByOrder(module: IRModule, name: string, session: Session, targets: readonly ResolvedTarget[], strategy: 'greedy' | 'host'): Decision {
  const offered = strategy === 'host' ? targets.slice(-1) : targets;
  const { module: lowered, claims, unclaimed } = claimAll(module, name, session, offered);
  if (unclaimed.length > 0) throw unsupported(unclaimed, claims.rejected);
  const fn = lowered.functions.get(name) as GraphFunction;
  const offers = collectOffers(fn, lowered, session, offered);
  const state = prepare(lowered, fn, session, targets, offers, new Decompositions(session, targets.at(-1)!));
  const plan = greedyPlan(state, offered)!;
  const host = state.evaluator.plan(new Int32Array(fn.bindings.length).fill(targets.length - 1));
  const total = totalOf(state, plan);
  const totals = { cost: null, greedy: strategy === 'greedy' ? total : null, host: totalOf(state, host) };
  return { ...decision(state, { chosen: strategy, plan, total }, totals), rejected: claims.rejected };
}

function prepare(module: IRModule, fn: GraphFunction, session: Session, targets: readonly ResolvedTarget[], offers: Offers, decompositions: Decompositions): Round {
  const formulation = formulate(fn, module, session, targets, offers, decompositions);
  return { module, fn, offers, formulation, evaluator: new Evaluator(layOut(formulation.problem)) };
}

/** What `greedy` would do, the host taking the pieces of what is left; null where that is not possible. */
function greedyPlan({ fn, offers, formulation, evaluator }: Round, targets: readonly ResolvedTarget[]): Plan | null {
  const { labels } = claimGreedily(fn, offers, targets);
  const { single, targets: k, host } = evaluator.layout;
  const units = new Int32Array(fn.bindings.length);
  for (const [i, binding] of fn.bindings.entries()) {
    const offer = labels.get(binding);
    const candidate = offer === undefined ? single[i * k + host]! : formulation.candidateOf.get(offer)!;
    if (candidate < 0) return null;
    units[i] = candidate;
  }
  const plan = evaluator.planOf(units);
  return Number.isFinite(plan.seconds) ? plan : null;
}

/** Fits the memory of targets better, or takes less time; equal but for rounding is not better. */
const isBetter = (a: Choice, b: Choice): boolean => a.plan.overflow < b.plan.overflow || (a.plan.overflow === b.plan.overflow && a.total < b.total * (1 - 1e-9));

const isWhole = ({ formulation }: Round, plan: Plan): boolean => plan.units.every((c) => formulation.offers[c] !== null);

function decision(state: Round, choice: Choice, totals: PartitionReport['totals']): Decision {
  const labels = new Map(state.fn.bindings.map((b, i) => [b, state.formulation.offers[choice.plan.units[i]!]!]));
  return { ...state, ...choice, labels, totals, rejected: null };
}

/** Seconds of a plan: measured as a whole, else estimated. */
function totalOf(state: Round, plan: Plan): number;
function totalOf(state: Round, plan: Plan | null): number | null;
function totalOf(state: Round, plan: Plan | null): number | null {
  const { costs, targets } = state.formulation;
  return plan === null ? null : (costs.measuredPlan(targets.at(-1)!.name, () => planKeyOf(state, plan)) ?? plan.seconds);
}

/** Under which a measurement of a whole plan is kept. */
export function planKeyOf({ fn, formulation: { costs, targets, offers } }: Round, { labels, units }: Plan): string {
  const first = new Map<number, number>();
  units.forEach((unit, i) => first.has(unit) || first.set(unit, i));
  return costs.planKeyOf(fn.bindings, (i) => ({ target: targets[labels[i]!]!.name, rule: offers[units[i]!]?.rule ?? 'decomposed', unit: first.get(units[i]!)! }));
}
