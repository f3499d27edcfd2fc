import type { GraphFunction, HostTensor, IRModule } from '@tenon/plugin';
import { compileModule, type CompileOptions } from '@tenon/compiler';
import type { Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { outputAgreement } from './compare.ts';
import { cpuConfig, host, load } from './engines.ts';
import { mergeModules } from './merge.ts';

/** A module that is one part of an artifact, with its arguments and what the reference evaluation makes of them. */
export interface Part {
  readonly name: string;
  readonly module: IRModule;
  readonly inputs: readonly HostTensor[];
  readonly tolerance: number;
  /**
   * Errors are taken relative to the largest float on the way to the results where that is larger than the result, up to
   * this limit: sums cancel.
   */
  readonly scaleLimit: number;
}

interface Reference {
  readonly results: readonly HostTensor[];
  /** The largest finite magnitude of any float. */
  readonly scale: number;
}

async function reference(session: Session, { module, inputs }: Part): Promise<Reference> {
  const main = module.functions.get('main') as GraphFunction;
  const inner = main.bindings.flatMap((b) => b.results);
  const all = await evaluateGraph(module, { ...main, results: [...main.results, ...inner], resultNames: [] }, inputs, session);
  let scale = 0;
  for (const { dtype, data } of [...inputs, ...all]) {
    if (!/^f(32|64)$/.test(dtype)) continue;
    for (const v of data as Float32Array) if (Number.isFinite(v)) scale = Math.max(scale, Math.abs(v));
  }
  return { results: all.slice(0, main.results.length), scale };
}

/** Compiles all parts into one artifact for the C target, runs it once, and lists what differs from the reference. */
export async function differences(make: (session: Session) => readonly Part[], options: Partial<CompileOptions> = {}): Promise<{ problems: string[]; results: number }> {
  let parts: readonly Part[] = [];
  const wanted: Reference[] = [];
  const compilation = await compileModule(async (session) => {
    parts = make(session);
    for (const part of parts) wanted.push(await reference(session, part));
    return mergeModules(parts.map((p) => p.module), session);
  }, { config: cpuConfig, host, ...options });
  const runnable = await load(compilation);
  try {
    const got = await runnable.run(parts.flatMap((p) => p.inputs));
    const problems: string[] = [];
    let at = 0;
    parts.forEach((part, i) => {
      const { results, scale } = wanted[i]!;
      results.forEach((want, r) => {
        const { error, problem } = outputAgreement(got[at++]!, want, Math.min(scale, part.scaleLimit));
        if (problem !== null || error > part.tolerance) problems.push(`${part.name}, result ${r}: ${problem ?? `the error is ${error.toExponential(2)}`}`);
      });
    });
    return { problems, results: at };
  } finally {
    runnable.dispose();
  }
}
