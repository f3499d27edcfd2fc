import { type ArtifactFile, openArtifact } from '@tenon/artifact';
import type { ByteSource, Device, Host, Loader } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { allDone } from './all-done.ts';
import { rangeProblem } from './arguments.ts';
import { CallingThread } from './calling-thread.ts';
import { createConstants } from './constants.ts';
import { createHostDevice } from './host-device.ts';
import { Model } from './model.ts';
import { createRegions, type RegionTable } from './regions.ts';
import { bytesSource } from './source.ts';
import { nearest } from './suggest.ts';
import { createVerification } from './verification.ts';

export interface RuntimeOptions {
  readonly loaders: readonly Loader[];
  /** Files and the clock: `nodeHost()` or `browserHost()`. Not needed to load bytes. */
  readonly host?: Host;
  /** Threads for loaders that have any; 0, the default: as many as there are cores. */
  readonly threads?: number;
  /** Whether artifacts may bring native code, which can do anything that this process can. Default: false. */
  readonly allowNative?: boolean;
  /** Memory of idle runs that each model keeps for the next ones, in bytes. Default: 512 MiB. */
  readonly idleBytes?: number;
}

export interface LoadModelOptions {
  /** Values of the dims that are bound when loading. */
  readonly dims?: { readonly [name: string]: number };
  /** Whether constants are compared with their hashes before results are returned. Default: true. Blobs always are. */
  readonly verify?: boolean;
}

export interface Runtime {
  readonly loaders: readonly Loader[];
  /**
   * Loads an artifact from bytes (which must not change), a path or URL that the host opens, or any source. The model
   * closes sources that were opened here.
   */
  load(artifact: Uint8Array | string | URL | ByteSource, options?: LoadModelOptions): Promise<Model>;
}

export function createRuntime(options: RuntimeOptions): Runtime {
  const { loaders, host = null } = options;
  const thread = new CallingThread();
  return {
    loaders,
    async load(artifact, loadOptions = {}) {
      const opened = typeof artifact === 'string' || !('byteLength' in artifact || 'read' in artifact);
      const source = await openSource(artifact, host);
      const close = (): void => {
        if (opened) source.close();
      };
      try {
        return await loadModel(await openArtifact(source), options, loadOptions, thread, close);
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}

async function openSource(artifact: Uint8Array | string | URL | ByteSource, host: Host | null): Promise<ByteSource> {
  if (typeof artifact === 'object' && 'byteLength' in artifact) return bytesSource('memory:artifact', artifact);
  if (typeof artifact === 'object' && 'read' in artifact) return artifact;
  if (host) return host.open(typeof artifact === 'string' ? artifact : artifact.href);
  throw new TenonError({ code: 'runtime/no-host', message: `there is no host to open '${String(artifact)}'`, hint: 'give createRuntime a host: nodeHost() of @tenon/runtime/node, or browserHost() of @tenon/runtime/browser' });
}

async function loadModel(file: ArtifactFile, options: RuntimeOptions, loadOptions: LoadModelOptions, thread: CallingThread, close: () => void): Promise<Model> {
  const { host = null, loaders, threads = 0, allowNative = false } = options;
  const loadDims = checkLoadDims(file, loadOptions.dims ?? {});
  const verification = loadOptions.verify === false ? null : createVerification(file);
  const hostDevice = pickHostDevice(loaders, file, allowNative);
  const constants = createConstants({ file, host, hostDevice, verification });
  const regions = createRegions({ file, loaders, constants, threads, allowNative, verification });
  try {
    const read = new Set<number>();
    for (const entry of file.manifest.entries) {
      for (const { storage } of entry.values) if (storage.kind === 'constant') read.add(storage.index);
    }
    await allDone([regions.preload(), ...[...read].map((index) => constants.load(index, hostDevice))]);
  } catch (error) {
    regions.dispose();
    constants.dispose();
    throw error;
  }
  // Comparing starts now; every run waits for its end, which is where a failure shows.
  verification?.finish().catch(() => {});
  return new Model({
    file, regions, constants, thread, verification, loadDims, close,
    devices: file.manifest.devices.map(({ target }) => deviceOf(file, regions, target) ?? hostDevice),
    now: host ? () => host.now() : () => performance.now(),
    idleBytes: options.idleBytes ?? 512 * 2 ** 20,
  });
}

/** Memory of the host comes from a loader that works in it, native ones first: they know what alignment and pages they want. */
function pickHostDevice(loaders: readonly Loader[], file: ArtifactFile, allowNative: boolean): Device {
  const formats = new Set(file.manifest.blobs.map((blob) => blob.format));
  const candidates = loaders.filter((loader) => loader.device.space === 'host' && formats.has(loader.format) && (allowNative || !loader.native));
  return (candidates.find((loader) => loader.native) ?? candidates[0])?.device ?? createHostDevice();
}

/** The device behind a target: that of the loader which takes its blobs. Without one, values that were to live there live in host memory. */
function deviceOf(file: ArtifactFile, regions: RegionTable, target: string | null): Device | null {
  const at = file.manifest.blobs.findIndex((blob, i) => blob.target === target && regions.loaders[i]);
  return regions.loaders[at]?.device ?? null;
}

function checkLoadDims(file: ArtifactFile, given: { readonly [name: string]: number }): ReadonlyMap<string, number> {
  const wanted = file.manifest.entries.flatMap((entry) => entry.dims).filter((dim) => dim.binding.kind === 'load');
  const names = [...new Set(wanted.map((dim) => dim.name))];
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    throw new TenonError({ code: 'runtime/unknown-dim', message: `no dim '${name}' is bound when loading`, hint: near ? `did you mean '${near}'?` : names.length > 0 ? `those are ${names.join(', ')}` : 'this artifact has none' });
  }
  for (const dim of wanted) {
    const value = given[dim.name];
    if (value === undefined) throw new TenonError({ code: 'runtime/unbound-dim', message: `dim '${dim.name}' has no value`, hint: `load with { dims: { ${dim.name}: … } }` });
    const problem = rangeProblem(dim, value);
    if (problem) throw new TenonError({ code: 'runtime/dim-range', message: `dim '${dim.name}' is ${value}: ${problem}` });
  }
  return new Map(Object.entries(given));
}
