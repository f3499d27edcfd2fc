import type { Device, DeviceBuffer, Fence, Queue, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';

const alignment = 64;

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

/** What the device needs of the system. */
export interface Memory {
  /** The place of an array's data. */
  address(bytes: Uint8Array): bigint;
  /** Tells the system that large pages would be welcome there: kernels that stream through memory wait less for translations. */
  preferLargePages(address: bigint, bytes: number): void;
}

const largePage = 2 << 20;

/** Host memory as a device. */
export function hostDevice({ address, preferLargePages }: Memory): Device {
  return {
    name: 'cpu',
    space: 'host',
    allocate(bytes): DeviceBuffer {
      const large = bytes >= largePage;
      const step = large ? largePage : alignment;
      const memory = new Uint8Array(new ArrayBuffer(bytes + step));
      const shift = Number(-address(memory) & BigInt(step - 1));
      const host = memory.subarray(shift, shift + bytes);
      // Before anything is written: pages that are there already stay small.
      if (large) preferLargePages(address(host), bytes - (bytes % largePage));
      return { bytes, host };
    },
    free() {
      // The garbage collector frees it when the last reference is gone.
    },
    createQueue: () => new HostQueue(),
  };
}
