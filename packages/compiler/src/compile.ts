import {
  diagnosticOf, TenonError,
  type Attrs, type ByteSource, type Config, type Diagnostic, type Frontend, type Host, type IRModule, type LayoutRecord, type Loader, type PartitionReport, type Pass, type Phase, type Placement, type RegionPlan, type ScheduleRecord,
} from '@tenon/plugin';
import { learnDim, PassManager, Session, type PassRecord, type ResolvedTarget } from '@tenon/core';
import { dispatchPass } from './dispatch/dispatch.ts';
import { entriesFor } from './dispatch/entries.ts';
import { withLibraries, type DispatchRecord } from './dispatch/report.ts';
import { fusePass } from './fuse/fuse.ts';
import { layoutPass } from './layout/layout.ts';
import { generate, planRegions, type GeneratedBlob } from './link/codegen.ts';
import { link, type Linked } from './link/link.ts';
import { commonSubexpressions } from './passes/common-subexpressions.ts';
import { deadCode } from './passes/dead-code.ts';
import { foldConstants } from './passes/fold-constants.ts';
import { legalizePass } from './passes/legalize.ts';
import { withFallbacks } from './partition/fallback.ts';
import { partition, type Partitioned } from './partition/partition.ts';
import { checkRequired } from './partition/report.ts';
import { machinesOf, withConstants } from './machines.ts';
import type { Packings } from './pack.ts';
import { schedulePass } from './schedule.ts';

export const version = '0.1.0';

export interface CompileOptions {
  readonly config: Config;
  readonly host: Host;
  readonly signal?: AbortSignal;
  /**
   * Identity of the code that compiles, its plugins, configuration and targets: under it, what was made of single kernels is kept in
   * the host's cache, and taken from there. Absent: every kernel is made anew.
   */
  readonly identity?: string;
  /** `done` of `total` where they are known. */
  readonly onProgress?: (step: string, done: number | null, total: number | null) => void;
  /** Code of targets other than the host is tried with these: where it does not load, its regions run on the host. */
  readonly loaders?: readonly Loader[];
  /** Receives every warning and note as it is reported. */
  readonly onDiagnostic?: (diagnostic: Diagnostic) => void;
  /** Receives the module after each phase; `target` is null before `legalize`. */
  readonly onPhase?: (phase: Phase, target: string | null, module: IRModule) => void;
  /** Receives the module after the passes that `config.printAfter` names. */
  readonly onPrint?: (pass: Pass, target: string | null, module: IRModule) => void;
}

/** A finished compilation. `dispose` closes the model's files; constants are read from them while the artifact is written. */
export interface Compilation extends Linked {
  readonly module: IRModule;
  readonly placements: readonly Placement[];
  /** null where there is only the host. */
  readonly report: PartitionReport | null;
  readonly plans: ReadonlyMap<string, RegionPlan>;
  readonly schedules: readonly ScheduleRecord[];
  readonly layouts: readonly LayoutRecord[];
  /** What computes each operator of kernels for which there are libraries. */
  readonly dispatches: readonly DispatchRecord[];
  readonly passes: readonly PassRecord[];
  readonly phases: readonly { readonly phase: Phase; readonly target: string | null; readonly milliseconds: number }[];
  readonly diagnostics: readonly Diagnostic[];
  readonly listings: readonly { readonly target: string; readonly text: string }[];
  readonly targets: readonly ResolvedTarget[];
  dispose(): void;
}

/** Compiles a model file. */
export async function compile(source: ByteSource, options: CompileOptions): Promise<Compilation> {
  return withSession(options, async (session) => {
    const frontend = await chooseFrontend(source, session);
    session.progress(`read ${frontend.name}`);
    const begin = session.host.now();
    const imported = await frontend.import(source, session, { dims: session.config.dims ?? {} });
    const name = source.uri.replace(/^.*[\\/]/, '');
    return run(imported, session, options, { name, id: source.id, uri: source.uri }, session.host.now() - begin);
  });
}

/** Compiles a module that is in memory: a test's, a builder's, or one parsed from text. `make` gets the session that it must use. */
export async function compileModule(make: (session: Session) => IRModule | Promise<IRModule>, options: CompileOptions): Promise<Compilation> {
  return withSession(options, async (session) => run(await make(session), session, options, null, 0));
}

