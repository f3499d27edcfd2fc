/** Compiles a case, runs it in several ways, and compares it with the reference evaluation. */
import type { Diagnostic, Expr, GraphFunction, HostTensor, IRModule } from '@tenon/plugin';
import type { Compilation } from '@tenon/compiler';
import type { Session } from '@tenon/core';
import type { Case } from './cases/explore.ts';
import { describeInstance, ModuleWriter, sizeOf, type SymbolicAxes } from './cases/instance.ts';
import { ask, guardsHold } from './cases/verdict.ts';
import { isWriteToFrozen } from './frozen.ts';
import type { Regime } from './tensors.ts';
import { describeError, inputsFor, resultsOf, type CompileMode, type Workbench } from './workbench.ts';

export interface Problem {
  readonly code: string;
  readonly message: string;
}

export const describeCase = (c: Case): string => {
  const dims = c.symbolic.map((s) => `${s.times === undefined ? '' : `${s.times} · `}${s.name} = ${s.axes.map(([l, a]) => `axis ${a} of argument ${l}`).join(', ')}`);
  return `${describeInstance(c.instance)} (${c.about}${dims.length > 0 ? `: ${dims.join('; ')}` : ''})`;
};

/** Integer leaves that must lie in a range, by parameter name. */
export const rangesOf = (c: Case): ReadonlyMap<string, readonly [number, number]> =>
  new Map(c.instance.leaves.flatMap((l, i) => (l.range === null ? [] : [[`x${i}`, l.range] as const])));

export const moduleOf = (c: Case, seed: number) => (session: Session): IRModule =>
  new ModuleWriter(session, seed, c.symbolic).write(c.instance, [c.instance.calls.length - 1, ...c.leaks], c.every).module;

/** What a compilation said that it should not have. */
export function compileProblem(diagnostics: readonly Diagnostic[]): Problem | null {
  const failed = diagnostics.find((d) => d.code === 'codegen/failed');
  if (failed === undefined) return null;
  if (isWriteToFrozen(failed.message)) return { code: 'contract/changes-input', message: `codegen changes the regions that it is given: ${failed.message}` };
  if (/Code generation from strings disallowed/.test(failed.message)) return { code: 'contract/eval', message: `codegen makes code from strings: ${failed.message}` };
  return { code: 'rules/claimed-not-compiled', message: `the rule takes it, and codegen does not: ${failed.message}` };
}

export interface RunOptions {
  /** Fewer kinds of inputs. */
  readonly quick: boolean;
  readonly seed: number;
  readonly mode?: CompileMode;
  /** Kinds of inputs, in place of the usual ones. */
  readonly regimes?: readonly Regime[];
}

/** Runs with several inputs on one loaded model: stale results, leftovers of earlier runs and shared memory show. */
export async function runCase(bench: Workbench, c: Case, options: RunOptions): Promise<Problem | null> {
  bench.step(describeCase(c));
  const make = moduleOf(c, options.seed);
  let compilation: Compilation;
  let bytes: Uint8Array;
  try {
    compilation = await bench.compile(make, options.mode);
  } catch (error) {
    return { code: 'rules/claimed-not-compiled', message: `it cannot be compiled: ${describeError(error)}` };
  }
  const { target } = bench;
  try {
    const problem = compileProblem(compilation.diagnostics);
    if (problem !== null) return problem;
    if (!compilation.placements.some((p) => p.target === target!.name)) {
      const first = compilation.placements[0]?.rejected.find((r) => r.target === target!.name);
      return { code: 'numerics/not-delegated', message: `the rule takes it when asked, and no operator of it is placed on ${target!.name}${first === undefined ? '' : `: ${first.message} [${first.code}]`}` };
    }
    bytes = await compilation.toBytes();
  } catch (error) {
    return { code: 'artifact/not-linked', message: `no artifact can be made of it: ${describeError(error)}` };
  } finally {
    compilation.dispose();
  }
  return runArtifact(bench, c, bytes, make, options);
}

