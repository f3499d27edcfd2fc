import type { BlobInfo, BoundCall, Device, DeviceBuffer, Fence, LoadedBlob, Loader, LoaderAnswer, Queue, View } from '@tenon/plugin';

/** A blob of the format `js-test` is JSON: entries by symbol, each a list of steps over its views, by index. */
export interface TestEntry {
  readonly steps: readonly TestStep[];
  /** Throws when bound, when run, or through the fence. */
  readonly fail?: 'bind' | 'run' | 'fence';
  /** Milliseconds that a run takes on an asynchronous device. */
  readonly delay?: number;
}
export type TestStep =
  | { readonly op: 'add' | 'mul' | 'sub'; readonly dtype: Dtype; readonly a: number; readonly b: number; readonly out: number }
  | { readonly op: 'relu' | 'copy'; readonly dtype: Dtype; readonly a: number; readonly out: number }
  /** Writes the indices of non-zero elements as i64 and returns their number as run-time dim 0. */
  | { readonly op: 'nonzero'; readonly a: number; readonly out: number }
  /** Fills with dim `dim` of the call. */
  | { readonly op: 'fill'; readonly dtype: Dtype; readonly dim: number; readonly out: number }
  /** `out = a < value`, as bool. */
  | { readonly op: 'less'; readonly a: number; readonly value: number; readonly out: number }
  | { readonly op: 'fail' };
type Dtype = 'f32' | 'i64';

export interface TestDevice extends Device {
  /** Buffers allocated and not freed. */
  readonly live: ReadonlySet<DeviceBuffer>;
  readonly log: string[];
}

/** Where a device keeps the bytes that the host must not reach. */
interface HiddenBuffer extends DeviceBuffer {
  readonly hidden: Uint8Array;
}
const bytesOf = (view: View): Uint8Array => ((view.buffer as Partial<HiddenBuffer>).hidden ?? view.buffer.host!).subarray(view.byteOffset, view.byteOffset + view.bytes);

/** `host` memory and everything at once, or memory of its own and work that ends later, in order. */
export function testDevice(name: string, space = 'host', asynchronous = space !== 'host'): TestDevice {
  const live = new Set<DeviceBuffer>();
  const log: string[] = [];
  return {
    name, space, live, log,
    allocate(bytes) {
      const hidden = new Uint8Array(bytes);
      const buffer: HiddenBuffer = { bytes, hidden, host: space === 'host' ? hidden : null };
      live.add(buffer);
      return buffer;
    },
    free(buffer) {
      if (!live.delete(buffer)) throw new Error(`${name}: freed twice`);
      (buffer as HiddenBuffer).hidden.fill(0xdd); // whoever still reads it gets garbage
    },
    createQueue: () => (asynchronous ? asyncQueue(log, name) : syncQueue()),
  };
}

type TestQueue = Queue & { push(work: () => void, delay?: number): Fence };

function syncQueue(): TestQueue {
  const finished: Fence = { done: true, wait: () => Promise.resolve() };
  const push = (work: () => void): Fence => {
    work();
    return finished;
  };
  return { push, write: (source, to) => push(() => bytesOf(to).set(source)), read: (from, to) => push(() => to.set(bytesOf(from))), fence: () => finished };
}

function asyncQueue(log: string[], name: string): TestQueue {
  let tail: Promise<void> = Promise.resolve();
  let pending = 0;
  const push = (work: () => void, delay = 0): Fence => {
    let done = false;
    pending++;
    const before = tail;
    const run = (async () => {
      await before;
      await new Promise((resolve) => setTimeout(resolve, delay));
      try {
        work();
      } finally {
        done = true;
        pending--;
      }
    })();
    tail = run.catch(() => {});
    run.catch(() => {});
    return { get done() { return done; }, wait: () => run };
  };
  return {
    push,
    write(source, to) {
      log.push(`${name}: write ${source.length}`);
      return push(() => bytesOf(to).set(source));
    },
    read(from, to) {
      log.push(`${name}: read ${to.length}`);
      return push(() => to.set(bytesOf(from)));
    },
    fence: () => ({ get done() { return pending === 0; }, wait: () => tail }),
  };
}

export interface TestLoader extends Loader {
  readonly device: TestDevice;
  /** Calls bound and not disposed. */
  bound: number;
  binds: number;
  runs: number;
  blobs: number;
  /** Memory that bound calls hold, of a loader that works in the user's. */
  readonly held: Set<ArrayBufferLike>;
}

