/** A vendor's plugin, run half. It depends on `@tenon/plugin` alone. */
import type { Device, DeviceBuffer, Fence, LoadedBlob, Loader, Queue, View } from '@tenon/plugin';
import { format, snake, type Program, type Step } from './opcodes.ts';

/** Memory that the host does not reach. */
interface Memory extends DeviceBuffer {
  readonly bytes: number;
  readonly host: null;
  readonly contents: Uint8Array;
}
const bytesOf = ({ buffer, byteOffset, bytes }: View): Uint8Array => (buffer as Memory).contents.subarray(byteOffset, byteOffset + bytes);
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);

/** Work in order, each piece in a turn of the event loop of its own. */
class InOrder implements Queue {
  #last: Promise<void> = Promise.resolve();
  push(work: () => void): Fence {
    let done = false;
    const ended = this.#last.then(() => new Promise<void>((resolve) => void setImmediate(resolve))).then(work);
    this.#last = ended.then(() => void (done = true), () => void (done = true));
    return { get done() { return done; }, wait: () => ended };
  }
  write(source: Uint8Array, destination: View): Fence {
    return this.push(() => bytesOf(destination).set(source));
  }
  read(source: View, destination: Uint8Array): Fence {
    return this.push(() => destination.set(bytesOf(source)));
  }
  fence(): Fence {
    return this.push(() => undefined);
  }
}

/** `ran` counts the calls. */
export function acmeLoader(ran: { calls: number } = { calls: 0 }): Loader {
  const device: Device = {
    name: 'acme', space: 'acme',
    allocate: (bytes): Memory => ({ bytes, host: null, contents: new Uint8Array(bytes) }),
    free: () => undefined,
    createQueue: () => new InOrder(),
  };
  return {
    name: 'acme-js', format, formatVersions: [1], native: false, device,
    answer: () => ({ kind: 'optimal' }),
    load(_blob, bytes): LoadedBlob {
      const programs = JSON.parse(new TextDecoder().decode(bytes)) as { readonly [symbol: string]: Program };
      return {
        bind(symbol, views) {
          const { temporaries, steps, views: expected } = programs[symbol]!;
          if (views.length !== expected) throw new Error(`${symbol} takes ${expected} views, not ${views.length}`);
          const slots = views.map((v) => floats(bytesOf(v)));
          for (const like of temporaries) slots.push(new Float32Array(slots[like]!.length));
          return {
            enqueue: (queue) => (queue as InOrder).push(() => {
              ran.calls++;
              for (const step of steps) run(step, slots);
            }),
            runDims: [],
            dispose: () => undefined,
          };
        },
        dispose: () => undefined,
      };
    },
  };
}

function run({ opcode, args, out, alpha }: Step, slots: readonly Float32Array[]): void {
  const a = slots[args[0]!]!;
  const b = slots[args[1] ?? args[0]!]!;
  const y = slots[out]!;
  for (let i = 0; i < y.length; i++) {
    switch (opcode) {
      case 'add': y[i] = a[i]! + b[i]!; break;
      case 'mul': y[i] = a[i]! * b[i]!; break;
      case 'neg': y[i] = -a[i]!; break;
      case 'relu': y[i] = a[i]! > 0 ? a[i]! : 0; break;
      case 'snake': y[i] = snake(a[i]!, alpha); break;
    }
  }
}
