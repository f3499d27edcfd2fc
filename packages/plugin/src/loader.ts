/**
 * The run half of the contract: what the runtime knows of devices and loaders. No compiler type occurs here.
 */

/** Memory of a device. `host` is set where the host reads and writes it directly. */
export interface DeviceBuffer {
  readonly bytes: number;
  readonly host: Uint8Array | null;
}
/** A kernel argument: part of a buffer. */
export interface View {
  readonly buffer: DeviceBuffer;
  readonly byteOffset: number;
  readonly bytes: number;
}

/** Work that was enqueued. `wait` resolves when it and all before it on its queue have ended, and rejects if it failed. */
export interface Fence {
  readonly done: boolean;
  wait(): Promise<void>;
}

/** An in-order queue of a device. */
export interface Queue {
  write(source: Uint8Array, destination: View): Fence;
  read(source: View, destination: Uint8Array): Fence;
  /** A fence for everything enqueued so far. */
  fence(): Fence;
}

export interface Device {
  readonly name: string;
  /** Devices of equal space exchange buffers without copies. The host's is `host`. */
  readonly space: string;
  /** 64-byte aligned or better, zero-filled. */
  allocate(bytes: number): DeviceBuffer;
  /**
   * Memory that has part of a file's contents without a copy of them, 64-byte aligned where `offset` is; for reading only. While this goes on, and some seconds after, the
   * file must not become shorter. null, or absent: there is none to be had.
   */
  map?(descriptor: number, offset: number, bytes: number): Promise<DeviceBuffer | null>;
  free(buffer: DeviceBuffer): void;
  createQueue(): Queue;
  /**
   * Of a device that is simulated: nanoseconds for which the hardware would have worked since the device was made, starts of
   * regions and transfers included. Profiles count them in place of the time that the simulator took.
   */
  readonly simulatedTime?: () => number;
}

/** What the artifact says of a blob. */
export interface BlobInfo {
  readonly format: string;
  readonly formatVersion: number;
  readonly requires: { readonly [name: string]: unknown };
  readonly entries: readonly { readonly symbol: string; readonly kernels: readonly string[] }[];
}

export type LoaderAnswer =
  | { readonly kind: 'optimal' | 'usable' }
  | { readonly kind: 'recompile' | 'unsupported'; readonly code: string; readonly reason: string };

/** Turns blobs of one format into something that runs. */
export interface Loader {
  readonly name: string;
  readonly format: string;
  readonly formatVersions: readonly number[];
  /** Blobs are executable code: loaded only where the user allows native code. */
  readonly native: boolean;
  readonly device: Device;
  /** Absent: parameters and results of calls lie in buffers of the device, and the runtime copies. */
  readonly userMemory?: UserMemory;
  /** Asked before `load`, with nothing loaded yet. */
  answer(blob: BlobInfo): LoaderAnswer;
  load(blob: BlobInfo, bytes: Uint8Array, options: LoadOptions): Promise<LoadedBlob> | LoadedBlob;
}
/**
 * Of a loader whose calls read parameters and write results in memory of the user's: where it is, aligned to elements and no
 * better. Its bound calls have `rebind`.
 */
export interface UserMemory {
  /** Arrays of fewer bytes are copied: that takes less time. */
  readonly minimum: number;
  /**
   * A buffer over an array of the user's; null where calls cannot work in it. Until the run has ended the array is neither moved nor
   * freed, and parameters are not written.
   */
  borrow(memory: Uint8Array): DeviceBuffer | null;
  /** Memory for a result, which will be the user's. What it contains does not matter. */
  allocate(bytes: number): ArrayBuffer;
}
export interface LoadOptions {
  /** Threads to use; 0: as many as there are cores. */
  readonly threads: number;
}

/** Rates that no kernel on the device exceeds, caches aside. */
export interface DeviceLimits {
  /** Float32 operations per second, a fused multiply-add counting two. */
  readonly flops: number;
  /** Bytes per second between memory and the device's cores. */
  readonly bandwidth: number;
  readonly source: 'measured' | 'declared';
}

export interface LoadedBlob {
  /**
   * Fixes arguments and dims of an entry, once for many runs. Views in order: parameters, results, constants, and the
   * workspace if the entry has one. Only results and workspace are written.
   */
  bind(symbol: string, views: readonly View[], dims: readonly number[]): BoundCall;
  /** What the device can do at best, for profiles: measured now, or declared. Absent, or null: nobody can tell. */
  limits?(): Promise<DeviceLimits | null> | DeviceLimits | null;
  /**
   * The artifact's 64-bit hashes (`hash64`) of host memory, of every `chunkBytes` from its beginning, computed on other threads. Absent: the
   * runtime computes them on its own.
   */
  hashes?(memory: Uint8Array, chunkBytes: number): Promise<BigUint64Array>;
  dispose(): void;
}

export interface BoundCall {
  /** Enqueues one run. Calls of one bound call do not overlap. */
  enqueue(queue: Queue): Fence;
  /** One run to its end, on the calling thread; absent where the device cannot. */
  runSync?(): void;
  /**
   * Milliseconds for which `runSync` is expected to hold the calling thread, by the runs before. Where handing a run to another thread would
   * take a good part of that, the runtime may call it in place of `enqueue`. Absent: it does not.
   */
  readonly expected?: number;
  /**
   * Puts a view of the same size in the place of a parameter or result, for runs that are enqueued from now on; null: forgets the view,
   * and another comes before the next run. No run is under way. See {@link UserMemory}.
   */
  rebind?(position: number, view: View | null): void;
  /** Dims that the last run returned. */
  readonly runDims: readonly number[];
  /** Makes later runs measure every kernel. */
  profile?(on: boolean): void;
  /** Kernel times of the last profiled run, in nanoseconds since it began, in launch order. */
  readonly kernelTimes?: readonly { readonly kernel: string; readonly begin: number; readonly end: number }[];
  /**
   * Nanoseconds that the last profiled run took, for a loader that hands runs to threads of the host: from when one had taken it on. How long
   * that takes depends on what the thread did before, and is no matter of the run. Absent: from when it was enqueued until its fence was done.
   */
  readonly deviceTime?: number;
  dispose(): void;
}
