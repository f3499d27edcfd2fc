import type { Binding, CostSource, GraphFunction, IRModule, Value } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import { CostModel } from '../partition/estimate.ts';
import { inUnits } from '../partition/rejections.ts';
import type { LibraryOffer } from './offers.ts';

/** An offer with the time of the whole kernel where it is taken. */
export interface Priced {
  readonly offer: LibraryOffer;
  readonly seconds: number;
  readonly source: CostSource | 'declared';
}

export interface Ranking {
  /** Offers under which the kernel is at least as fast as generated code, the fastest first. */
  readonly worthwhile: readonly Priced[];
  readonly others: readonly Priced[];
  /** Of the kernel as one generated function. */
  readonly generated: { readonly seconds: number; readonly source: CostSource };
}

/**
 * Library or generated code: what a call takes is measured, else by the entry's formula, else what generated code is
 * estimated to take, divided by the entry's declared benefit. To that comes what is left of the kernel, as kernels of its own.
 */
export function rankOffers(offers: readonly LibraryOffer[], kernel: GraphFunction, module: IRModule, target: ResolvedTarget, session: Session): Ranking {
  const costs = new CostModel(kernel, module, session);
  const whole = measuredOf(kernel.bindings, costs, target);
  // What is compared is measured, or is estimated: device figures promise more than kernels reach.
  const estimate = (operators: readonly Binding[]): number =>
    (whole === null ? null : measuredOf(operators, costs, target)) ?? costs.roofline(target.device, operators);
  const generated = { seconds: estimate(kernel.bindings), source: whole === null ? 'roofline' as const : 'measured' as const };
  const priced = offers.map((offer): Priced => {
    const own = costOfCall(offer, costs, target, estimate);
    const rest = components(kernel.bindings.filter((b) => !offer.operators.includes(b)));
    return { offer, source: own.source, seconds: rest.reduce((sum, part) => sum + estimate(part), own.seconds) };
  });
  priced.sort((a, b) => a.seconds - b.seconds || b.offer.operators.length - a.offer.operators.length || (a.offer.by.name < b.offer.by.name ? -1 : 1));
  return { worthwhile: priced.filter((p) => p.seconds <= generated.seconds), others: priced.filter((p) => p.seconds > generated.seconds), generated };
}

/** Seconds of operators as one generated kernel, by a measurement of them all or of each; null where one is missing. */
function measuredOf(operators: readonly Binding[], costs: CostModel, target: ResolvedTarget): number | null {
  const together = costs.measured(target.name, operators);
  if (together !== null) return together;
  let sum = 0;
  for (const operator of operators) {
    const seconds = costs.measured(target.name, [operator]);
    if (seconds === null) return null;
    sum += seconds;
  }
  return sum;
}

function costOfCall({ by, match, operators }: LibraryOffer, costs: CostModel, target: ResolvedTarget, estimate: (operators: readonly Binding[]) => number): Pick<Priced, 'seconds' | 'source'> {
  const measured = costs.measured(by.name, operators);
  if (measured !== null) return { seconds: measured, source: 'measured' };
  const stated = costs.byRule(target, { ...by.entry, id: by.name }, match);
  if (stated !== null) return { seconds: stated, source: 'rule' };
  return { seconds: estimate(operators) / (by.entry.benefit ?? 1), source: 'declared' };
}

/** Operators that hang together: a kernel that was fused once is fused again as far as it does. */
function components(operators: readonly Binding[]): readonly (readonly Binding[])[] {
  const parts: Binding[][] = [];
  const partOf = new Map<Value, Binding[]>();
  for (const binding of operators) {
    const joined = new Set(binding.args.flatMap((a) => (a !== null && partOf.has(a) ? [partOf.get(a)!] : [])));
    const part = [...[...joined].flat(), binding];
    for (const old of joined) parts.splice(parts.indexOf(old), 1);
    parts.push(part);
    for (const b of part) for (const r of b.results) partOf.set(r, part);
  }
  return parts;
}

/** Why an offer was not taken: the kernel takes longer with it than as it is. */
export function whyNot({ offer, seconds, source }: Priced, winner: { readonly seconds: number; readonly name: string }): string {
  return `with ${offer.by.name} the kernel takes ${inUnits(seconds)} (${source}), with ${winner.name} ${inUnits(winner.seconds)}`;
}
