/** One process of `bench:load`: `load-once ENGINE FILE INPUTS`; prints JSON. See `load.ts`. */
import { readFileSync } from 'node:fs';
import type { ByteSource, HostTensor, Loader } from '@tenon/plugin';

export type Engine = 'tenon' | 'unverified' | 'parts' | 'idle' | 'onnxruntime' | 'idle-onnxruntime';

export interface Once {
  /** Milliseconds from `load` on: until there is a model, and until there is a result. */
  readonly loaded: number;
  readonly total: number;
  /** Resident bytes after 20 runs; of idle processes after importing. */
  readonly resident: number;
  /** Milliseconds by part. They overlap. */
  readonly parts: { readonly [name: string]: number };
}

/** What a run is given, as the parent wrote it. */
export interface SavedInputs {
  readonly [name: string]: { readonly dtype: string; readonly shape: readonly number[]; readonly base64: string };
}

const runs = 20;

function readInputs(path: string): { [name: string]: HostTensor } {
  const saved = JSON.parse(readFileSync(path, 'utf8')) as SavedInputs;
  return Object.fromEntries(Object.entries(saved).map(([name, { dtype, shape, base64 }]) => {
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    return [name, { dtype, shape, data: dtype === 'i64' ? new BigInt64Array(bytes.buffer) : dtype === 'f32' ? new Float32Array(bytes.buffer) : bytes }];
  }));
}

async function timed(load: () => Promise<() => Promise<unknown>>): Promise<Omit<Once, 'parts'>> {
  const begin = performance.now();
  const run = await load();
  const loaded = performance.now() - begin;
  await run();
  const total = performance.now() - begin;
  for (let i = 1; i < runs; i++) await run();
  return { loaded, total, resident: process.memoryUsage.rss() };
}

/** A source and a loader that say how long they took. */
function watched(parts: { [name: string]: number }, open: (path: string) => Promise<ByteSource>, loader: Loader, path: string): { readonly source: () => Promise<ByteSource>; readonly loader: Loader } {
  const first = new Map<string, number>();
  /** From the first beginning to the last end. */
  const add = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
    if (!first.has(name)) first.set(name, performance.now());
    try {
      return await work();
    } finally {
      parts[name] = performance.now() - first.get(name)!;
    }
  };
  return {
    async source() {
      const source = await add('open', () => open(path));
      return { ...source, read: (offset, length) => add('read manifest and code', () => source.read(offset, length)), readInto: (offset, to) => add('read constants', () => source.readInto!(offset, to)) };
    },
    loader: { ...loader, device: { ...loader.device, map: (descriptor, offset, bytes) => add('map constants', () => loader.device.map?.(descriptor, offset, bytes) ?? null) }, load: (blob, bytes, options) => add('load code, start threads', () => loader.load(blob, bytes, options)) },
  };
}

async function once(engine: Engine, file: string, inputs: { [name: string]: HostTensor }): Promise<Once> {
  if (engine === 'onnxruntime' || engine === 'idle-onnxruntime') {
    const { Peer } = await import('../models/peer.ts');
    if (engine === 'idle-onnxruntime') return { loaded: 0, total: 0, resident: process.memoryUsage.rss(), parts: {} };
    const times = await timed(async () => {
      const peer = await Peer.load(file);
      return () => peer.run(peer.feeds(inputs));
    });
    return { ...times, parts: {} };
  }
  const { load } = await import('tenon');
  if (engine === 'idle' || engine === 'parts') {
    const [{ cpuC }, { nodeHost }] = await Promise.all([import('@tenon/target-cpu-c/loader'), import('@tenon/runtime/node')]);
    if (engine === 'idle') return { loaded: 0, total: 0, resident: process.memoryUsage.rss(), parts: {} };
    const parts: { [name: string]: number } = {};
    const { source, loader } = watched(parts, (path) => nodeHost().open(path), cpuC(), file);
    const times = await timed(async () => {
      const model = await load(await source(), { allowNative: true, loaders: [loader] });
      return () => model.run(inputs);
    });
    return { ...times, parts: { ...parts, 'first run': times.total - times.loaded } };
  }
  const times = await timed(async () => {
    const model = await load(file, { allowNative: true, verify: engine === 'tenon' });
    return () => model.run(inputs);
  });
  return { ...times, parts: {} };
}

const [engine, file, inputs] = process.argv.slice(2) as [Engine, string, string];
console.log(JSON.stringify(await once(engine, file, readInputs(inputs))));
process.exit();
