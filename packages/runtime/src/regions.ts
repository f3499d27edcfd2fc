import { type ArtifactFile, evaluateDim, formatDim, type Manifest, type RegionInfo, type RegionVariant } from '@tenon/artifact';
import type { BlobInfo, DeviceLimits, Diagnostic, LoadedBlob, Loader } from '@tenon/plugin';
import { diagnostic, diagnosticOf, TenonError } from '@tenon/plugin';
import { allDone } from './all-done.ts';
import type { ConstantStore } from './constants.ts';
import type { Limits } from './profile.ts';
import type { Verification } from './verification.ts';

/** Which variant of each region runs, and the loaded blobs. */
export interface RegionTable {
  region(index: number): RegionInfo;
  variant(region: number, variant: number): RegionVariant;
  /** The first variant that a loader takes, that has not failed, and whose guards hold. Throws `runtime/no-variant` with every reason. */
  choose(region: number, dims: ReadonlyMap<string, number>, excluded: ReadonlyMap<string, string>): number;
  /** Whether a variant is left to try, whatever its guards. */
  hasOther(region: number, excluded: ReadonlyMap<string, string>): boolean;
  /**
   * Loads what runs are expected to need: of every region the variants up to the first without guards. A variant that
   * cannot be loaded is given up where the region has another, and `reports` says so. Throws `runtime/no-variant` for
   * regions that no loader takes.
   */
  preload(): Promise<void>;
  /** Loaders of the artifact's blobs, by blob; null where there is none. */
  readonly loaders: readonly (Loader | null)[];
  /** Loads the blob and the constants of a variant. */
  load(region: number, variant: number): Promise<void>;
  loaded(region: number, variant: number): boolean;
  /** Of a variant that `choose` gave. */
  loader(region: number, variant: number): Loader;
  /** Of a variant that has been loaded. */
  blob(region: number, variant: number): LoadedBlob;
  /** Stops using a variant, and says so in `reports`. */
  retire(region: number, variant: number, instead: number, message: string): void;
  /** Whether a variant was given up since the model was loaded: calls that are bound to it must not run again. */
  readonly retired: boolean;
  /** What the devices of loaded blobs can do at best, by loader; those that tell. */
  limits(): Promise<Limits>;
  readonly reports: readonly Diagnostic[];
  dispose(): void;
}

export const variantKey = (region: number, variant: number): string => `${region}/${variant}`;

interface RegionOptions {
  readonly file: ArtifactFile;
  readonly loaders: readonly Loader[];
  readonly constants: ConstantStore;
  readonly threads: number;
  readonly allowNative: boolean;
  readonly verification: Verification | null;
}

type BlobState = { readonly info: BlobInfo; readonly loader: Loader | null; readonly reason: string; loading: Promise<LoadedBlob> | null; blob: LoadedBlob | null };

