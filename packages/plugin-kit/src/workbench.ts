/** What all tiers share: the plugin, its loader, sessions, and the way from an instance to a running model. */
import { definePlugin, diagnosticOf, type Config, type GraphFunction, type Host, type HostTensor, type IRModule, type Loader, type Plugin, type Rule, type Target, type TensorType } from '@tenon/plugin';
import { compileModule, type Compilation } from '@tenon/compiler';
import { Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { createRuntime, type Model } from '@tenon/runtime';
import type { Exploration } from './cases/explore.ts';
import { freeze, ReadConstants } from './frozen.ts';
import { referenceLoader, referenceTarget, type ReferenceTarget } from './machines/reference.ts';
import type { Failure, Note, Tier } from './report.ts';
import type { PackageJson, Settings } from './settings.ts';
import { difference, generator, numbersOf, randomTensor, type Regime } from './tensors.ts';

/** Files are none of the kit's business while it compiles. */
export const bareHost: Host = {
  name: 'plugin-kit', now: () => performance.now(), resolve: (_, path) => path, cache: null,
  open: (uri) => Promise.reject(new Error(`${uri}: the kit opens no files`)),
};

/** Everything runs on it that the plugin does not take. */
export const fallback: ReferenceTarget = { name: 'reference', space: 'host' };

const bystander = definePlugin({ name: '@tenon/plugin-kit/bystander', namespace: 'kit-bystander' }, () => ({
  ops: [{
    name: 'kit-bystander.same', doc: 'x.', signature: { params: ['x'], attrs: {}, results: ['y'] },
    facets: { infer: (call) => [call.tensor(0)], reference: ({ args }) => [args[0]!] },
  }],
}));

/** Passes that would rewrite a case before the rule sees it. */
const rewritingPasses = ['canonicalize-ops', 'fold-constants', 'common-subexpressions', 'dead-code', 'fold-legalized', 'common-legalized', 'dead-legalized'];

export interface CompileMode {
  readonly plugin?: Plugin;
  /** Further targets, those before the plugin's first. */
  readonly rivals?: readonly { readonly target: ReferenceTarget; readonly first: boolean }[];
  /** Whether standard passes run before partitioning. */
  readonly canonicalize?: boolean;
  readonly order?: 'reversed';
  /** One more plugin, which has nothing to do with anything. */
  readonly bystander?: boolean;
  readonly signal?: AbortSignal;
}

/** Hears the results of a tier. */
export interface Listener {
  failure(failure: Failure): void;
  note(note: Note): void;
  /** What is done next, so that a plugin that never comes back can be told where. */
  step(about: string): void;
}

export class Workbench {
  readonly folder: string;
  readonly json: PackageJson;
  readonly settings: Settings;
  readonly files: { readonly plugin: string; readonly loader: string | null };
  readonly makePlugin: () => Plugin;
  readonly makeLoader: (() => Loader) | null;
  readonly target: Target | null;
  /** For questions about types and rules. */
  readonly session: Session;
  /** By rule, once the tier `rules` has run. */
  explorations: readonly Exploration[] = [];
  /** Of entries of libraries, each with the workbench that compiles with it. */
  entries: readonly { readonly exploration: Exploration; readonly bench: Workbench }[] = [];
  /** Milliseconds for the generated cases of `numerics`; half as much for those of `partition`. */
  readonly budget: number;
  readonly #listener: Listener;
  readonly #told = new Map<string, number>();
  checks = 0;
  /** Nothing is reported: the tier runs for what it finds out. */
  silent = false;
  tier: Tier = 'package';

  constructor(
    about: { folder: string; json: PackageJson; settings: Settings; files: { plugin: string; loader: string | null } },
    makePlugin: () => Plugin, makeLoader: (() => Loader) | null, listener: Listener, budget = 16_000,
  ) {
    this.budget = budget;
    this.folder = about.folder;
    this.json = about.json;
    this.settings = about.settings;
    this.files = about.files;
    this.makePlugin = makePlugin;
    this.makeLoader = makeLoader;
    this.#listener = listener;
    const plugin = makePlugin();
    this.target = plugin.targets?.[0] ?? null;
    this.session = this.newSession();
  }

  /** The plugin's rules for its own target. */
  get rules(): readonly Rule[] {
    return (this.makePlugin().rules ?? []).filter((r) => r.target === this.target?.name);
  }

  newSession(plugin: Plugin = this.makePlugin()): Session {
    return new Session({ config: { plugins: [standardOps(), plugin] }, host: bareHost });
  }

  /** Counts a check; a message is a failure. The same code is told three times for a rule at most. */
  check(code: string, problem: string | null, rule?: string): boolean {
    this.checks++;
    if (problem === null) return true;
    this.fail(code, problem, rule);
    return false;
  }

  /** Says what is done next. What goes on for long without a step hangs. */
  step(about: string): void {
    this.#listener.step(about);
  }

  fail(code: string, message: string, rule?: string): void {
    if (this.silent) return;
    const key = `${code} ${rule ?? ''}`;
    const told = this.#told.get(key) ?? 0;
    this.#told.set(key, told + 1);
    if (told >= 3) return;
    this.#listener.failure({ tier: tierOf(code) ?? this.tier, code, message, ...(rule === undefined ? {} : { rule }) });
  }

  note(code: string, message: string): void {
    if (this.silent) return;
    const key = `note ${code}`;
    const told = this.#told.get(key) ?? 0;
    this.#told.set(key, told + 1);
    if (told < 2) this.#listener.note({ tier: this.tier, code, message });
  }

  config(mode: CompileMode = {}): Config {
    const { rivals = [], canonicalize = false } = mode;
    const plugin = mode.plugin ?? this.frozenPlugin();
    const plugins = [standardOps(), plugin, referenceTarget(fallback), ...rivals.map((r) => referenceTarget(r.target)), ...(mode.bystander === true ? [bystander()] : [])];
    const own = this.target === null ? [] : [[this.target.name, this.settings.targetOptions] as const];
    const named = (first: boolean): readonly string[] => rivals.filter((r) => r.first === first).map((r) => r.target.name);
    return {
      plugins: mode.order === 'reversed' ? plugins.reverse() : plugins,
      targets: [...named(true), ...own, ...named(false), fallback.name],
      partition: { strategy: 'greedy', fallback: 'host' },
      verify: 'phase',
      ...(canonicalize ? {} : { passes: { disable: rewritingPasses } }),
    };
  }

  /** The plugin, given frozen regions. */
  frozenPlugin(plugin: Plugin = this.makePlugin()): Plugin {
    if (plugin.targets === undefined) return plugin;
    const targets = plugin.targets.map((t): Target => ({
      ...t,
      codegen: async (regions, ctx) => {
        const constants = new ReadConstants();
        const blobs = await t.codegen(freeze(regions.map((r) => constants.watch(r))), ctx);
        constants.check();
        return blobs;
      },
    }));
    return { ...plugin, targets };
  }

  compile(make: (session: Session) => IRModule, mode: CompileMode = {}): Promise<Compilation> {
    return compileModule(make, { config: this.config(mode), host: bareHost, ...(mode.signal === undefined ? {} : { signal: mode.signal }) });
  }

  /** Loads an artifact with the plugin's loader and those of the kit's own targets. */
  load(bytes: Uint8Array, mode: CompileMode = {}, loader: Loader | null = this.makeLoader?.() ?? null): Promise<Model> {
    const reference = [fallback, ...(mode.rivals ?? []).map((r) => r.target)].map((t) => referenceLoader(t, this.session));
    return createRuntime({ loaders: [...(loader === null ? [] : [loader]), ...reference], host: bareHost, allowNative: true, threads: 1 }).load(bytes);
  }

  async reference(make: (session: Session) => IRModule, inputs: readonly HostTensor[]): Promise<readonly HostTensor[]> {
    const module = make(this.session);
    return evaluateGraph(module, module.functions.get('main') as GraphFunction, inputs, this.session);
  }

  /** What keeps results from being those that are wanted, or null. */
  disagreement(got: readonly HostTensor[], want: readonly HostTensor[], inputs: readonly HostTensor[], tolerance?: number): string | null {
    if (got.length !== want.length) return `there are ${got.length} results, not ${want.length}`;
    const magnitude = Math.min(1, Math.max(1e-30, ...inputs.map(largestOf)));
    for (const [i, w] of want.entries()) {
      const problem = difference(got[i]!, w, tolerance ?? this.settings.tolerance[w.dtype] ?? 1e-4, magnitude);
      if (problem !== null) return want.length > 1 ? `result ${i}: ${problem}` : problem;
    }
    return null;
  }
}

/** A workbench that reports nothing, in another thread or process. */
export function openWorkbench(about: { folder: string; settings: Settings; files: { plugin: string; loader: string | null } }, makePlugin: () => Plugin, makeLoader: () => Loader): Workbench {
  return new Workbench({ ...about, json: {} }, makePlugin, makeLoader, { failure: () => undefined, note: () => undefined, step: () => undefined });
}

/** The part of a code before the slash, where it names a tier. */
const tierOf = (code: string): Tier | null => {
  const [first] = code.split('/');
  return first === 'package' || first === 'contract' || first === 'rules' || first === 'numerics' || first === 'partition' || first === 'artifact' || first === 'runtime' || first === 'cost' ? first : null;
};

function largestOf(t: HostTensor): number {
  let largest = 0;
  const numbers = numbersOf(t);
  for (let i = 0; i < numbers.length; i++) largest = Math.max(largest, Math.abs(Number(numbers[i])));
  return largest;
}

/** Inputs for a function's parameters, with sizes for its dims. */
export function inputsFor(main: GraphFunction, sizes: ReadonlyMap<string, number>, seed: number, regime: Regime, session: Session, ranges: ReadonlyMap<string, readonly [number, number]> = new Map()): HostTensor[] {
  const random = generator(seed);
  const values = new Map([...sizes].map(([name, size]) => [name, session.exprs.int(size)]));
  return main.params.map((p) => {
    const { dtype, shape } = p.type as TensorType;
    const concrete = shape.map((d) => session.exprs.valueOf(session.exprs.substitute(d, values))!);
    return randomTensor(random, dtype, concrete, regime, ranges.get(p.name) ?? null);
  });
}

/** An error in words, with the code that it carries. */
export function describeError(error: unknown): string {
  const found = diagnosticOf(error);
  if (found !== null) return `${found.message} [${found.code}]`;
  return error instanceof Error ? error.message : String(error);
}

export const resultsOf = (outputs: { readonly [name: string]: HostTensor }): readonly HostTensor[] => Object.values(outputs);