/** Imports a model and runs the target-independent phases up to and including `canonicalize`. */
export async function importModel(source: ByteSource, options: CompileOptions): Promise<{ module: IRModule; session: Session }> {
  return withSession(options, async (session) => {
    const frontend = await chooseFrontend(source, session);
    const imported = await frontend.import(source, session, { dims: session.config.dims ?? {} });
    const manager = createManager(session, options, { schedules: [], dispatches: [], layouts: [], packings: new Map() });
    return { module: await canonicalize(session.hooks.moduleImported.call(imported), manager), session };
  });
}

async function withSession<T>(options: CompileOptions, body: (session: Session) => Promise<T>): Promise<T> {
  const { config, host, signal, onProgress, identity } = options;
  const session = new Session({
    config, host, ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }), ...(identity === undefined ? {} : { identity }),
  });
  if (options.onDiagnostic !== undefined) session.hooks.diagnostic.tap('compile', options.onDiagnostic);
  try {
    return await body(session);
  } catch (error) {
    session.end();
    // A file that was being read, or a C compiler that was killed, fails with the signal's own reason.
    if (session.signal.aborted && diagnosticOf(error) === null) throw new TenonError({ code: 'session/aborted', message: 'stopped' }, { cause: error });
    throw error;
  }
}

/** What passes have to say besides the module. */
interface Records {
  readonly schedules: ScheduleRecord[];
  readonly dispatches: DispatchRecord[];
  readonly layouts: LayoutRecord[];
  readonly packings: Packings;
}

function createManager(session: Session, options: CompileOptions, { schedules, dispatches, layouts, packings }: Records): PassManager {
  const builtin: readonly Pass[] = [
    foldConstants('fold-constants', 'canonicalize'),
    commonSubexpressions('common-subexpressions', 'canonicalize', { after: ['fold-constants'] }),
    deadCode('dead-code', 'canonicalize', { after: ['common-subexpressions'] }),
    legalizePass,
    foldConstants('fold-legalized', 'legalize', { after: ['legalize-operators'] }),
    commonSubexpressions('common-legalized', 'legalize', { after: ['fold-legalized'] }),
    deadCode('dead-legalized', 'legalize', { after: ['common-legalized'] }),
    fusePass((target) => entriesFor(session, target).length > 0),
    dispatchPass(session, dispatches),
    layoutPass(session, layouts),
    schedulePass(session, schedules, packings),
  ];
  return new PassManager(session, builtin, options.onPrint === undefined ? {} : { onPrint: options.onPrint });
}

/** One rewrite enables another (a folded constant, an identity after it): the phase runs until nothing changes. */
async function canonicalize(module: IRModule, manager: PassManager): Promise<IRModule> {
  let current = module;
  for (let round = 0; round < 8; round++) {
    const next = await manager.run('canonicalize', current, null);
    if (next === current) break;
    current = next;
  }
  return current;
}

