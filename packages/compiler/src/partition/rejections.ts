import type { Binding, RejectedAlternative } from '@tenon/plugin';
import { plainReason } from './claim.ts';
import type { Decision } from './decide.ts';

/** Alternatives are compared as whole plans where that visits no more nodes than this. */
const exactWork = 4e6;

/** Why no other target runs each operator: its refusals, or what it would cost there. */
export function rejectionsOf(decision: Decision): ReadonlyMap<Binding, readonly RejectedAlternative[]> {
  if (decision.rejected !== null) return decision.rejected;
  const { formulation, offers, plan } = decision;
  const { bindings, targets } = formulation;
  const compare = comparison(decision);
  return new Map(bindings.map((binding, node) => [binding, targets.flatMap(({ name }, t) => {
    if (plan.labels[node] === t) return [];
    const costs = compare(node, t);
    if (costs !== null) return [costs];
    const refused = (offers.refusals.get(binding) ?? []).filter((r) => r.target === name).map(plainReason);
    return refused.length > 0 ? refused : [{ target: name, rule: null, code: 'partition/no-rule', message: `${name} has no rule for ${binding.callee}`, hint: null }];
  })]));
}

/** Says what a node would cost on a target that offers to take it; null where none of its rules does. */
function comparison({ formulation, evaluator, plan }: Decision): (node: number, target: number) => RejectedAlternative | null {
  const { problem, targets, figures, offers, bindings } = formulation;
  const { candidates } = problem;
  const k = targets.length;
  const cheapest = new Map<number, number>();
  candidates.forEach(({ nodes, target, seconds }, c) => {
    for (const i of nodes) {
      const known = cheapest.get(i * k + target);
      if (known === undefined || seconds / nodes.length < candidates[known]!.seconds / candidates[known]!.nodes.length) cheapest.set(i * k + target, c);
    }
  });
  const exact = problem.nodes * problem.nodes * k <= exactWork;
  const labels = plan.labels.slice();
  // The nodes of a match have one answer.
  const differences = new Map<number, number | null>();
  const difference = (c: number): number | null => {
    const { nodes, target } = candidates[c]!;
    if (!exact) {
      const units = new Set(nodes.map((i) => plan.units[i]!));
      const now = [...units].reduce((sum, u) => sum + candidates[u]!.seconds, 0) + evaluator.transfersOf(nodes, labels);
      nodes.forEach((i) => (labels[i] = target));
      const then = candidates[c]!.seconds + evaluator.transfersOf(nodes, labels);
      nodes.forEach((i) => (labels[i] = plan.labels[i]!));
      return then - now;
    }
    nodes.forEach((i) => (labels[i] = target));
    const seconds = evaluator.evaluate(labels);
    nodes.forEach((i) => (labels[i] = plan.labels[i]!));
    return Number.isFinite(seconds) ? seconds - plan.seconds : null;
  };
  /** What the units take that nodes are in now. */
  const now = (nodes: readonly number[]): string => {
    const units = [...new Set(nodes.map((i) => plan.units[i]!))];
    const on = Map.groupBy(units, (u) => candidates[u]!.target);
    return [...on].map(([t, mine]) => {
      const covered = mine.reduce((sum, u) => sum + candidates[u]!.nodes.length, 0);
      const source = (['roofline', 'rule', 'measured'] as const).find((s) => mine.some((u) => figures[u]!.source === s))!;
      return describe(null, covered > nodes.length ? covered : 1, mine.reduce((sum, u) => sum + candidates[u]!.seconds, 0), targets[t]!.name, source);
    }).join(' and ');
  };
  return (node, target) => {
    const c = cheapest.get(node * k + target);
    if (c === undefined) return null;
    let more = differences.get(c);
    if (more === undefined) differences.set(c, (more = difference(c)));
    const { nodes } = candidates[c]!;
    const there = describe(bindings[node]!.callee, candidates[c]!.nodes.length, candidates[c]!.seconds, targets[target]!.name, figures[c]!.source);
    const here = now(nodes.length > 1 ? nodes : [node]);
    const rule = offers[c]?.rule ?? null;
    if (more !== null && more > 1e3) return { target: targets[target]!.name, rule, code: 'partition/memory', message: `${there}, but ${targets[target]!.name} has no memory left for it`, hint: null };
    return { target: targets[target]!.name, rule, code: 'partition/cost', message: `${there}, ${here}${more === null ? '' : `; moved there, the model would take ${inUnits(more)} more`}`, hint: null };
  };
}

function describe(op: string | null, operators: number, seconds: number, target: string, source: string): string {
  const subject = op === null ? '' : operators === 1 ? `${op} takes ` : `the ${operators} operators of its match take `;
  const match = op === null && operators > 1 ? ` for ${operators} operators` : '';
  return `${subject}${inUnits(seconds)} on ${target}${match} (${source})`;
}

/** A time in the unit that suits it. */
export function inUnits(seconds: number): string {
  const size = Math.abs(seconds);
  if (size === 0) return '0 s';
  const [scale, unit] = size < 1e-6 ? [1e9, 'ns'] as const : size < 1e-3 ? [1e6, 'µs'] as const : size < 1 ? [1e3, 'ms'] as const : [1, 's'] as const;
  return `${Number((seconds * scale).toPrecision(3))} ${unit}`;
}
