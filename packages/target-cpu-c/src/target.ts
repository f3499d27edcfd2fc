import { createHash } from 'node:crypto';
import type { Attrs, CodegenBlob, CodegenRegion, EntryManifest, Target, TargetContext } from '@tenon/plugin';
import { intrinsicsOf, TenonError } from '@tenon/plugin';
import { descriptionOf } from '@tenon/core';
import { comment, entryDeclarations, generateEntry, keptKernels, kernelSymbol, Support, supportedDTypes, type Kernel } from './codegen/index.ts';
import { archOf, describeDevice, requiredFeatures } from './device.ts';
import { blobFormat, blobFormatVersion, type Requirements } from './runtime/format.ts';
import { librarySupport, libraryUnits } from './libraries.ts';
import { hashSource } from './runtime/hash-source.ts';
import { limitsSource } from './runtime/limits-source.ts';
import { supportSource } from './runtime/support-source.ts';
import { encodeSource, sourceFormat, sourceFormatVersion } from './standalone/source.ts';
import { portableLevels } from './portable.ts';
import { findToolchain, SharedObjectBuild, type Toolchain, type Unit } from './toolchain.ts';

export interface CpuCOptions {
  /** The C compiler; otherwise $CC, cc, gcc or clang. */
  readonly cc?: string;
  /**
   * The processor to compile for, as the compiler's -march names it; `native` (default): this machine's; `portable`: code for
   * several levels of this kind of processor, of which the loader takes the best that a machine has.
   */
  readonly march?: string;
  /** Bytes of vectors in the generated code: 16, 32 or 64. Otherwise what the processor has. */
  readonly vectorBytes?: number;
  /** Threads that schedules and cost models count on; otherwise as many as there are cores. */
  readonly threads?: number;
  /**
   * How many times as large as in the model the constants of a kernel may become for the sake of speed: algorithms that do with fewer
   * multiplications (Winograd's for convolutions, Strassen's for products of matrices) keep sums of them. 1: not at all; otherwise as cost models say.
   */
  readonly weightGrowth?: number;
  /** What comes out: a `shared-object` that the loader opens (default), or the C `source` of one, for `standaloneFiles`. */
  readonly emit?: 'shared-object' | 'source';
}

/** The target `cpu-c`. Options given to the target in the configuration go before those of the plugin. */
export function cpuCTarget(pluginOptions: CpuCOptions): Target {
  const toolchains = new Map<string, Promise<Toolchain>>();
  const toolchainFor = (options: CpuCOptions, signal: AbortSignal): Promise<Toolchain> => {
    const key = JSON.stringify([options.cc ?? process.env['CC'], options.march]);
    let found = toolchains.get(key);
    if (found === undefined) {
      found = findToolchain({ cc: options.cc, march: options.march }, signal);
      toolchains.set(key, found);
      // A failure is not kept: the user may install a compiler while a watching process runs.
      found.catch(() => toolchains.delete(key));
    }
    return found;
  };
  const merged = (options: Attrs): CpuCOptions => ({ ...pluginOptions, ...checkOptions(options) });
  /** `portable` stands for the last of its levels where it must be one: that is what all machines have. */
  const single = (o: CpuCOptions): CpuCOptions => (o.march === 'portable' ? { ...o, march: portableLevels().at(-1)! } : o);
  return {
    name: 'cpu-c',
    doc: 'C11 with vector extensions, compiled by the system\'s C compiler for this machine.',
    dtypes: supportedDTypes,
    form: 'kernels',
    libraries: librarySupport((ctx) => toolchainFor(single(merged(ctx.target.options)), ctx.signal)),
    machines: (options) => (merged(options).march === 'portable' && merged(options).emit !== 'source' ? portableLevels().map((march) => ({ ...options, march })) : []),
    async device(options, ctx) {
      const o = single(merged(options));
      return describeDevice(await toolchainFor(o, ctx.signal), o);
    },
    async codegen(regions, ctx) {
      const o = single(merged(ctx.target.options));
      return [await compileRegions(regions, ctx, await toolchainFor(o, ctx.signal), o.emit === 'source')];
    },
  };
}

function checkOptions(options: Attrs): CpuCOptions {
  const types: { readonly [name: string]: string } = { cc: 'string', march: 'string', vectorBytes: 'number', threads: 'number', weightGrowth: 'number', emit: 'string' };
  for (const [name, value] of Object.entries(options)) {
    if (types[name] === undefined || typeof value !== types[name]) {
      throw new TenonError({
        code: 'cpu-c/bad-option',
        message: types[name] === undefined ? `the target cpu-c has no option ${name}` : `option ${name} of the target cpu-c is a ${types[name]}`,
        hint: `it has ${Object.entries(types).map(([key, type]) => `${key} (${type})`).join(', ')}`,
      });
    }
  }
  if (options['emit'] !== undefined && options['emit'] !== 'shared-object' && options['emit'] !== 'source') {
    throw new TenonError({ code: 'cpu-c/bad-option', message: `option emit of the target cpu-c is not ${JSON.stringify(options['emit'])}`, hint: 'it is shared-object or source' });
  }
  return options as CpuCOptions;
}

