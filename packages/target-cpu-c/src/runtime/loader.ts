import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import type { BlobInfo, BoundCall, DeviceBuffer, DeviceLimits, LoadedBlob, Loader, LoaderAnswer, LoadOptions, Queue, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { blobFormat, blobFormatVersion } from './format.ts';
import { addressOf, type HostQueue, hostDevice, hostUserMemory, memoryFeatures } from './host-device.ts';
import { machineFeatures } from './machine.ts';

/**
 * The loader of what the C target compiles. One per runtime. Loading needs a folder for temporary files from which the
 * system runs code.
 */
export function cpuC(): Loader {
  let features: ReadonlySet<string> | null | undefined;
  const memory = memoryFeatures();
  return {
    name: 'cpu-c',
    format: blobFormat,
    formatVersions: [blobFormatVersion],
    native: true,
    device: hostDevice(address, memory),
    userMemory: hostUserMemory(address, memory),
    answer: (blob) => answer(blob.requires, process, features === undefined ? (features = machineFeatures()) : features),
    load: (blob, bytes, options) => new SharedObject(blob, bytes, options),
  };
}

const address = (array: Uint8Array | BigUint64Array | BigInt64Array | Float64Array): bigint => BigInt(koffi.address(array));

/** Compares what a blob requires with a machine. `features` null: the machine does not tell. */
export function answer(
  requires: BlobInfo['requires'],
  machine: { readonly arch: string; readonly platform: string },
  features: ReadonlySet<string> | null,
): LoaderAnswer {
  const recompile = (reason: string): LoaderAnswer => ({ kind: 'recompile', code: 'cpu-c/other-machine', reason });
  const { arch, platform } = requires;
  if (arch !== machine.arch) return recompile(`it was compiled for ${String(arch)} processors, this one is ${machine.arch}`);
  if (platform !== machine.platform) return recompile(`it was compiled for ${String(platform)}, this is ${machine.platform}`);
  const needed = Array.isArray(requires['features']) ? requires['features'].map(String) : [];
  if (features === null) return { kind: needed.length === 0 ? 'optimal' : 'usable' };
  const missing = needed.filter((f) => !features.has(f));
  return missing.length === 0 ? { kind: 'optimal' } : recompile(`it uses instructions that this processor does not have: ${missing.join(', ')}`);
}

/** Every pointer and number of these functions is passed as an integer: addresses are taken once, when binding. */
type EntryFunction = ((pool: bigint, views: bigint, dims: bigint, profile: bigint) => number) & {
  async(pool: bigint, views: bigint, dims: bigint, profile: bigint, done: (error: Error | null, status: number) => void): void;
};

interface LimitsFunction {
  async(threads: number, rates: bigint, done: (error: Error | null, status: number) => void): void;
}

interface HashFunction {
  async(bytes: bigint, count: bigint, chunk: bigint, hashes: bigint, done: (error: Error | null, status: number) => void): void;
}

class SharedObject implements LoadedBlob {
  readonly #blob: BlobInfo;
  readonly #library: LibraryHandle;
  readonly #release: () => void;
  readonly #pool: bigint;
  readonly #threads: number;
  readonly #entries = new Map<string, EntryFunction>();
  readonly hashes?: NonNullable<LoadedBlob['hashes']>;
  #running = 0;
  #disposed = false;
  #unloaded = false;

  constructor(blob: BlobInfo, bytes: Uint8Array, options: LoadOptions) {
    this.#blob = blob;
    [this.#library, this.#release] = open(bytes);
    const cores = availableParallelism();
    const threads = options.threads > 0 ? options.threads : cores;
    this.#threads = threads;
    this.#pool = BigInt(this.#library.func('tenon_pool_create', 'uint64_t', ['int', 'int'])(threads, cores));
    if (this.#pool === 0n) {
      this.#release();
      throw new TenonError({ code: 'cpu-c/no-threads', message: `the system does not give ${threads} threads`, hint: 'ask for fewer threads' });
    }
    const compute = this.#optional('tenon_hash64', ['uint64_t', 'uint64_t', 'uint64_t', 'uint64_t']) as HashFunction | null;
    if (compute !== null) this.hashes = (memory, chunkBytes) => this.#hash(compute, memory, chunkBytes);
  }

  bind(symbol: string, views: readonly View[], dims: readonly number[]): BoundCall {
    if (this.#disposed) throw new TenonError({ code: 'cpu-c/disposed', message: `${symbol}: the model was disposed` });
    const entry = this.#blob.entries.find((e) => e.symbol === symbol);
    if (entry === undefined) throw new TenonError({ code: 'cpu-c/no-entry', message: `the shared object has no entry ${symbol}` });
    const [callerDims, runDims, launches] = this.#counts(symbol);
    if (dims.length !== callerDims) {
      throw new TenonError({ code: 'cpu-c/wrong-dims', message: `${symbol} takes ${callerDims} dims, not ${dims.length}` });
    }
    return new Call(this, symbol, this.#entry(symbol), this.#pool, views, dims, runDims, launches, entry.kernels);
  }

  /** Measures on other threads. */
  limits(): Promise<DeviceLimits | null> {
    const measure = this.#optional('tenon_limits', ['int', 'uint64_t']) as LimitsFunction | null;
    if (measure === null) return Promise.resolve(null);
    const rates = new Float64Array(2);
    this.begin('tenon_limits');
    return new Promise((resolve, reject) => {
      measure.async(this.#threads, address(rates), (error, status) => {
        this.end();
        if (error !== null) reject(error);
        else resolve(status === 0 ? { flops: rates[0]!, bandwidth: rates[1]!, source: 'measured' } : null);
      });
    });
  }

  /** Of what objects of earlier versions do not have, null. */
  #optional(symbol: string, parameters: string[]): unknown {
    try {
      return this.#library.func(symbol, 'int', parameters);
    } catch {
      return null;
    }
  }

  #hash(compute: HashFunction, memory: Uint8Array, chunkBytes: number): Promise<BigUint64Array> {
    const hashes = new BigUint64Array(Math.max(1, Math.ceil(memory.length / chunkBytes)));
    this.begin('tenon_hash64');
    return new Promise((resolve, reject) => {
      compute.async(address(memory), BigInt(memory.length), BigInt(chunkBytes), address(hashes), (error) => {
        this.end();
        if (error !== null) reject(error);
        else resolve(hashes.subarray(0, Math.ceil(memory.length / chunkBytes)));
      });
    });
  }

  #counts(symbol: string): [number, number, number] {
    const counts: unknown = koffi.decode(this.#library.symbol(`${symbol}_counts`), 'int64_t', 3);
    return Array.from(counts as ArrayLike<number | bigint>, Number) as [number, number, number];
  }

  #entry(symbol: string): EntryFunction {
    let entry = this.#entries.get(symbol);
    if (entry === undefined) {
      entry = this.#library.func(symbol, 'int', ['uint64_t', 'uint64_t', 'uint64_t', 'uint64_t']) as unknown as EntryFunction;
      this.#entries.set(symbol, entry);
    }
    return entry;
  }

  begin(symbol: string): void {
    if (this.#disposed) throw new TenonError({ code: 'cpu-c/disposed', message: `${symbol}: the model was disposed` });
    this.#running++;
  }

  end(): void {
    this.#running--;
    if (this.#disposed) this.#unload();
  }

  /** Calls that still run on other threads end first. */
  dispose(): void {
    this.#disposed = true;
    this.#unload();
  }

  #unload(): void {
    if (this.#running > 0 || this.#unloaded) return;
    this.#unloaded = true;
    this.#library.func('tenon_pool_destroy', 'void', ['uint64_t'])(this.#pool);
    this.#release();
  }
}

class Call implements BoundCall {
  readonly #object: SharedObject;
  readonly #symbol: string;
  readonly #entry: EntryFunction;
  readonly #pool: bigint;
  /** Kept so that the memory behind the addresses stays. */
  readonly #buffers: (DeviceBuffer | null)[];
  readonly #views: BigUint64Array;
  readonly #dims: BigInt64Array;
  readonly #times: BigUint64Array;
  readonly #addresses: { readonly views: bigint; readonly dims: bigint; readonly times: bigint };
  readonly #callerDims: number;
  readonly #kernels: readonly string[];
  #profiling = false;
  /** Milliseconds that runs take. */
  #taken = Infinity;

  constructor(
    object: SharedObject, symbol: string, entry: EntryFunction, pool: bigint, views: readonly View[], dims: readonly number[],
    runDims: number, launches: number, kernels: readonly string[],
  ) {
    this.#object = object;
    this.#symbol = symbol;
    this.#entry = entry;
    this.#pool = pool;
    this.#callerDims = dims.length;
    this.#kernels = kernels;
    this.#buffers = views.map((view) => view.buffer);
    this.#views = BigUint64Array.from(views, (view) => addressOf(view, address));
    // One element more than needed: arrays without elements have no address.
    this.#dims = new BigInt64Array(dims.length + runDims + 1);
    dims.forEach((d, i) => (this.#dims[i] = BigInt(d)));
    this.#times = new BigUint64Array(2 * launches + 1);
    this.#addresses = { views: this.#views.length === 0 ? 0n : address(this.#views), dims: address(this.#dims), times: address(this.#times) };
  }

  runSync(): void {
    this.#object.begin(this.#symbol);
    const begin = performance.now();
    try {
      this.#check(this.#entry(this.#pool, this.#addresses.views, this.#addresses.dims, this.#profiling ? this.#addresses.times : 0n));
    } finally {
      this.#object.end();
      this.#note(performance.now() - begin);
    }
  }

  get expected(): number {
    return this.#taken;
  }

  /** A run may take long for other reasons: only several of them make it slower. */
  #note(milliseconds: number): void {
    this.#taken = milliseconds < this.#taken ? milliseconds : Math.min(milliseconds, this.#taken * 1.25);
  }

  enqueue(queue: Queue): ReturnType<Queue['fence']> {
    return (queue as HostQueue).push(
      () =>
        new Promise<void>((resolve, reject) => {
          this.#object.begin(this.#symbol);
          const begin = performance.now();
          this.#entry.async(this.#pool, this.#addresses.views, this.#addresses.dims, this.#profiling ? this.#addresses.times : 0n, (error, status) => {
            this.#object.end();
            this.#note(performance.now() - begin);
            try {
              if (error !== null) throw error;
              this.#check(status);
              resolve();
            } catch (failure) {
              reject(failure as Error);
            }
          });
        }),
    );
  }

  #check(status: number): void {
    if (status === 1) throw new TenonError({ code: 'cpu-c/out-of-memory', message: `${this.#symbol}: memory ran out` });
    if (status !== 0) {
      throw new TenonError({
        code: 'cpu-c/library-failed', message: `${this.#symbol}: the library's routine ${this.#kernels[status - 2] ?? '?'} says that it failed`,
        hint: 'Report this to the authors of the library, or switch it off with `dispatch: { disable }` and compile again.',
      });
    }
  }

  rebind(position: number, view: View | null): void {
    this.#buffers[position] = view?.buffer ?? null;
    if (view !== null) this.#views[position] = addressOf(view, address);
  }

  get runDims(): readonly number[] {
    return Array.from(this.#dims.subarray(this.#callerDims, -1), Number);
  }

  profile(on: boolean): void {
    this.#profiling = on;
  }

  get kernelTimes(): readonly { readonly kernel: string; readonly begin: number; readonly end: number }[] {
    return this.#kernels.map((kernel, i) => ({ kernel, begin: Number(this.#times[2 * i]), end: Number(this.#times[2 * i + 1]) }));
  }

  get deviceTime(): number {
    return this.#kernels.length === 0 ? 0 : Number(this.#times[2 * this.#kernels.length - 1]);
  }

  dispose(): void {
    // Nothing but memory, which the garbage collector frees.
  }
}

/** The loaded code, and what unloads it. */
function open(bytes: Uint8Array): readonly [LibraryHandle, () => void] {
  const folder = mkdtempSync(join(tmpdir(), 'tenon-'));
  try {
    const path = join(folder, 'region.so');
    writeFileSync(path, bytes, { mode: 0o700 });
    const library = koffi.load(path);
    const keptOpen = keepOpen(path);
    return [library, () => {
      keptOpen();
      library.unload();
    }];
  } catch (cause) {
    throw new TenonError(
      {
        code: 'cpu-c/load-failed',
        message: `the system does not load the compiled code: ${cause instanceof Error ? cause.message : String(cause)}`,
        hint: 'where the folder for temporary files forbids running code (noexec), set TMPDIR to one that does not',
      },
      { cause },
    );
  } finally {
    // The system keeps the loaded file until it is unloaded.
    rmSync(folder, { recursive: true, force: true });
  }
}

const RTLD_NOW = 2;

/**
 * koffi closes libraries when the process ends, while threads of ours still run in them. The system unloads one when all who have opened it have closed
 * it: this opens it once more. Gives what closes it.
 */
function keepOpen(path: string): () => void {
  if (process.platform === 'win32') return () => {};
  const system = koffi.load(null);
  const handle = BigInt(system.func('dlopen', 'uint64_t', ['str', 'int'])(path, RTLD_NOW) as number | bigint);
  return () => void (handle !== 0n && system.func('dlclose', 'int', ['uint64_t'])(handle));
}
