/** A toy matrix accelerator, run half: its simulator. It depends on `@tenon/plugin` alone, and for types only. */
import type { BlobInfo, BoundCall, Device, DeviceBuffer, Fence, LoadedBlob, Loader, LoaderAnswer, Queue, View } from '@tenon/plugin';
import { decode, format, formatVersion, type Program } from './blob.ts';
import { launch, side, transfer } from './device.ts';
import { execute, type Slot } from './machine.ts';

/** Memory of the accelerator, which the host does not reach. */
interface Memory extends DeviceBuffer {
  readonly host: null;
  readonly contents: Uint8Array;
}
const slotOf = ({ buffer, byteOffset, bytes }: View): Slot => (buffer as Memory).contents.subarray(byteOffset, byteOffset + bytes);

/** Nanoseconds that the machine has worked. */
interface Clock {
  now: number;
}

/** Work in order, never before the call that enqueued it has returned. */
class InOrder implements Queue {
  #last: Promise<void> = Promise.resolve();
  readonly clock: Clock;
  constructor(clock: Clock) {
    this.clock = clock;
  }
  push(work: () => void): Fence {
    let done = false;
    const ended = this.#last.then(work);
    this.#last = ended.then(() => void (done = true), () => void (done = true));
    const settled = this.#last;
    return { get done() { return done; }, wait: () => settled.then(() => ended) };
  }
  write(source: Uint8Array, destination: View): Fence {
    return this.push(() => {
      slotOf(destination).set(source);
      this.#transferred(source.length);
    });
  }
  read(source: View, destination: Uint8Array): Fence {
    return this.push(() => {
      destination.set(slotOf(source));
      this.#transferred(source.bytes);
    });
  }
  fence(): Fence {
    return this.push(() => undefined);
  }
  #transferred(bytes: number): void {
    this.clock.now += (transfer.latency + bytes / transfer.bandwidth) * 1e9;
  }
}

/** The loader of the accelerator's programs. Its times are those of the machine, not of the simulator. */
export default function toy(): Loader {
  const clock: Clock = { now: 0 };
  const device: Device = {
    name: 'toy', space: 'toy',
    allocate: (bytes): Memory => ({ bytes, host: null, contents: new Uint8Array(bytes) }),
    free: () => undefined,
    createQueue: () => new InOrder(clock),
    simulatedTime: () => clock.now,
  };
  return { name: 'toy', format, formatVersions: [formatVersion], native: false, device, answer, load: (_blob, bytes) => load(bytes) };
}

function answer(blob: BlobInfo): LoaderAnswer {
  if (blob.formatVersion !== formatVersion) {
    return { kind: 'recompile', code: 'toy/version', reason: `the program has version ${blob.formatVersion}, this machine reads ${formatVersion}` };
  }
  const wanted = blob.requires['side'];
  return wanted === side ? { kind: 'optimal' } : { kind: 'unsupported', code: 'toy/side', reason: `the program wants an array of ${String(wanted)} cells per side, this one has ${side}` };
}

function load(bytes: Uint8Array): LoadedBlob {
  const programs = new Map(decode(bytes).map((p) => [p.symbol, p]));
  return {
    bind(symbol, views) {
      const program = programs.get(symbol);
      if (program === undefined) throw new Error(`there is no program ${symbol}`);
      return bind(program, views);
    },
    dispose: () => programs.clear(),
  };
}

function bind(program: Program, views: readonly View[]): BoundCall {
  const wanted = program.views + (program.temporaries.length > 0 ? 1 : 0);
  if (views.length !== wanted) throw new Error(`${program.symbol} takes ${wanted} views, not ${views.length}`);
  const slots = views.slice(0, program.views).map(slotOf);
  if (program.temporaries.length > 0) {
    const workspace = slotOf(views[program.views]!);
    let offset = 0;
    for (const { rowsOf, rowBytes, columns } of program.temporaries) {
      const bytes = (slots[rowsOf]!.length / rowBytes) * columns * 4;
      slots.push(workspace.subarray(offset, offset + bytes));
      offset += bytes;
    }
    if (offset > workspace.length) throw new Error(`${program.symbol} needs a workspace of ${offset} bytes, not ${workspace.length}`);
  }
  let times: NonNullable<BoundCall['kernelTimes']> = [];
  return {
    enqueue: (queue) => (queue as InOrder).push(() => {
      const { clock } = queue as InOrder;
      let now = launch.region * 1e9;
      times = program.instructions.map((instruction) => {
        const begin = now;
        now += execute(instruction, slots);
        return { kernel: instruction.opcode, begin, end: now };
      });
      clock.now += now;
    }),
    runDims: [],
    get kernelTimes() { return times; },
    dispose: () => undefined,
  };
}
