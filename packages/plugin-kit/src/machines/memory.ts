/** A device whose memory the host does not reach, and whose work is done later, in order. */
import type { Device, DeviceBuffer, Fence, Queue, View } from '@tenon/plugin';

interface Memory extends DeviceBuffer {
  readonly host: null;
  readonly contents: Uint8Array;
}

export const contentsOf = ({ buffer, byteOffset, bytes }: View): Uint8Array => {
  const memory = buffer.host ?? (buffer as Memory).contents;
  return memory.subarray(byteOffset, byteOffset + bytes);
};

export class LaterQueue implements Queue {
  #last: Promise<void> = Promise.resolve();

  push(work: () => void | Promise<void>): Fence {
    let done = false;
    const ended = this.#last.then(work);
    this.#last = ended.then(() => void (done = true), () => void (done = true));
    return { get done() { return done; }, wait: () => ended };
  }
  write(source: Uint8Array, destination: View): Fence {
    return this.push(() => contentsOf(destination).set(source));
  }
  read(source: View, destination: Uint8Array): Fence {
    return this.push(() => destination.set(contentsOf(source)));
  }
  fence(): Fence {
    return this.push(() => undefined);
  }
}

/** `space`: where buffers live; `host` makes them reachable by the host. */
export function memoryDevice(name: string, space: string): Device {
  return {
    name, space,
    allocate: (bytes): DeviceBuffer => {
      const contents = new Uint8Array(bytes);
      const memory: Memory = { bytes, host: null, contents };
      return space === 'host' ? { bytes, host: contents } : memory;
    },
    free: () => undefined,
    createQueue: () => new LaterQueue(),
  };
}
