import type { Device, DeviceBuffer, Fence, Queue, UserMemory, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { LargePages, largePage } from './large-pages.ts';
import { MappedFiles } from './mapped-files.ts';
import { findMemoryFunctions } from './system.ts';

const alignment = 64;

/** Host memory whose place is known: it does not move. */
class HostBuffer implements DeviceBuffer {
  readonly bytes: number;
  readonly host: Uint8Array;
  readonly address: bigint;

  constructor(host: Uint8Array, address: bigint) {
    this.bytes = host.length;
    this.host = host;
    this.address = address;
  }
}

/** Where a view lies. `locate` tells it of buffers that other devices made. */
export function addressOf(view: View, locate: (bytes: Uint8Array) => bigint): bigint {
  const { buffer } = view;
  return buffer instanceof HostBuffer ? buffer.address + BigInt(view.byteOffset) : locate(hostBytes(view));
}

/** The bytes of a view; refuses memory that the host does not see. */
export function hostBytes(view: View): Uint8Array {
  const { host } = view.buffer;
  if (host === null) {
    throw new TenonError({ code: 'cpu-c/not-host-memory', message: 'the C target was given a buffer that does not lie in host memory' });
  }
  return host.subarray(view.byteOffset, view.byteOffset + view.bytes);
}

/** An in-order queue: every task starts when the one before has ended. */
export class HostQueue implements Queue {
  #last: Promise<void> = Promise.resolve();
  #failed: { readonly error: unknown } | null = null;

  /** Enqueues a task. After a failure, later tasks do not run and fail alike. */
  push(task: () => void | Promise<void>): Fence {
    const state = { done: false };
    const run = this.#last.then(async () => {
      if (this.#failed !== null) throw this.#failed.error;
      await task();
    });
    const ended = run.then(
      () => void (state.done = true),
      (error: unknown) => {
        state.done = true;
        this.#failed = { error };
        throw error;
      },
    );
    // The failure is reported by `wait`; the chain itself goes on.
    this.#last = ended.catch(() => undefined);
    return { get done() { return state.done; }, wait: () => ended };
  }

  write(source: Uint8Array, destination: View): Fence {
    return this.push(() => hostBytes(destination).set(source));
  }

  read(source: View, destination: Uint8Array): Fence {
    return this.push(() => destination.set(hostBytes(source)));
  }

  fence(): Fence {
    return this.push(() => undefined);
  }
}

/** What the system does with memory beside giving it; null: nothing that is known here. */
export interface MemoryFeatures {
  readonly largePages: LargePages;
  readonly files: MappedFiles;
}

export function memoryFeatures(): MemoryFeatures | null {
  const system = findMemoryFunctions();
  return system && { largePages: new LargePages(system), files: new MappedFiles(system) };
}

/** Memory of the user's that runs have worked in so often will be used by more of them: large pages are worth their while. */
const often = 8;

/** Generated code asks no more of addresses than that they suit elements, as those of arrays do. */
export function hostUserMemory(address: (bytes: Uint8Array) => bigint, features: { readonly largePages: Pick<LargePages, 'add'> } | null): UserMemory {
  const times = new WeakMap<ArrayBuffer, number>();
  return {
    // About what finding the address takes, and giving it to the call.
    minimum: 16 << 10,
    // Others may come to have less memory behind them, or be written by other threads, while a run reads them.
    borrow(memory) {
      const { buffer } = memory;
      if (!(buffer instanceof ArrayBuffer) || buffer.resizable) return null;
      const begin = address(memory);
      const skipped = Number(-begin & BigInt(largePage - 1));
      if (memory.length - skipped >= largePage) {
        const before = times.get(buffer) ?? 0;
        if (before < often) times.set(buffer, before + 1);
        if (before === often - 1) features?.largePages.add(memory.subarray(skipped), begin + BigInt(skipped), false);
      }
      return new HostBuffer(memory, begin);
    },
    // Without clearing, and from what earlier results have left: pages of the system's are worth several copies.
    allocate: (bytes) => Buffer.allocUnsafeSlow(bytes).buffer,
  };
}

/** Host memory as a device. `address` tells the place of an array's data. */
export function hostDevice(address: (bytes: Uint8Array) => bigint, features: MemoryFeatures | null): Device {
  return {
    name: 'cpu',
    space: 'host',
    allocate(bytes): DeviceBuffer {
      const large = bytes >= largePage;
      const step = large ? largePage : alignment;
      const memory = new Uint8Array(new ArrayBuffer(bytes + step));
      const begin = address(memory);
      const shift = -begin & BigInt(step - 1);
      const host = memory.subarray(Number(shift), Number(shift) + bytes);
      if (large) features?.largePages.add(host, begin + shift, false);
      return new HostBuffer(host, begin + shift);
    },
    async map(descriptor, offset, bytes): Promise<DeviceBuffer | null> {
      const found = await features?.files.map(descriptor, offset, bytes) ?? null;
      if (found === null) return null;
      const { host, address: begin } = found;
      if (begin % BigInt(largePage) === 0n) features?.largePages.add(host, begin, true);
      return new HostBuffer(host, begin);
    },
    free({ host }) {
      // The garbage collector frees it when the last reference is gone.
      if (host !== null) features?.largePages.forget(host);
    },
    createQueue: () => new HostQueue(),
  };
}
