import type { Binding, GraphFunction, IRModule } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import { claimGreedily, collectOffers, type Claims } from './claim.ts';
import { CostModel, type Figure } from './estimate.ts';
import { decomposeStep } from './legalize.ts';

/** Decompositions may nest this deep. */
export const roundLimit = 32;

export interface Claimed {
  readonly module: IRModule;
  readonly claims: Claims;
  readonly unclaimed: readonly Binding[];
}

/** Claims the operators of a function, decomposing those that nobody takes as far as that goes. */
export function claimAll(module: IRModule, name: string, session: Session, targets: readonly ResolvedTarget[]): Claimed {
  let current = module;
  for (let round = 0; ; round++) {
    const fn = current.functions.get(name) as GraphFunction;
    const claims = claimGreedily(fn, collectOffers(fn, current, session, targets), targets);
    const unclaimed = fn.bindings.filter((b) => !claims.labels.has(b));
    if (unclaimed.length === 0 || round === roundLimit) return { module: current, claims, unclaimed };
    const next = decomposeBindings(current, name, session, unclaimed);
    if (next === current) return { module: current, claims, unclaimed };
    current = next;
  }
}

/** Decomposes some operators of a function by one step; the module itself where none of them can be. */
export function decomposeBindings(module: IRModule, name: string, session: Session, wanted: readonly Binding[]): IRModule {
  // A binding whose arguments were replaced in the same walk is a new object with the same results.
  const results = new Set(wanted.map((b) => b.results));
  return decomposeStep(module, session, new Set([name]), (b) => results.has(b.results));
}

/** What the host takes for operators that it only runs as their decomposition. */
export class Decompositions {
  readonly #session: Session;
  readonly #host: ResolvedTarget;
  readonly #known = new Map<string, Figure | null>();

  constructor(session: Session, host: ResolvedTarget) {
    this.#session = session;
    this.#host = host;
  }

  /** null where the operator does not decompose into what the host takes. */
  figure(binding: Binding, module: IRModule): Figure | null {
    if (this.#session.facet(binding.callee, 'decompose') === undefined) return null;
    const key = this.#keyOf(binding);
    let known = this.#known.get(key);
    if (known === undefined) {
      known = this.#estimate(binding, module);
      this.#known.set(key, known);
    }
    return known;
  }

  #estimate(binding: Binding, module: IRModule): Figure | null {
    const session = this.#session;
    const name = 'decomposed';
    const params = [...new Set(binding.args.filter((a) => a !== null && !a.constant))].map((a) => a!);
    const fn: GraphFunction = { kind: 'graph', name, params, bindings: [binding], results: binding.results, resultNames: binding.results.map((r) => r.name), attrs: {} };
    const claimed = claimAll({ ...module, functions: new Map([[name, fn]]) }, name, session, [this.#host]);
    if (claimed.unclaimed.length > 0) return null;
    const costs = new CostModel(claimed.module.functions.get(name) as GraphFunction, claimed.module, session);
    const figures = [...new Set(claimed.claims.labels.values())].map((offer) => costs.figure(this.#host, offer.bindings, offer.by, offer.match));
    // The sum is only as good as the worst of its parts.
    const source = (['roofline', 'rule', 'measured'] as const).find((s) => figures.some((f) => f.source === s)) ?? 'roofline';
    return { seconds: figures.reduce((sum, f) => sum + f.seconds, 0), source };
  }

  /** Equal for calls of one operator on equal types with equal attributes. */
  #keyOf({ callee, args, attrs }: Binding): string {
    const types = args.map((a) => (a === null ? '-' : a.constant ? a.name : a.type.kind === 'tensor' ? `${a.type.dtype}[${a.type.shape.map((d) => d.id).join()}]` : a.type.kind));
    const plain = JSON.stringify(attrs, (_, v: unknown) => (typeof v === 'bigint' ? `${v}n` : typeof v === 'object' && v !== null && (v as { tag?: unknown }).tag === 'expr' ? `#${(v as { id: number }).id}` : v));
    return `${callee}(${types.join(' ')})${plain}`;
  }
}