async function compileRegions(regions: readonly CodegenRegion[], ctx: TargetContext, toolchain: Toolchain, asSource: boolean): Promise<CodegenBlob> {
  const units: Unit[] = [];
  // Kernels are compiled while the next ones are being written.
  const build = asSource ? null : new SharedObjectBuild(toolchain, { cache: ctx.host.cache, signal: ctx.signal, progress: (done, total) => ctx.progress('compile C', done, total) });
  const add = (unit: Unit): void => {
    units.push(unit);
    build?.add(unit);
  };
  try {
    const { entries, listing } = await writeRegions(regions, ctx, add);
    add({ name: 'the thread pool', text: supportSource });
    build?.add({ name: 'the limits', text: limitsSource });
    build?.add({ name: 'the hash', text: hashSource });
    ctx.progress('wait for the C compiler');
    return {
      format: asSource ? sourceFormat : blobFormat,
      formatVersion: asSource ? sourceFormatVersion : blobFormatVersion,
      bytes: build === null ? encodeSource(units, toolchain) : await build.finish(),
      entries,
      requires: { arch: archOf(toolchain.macros), platform: process.platform, features: requiredFeatures(toolchain.macros) } satisfies Requirements,
      listing,
    };
  } catch (error) {
    await build?.end(error);
    throw error;
  }
}

/** Lets processes that have ended be noticed, and others start. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Entries run once per run of a region, and are long: what the compiler could gain there is not worth its time. */
const entryFlags = ['-O1'];

async function writeRegions(regions: readonly CodegenRegion[], ctx: TargetContext, add: (unit: Unit) => void): Promise<{ entries: readonly EntryManifest[]; listing: string }> {
  const vectorBytes = ctx.target.device.features['vectorBytes'] as number;
  const exprs = ctx.exprs;
  const units = new Map<string, Unit>();
  const described = new Map<string, string[]>();
  const generated = new Map<unknown, { kernel: Kernel; symbols: string[] }>();
  const support = new Support();
  const intrinsics = new Map(intrinsicsOf(ctx).map((intrinsic) => [intrinsic.name, { intrinsic, description: descriptionOf(exprs, intrinsic) }]));
  const entryTexts: string[] = [];
  const entries: EntryManifest[] = [];

  for (const region of regions) {
    const { plan } = region;
    if (plan === null) throw new TypeError(`region ${region.name} has no plan: the C target takes kernels`);
    const kept = await keptKernels([...region.functions.values()].filter((fn) => !generated.has(fn)), ctx.memo, { exprs, vectorBytes, facts: region.facts, intrinsics });
    const kernels: ({ kernel: Kernel; symbols: string[] } | null)[] = [];
    for (const launch of plan.launches) {
      if (launch.extern !== undefined) {
        kernels.push(null);
        continue;
      }
      const fn = region.functions.get(launch.kernel);
      if (fn === undefined) return ctx.fail({ code: 'cpu-c/missing-kernel', message: `region ${region.name} launches ${launch.kernel}, which it does not have` });
      let known = generated.get(fn);
      if (known === undefined) {
        ctx.progress('generate C', generated.size);
        const { kernel, isNew } = kept.of(fn);
        const symbols = kernel.stages.map((stage) => {
          const symbol = `tenon_k_${createHash('sha256').update(stage.text).digest('hex').slice(0, 16)}`;
          if (!units.has(symbol)) {
            const unit = { name: `kernel ${launch.kernel}`, text: stage.text.replace(kernelSymbol, symbol) };
            units.set(symbol, unit);
            add(unit);
          }
          described.set(symbol, [...(described.get(symbol) ?? []), `${launch.kernel}${launch.ops.length > 0 ? ` (${launch.ops.join(', ')})` : ''}`]);
          return symbol;
        });
        known = { kernel, symbols };
        generated.set(fn, known);
        if (isNew) await turn();
      }
      kernels.push(known);
    }
    const entry = generateEntry(plan, kernels, exprs, support, region.facts);
    entryTexts.push(entry.text);
    entries.push({
      region: region.name,
      symbol: entry.symbol,
      constants: plan.constants,
      dims: plan.dims,
      runDims: plan.runDims.map((d) => d.name),
      workspace: entry.workspace,
      kernels: entry.kernels,
    });
  }

  const entryText = `${support.text()}\n${entryDeclarations}\n${entryTexts.join('\n')}`;
  const libraries = libraryUnits(regions);
  for (const unit of libraries) add(unit);
  add({ name: 'the entries', text: entryText, flags: entryFlags });
  const listing = [
    ...Array.from(units, ([symbol, unit]) => `${comment(described.get(symbol)!.join(', '))}\n${unit.text}`),
    ...libraries.map((unit) => `${comment(unit.name)}\n${unit.text}`),
    entryText,
  ].join('\n');
  return { entries, listing };
}
