/** The plugin's blob inside an artifact, and calls of its entries without the runtime in between. */
import { evaluateDim, openArtifact, type Manifest } from '@tenon/artifact';
import type { BlobInfo, BoundCall, Device, DeviceBuffer, GraphFunction, HostTensor, IRModule, LoadedBlob, Loader, TensorType, View } from '@tenon/plugin';
import { bytesOf, fromBytes } from '@tenon/interp';
import { bytesSource } from '@tenon/runtime';
import type { Session } from '@tenon/core';
import { tensorBytes } from './tensors.ts';

export interface Blob {
  readonly info: BlobInfo;
  readonly bytes: Uint8Array;
  readonly regions: readonly BlobRegion[];
}
export interface BlobRegion {
  readonly name: string;
  readonly symbol: string;
  readonly dims: readonly string[];
  readonly workspace: ((sizes: ReadonlyMap<string, number>) => number) | null;
  readonly constants: readonly Uint8Array[];
}

/** The first blob of a target. */
export async function blobOf(artifact: Uint8Array, target: string): Promise<Blob | null> {
  const file = await openArtifact(bytesSource('memory:kit', artifact));
  const { manifest } = file as { manifest: Manifest };
  const index = manifest.blobs.findIndex((b) => b.target === target);
  if (index < 0) return null;
  const { format, formatVersion, requires, section } = manifest.blobs[index]!;
  const constants = manifest.constants.length === 0 ? new Uint8Array() : await file.read(file.section('constants'));
  const variants = manifest.regions.flatMap((r) => r.variants.filter((v) => v.blob === index).map((v) => ({ region: r, variant: v })));
  return {
    info: { format, formatVersion, requires, entries: variants.map(({ variant }) => ({ symbol: variant.symbol, kernels: variant.kernels.map((k) => k.name) })) },
    bytes: (await file.read(file.section(section))).slice(),
    regions: variants.map(({ region, variant }) => ({
      name: region.name, symbol: variant.symbol, dims: variant.dims,
      workspace: variant.workspace === null ? null : (sizes) => evaluateDim(variant.workspace!, sizes),
      constants: variant.constants.map((i) => {
        const { data, bytes } = manifest.constants[i]!;
        const offset = data.kind === 'section' ? data.offset : 0;
        return constants.slice(offset, offset + bytes);
      }),
    })),
  };
}

/** Microtasks that may lie between two ends of one piece of work, and writes ahead of it, so that it ends later than that. */
const microtasks = 4;
const writesAhead = 8;

/** Memory around and inside of views, before anything is written to it. As f32 it is 1.3e7. */
export const poison = 0x4b;
const margin = 128;

/** What was written around a part of some memory; null: it is full of poison still. */
export function writtenOutside(what: string, whole: Uint8Array, begin: number, bytes: number): string | null {
  const at = whole.findIndex((b, i) => (i < begin || i >= begin + bytes) && b !== poison);
  return at < 0 ? null : `writes outside of ${what}: ${at < begin ? `${begin - at} bytes before its begin` : `${at - begin - bytes} bytes after its end`}`;
}

interface Guarded {
  readonly what: string;
  readonly view: View;
  /** What must be there afterwards; null: whatever the call writes. */
  readonly kept: Uint8Array | null;
}

/** One call of a region's entry, with every view in the middle of a larger buffer full of poison. */
export class DirectCall {
  readonly #device: Device;
  readonly #guarded: readonly Guarded[];
  readonly #results: readonly { readonly dtype: string; readonly shape: readonly number[] }[];
  readonly #buffers: readonly DeviceBuffer[];
  readonly #queue;
  readonly call: BoundCall;

  private constructor(device: Device, guarded: readonly Guarded[], results: readonly { dtype: string; shape: readonly number[] }[], queue: ReturnType<Device['createQueue']>, call: BoundCall) {
    this.#device = device;
    this.#guarded = guarded;
    this.#results = results;
    this.#buffers = guarded.map((g) => g.view.buffer);
    this.#queue = queue;
    this.call = call;
  }