async function run(
  imported: IRModule, session: Session, options: CompileOptions, model: { name: string; id: string; uri: string } | null, importMilliseconds: number,
): Promise<Compilation> {
  const records: Records = { schedules: [], dispatches: [], layouts: [], packings: new Map() };
  const { schedules, dispatches, layouts, packings } = records;
  const phases: { phase: Phase; target: string | null; milliseconds: number }[] = [{ phase: 'import', target: null, milliseconds: importMilliseconds }];
  const manager = createManager(session, options, records);
  const targets = await resolveTargets(session);
  const timed = async (phase: Phase, target: string | null, step: () => IRModule | Promise<IRModule>): Promise<IRModule> => {
    session.progress(phase);
    const begin = session.host.now();
    const result = await step();
    phases.push({ phase, target, milliseconds: session.host.now() - begin });
    options.onPhase?.(phase, target, result);
    return result;
  };

  let module = session.hooks.moduleImported.call(imported);
  for (const dim of module.dims.values()) learnDim(session.exprs, dim);
  module = await manager.run('import', module, null);
  options.onPhase?.('import', null, module);
  module = await timed('canonicalize', null, () => canonicalize(module, manager));
  module = await timed('quantize', null, () => manager.run('quantize', module, null));
  let partitioned!: Partitioned;
  module = await timed('partition', null, async () => {
    const prepared = await manager.run('partition', module, null);
    partitioned = partition(prepared, session, targets);
    return partitioned.module;
  });

  const blobs: GeneratedBlob[] = [];
  const failures = new Map<string, Diagnostic>();
  const plans = new Map<string, RegionPlan>();
  for (const [i, target] of targets.entries()) {
    const regions = [...module.functions.values()].filter((f) => f.kind === 'graph' && f.attrs['target'] === target.name);
    if (regions.length === 0) continue;
    for (const phase of ['legalize', 'fuse', 'dispatch'] as const) module = await timed(phase, target.name, () => manager.run(phase, module, target));
    const machines = await machinesOf(target, session);
    const base = module;
    const made: IRModule[] = [];
    const scheduledBefore = schedules.length;
    let scheduled = 0;
    for (const [k, machine] of machines.entries()) {
      module = base;
      for (const phase of ['layout', 'schedule'] as const) module = await timed(phase, target.name, () => manager.run(phase, module, machine));
      const own = new Map<string, RegionPlan>();
      module = await timed('memory', target.name, async () => {
        const planned = planRegions(await manager.run('memory', module, machine), session, machine);
        for (const [name, plan] of planned.plans) own.set(name, plan);
        return planned.module;
      });
      for (const region of regions) session.hooks.regionLowered.call(region.name, target.name, module);
      module = await timed('codegen', target.name, async () => {
        const generation = await generate(module, session, machine, own, i === targets.length - 1, options.loaders ?? []);
        blobs.push(...generation.blobs.map((blob) => (machines.length === 1 ? blob : { ...blob, machine: k })));
        for (const [region, failure] of generation.failures) failures.set(region, failure);
        return manager.run('codegen', module, machine);
      });
      made.push(module);
      // What is told of a compilation is told of the best machine.
      if (k === 0) {
        for (const [name, plan] of own) plans.set(name, plan);
        scheduled = schedules.length;
      }
    }
    schedules.length = Math.max(scheduledBefore, scheduled);
    module = withConstants(made);
  }
  const { placements: placed, report } = withFallbacks(partitioned, targets.at(-1)!.name, { blobs, failures }, session);
  const placements = withLibraries(placed, dispatches);
  if (placed !== partitioned.placements) checkRequired(session.config, placements, report);
  module = await timed('link', null, () => manager.run('link', module, null));
  await session.memo?.written();
  const linked = link({ module, session, targets, blobs, packings, placements, report, schedules, layouts, model, version });
  return {
    ...linked,
    toBytes: async () => {
      const bytes = await linked.toBytes();
      session.hooks.emit.call(bytes);
      return bytes;
    },
    module, placements, report, plans, schedules, layouts, dispatches, targets, phases,
    passes: manager.records,
    diagnostics: session.diagnostics,
    listings: blobs.map(({ target, blob }) => ({ target, text: blob.listing })),
    dispose: () => session.end(),
  };
}

async function chooseFrontend(source: ByteSource, session: Session): Promise<Frontend> {
  const head = await source.read(0, Math.min(source.bytes, 4096));
  const { frontends } = session.registry;
  const extension = /\.[^./\\]+$/.exec(source.uri)?.[0] ?? '';
  const found = frontends.find((f) => f.detect(head)) ?? frontends.find((f) => f.extensions.includes(extension));
  if (found !== undefined) return found;
  return session.fail({
    code: 'model/unknown-format', message: `${source.uri} is in no format that a frontend of this session reads`,
    hint: frontends.length === 0 ? 'Add a frontend to the configuration.' : `Frontends: ${frontends.map((f) => `${f.name} (${f.extensions.join(', ')})`).join(', ')}.`,
  });
}

async function resolveTargets(session: Session): Promise<readonly ResolvedTarget[]> {
  const named = session.config.targets ?? [...session.registry.targets.keys()];
  if (named.length === 0) throw new TenonError({ code: 'target/none', message: 'there is no target', hint: 'Add the plugin of a target to the configuration.' });
  const resolved: ResolvedTarget[] = [];
  for (const entry of named) {
    const [name, options]: readonly [string, Attrs] = typeof entry === 'string' ? [entry, {}] : entry;
    if (resolved.some((t) => t.name === name)) throw new TenonError({ code: 'target/duplicate', message: `the target ${name} is listed twice`, hint: 'Remove one of the two.' });
    resolved.push(await session.resolveTarget(name, options));
  }
  return resolved;
}

