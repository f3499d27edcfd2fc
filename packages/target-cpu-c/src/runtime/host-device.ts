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

/** Host memory as a device. `address` gives the place of an array's data. */
export function hostDevice(address: (bytes: Uint8Array) => bigint): Device {
  return {
    name: 'cpu',
    space: 'host',
    allocate(bytes): DeviceBuffer {
      const memory = new Uint8Array(new ArrayBuffer(bytes + alignment));
      const shift = Number(-address(memory) & BigInt(alignment - 1));
      return { bytes, host: memory.subarray(shift, shift + bytes) };
    },
    free() {
      // The garbage collector frees it when the last reference is gone.
    },
    createQueue: () => new HostQueue(),
  };
}
