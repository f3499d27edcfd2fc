import { compile as compileModel, type Compilation } from '@tenon/compiler';
import { contractLevel, type CodegenBlob, type Diagnostic, type IRModule, type Loader, type Phase, type Placement, type Plugin } from '@tenon/plugin';
import { openModel, setUp } from './build.ts';
import type { Environment } from './environment.ts';
import { nodeEnvironment } from './node/environment.ts';
import type { BuildOptions, ModelInput } from './options.ts';

/** The module after a phase; `target` is null before `legalize`. */
export interface PhaseSnapshot {
  readonly phase: Phase;
  readonly target: string | null;
  readonly module: IRModule;
}

export interface PassTiming {
  readonly pass: string;
  readonly phase: Phase;
  readonly milliseconds: number;
  readonly changed: boolean;
}

/** Everything that a compilation went through. */
export interface Inspection {
  readonly snapshots: readonly PhaseSnapshot[];
  /** Modules after the passes that `config.printAfter` names. */
  readonly printed: readonly { readonly pass: string; readonly target: string | null; readonly module: IRModule }[];
  readonly passes: readonly PassTiming[];
  /** null where the compilation was stopped before `partition` had ended. */
  readonly placements: readonly Placement[] | null;
  readonly blobs: readonly { readonly target: string; readonly blob: CodegenBlob }[];
  readonly diagnostics: readonly Diagnostic[];
  /** null where the compilation was stopped. */
  readonly compilation: Compilation | null;
}

export interface InspectOptions extends Omit<BuildOptions, 'output'> {
  /** The last phase to run; default: all. Phases per target then run for all targets up to the last one. */
  readonly until?: Phase;
  /** Code of targets other than the host is tried with these. */
  readonly loaders?: readonly Loader[];
}

/** Compiles a model without a whole-artifact cache and keeps what a user may ask about. */
export async function inspectModel(model: ModelInput, options: InspectOptions = {}, env: Environment = nodeEnvironment): Promise<Inspection> {
  const { host, config, onDiagnostic } = setUp(env, options);
  const snapshots: PhaseSnapshot[] = [];
  const printed: { pass: string; target: string | null; module: IRModule }[] = [];
  const passes: PassTiming[] = [];
  const blobs: { target: string; blob: CodegenBlob }[] = [];
  const diagnostics: Diagnostic[] = [];
  let placements: readonly Placement[] | null = null;
  const observer: Plugin = {
    name: 'tenon-inspect', namespace: 'tenon-inspect', contract: contractLevel,
    apply(hooks) {
      hooks.afterPass.tap({ name: 'tenon-inspect', stage: 1000 }, (pass, _, changed, milliseconds) => {
        passes.push({ pass: pass.name, phase: pass.phase, milliseconds, changed });
      });
      hooks.partitioned.tap({ name: 'tenon-inspect', stage: 1000 }, (placed) => {
        placements = placed;
        return placed;
      });
      hooks.codegenDone.tap({ name: 'tenon-inspect', stage: 1000 }, (target, made) => {
        for (const blob of made) blobs.push({ target, blob });
      });
    },
  };
  const lastTarget = config.targets?.at(-1);
  const lastName = typeof lastTarget === 'string' ? lastTarget : lastTarget?.[0];
  const done = new Error('the phase that was asked for has run');
  const source = await openModel(model, host);
  let compilation: Compilation | null = null;
  try {
    compilation = await compileModel(source, {
      host, config: { ...config, plugins: [...(config.plugins ?? []), observer] },
      ...(options.loaders === undefined ? {} : { loaders: options.loaders }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: (step, at, total) => options.onProgress!({ step, done: at, total }) }),
      onDiagnostic: (diagnostic) => {
        diagnostics.push(diagnostic);
        onDiagnostic(diagnostic);
      },
      onPhase: (phase, target, module) => {
        snapshots.push({ phase, target, module });
        if (phase === options.until && (target === null || target === lastName)) throw done;
      },
      onPrint: (pass, target, module) => printed.push({ pass: pass.name, target, module }),
    });
    compilation.dispose();
  } catch (error) {
    if (error !== done) throw options.signal?.aborted ? options.signal.reason : error;
  } finally {
    source.close();
  }
  return { snapshots, printed, passes, placements, blobs, diagnostics, compilation };
}

/** Imports a model and places its operators, without generating code. */
export async function placeModel(model: ModelInput, options: InspectOptions = {}, env: Environment = nodeEnvironment): Promise<{ readonly module: IRModule; readonly placements: readonly Placement[] }> {
  const { snapshots, placements } = await inspectModel(model, { ...options, until: 'partition' }, env);
  return { module: snapshots.at(-1)!.module, placements: placements ?? [] };
}

