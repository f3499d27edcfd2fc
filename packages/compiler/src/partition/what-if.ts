import type { Binding, WhatIf } from '@tenon/plugin';
import type { Refusal } from './claim.ts';
import type { Decision } from './decide.ts';
import type { Figure } from './estimate.ts';
import { Evaluator } from './labelling/evaluate.ts';
import { layOut, type Candidate } from './labelling/problem.ts';
import { solveQuickly } from './labelling/solve.ts';

/** Changes that are estimated by placing the model again, and the nodes that this may touch in all. */
const mostChanges = 8;
const nodeBudget = 2e4;
const locsShown = 5;

/** One change of a target, with the operators that it would let in. */
interface Change {
  readonly kind: WhatIf['kind'];
  readonly refusal: Refusal;
  readonly nodes: Set<number>;
  readonly candidates: (Candidate & Figure)[];
}

/**
 * Which single change would gain most: an operator that a target has no rule for, or a constraint of a rule. The change
 * applies to all operators of the model that it concerns; where nothing else is known of them their time is a roofline
 * of the device. Of many changes, those with the largest quick bound are estimated by placing the model again.
 */
export function whatIfs(decision: Decision): readonly WhatIf[] {
  const { formulation, plan, total } = decision;
  const { problem } = formulation;
  const changes = changesOf(decision)
    .map((change) => ({ change, bound: boundOf(change, decision) }))
    .filter(({ bound }) => bound > 0)
    .sort((a, b) => b.bound - a.bound)
    .slice(0, Math.max(2, Math.min(mostChanges, Math.floor(nodeBudget / Math.max(1, problem.nodes)))));
  const found: WhatIf[] = [];
  for (const { change } of changes) {
    const layout = layOut({ ...problem, candidates: [...problem.candidates, ...change.candidates] });
    const moved = plan.labels.slice();
    for (const i of change.nodes) moved[i] = change.candidates[0]!.target;
    const better = solveQuickly(layout, new Evaluator(layout), [plan.labels, moved], change.candidates[0]!.target);
    if (better === null || better.overflow > plan.overflow || better.seconds >= plan.seconds * (1 - 1e-9)) continue;
    const { kind, refusal } = change;
    const gain = plan.seconds - better.seconds;
    const locs = [...change.nodes].sort((a, b) => a - b).map((i) => formulation.bindings[i]!).map(placeOf);
    found.push({
      kind, target: refusal.target, op: refusal.binding.callee, rule: refusal.rule, code: refusal.code, message: refusal.message,
      operators: change.nodes.size, locs: locs.slice(0, locsShown), seconds: Math.max(0, total - gain), gain,
    });
  }
  return found.sort((a, b) => b.gain - a.gain);
}

const placeOf = (b: Binding): string => b.loc ?? `%${b.results[0]?.name ?? '?'}`;

/** Refusals that stand alone in the way of an operator, by the change that would lift them. */
function changesOf({ formulation, offers }: Decision): Change[] {
  const { bindings, targets, costs, nodeOf, problem } = formulation;
  const host = targets.length - 1;
  const able = new Set(problem.candidates.flatMap(({ nodes, target }) => nodes.map((i) => i * targets.length + target)));
  const changes = new Map<string, Change>();
  const figure = (t: number, covered: readonly Binding[], { by, match }: Refusal): Figure => {
    try {
      return costs.figure(targets[t]!, covered, by, match);
    } catch {
      // The rule's formula may rely on the very constraint that is lifted here.
      return costs.figure(targets[t]!, covered, null, null);
    }
  };
  for (const binding of bindings) {
    for (const refusal of offers.refusals.get(binding) ?? []) {
      const t = targets.findIndex(({ name }) => name === refusal.target);
      if (t === host || !refusal.only) continue;
      const kind = refusal.match === null ? 'operator' : 'constraint';
      const covered = refusal.match === null ? [binding] : [...new Set(refusal.match.bindings)];
      const nodes = covered.map((b) => nodeOf.get(b)!).sort((a, b) => a - b);
      if (nodes.every((i) => able.has(i * targets.length + t))) continue;
      // What a constraint found differs from operator to operator; what it asks for does not.
      const asked = kind === 'operator' ? '' : refusal.code.startsWith('constraint/') ? refusal.message.replace(/;.*$/, '') : '';
      const key = [kind, refusal.target, binding.callee, kind === 'operator' ? '' : refusal.rule, kind === 'operator' ? '' : refusal.code, asked].join('\n');
      let change = changes.get(key);
      if (change === undefined) changes.set(key, (change = { kind, refusal, nodes: new Set(), candidates: [] }));
      if (kind === 'operator' && change.nodes.has(nodes[0]!)) continue;
      nodes.forEach((i) => change.nodes.add(i));
      change.candidates.push({ target: t, nodes, ...figure(t, covered, refusal) });
    }
  }
  return [...changes.values()];
}

/**
 * A quick upper estimate of a change's gain: what its operators take now and would take, the transfers of their values, and
 * two launches for each.
 */
function boundOf({ nodes, candidates }: Change, { evaluator, formulation, plan }: Decision): number {
  const { problem } = formulation;
  const all = [...nodes];
  const units = new Set(all.map((i) => plan.units[i]!));
  const now = [...units].reduce((sum, c) => sum + problem.candidates[c]!.seconds, 0);
  const then = candidates.reduce((sum, c) => sum + c.seconds, 0);
  const launch = Math.max(...problem.targets.map((t) => t.launch));
  // Of a model that is on the host as a whole, the rest may follow.
  const follow = plan.labels.every((t) => t === problem.targets.length - 1) ? plan.seconds : 0;
  return Math.max(0, now - then) + evaluator.transfersOf(all, plan.labels) + 2 * launch * nodes.size + follow * (nodes.size / problem.nodes);
}