  /** Allocates, fills and binds. Throws what the loader throws. */
  static async bind(loader: Loader, loaded: LoadedBlob, region: BlobRegion, fn: GraphFunction, inputs: readonly HostTensor[], sizes: ReadonlyMap<string, number>, session: Session): Promise<DirectCall> {
    const { device } = loader;
    const queue = device.createQueue();
    const values = new Map([...sizes].map(([name, size]) => [name, session.exprs.int(size)]));
    const results = fn.results.map((r) => {
      const { dtype, shape } = r.type as TensorType;
      return { dtype, shape: shape.map((d) => session.exprs.valueOf(session.exprs.substitute(session.exprs.intern(d), values))!) };
    });
    const place = async (what: string, bytes: number, contents: Uint8Array | null, keep: boolean): Promise<Guarded> => {
      const buffer = device.allocate(margin + bytes + margin);
      const whole = new Uint8Array(margin + bytes + margin).fill(poison);
      if (contents !== null) whole.set(contents, margin);
      await queue.write(whole, { buffer, byteOffset: 0, bytes: whole.length }).wait();
      return { what, view: { buffer, byteOffset: margin, bytes }, kept: keep ? contents : null };
    };
    const guarded: Guarded[] = [];
    for (const [i, input] of inputs.entries()) guarded.push(await place(`argument ${i}`, bytesOf(input).length, bytesOf(input).slice(), true));
    for (const [i, { dtype, shape }] of results.entries()) guarded.push(await place(`result ${i}`, tensorBytes(dtype, shape), null, false));
    for (const [i, bytes] of region.constants.entries()) guarded.push(await place(`constant ${i}`, bytes.length, bytes, true));
    if (region.workspace !== null) guarded.push(await place('the workspace', region.workspace(sizes), null, false));
    const call = loaded.bind(region.symbol, guarded.map((g) => g.view), region.dims.map((d) => sizes.get(d)!));
    return new DirectCall(device, guarded, results, queue, call);
  }

  /** Enqueues a run and waits for it. */
  async run(): Promise<void> {
    await this.call.enqueue(this.#queue).wait();
  }
  /** Enqueues a run without waiting. */
  start(): Promise<void> {
    return this.call.enqueue(this.#queue).wait();
  }

  async results(): Promise<readonly HostTensor[]> {
    const found = this.#guarded.filter((g) => g.what.startsWith('result '));
    return Promise.all(found.map(async ({ view }, i) => {
      const bytes = new Uint8Array(view.bytes);
      await this.#queue.read(view, bytes).wait();
      return fromBytes(this.#results[i]!.dtype, this.#results[i]!.shape, bytes);
    }));
  }

  /**
   * Poison over the results, a run and reads of the results, enqueued one behind the other without waiting: the results, or null where the
   * queue's fence does not wait for the run before it.
   */
  async pipelined(): Promise<readonly HostTensor[] | null> {
    const found = this.#guarded.filter((g) => g.what.startsWith('result '));
    for (let i = 0; i < writesAhead; i++) for (const { view } of found) this.#queue.write(new Uint8Array(view.bytes).fill(poison), view);
    const run = this.call.enqueue(this.#queue);
    const state = { ended: run.done };
    void run.wait().then(() => void (state.ended = true));
    await this.#queue.fence().wait();
    // Both may end in one step of the event loop, in any order.
    for (let i = 0; i < microtasks && !state.ended; i++) await undefined;
    if (!state.ended) return null;
    for (const { view } of found) this.#queue.write(new Uint8Array(view.bytes).fill(poison), view);
    this.call.enqueue(this.#queue);
    const bytes = found.map(({ view }) => new Uint8Array(view.bytes));
    const reads = found.map(({ view }, i) => this.#queue.read(view, bytes[i]!));
    await Promise.all(reads.map((r) => r.wait()));
    return bytes.map((b, i) => fromBytes(this.#results[i]!.dtype, this.#results[i]!.shape, b));
  }

  /** Writes poison over the results again. */
  async spoil(): Promise<void> {
    for (const { what, view } of this.#guarded) if (what.startsWith('result ')) await this.#queue.write(new Uint8Array(view.bytes).fill(poison), view).wait();
  }

  /** What the call wrote that it must not write; null for nothing. */
  async damage(): Promise<{ code: string; message: string } | null> {
    for (const { what, view, kept } of this.#guarded) {
      const whole = new Uint8Array(margin + view.bytes + margin);
      await this.#queue.read({ buffer: view.buffer, byteOffset: 0, bytes: whole.length }, whole).wait();
      const outside = writtenOutside(what, whole, margin, view.bytes);
      if (outside !== null) return { code: 'runtime/out-of-bounds', message: `the call ${outside}` };
      const changed = kept === null ? -1 : kept.findIndex((b, i) => whole[margin + i] !== b);
      if (changed >= 0) return { code: 'runtime/input-changed', message: `the call changes ${what} (byte ${changed})` };
    }
    return null;
  }

  dispose(): void {
    this.call.dispose();
    for (const buffer of this.#buffers) this.#device.free(buffer);
  }
}

/** The region's function, and its inputs in its own order. */
export function regionFunction(module: IRModule, name: string): GraphFunction {
  return module.functions.get(name) as GraphFunction;
}