export function testLoader(options: { readonly name?: string; readonly format?: string; readonly device?: TestDevice; readonly native?: boolean; readonly userMemory?: boolean; readonly hashes?: LoadedBlob['hashes']; readonly answer?: (blob: BlobInfo) => LoaderAnswer } = {}): TestLoader {
  const loader: TestLoader = {
    name: options.name ?? 'js',
    format: options.format ?? 'js-test',
    formatVersions: [1],
    native: options.native ?? false,
    device: options.device ?? testDevice('js'),
    bound: 0, binds: 0, runs: 0, blobs: 0, held: new Set(),
    ...(options.userMemory ? { userMemory: { minimum: 8, borrow: (memory: Uint8Array) => ({ bytes: memory.length, host: memory }), allocate: (bytes: number) => new Uint8Array(bytes).fill(0xdd).buffer } } : {}),
    answer: options.answer ?? (() => ({ kind: 'optimal' })),
    load(_info, bytes): LoadedBlob {
      const entries = JSON.parse(new TextDecoder().decode(bytes)) as { readonly [symbol: string]: TestEntry };
      loader.blobs++;
      return {
        bind: (symbol, views, dims) => bindEntry(loader, entries[symbol]!, views, dims),
        ...(options.hashes ? { hashes: options.hashes } : {}),
        dispose: () => void loader.blobs--,
      };
    },
  };
  return loader;
}

function bindEntry(loader: TestLoader, entry: TestEntry, given: readonly View[], dims: readonly number[]): BoundCall {
  const views = [...given];
  const hold = (): void => {
    loader.held.clear();
    for (const view of views) loader.held.add(bytesOf(view).buffer);
  };
  hold();
  if (entry.fail === 'bind') throw new Error('cannot bind');
  loader.bound++;
  loader.binds++;
  const runDims: number[] = [];
  let running = false;
  let profiling = false;
  let times: { kernel: string; begin: number; end: number }[] = [];
  const run = (): void => {
    loader.runs++;
    if (entry.fail === 'run') throw new Error('it broke');
    times = [];
    for (const [i, step] of entry.steps.entries()) {
      runStep(step, views, dims, runDims);
      if (profiling) times.push({ kernel: `k${i}`, begin: i * 1000, end: i * 1000 + 500 });
    }
  };
  return {
    runDims,
    enqueue(queue) {
      if (running) throw new Error('a bound call overlaps itself');
      return (queue as TestQueue).push(() => {
        if (entry.fail === 'fence') throw new Error('it broke later');
        running = true;
        try {
          run();
        } finally {
          running = false;
        }
      }, entry.delay);
    },
    ...(loader.device.space === 'host' ? { runSync: run } : {}),
    ...(loader.userMemory ? {
      rebind(position: number, view: View | null) {
        if (running) throw new Error('a call is rebound while it runs');
        views[position] = view ?? { buffer: { bytes: 0, host: new Uint8Array(0) }, byteOffset: 0, bytes: 0 };
        hold();
      },
    } : {}),
    profile(on) {
      profiling = on;
    },
    get kernelTimes() {
      return times;
    },
    dispose: () => void loader.bound--,
  };
}

function runStep(step: TestStep, views: readonly View[], dims: readonly number[], runDims: number[]): void {
  const f32 = (i: number): Float32Array => {
    const bytes = bytesOf(views[i]!);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  };
  const i64 = (i: number): BigInt64Array => {
    const bytes = bytesOf(views[i]!);
    return new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  };
  switch (step.op) {
    case 'fail':
      throw new Error('a kernel failed');
    case 'nonzero': {
      const a = f32(step.a);
      const out = i64(step.out);
      let count = 0;
      for (let i = 0; i < a.length; i++) if (a[i] !== 0) out[count++] = BigInt(i);
      runDims[0] = count;
      return;
    }
    case 'less':
      bytesOf(views[step.out]!)[0] = Number(f32(step.a)[0]! < step.value);
      return;
    case 'fill':
      if (step.dtype === 'f32') f32(step.out).fill(dims[step.dim]!);
      else i64(step.out).fill(BigInt(dims[step.dim]!));
      return;
    default: {
      const b = 'b' in step ? step.b : step.a;
      if (step.dtype === 'f32') elementwise(step.op, f32(step.a), f32(b), f32(step.out), 0);
      else elementwise(step.op, i64(step.a), i64(b), i64(step.out), 0n);
    }
  }
}

function elementwise<T extends number | bigint>(op: string, a: { [i: number]: T }, b: { [i: number]: T; readonly length: number }, out: { [i: number]: T; readonly length: number }, zero: T): void {
  for (let i = 0; i < out.length; i++) {
    const x = a[i]!;
    const y = b[i % b.length]!;
    out[i] = (op === 'add' ? (x as number) + (y as number) : op === 'mul' ? (x as number) * (y as number) : op === 'sub' ? (x as number) - (y as number) : op === 'relu' && x < zero ? zero : x) as T;
  }
}
