/** The accelerator, run half: it must do without the compiler, and without anything else of the compile half. */
import type { BlobInfo, BoundCall, Device, DeviceBuffer, Fence, LoadedBlob, Loader, LoaderAnswer, Queue, View } from '@tenon/plugin';
import { launch, side } from './device.ts';
import { execute } from './machine.ts';
import { decode, format, formatVersion, type Program } from './program.ts';

/** The device's memory, which the host does not reach. */
interface Memory extends DeviceBuffer {
  readonly host: null;
  readonly contents: Uint8Array;
}
const bytesOf = ({ buffer, byteOffset, bytes }: View): Uint8Array => (buffer as Memory).contents.subarray(byteOffset, byteOffset + bytes);
const floatsOf = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

/** Work is done in order, and never before the call that enqueued it has returned. */
class InOrder implements Queue {
  #last: Promise<void> = Promise.resolve();
  push(work: () => void): Fence {
    let done = false;
    const ended = this.#last.then(work);
    const settled = ended.then(() => void (done = true), () => void (done = true));
    this.#last = settled;
    return { get done() { return done; }, wait: () => settled.then(() => ended) };
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

export default function loader(): Loader {
  const device: Device = {
    name: 'acme', space: 'acme',
    allocate: (bytes): Memory => ({ bytes, host: null, contents: new Uint8Array(bytes) }),
    free: () => undefined,
    createQueue: () => new InOrder(),
  };
  return { name: 'acme', format, formatVersions: [formatVersion], native: false, device, answer, load: (_blob, bytes) => load(bytes) };
}

/** Asked before a blob is loaded. Without an own variant, the region runs on the host. */
function answer({ formatVersion: version, requires }: BlobInfo): LoaderAnswer {
  if (version !== formatVersion) return { kind: 'recompile', code: 'acme/version', reason: `the program has version ${version}, this loader reads ${formatVersion}` };
  if (requires['side'] !== side) return { kind: 'unsupported', code: 'acme/side', reason: `the program wants blocks of ${String(requires['side'])}, this machine has ${side}` };
  return { kind: 'optimal' };
}

function load(bytes: Uint8Array): LoadedBlob {
  const programs = new Map(decode(bytes).map((program) => [program.symbol, program]));
  return {
    bind(symbol, views) {
      const program = programs.get(symbol);
      if (program === undefined) throw new Error(`there is no program ${symbol}`);
      return bind(program, views);
    },
    dispose: () => programs.clear(),
  };
}

/** Fixes the operands of a program, once for many runs. */
function bind({ symbol, views: count, instructions }: Program, views: readonly View[]): BoundCall {
  const temporaries = instructions.some((i) => i.out >= count);
  if (views.length !== count + (temporaries ? 1 : 0)) throw new Error(`${symbol} takes ${count} views${temporaries ? ' and a workspace' : ''}, not ${views.length}`);
  const operands = views.slice(0, count).map((view) => floatsOf(bytesOf(view)));
  let free = temporaries ? floatsOf(bytesOf(views[count]!)) : new Float32Array();
  for (const { a, out, k, n } of instructions) {
    if (operands[out] !== undefined) continue;
    const elements = (operands[a]!.length / k) * n;
    operands[out] = free.subarray(0, elements);
    free = free.subarray(elements);
  }
  let times: NonNullable<BoundCall['kernelTimes']> = [];
  return {
    enqueue: (queue) => (queue as InOrder).push(() => {
      let now = launch.region * 1e9;
      times = instructions.map((instruction) => {
        const begin = now;
        now += execute(instruction, operands[instruction.a]!, operands[instruction.b ?? instruction.a]!, operands[instruction.out]!);
        return { kernel: instruction.opcode, begin, end: now };
      });
    }),
    runDims: [],
    get kernelTimes() { return times; },
    dispose: () => undefined,
  };
}
