import type { AttrValue, Binding, GraphFunction, IRModule, Library, Pass, PassContext, RejectedAlternative, TargetContext, TensorFunction, Value, Verdict } from '@tenon/plugin';
import { diagnosticOf, reject } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import { fuseFunction, startFusion, type Fusion } from '../fuse/fuse.ts';
import { inlineSource, sourceFunction } from '../fuse/source.ts';
import { freshName, graphFunctions } from '../graph.ts';
import { rankOffers, whyNot } from './decide.ts';
import { checkDisabled, dispatchName, entriesFor, type NamedEntry } from './entries.ts';
import { collectLibraryOffers, type LibraryOffer } from './offers.ts';
import type { DispatchRecord } from './report.ts';

/**
 * Replaces kernels, or parts of them, by calls of libraries where that is at least as cheap. Fusion has left the operators
 * of every kernel as a graph function; those of calls stay, as what the call means.
 */
export function dispatchPass(session: Session, records: DispatchRecord[]): Pass {
  checkDisabled(session);
  return {
    name: dispatchName,
    phase: 'dispatch',
    doc: 'Replaces kernels, or parts of them, by calls of libraries.',
    run: async (module, ctx) => {
      const { target } = ctx;
      const entries = target === null ? [] : entriesFor(session, target.name);
      if (entries.length === 0) return module;
      if (target!.form === 'kernels') return new Dispatcher(module, session, ctx as PassContext & TargetContext, entries, records).run();
      for (const { name } of new Set(entries.map((e) => e.library))) {
        ctx.report({
          code: 'dispatch/graph-target', message: `the library ${name} is not used: ${target!.name} takes operators, and libraries replace kernels`,
          hint: 'Report this to the authors of the library.',
        });
      }
      return module;
    },
  };
}

class Dispatcher {
  readonly #module: IRModule;
  readonly #session: Session;
  readonly #ctx: TargetContext;
  readonly #target: ResolvedTarget;
  readonly #entries: readonly NamedEntry[];
  readonly #records: DispatchRecord[];
  readonly #fusion: Fusion;
  readonly #functions: Map<string, GraphFunction | TensorFunction>;
  /** Whether libraries can be linked, as far as it was asked. */
  readonly #usable = new Map<Library, Verdict>();

  constructor(module: IRModule, session: Session, ctx: TargetContext, entries: readonly NamedEntry[], records: DispatchRecord[]) {
    this.#module = module;
    this.#session = session;
    this.#ctx = ctx;
    this.#target = ctx.target;
    this.#entries = entries;
    this.#records = records;
    const called = this.#regions(module).flatMap((fn) => fn.bindings).map((b) => module.functions.get(b.callee));
    this.#fusion = startFusion(module, ctx, true, new Set(called.filter((fn) => fn?.kind === 'tensor')));
    this.#functions = this.#fusion.functions;
  }

  #regions(module: IRModule): readonly GraphFunction[] {
    return [...graphFunctions(module)].filter((fn) => fn.attrs['target'] === this.#target.name);
  }