export function createRegions({ file, loaders, constants, threads, allowNative, verification }: RegionOptions): RegionTable {
  const { manifest } = file;
  const blobs: BlobState[] = manifest.blobs.map((_, i) => {
    const info = blobInfo(file, i);
    return { info, ...chooseLoader(info, loaders, allowNative), loading: null, blob: null };
  });
  const retired = new Map<string, string>();
  const reports: Diagnostic[] = [];
  let retiredWhileRunning = false;
  let disposed = false;

  const variantOf = (region: number, variant: number): RegionVariant => manifest.regions[region]!.variants[variant]!;
  const stateOf = (region: number, variant: number): BlobState => blobs[variantOf(region, variant).blob]!;

  const loadBlob = (index: number): Promise<LoadedBlob> => {
    const state = blobs[index]!;
    // Blobs are compared with their hashes before they are loaded, always: damaged code can do anything.
    state.loading ??= (async () => {
      const bytes = await file.read(file.section(manifest.blobs[index]!.section));
      const blob = await state.loader!.load(state.info, bytes, { threads });
      if (disposed) {
        blob.dispose();
        throw new TenonError({ code: 'runtime/disposed', message: 'the model was disposed while it was loading' });
      }
      state.blob = blob;
      if (blob.hashes) verification?.use((memory, chunkBytes) => blob.hashes!(memory, chunkBytes));
      return blob;
    })();
    state.loading.catch(() => {
      state.loading = null;
    });
    return state.loading;
  };

  const usable = (region: number, excluded: ReadonlyMap<string, string>): readonly number[] =>
    [...manifest.regions[region]!.variants.keys()].filter((i) => stateOf(region, i).loader && !excluded.has(variantKey(region, i)) && !retired.has(variantKey(region, i)));

  const noVariant = (region: number, reasons: readonly string[]): TenonError =>
    new TenonError({
      code: 'runtime/no-variant',
      message: `region '${manifest.regions[region]!.name}' cannot run here: ${reasons.join('; ')}`,
      hint: 'give createRuntime the loaders of the targets, or compile for this machine',
    });

  const load = async (region: number, variant: number): Promise<void> => {
    const { constants: wanted, blob } = variantOf(region, variant);
    const { device } = stateOf(region, variant).loader!;
    await allDone([loadBlob(blob), ...wanted.map((index) => constants.load(index, device))]);
  };

  /** Loads the variants of a region that runs are expected to need. */
  const preloadRegion = async (region: number, lost: Map<number, Unloaded>): Promise<void> => {
    const { name, variants } = manifest.regions[region]!;
    for (;;) {
      const candidates = usable(region, new Map());
      if (candidates.length === 0) throw noVariant(region, variants.map((variant, i) => `${manifest.blobs[variant.blob]!.target}: ${retired.get(variantKey(region, i)) ?? blobs[variant.blob]!.reason}`));
      const certain = candidates.findIndex((i) => variants[i]!.guards.length === 0);
      const wanted = candidates.slice(0, certain < 0 ? candidates.length : certain + 1);
      const failures = (await Promise.allSettled(wanted.map((i) => load(region, i)))).flatMap((result, at) => (result.status === 'rejected' ? [{ variant: wanted[at]!, error: result.reason as unknown }] : []));
      if (failures.length === 0) return;
      for (const { variant, error } of failures) {
        // A damaged or unreadable artifact is no fault of the loader, and there is nothing left to try without another variant.
        if (disposed || /^(artifact|host)\//.test(diagnosticOf(error)?.code ?? '') || candidates.length === failures.length) throw error;
        const message = error instanceof Error ? error.message : String(error);
        retired.set(variantKey(region, variant), message);
        const { blob } = variants[variant]!;
        const next = usable(region, new Map())[0]!;
        const entry = lost.get(blob) ?? { regions: [], instead: new Set<string>(), message };
        lost.set(blob, entry);
        entry.regions.push(name);
        entry.instead.add(manifest.blobs[variants[next]!.blob]!.target);
      }
    }
  };

  return {
    load,
    get retired() { return retiredWhileRunning; },
    loaders: blobs.map((state) => state.loader),
    hasOther: (region, excluded) => usable(region, excluded).length > 0,
    async preload() {
      const lost = new Map<number, Unloaded>();
      await allDone(manifest.regions.map((_, region) => preloadRegion(region, lost)));
      reports.push(...missingTargets(manifest, blobs, usable), ...[...lost].map(([blob, { regions, instead, message }]) => diagnostic({
        severity: 'warning', code: 'runtime/blob-fallback',
        message: `the code of ${manifest.blobs[blob]!.target} could not be loaded, so ${count(regions)} on ${[...instead].join(' or ')}: ${message}`,
      })));
    },
    region: (index) => manifest.regions[index]!,
    variant: variantOf,
    choose(region, dims, excluded) {
      const reasons: string[] = [];
      const info = manifest.regions[region]!;
      for (const [i, variant] of info.variants.entries()) {
        const key = variantKey(region, i);
        const failed = excluded.get(key) ?? retired.get(key);
        const guard = variant.guards.find((formula) => evaluateDim(formula, dims) === 0);
        const { loader, reason } = stateOf(region, i);
        if (loader && failed === undefined && guard === undefined) return i;
        const why = failed !== undefined ? `failed: ${failed}` : !loader ? reason : `its condition ${formatDim(guard!)} does not hold`;
        reasons.push(`${manifest.blobs[variant.blob]!.target}: ${why}`);
      }
      throw noVariant(region, reasons);
    },
    loaded(region, variant) {
      const state = stateOf(region, variant);
      return state.blob !== null && variantOf(region, variant).constants.every((index) => constants.loaded(index, state.loader!.device));
    },
    loader: (region, variant) => stateOf(region, variant).loader!,
    blob: (region, variant) => stateOf(region, variant).blob!,
    retire(region, variant, instead, message) {
      const key = variantKey(region, variant);
      if (retired.has(key)) return;
      retired.set(key, message);
      retiredWhileRunning = true;
      const target = (i: number): string => manifest.blobs[variantOf(region, i).blob]!.target;
      reports.push(diagnostic({
        severity: 'warning',
        code: 'runtime/region-fallback',
        message: `region '${manifest.regions[region]!.name}' failed on ${target(variant)} and runs on ${target(instead)} from now on: ${message}`,
      }));
    },
    async limits() {
      const found: { [loader: string]: DeviceLimits } = {};
      for (const { loader, blob } of blobs) {
        if (loader === null || blob === null || found[loader.name] !== undefined) continue;
        const limits = await blob.limits?.();
        if (limits) found[loader.name] = limits;
      }
      return found;
    },
    reports,
    dispose() {
      disposed = true;
      for (const state of blobs) {
        state.blob?.dispose();
        state.blob = null;
      }
    },
  };
}

/** Regions that lost a blob's variant when it was loaded, and where they run instead. */
interface Unloaded {
  readonly regions: string[];
  readonly instead: Set<string>;
  readonly message: string;
}

const count = (regions: readonly string[]): string => (regions.length === 1 ? `region '${regions[0]}' runs` : `${regions.length} regions run`);

/** Regions that were meant for a target which no loader here runs, by blob: they run on another target. */
function missingTargets(manifest: Manifest, blobs: readonly BlobState[], usable: (region: number, excluded: ReadonlyMap<string, string>) => readonly number[]): Diagnostic[] {
  const missing = new Map<number, { readonly regions: string[]; readonly instead: Set<string> }>();
  manifest.regions.forEach(({ name, variants }, region) => {
    const [first] = variants;
    const next = usable(region, new Map())[0];
    if (first === undefined || next === undefined || blobs[first.blob]!.loader !== null) return;
    const target = (blob: number): string => manifest.blobs[blob]!.target;
    const instead = target(variants[next]!.blob);
    if (instead === target(first.blob)) return;
    const entry = missing.get(first.blob) ?? { regions: [], instead: new Set<string>() };
    missing.set(first.blob, entry);
    entry.regions.push(name);
    entry.instead.add(instead);
  });
  return [...missing].map(([blob, { regions, instead }]) => diagnostic({
    severity: 'warning', code: 'runtime/target-unavailable',
    message: `${manifest.blobs[blob]!.target} cannot run here, so ${count(regions)} on ${[...instead].join(' or ')}: ${blobs[blob]!.reason}`,
    hint: 'Give the loader of the target, or compile for the targets that are here.',
  }));
}

function blobInfo(file: ArtifactFile, index: number): BlobInfo {
  const { format, formatVersion, requires } = file.manifest.blobs[index]!;
  const entries = file.manifest.regions.flatMap((region) =>
    region.variants.filter((variant) => variant.blob === index).map((variant) => ({ symbol: variant.symbol, kernels: variant.kernels.map((kernel) => kernel.name) })),
  );
  return { format, formatVersion, requires, entries };
}

/** A loader that answers `optimal`, else the first that answers `usable`; else null and every reason. */
function chooseLoader(info: BlobInfo, loaders: readonly Loader[], allowNative: boolean): { readonly loader: Loader | null; readonly reason: string } {
  let usable: Loader | null = null;
  const reasons: string[] = [];
  for (const loader of loaders) {
    if (loader.format !== info.format) continue;
    if (loader.native && !allowNative) {
      reasons.push(`loader ${loader.name} runs native code, which is not allowed here (allowNative)`);
    } else if (!loader.formatVersions.includes(info.formatVersion)) {
      reasons.push(`loader ${loader.name} reads versions ${loader.formatVersions.join(', ')} of ${info.format}, not ${info.formatVersion}`);
    } else {
      const answer = askLoader(loader, info);
      if ('reason' in answer) reasons.push(`${loader.name} says ${answer.kind} [${answer.code}]: ${answer.reason}`);
      else if (answer.kind === 'optimal') return { loader, reason: '' };
      else usable ??= loader;
    }
  }
  return { loader: usable, reason: reasons.join(', ') || `no loader for ${info.format}` };
}

/** A loader that throws when asked cannot be used; the model may still run without it. */
function askLoader(loader: Loader, info: BlobInfo): ReturnType<Loader['answer']> {
  try {
    return loader.answer(info);
  } catch (error) {
    return { kind: 'unsupported', code: diagnosticOf(error)?.code ?? 'runtime/loader-failed', reason: error instanceof Error ? error.message : String(error) };
  }
}
