import { phases, TenonError, type IRModule, type Pass, type PassContext, type Phase } from '@tenon/plugin';
import { nearest } from '../config/config.ts';
import type { ResolvedTarget, Session } from '../session/session.ts';
import { verifyModule } from '../verify/index.ts';

/** What one run of a pass did. */
export interface PassRecord {
  readonly pass: string;
  readonly phase: Phase;
  readonly target: string | null;
  readonly milliseconds: number;
  readonly changed: boolean;
}

export interface PassManagerOptions {
  /** Receives the module after the passes named in `printAfter`. */
  readonly onPrint?: (pass: Pass, target: string | null, module: IRModule) => void;
}

/** Orders passes and runs them phase by phase. */
export class PassManager {
  readonly records: PassRecord[] = [];
  readonly #session: Session;
  readonly #byPhase: ReadonlyMap<Phase, readonly Pass[]>;
  readonly #options: PassManagerOptions;

  constructor(session: Session, builtin: readonly Pass[], options: PassManagerOptions = {}) {
    this.#session = session;
    this.#options = options;
    this.#byPhase = arrange(session, [...builtin, ...session.registry.passes]);
  }

  passes(phase: Phase): readonly Pass[] {
    return this.#byPhase.get(phase) ?? [];
  }

  /** Runs the passes of a phase; `target` is null before `legalize`. */
  async run(phase: Phase, module: IRModule, target: ResolvedTarget | null): Promise<IRModule> {
    const session = this.#session;
    const verify = session.config.verify ?? 'phase';
    const printAfter = session.config.printAfter ?? [];
    const ctx = contextFor(session, target);
    let current = module;
    for (const pass of this.passes(phase)) {
      if (target !== null && pass.targets !== undefined && !pass.targets.includes(target.name)) continue;
      session.progress(pass.name);
      session.hooks.beforePass.call(pass, current);
      const begin = session.host.now();
      const next = await pass.run(current, ctx);
      const milliseconds = session.host.now() - begin;
      const changed = next !== current;
      this.records.push({ pass: pass.name, phase, target: target?.name ?? null, milliseconds, changed });
      current = next;
      session.hooks.afterPass.call(pass, current, changed, milliseconds);
      if (changed && verify === 'pass') check(session, current, `after ${pass.name}`);
      if (printAfter.includes(pass.name) || printAfter.includes('*')) this.#options.onPrint?.(pass, target?.name ?? null, current);
    }
    if (current !== module && verify === 'phase') check(session, current, `after phase ${phase}`);
    return current;
  }
}

function check(session: Session, module: IRModule, when: string): void {
  const [first, ...rest] = verifyModule(module, session);
  if (first === undefined) return;
  throw new TenonError({
    ...first,
    message: `the module is not well-formed ${when}: ${first.message}${rest.length === 0 ? '' : ` (and ${rest.length} more)`}`,
    hint: 'A pass made an invalid module. Run with verify: "pass" to find out which.',
    related: [first, ...rest],
  });
}

/** The session as a pass sees it. What it keeps, it keeps for this target and machine alone. */
export function contextFor(session: Session, target: ResolvedTarget | null): PassContext {
  const memo = session.memo !== undefined && target !== null ? session.memo.scoped([target.name, target.form, target.options, target.device.features]) : session.memo;
  return new Proxy(session, {
    get(of, key) {
      if (key === 'target') return target;
      if (key === 'memo') return memo;
      const value = Reflect.get(of, key, of) as unknown;
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(of) : value;
    },
  }) as unknown as PassContext;
}

/** Applies the configuration's changes and sorts passes within their phases by `before` and `after`, then by name. */
function arrange(session: Session, all: readonly Pass[]): ReadonlyMap<Phase, readonly Pass[]> {
  const { disable = [], insert = [], replace = {} } = session.config.passes ?? {};
  const names = new Set(all.map((p) => p.name));
  const mustExist = (name: string, option: string): void => {
    if (names.has(name)) return;
    const near = nearest(name, names);
    throw new TenonError({
      code: 'config/unknown-pass', message: `passes.${option}: there is no pass ${name}`,
      hint: near === null ? `Passes: ${[...names].sort().join(', ')}` : `Did you mean ${near}?`,
    });
  };
  for (const name of disable) mustExist(name, 'disable');
  for (const name of Object.keys(replace)) mustExist(name, 'replace');
  /** Where a replacement has another name, the orders that others declare still mean it. */
  const renamed = new Map(Object.entries(replace).map(([name, by]) => [name, by.name]));
  const current = (order: readonly string[] | undefined): readonly string[] => (order ?? []).map((name) => renamed.get(name) ?? name);
  const passes = all.filter((p) => !disable.includes(p.name)).map((p): Pass => {
    const by = replace[p.name];
    const { before, after } = { ...p, ...by };
    return { ...p, ...by, before: current(before), after: current(after) };
  });
  for (const { pass, after, before } of insert) {
    for (const [name, later] of [[after, pass], [before, null]] as const) {
      if (name === undefined) continue;
      mustExist(name, 'insert');
      const other = all.find((p) => p.name === name)!;
      const [first, second] = later === null ? [pass, other] : [other, pass];
      if (phases.indexOf(first.phase) > phases.indexOf(second.phase)) {
        throw new TenonError({
          code: 'config/pass-order', message: `passes.insert: ${pass.name} is of phase ${pass.phase}, and cannot run ${later === null ? 'before' : 'after'} ${name}, which is of phase ${other.phase}`,
          hint: 'Declare another phase for the pass.',
        });
      }
    }
    passes.push({ ...pass, after: current([...(pass.after ?? []), ...(after === undefined ? [] : [after])]), before: current([...(pass.before ?? []), ...(before === undefined ? [] : [before])]) });
  }
  const taken = new Set<string>();
  for (const { name } of passes) {
    if (taken.has(name)) throw new TenonError({ code: 'pass/duplicate', message: `there are two passes named ${name}`, hint: 'Rename one of them, or use passes.replace.' });
    taken.add(name);
  }
  const result = new Map<Phase, readonly Pass[]>();
  for (const phase of phases) result.set(phase, sortPasses(passes.filter((p) => p.phase === phase)));
  return result;
}

function sortPasses(passes: readonly Pass[]): readonly Pass[] {
  const sorted = [...passes].sort((a, b) => (a.name < b.name ? -1 : 1));
  const byName = new Map(sorted.map((p) => [p.name, p]));
  const earlier = new Map<string, Set<string>>(sorted.map((p) => [p.name, new Set((p.after ?? []).filter((n) => byName.has(n)))]));
  for (const p of sorted) for (const later of p.before ?? []) earlier.get(later)?.add(p.name);
  const out: Pass[] = [];
  const left = new Set(sorted);
  while (left.size > 0) {
    const next = [...left].find((p) => [...earlier.get(p.name)!].every((n) => !left.has(byName.get(n)!)));
    if (next === undefined) {
      throw new TenonError({ code: 'pass/cycle', message: `the order of passes has a cycle: ${[...left].map((p) => p.name).join(', ')}`, hint: 'Remove one of their before/after declarations.' });
    }
    left.delete(next);
    out.push(next);
  }
  return out;
}
