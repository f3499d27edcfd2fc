/** Work along rows, run half. */
import type { BoundCall, Device, DeviceBuffer, Fence, Loader, Queue, View } from '@tenon/plugin';
import { format, formatVersion, perElement, perRow, start, type Program, type Step } from './steps.ts';

interface Memory extends DeviceBuffer {
  readonly host: null;
  readonly data: Uint8Array;
}
const slice = ({ buffer, byteOffset, bytes }: View): Uint8Array => (buffer as Memory).data.subarray(byteOffset, byteOffset + bytes);

class RowQueue implements Queue {
  #tail: Promise<unknown> = Promise.resolve();
  enqueue(work: () => void): Fence {
    const fence = { done: false, wait: () => mine };
    const mine: Promise<void> = this.#tail.then(() => {
      work();
      fence.done = true;
    });
    this.#tail = mine.catch(() => undefined);
    return fence;
  }
  write(source: Uint8Array, destination: View): Fence {
    return this.enqueue(() => slice(destination).set(source));
  }
  read(source: View, destination: Uint8Array): Fence {
    return this.enqueue(() => destination.set(slice(source)));
  }
  fence(): Fence {
    return this.enqueue(() => undefined);
  }
}

export default (): Loader => {
  const device: Device = {
    name: 'rows', space: 'rows', free: () => undefined, createQueue: () => new RowQueue(),
    allocate: (bytes): Memory => ({ bytes, host: null, data: new Uint8Array(bytes) }),
  };
  return {
    name: 'rows', format, formatVersions: [formatVersion], native: false, device,
    answer: ({ requires }) => (requires['version'] === formatVersion ? { kind: 'usable' } : { kind: 'recompile', code: 'rows/version', reason: `it was written for version ${String(requires['version'])}` }),
    load(_blob, bytes) {
      const program = JSON.parse(new TextDecoder().decode(bytes)) as Program;
      if (program.version !== formatVersion) throw new Error(`a program of version ${program.version}`);
      return {
        bind(symbol, views) {
          const entry = program.entries[symbol];
          if (entry === undefined) throw new Error(`no entry ${symbol}`);
          return bind(entry, views);
        },
        dispose: () => undefined,
      };
    },
  };
};

const numbers = (bytes: Uint8Array, dtype: 'f32' | 'i32'): Float32Array | Int32Array =>
  dtype === 'f32' ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) : new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);

function bind({ views: count, scratch, temporaries, steps }: Program['entries'][string], views: readonly View[]): BoundCall {
  const hasWorkspace = temporaries.length + scratch > 0;
  if (views.length !== count + (hasWorkspace ? 1 : 0)) throw new Error(`expected ${count} views and ${hasWorkspace ? 'a' : 'no'} workspace, got ${views.length}`);
  const slots = views.slice(0, count).map(slice);
  const workspace = hasWorkspace ? slice(views[count]!) : new Uint8Array();
  const row = numbers(workspace.subarray(0, scratch * 4), 'f32') as Float32Array;
  let offset = scratch * 4;
  for (const { like, perElement: factor } of temporaries) {
    const producer = steps.find((s) => s.out === slots.length)!;
    const inputBytes = producer.op === 'dequantize' ? slots[like]!.length * 4 : slots[like]!.length;
    const bytes = Math.round(inputBytes * factor);
    slots.push(workspace.subarray(offset, offset + bytes));
    offset += bytes;
  }
  let times: { kernel: string; begin: number; end: number }[] = [];
  return {
    enqueue: (queue) => (queue as RowQueue).enqueue(() => {
      let now = 0;
      times = steps.map((step) => {
        const begin = now;
        const rows = run(step, slots, row);
        now += (start + rows * perRow + rows * step.size * perElement) * 1e9;
        return { kernel: step.op, begin, end: now };
      });
    }),
    runDims: [],
    get kernelTimes() { return times; },
    dispose: () => undefined,
  };
}

/** One step over all rows; how many those are. */
function run({ op, dtype, x, scale, bias, out, size, epsilon }: Step, slots: readonly Uint8Array[], row: Float32Array): number {
  const from = op === 'dequantize' ? new Int8Array(slots[x]!.buffer, slots[x]!.byteOffset, slots[x]!.length) : numbers(slots[x]!, dtype);
  const to = numbers(slots[out]!, dtype);
  const scales = scale === null ? null : numbers(slots[scale]!, 'f32');
  const biases = bias === null ? null : numbers(slots[bias]!, 'f32');
  const rows = from.length / size;
  for (let r = 0; r < rows; r++) {
    const at = r * size;
    switch (op) {
      case 'sum':
      case 'mean': {
        let sum = 0;
        for (let i = 0; i < size; i++) sum = dtype === 'i32' ? (sum + from[at + i]!) | 0 : sum + from[at + i]!;
        to[r] = op === 'mean' ? sum / size : sum;
        break;
      }
      case 'max': {
        let largest = -Infinity;
        for (let i = 0; i < size; i++) largest = Math.max(largest, from[at + i]!);
        to[r] = largest;
        break;
      }
      case 'softmax': {
        let largest = -Infinity;
        for (let i = 0; i < size; i++) largest = Math.max(largest, from[at + i]!);
        let sum = 0;
        for (let i = 0; i < size; i++) sum += row[i] = Math.exp(from[at + i]! - largest);
        for (let i = 0; i < size; i++) to[at + i] = row[i]! / sum;
        break;
      }
      case 'norm': {
        let sum = 0;
        for (let i = 0; i < size; i++) sum += from[at + i]!;
        const mean = sum / size;
        let squares = 0;
        for (let i = 0; i < size; i++) squares += (from[at + i]! - mean) ** 2;
        const inverse = 1 / Math.sqrt(squares / size + epsilon);
        for (let i = 0; i < size; i++) to[at + i] = (from[at + i]! - mean) * inverse * scales![i]! + biases![i]!;
        break;
      }
      case 'dequantize':
        for (let i = 0; i < size; i++) to[at + i] = from[at + i]! * scales![i]!;
        break;
    }
  }
  return rows;
}