  async run(): Promise<IRModule> {
    for (const region of this.#regions(this.#module)) {
      const bindings: Binding[] = [];
      for (const binding of region.bindings) bindings.push(...await this.#kernel(binding, region));
      this.#functions.set(region.name, { ...region, bindings });
    }
    const after = { ...this.#module, functions: this.#functions };
    // Kernels that were replaced, and that nothing else calls.
    const called = new Set([...graphFunctions(after)].flatMap((fn) => fn.bindings.map((b) => b.callee)));
    for (const { callee } of this.#regions(this.#module).flatMap((fn) => fn.bindings)) {
      if (this.#functions.get(callee)?.kind === 'tensor' && !called.has(callee)) this.#functions.delete(callee);
    }
    return after;
  }

  /** What computes a kernel: itself, or calls of libraries and kernels for what is left of it. */
  async #kernel(call: Binding, region: GraphFunction): Promise<readonly Binding[]> {
    const source = call.kind === 'kernel' ? this.#functions.get(String(call.attrs['source'])) : undefined;
    if (source?.kind !== 'graph') return [call];
    this.#functions.delete(source.name);
    const operators = inlineSource(call, source);
    const kernel: GraphFunction = { ...source, params: call.args.filter((a): a is Value => a !== null && !a.constant), bindings: operators, results: call.results };
    const { offers, refused } = collectLibraryOffers(kernel, this.#module, this.#entries, this.#session, this.#ctx);
    const { taken, lost } = await this.#choose(offers, kernel);
    const record = (binding: Binding, library: string | null): void => {
      this.#records.push({
        target: this.#target.name, region: region.name, op: binding.callee, results: binding.results.map((r) => r.name), library,
        rejected: [...(refused.get(binding) ?? []), ...(lost.get(binding) ?? [])],
      });
    };
    if (taken === null) {
      for (const b of operators) record(b, null);
      const { source: _, ...attrs } = call.attrs;
      return [{ ...call, attrs }];
    }
    for (const b of taken.operators) record(b, taken.by.name);
    const root = taken.operators.at(-1)!;
    const kept = operators.flatMap((b) => (b === root ? [this.#extern(taken)] : taken.operators.includes(b) ? [] : [b]));
    const out: Binding[] = [];
    for (const b of fuseFunction({ ...kernel, bindings: kept }, this.#fusion).bindings) out.push(...await this.#kernel(b, region));
    return out;
  }

  /** The best offer that is at least as fast as generated code and whose library can be linked. */
  async #choose(offers: readonly LibraryOffer[], kernel: GraphFunction): Promise<{ taken: LibraryOffer | null; lost: ReadonlyMap<Binding, readonly RejectedAlternative[]> }> {
    const lost = new Map<Binding, RejectedAlternative[]>();
    if (offers.length === 0) return { taken: null, lost };
    const refuse = ({ by, operators }: LibraryOffer, code: string, message: string, hint: string | null): void => {
      const root = operators.at(-1)!;
      lost.set(root, [...(lost.get(root) ?? []), { target: this.#target.name, rule: by.name, code, message, hint }]);
    };
    const { worthwhile, others, generated } = rankOffers(offers, kernel, this.#module, this.#target, this.#session);
    let winner: { readonly offer: LibraryOffer; readonly name: string; readonly seconds: number } | null = null;
    for (const priced of worthwhile) {
      if (winner !== null) {
        refuse(priced.offer, 'dispatch/cost', whyNot(priced, winner), null);
        continue;
      }
      const verdict = await this.#link(priced.offer);
      if (verdict.ok) winner = { offer: priced.offer, name: priced.offer.by.name, seconds: priced.seconds };
      else refuse(priced.offer, verdict.code, verdict.message, verdict.hint);
    }
    const better = winner ?? { name: 'generated code', seconds: generated.seconds };
    for (const priced of others) refuse(priced.offer, 'dispatch/cost', whyNot(priced, better), null);
    return { taken: winner?.offer ?? null, lost };
  }

  /** Whether the target links a library; asked when it is first needed. A refusal is reported with that operator. */
  async #link({ by: { library }, operators }: LibraryOffer): Promise<Verdict> {
    const known = this.#usable.get(library);
    if (known !== undefined) return known;
    const verdict = await this.#tryLink(library);
    this.#usable.set(library, verdict);
    if (!verdict.ok) {
      const { callee, loc } = operators.at(-1)!;
      this.#ctx.report({ code: verdict.code, op: callee, loc, message: `${verdict.message}; ${callee} and what else it would compute use generated code`, hint: verdict.hint });
    }
    return verdict;
  }

  async #tryLink(library: Library): Promise<Verdict> {
    const support = this.#session.registry.targets.get(this.#target.name)?.libraries;
    const formats = support?.formats ?? [];
    const foreign = library.provides.find((unit) => !formats.includes(unit.format));
    if (support === undefined || foreign !== undefined || library.provides.length === 0) {
      return reject(
        'dispatch/no-code', `the library ${library.name} has no code that ${this.#target.name} links`,
        formats.length === 0 ? `${this.#target.name} links no libraries.` : `${this.#target.name} links ${formats.join(' and ')}, the library has ${foreign?.format ?? 'nothing'}.`,
      );
    }
    const used = [...this.#usable].flatMap(([other, verdict]) => (verdict.ok ? [other] : []));
    let verdict: Verdict;
    try {
      verdict = await support.link([...used, library], this.#ctx);
    } catch (error) {
      if (this.#session.signal.aborted) throw error;
      const cause = diagnosticOf(error);
      verdict = reject(cause?.code ?? 'dispatch/unusable-library', cause?.message ?? String(error), cause?.hint ?? null);
    }
    return verdict.ok ? verdict : reject('dispatch/unusable-library', `the library ${library.name} cannot be used: ${verdict.message}`, verdict.hint ?? 'Report this to the authors of the library.');
  }

  #extern({ by, call, operands, operators }: LibraryOffer): Binding {
    const root = operators.at(-1)!;
    const source = sourceFunction(freshName(this.#functions, `${call.symbol}_ops`, this.#fusion.names), operators, operands, root.results);
    this.#functions.set(source.name, source);
    const locs: AttrValue[] = operators.map((b) => b.loc ?? `%${b.results[0]!.name}`);
    return {
      kind: 'extern', callee: call.symbol, args: operands, scalars: call.scalars, results: root.results, effects: null, loc: root.loc,
      attrs: {
        library: by.library.name, entry: by.entry.id, source: source.name, ops: operators.map((b) => b.callee), locs,
        ...(call.workspace === null ? {} : { workspace: call.workspace }), ...(Object.keys(call.attrs).length === 0 ? {} : { attrs: call.attrs }),
      },
    };
  }
}
