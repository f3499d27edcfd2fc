import { basename } from 'node:path';
import { buildArtifact, findConfig, load, loadConfig, TenonError, type BuildOptions, type Config, type Loader, type Model } from 'tenon';
import { nodeHost, type Costs } from 'tenon/tools';
import { parseCount, parseDims, type OptionSpecs, type ParsedArguments } from './arguments.ts';
import type { CommandContext } from './command.ts';

/** Options of every command that compiles a model. */
export const modelOptions: OptionSpecs = {
  target: { value: 'T[,T2]', short: 't', doc: 'where it runs, in order of preference; the last must take every operator (default: cpu-c)' },
  march: { value: 'CPU', doc: 'the processor that cpu-c compiles for: as the compiler\'s -march names it, native (default), or portable: code for several, chosen when loaded' },
  dim: { value: 'NAME=N', multiple: true, doc: 'fixes or bounds a dim: n=8, n=1..4096, n=8..512%8' },
  config: { value: 'FILE', short: 'c', doc: 'the configuration (default: tenon.config.ts, .mts, .js or .mjs in this folder)' },
  'no-config': { doc: 'uses no configuration file' },
  'no-cache': { doc: 'compiles everything anew and keeps nothing' },
};

export const threadsOption: OptionSpecs = { threads: { value: 'N', doc: 'threads (default: as many as there are cores)' } };

/** What the command line and the configuration say about compiling. */
export interface Settings {
  readonly build: Omit<BuildOptions, 'config'> & { readonly config: Config };
  readonly loaders: readonly Loader[];
  /** Dims that `--dim` fixes. */
  readonly fixed: ReadonlyMap<string, number>;
}

export async function readSettings(args: ParsedArguments, ctx: CommandContext): Promise<Settings> {
  const named = args.value('config');
  if (named !== undefined && args.flag('no-config')) throw new TenonError({ code: 'usage/arguments', message: '--config and --no-config contradict each other' });
  const path = args.flag('no-config') ? null : (named ?? findConfig());
  const { config, loaders } = path === null ? { config: {}, loaders: [] } : await loadConfig(path);
  const dims = parseDims(args.values('dim'));
  const march = args.value('march');
  const target = args.value('target')?.split(',').map((name) => name.trim()).filter((name) => name !== '');
  return {
    loaders,
    fixed: new Map(Object.entries(dims).filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
    build: {
      config, signal: ctx.signal, cache: !args.flag('no-cache'),
      onProgress: ({ step, done, total }) => ctx.progress(step, done, total),
      onDiagnostic: (diagnostic) => ctx.report(diagnostic),
      ...(target === undefined && march === undefined ? {} : { target: withMarch(target?.map((name) => configured(name, config)) ?? config.targets ?? ['cpu-c'], march) }),
      ...(Object.keys(dims).length === 0 ? {} : { dims }),
    },
  };
}

/** A target named on the command line keeps the options that the configuration gives it. */
function configured(name: string, config: Config): NonNullable<Config['targets']>[number] {
  return config.targets?.find((entry) => (typeof entry === 'string' ? entry : entry[0]) === name) ?? name;
}

/** The option `march` of cpu-c, from the command line. */
function withMarch(targets: NonNullable<Config['targets']>, march: string | undefined): NonNullable<Config['targets']> {
  if (march === undefined) return targets;
  const named = (entry: (typeof targets)[number]): string => (typeof entry === 'string' ? entry : entry[0]);
  if (!targets.some((entry) => named(entry) === 'cpu-c')) throw new TenonError({ code: 'usage/arguments', message: '--march is for the target cpu-c, which is not among the targets' });
  return targets.map((entry) => (named(entry) === 'cpu-c' ? ['cpu-c', { ...(typeof entry === 'string' ? {} : entry[1]), march }] : entry));
}

/** Whether a file is an artifact, by its first bytes. Throws `host/…` where it cannot be read. */
export async function isArtifact(path: string): Promise<boolean> {
  const source = await nodeHost({ cacheFolder: null }).open(path);
  try {
    const head = await source.read(0, Math.min(source.bytes, 5));
    return String.fromCharCode(...head) === 'TENON';
  } finally {
    source.close();
  }
}

export interface LoadedModel {
  readonly model: Model;
  readonly name: string;
  readonly settings: Settings;
  /** null for artifacts. */
  readonly compileMilliseconds: number | null;
  /** Whether the cache had the artifact. */
  readonly cached: boolean;
  readonly loadMilliseconds: number;
}

/**
 * Compiles a model and loads it, or loads an artifact. A local artifact is trusted like any program that its user
 * starts by name; one from a URL only with `--allow-native`. `costs`: in place of those of the configuration.
 */
export async function loadModel(path: string, args: ParsedArguments, ctx: CommandContext, costs: Costs | null = null): Promise<LoadedModel> {
  const threads = parseCount('threads', args.value('threads'), 0, 1);
  const given = await readSettings(args, ctx);
  const { config } = given.build;
  const settings = costs === null ? given : { ...given, build: { ...given.build, config: { ...config, partition: { ...config.partition, costs } } } };
  const options = { threads, loaders: settings.loaders };
  const name = basename(path);
  if (await isArtifact(path)) {
    if (args.value('target') !== undefined) throw new TenonError({ code: 'usage/arguments', message: `${path} is compiled already: --target has no effect on it`, hint: 'give the model that it was compiled from' });
    const begin = performance.now();
    const allowNative = !/^https?:/i.test(path) || args.flag('allow-native');
    const model = await load(path, { ...options, allowNative });
    return { model, name, settings, compileMilliseconds: null, cached: false, loadMilliseconds: performance.now() - begin };
  }
  const begin = performance.now();
  const built = await buildArtifact(path, settings.build);
  const compiled = performance.now();
  ctx.progress('load');
  const model = await load(built.path ?? (await built.read()), { ...options, allowNative: true });
  return { model, name, settings, compileMilliseconds: compiled - begin, cached: built.cached, loadMilliseconds: performance.now() - compiled };
}
