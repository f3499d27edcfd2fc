import type { Device, DeviceBuffer, Fence, Queue, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';

const finished: Fence = Object.freeze({ done: true, wait: () => Promise.resolve() });

/** The bytes of a view of memory that the host reaches directly. Throws `runtime/not-host-memory` for others. */
export function hostBytes(view: View): Uint8Array {
  const { host } = view.buffer;
  if (!host) throw new TenonError({ code: 'runtime/not-host-memory', message: 'a buffer that the host cannot reach was given to the host' });
  return host.subarray(view.byteOffset, view.byteOffset + view.bytes);
}

/**
 * Memory of the host. Everything on its queue has ended when the call returns. JavaScript cannot ask for an alignment,
 * but resizable buffers are made of whole pages, hence aligned to 4096 bytes.
 */
export function createHostDevice(name = 'host'): Device {
  return {
    name,
    space: 'host',
    allocate(bytes): DeviceBuffer {
      const size = Math.max(64, Math.ceil(bytes / 64) * 64);
      try {
        return { bytes, host: new Uint8Array(new ArrayBuffer(size, { maxByteLength: size }), 0, bytes) };
      } catch (cause) {
        throw new TenonError({ code: 'runtime/out-of-memory', message: `${bytes} bytes of host memory cannot be allocated`, hint: 'use a smaller batch, or bound the dims of the model' }, { cause });
      }
    },
    free() {
      // The garbage collector's.
    },
    createQueue: createHostQueue,
  };
}

/** A queue over host memory that works at once. For devices of the space `host`. */
export function createHostQueue(): Queue {
  return {
    write(source, destination) {
      hostBytes(destination).set(source);
      return finished;
    },
    read(source, destination) {
      destination.set(hostBytes(source));
      return finished;
    },
    fence: () => finished,
  };
}