async function runArtifact(
  bench: Workbench, c: Case, bytes: Uint8Array, make: (session: Session) => IRModule, options: RunOptions,
): Promise<Problem | null> {
  const { session } = bench;
  const module = make(session);
  const main = module.functions.get('main') as GraphFunction;
  let model;
  try {
    model = await bench.load(bytes, options.mode);
  } catch (error) {
    return { code: 'artifact/not-loaded', message: `its artifact cannot be loaded: ${describeError(error)}` };
  }
  const guards = guardsOf(bench, c);
  const loaderName = bench.makeLoader!().name;
  try {
    const regimes: readonly Regime[] = options.regimes ?? (sizeOf(c.instance) > 150_000 ? ['mixed'] : options.quick ? ['mixed', 'large'] : ['mixed', 'large', 'small', 'equal', 'mixed']);
    const sizesList = c.symbolic.length === 0 ? [new Map<string, number>()] : symbolicSizes(c.symbolic, c.priority < 1);
    for (const sizes of sizesList) {
      // Many sizes already: one kind of inputs for the larger ones.
      for (const [i, regime] of (c.symbolic.length === 0 ? regimes : regimes.slice(0, Math.max(...sizes.values()) > 8 ? 1 : 2)).entries()) {
        const inputs = inputsFor(main, sizes, options.seed + i, regime, session, rangesOf(c));
        let want: readonly HostTensor[];
        try {
          want = await bench.reference(make, inputs);
        } catch {
          break; // These sizes do not exist: a product of dims that must be something else.
        }
        const at = `${sizes.size > 0 ? `with ${[...sizes].map(([n, v]) => `${n} = ${v}`).join(', ')}, ` : ''}inputs ‘${regime}’`;
        let got: readonly HostTensor[];
        let ran: readonly string[];
        try {
          const { outputs, profile } = await model.run(inputsByName(main, inputs), { profile: true });
          got = resultsOf(outputs);
          ran = profile.calls.map((call) => call.loader);
        } catch (error) {
          return { code: 'runtime/failed', message: `${at}: the run fails: ${describeError(error)}` };
        }
        const [report] = model.reports;
        if (report !== undefined) {
          const text = report.message;
          return { code: /Code generation from strings disallowed/.test(text) ? 'contract/eval' : 'runtime/failed', message: `${at}: ${text}` };
        }
        const problem = bench.disagreement(got, want, inputs);
        const holds = guardsHold(guards, sizes, session);
        if (problem !== null) {
          const guarded = c.symbolic.length > 0 && ran.includes(loaderName) ? ' (should a guard have kept it away?)' : '';
          return { code: 'numerics/wrong', message: `${at}: ${problem}${guarded}` };
        }
        if (holds === true && !ran.includes(loaderName)) return { code: 'numerics/not-run', message: `${at}: loader ${loaderName} did not run, only ${[...new Set(ran)].join(', ')}` };
      }
    }
    return null;
  } finally {
    model.dispose();
  }
}

const inputsByName = (main: GraphFunction, inputs: readonly HostTensor[]): { [name: string]: HostTensor } => Object.fromEntries(main.params.map((p, i) => [p.name, inputs[i]!]));

/** The conditions that the rule gives for a symbolic case. */
function guardsOf(bench: Workbench, c: Case): readonly Expr[] {
  if (c.symbolic.length === 0) return [];
  const answer = ask(c.rule, c.instance, bench.session, c.symbolic);
  return answer.kind === 'claimed' ? answer.guards : [];
}

/** Sizes to try for symbolic dims: the same for all, then different ones. `many`: what a variation of another case does not need. */
function symbolicSizes(symbolic: readonly SymbolicAxes[], many: boolean): readonly ReadonlyMap<string, number>[] {
  const one = [1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100];
  const few = !many || symbolic.some((s) => s.times !== undefined);
  if (symbolic.length === 1) return (few ? one.filter((size) => size % 4 < 2 && size < 40) : one).map((size) => new Map([[symbolic[0]!.name, size]]));
  const all = [[1, 1, 1, 1], [16, 32, 48, 64], [17, 3, 5, 2], [7, 16, 16, 16], [16, 7, 16, 16], [32, 16, 7, 5], [8, 4, 12, 16], [33, 31, 3, 1]];
  const sets = few ? all.slice(0, 4) : all;
  return sets.map((sizes) => new Map(symbolic.map((s, i) => [s.name, sizes[i]!])));
}
