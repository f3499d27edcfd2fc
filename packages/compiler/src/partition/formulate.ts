import type { Binding, GraphFunction, IRModule, Value } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import type { Offer, Offers } from './claim.ts';
import type { Decompositions } from './claim-all.ts';
import { CostModel, type Figure } from './estimate.ts';
import type { Candidate, Problem, ProblemConstant, ProblemValue, TargetModel } from './labelling/problem.ts';

/** A function's placement as a labelling problem, with what its numbers stand for. */
export interface Formulation {
  readonly problem: Problem;
  readonly targets: readonly ResolvedTarget[];
  /** Node → operator. */
  readonly bindings: readonly Binding[];
  readonly nodeOf: ReadonlyMap<Binding, number>;
  /** Candidate → offer; null: the host takes what the operator decomposes to. */
  readonly offers: readonly (Offer | null)[];
  readonly candidateOf: ReadonlyMap<Offer, number>;
  readonly figures: readonly Figure[];
  readonly costs: CostModel;
}

/** Sets of labels are kept as the bits of an integer. */
const targetLimit = 30;

export function formulate(fn: GraphFunction, module: IRModule, session: Session, targets: readonly ResolvedTarget[], { offers }: Offers, decompositions: Decompositions): Formulation {
  if (targets.length > targetLimit) session.fail({ code: 'partition/too-many-targets', message: `a model can be placed on ${targetLimit} targets at most, not on ${targets.length}` });
  const { bindings } = fn;
  const nodeOf = new Map(bindings.map((b, i) => [b, i]));
  const costs = new CostModel(fn, module, session);
  const order = new Map(targets.map((t, i) => [t.name, i]));
  const host = targets.length - 1;

  const candidates: Candidate[] = [];
  const candidateOf = new Map<Offer, number>();
  const made: (Offer | null)[] = [];
  const figures: Figure[] = [];
  const add = (target: number, covered: readonly Binding[], figure: Figure, offer: Offer | null): void => {
    if (offer !== null) candidateOf.set(offer, candidates.length);
    candidates.push({ target, nodes: covered.map((b) => nodeOf.get(b)!).sort((a, b) => a - b), seconds: figure.seconds });
    figures.push(figure);
    made.push(offer);
  };
  const onHost = new Set<Binding>();
  for (const offer of offers) {
    const target = order.get(offer.target)!;
    if (target === host && offer.bindings.length === 1) onHost.add(offer.bindings[0]!);
    add(target, offer.bindings, costs.figure(targets[target]!, offer.bindings, offer.by, offer.match), offer);
  }
  for (const binding of bindings) {
    if (onHost.has(binding)) continue;
    const figure = decompositions.figure(binding, module);
    if (figure !== null) add(host, [binding], figure, null);
  }
  return {
    problem: { nodes: bindings.length, targets: targets.map((t, i) => modelOf(t, i === host, costs.launchOf(t))), ...dataFlow(fn, nodeOf, costs), candidates },
    targets, bindings, nodeOf, offers: made, candidateOf, figures, costs,
  };
}

function modelOf({ device }: ResolvedTarget, isHost: boolean, launch: number): TargetModel {
  const sizes = device.memory.map((m) => m.bytes);
  // Arguments live in the largest memory; the others are caches and scratchpads.
  const memory = isHost || device.transfer === null || sizes.length === 0 || sizes.includes(null) ? null : Math.max(...sizes.map((s) => s ?? 0));
  return { launch, transfer: device.transfer, memory };
}

function dataFlow(fn: GraphFunction, nodeOf: ReadonlyMap<Binding, number>, costs: CostModel): { values: ProblemValue[]; constants: ProblemConstant[] } {
  const users = new Map<Value, number[]>();
  const constants = new Map<string, { bytes: number; users: number[] }>();
  for (const binding of fn.bindings) {
    const node = nodeOf.get(binding)!;
    for (const arg of new Set(binding.args)) {
      if (arg === null) continue;
      if (arg.constant) {
        const known = constants.get(arg.name);
        if (known === undefined) constants.set(arg.name, { bytes: costs.bytesOf(arg), users: [node] });
        else known.users.push(node);
        continue;
      }
      const list = users.get(arg);
      if (list === undefined) users.set(arg, [node]);
      else list.push(node);
    }
  }
  const returned = new Set(fn.results);
  const value = (v: Value, producer: number): ProblemValue => ({ producer, users: users.get(v) ?? [], returned: returned.has(v), bytes: costs.bytesOf(v) });
  return {
    values: [...fn.params.map((p) => value(p, -1)), ...fn.bindings.flatMap((b) => b.results.map((r) => value(r, nodeOf.get(b)!)))],
    constants: [...constants.values()],
  };
}
