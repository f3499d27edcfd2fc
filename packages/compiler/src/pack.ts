import type { Session } from '@tenon/core';
import { arrayFor } from '@tenon/interp';
import type { AttrValue, ConstantDecl, Expr, IRModule, SourceDecl, TensorFunction, Value } from '@tenon/plugin';
import { mapConstant, mappedShape, type ConstantMap } from './constant-maps.ts';

/**
 * How a schedule wants a constant input laid out: the named axis in tiles, outermost and innermost,
 * `[ceil(size / tile), other axes in `order`, tile]`, the last tile filled up with zeros. Stated as the attribute `pack`
 * of the scheduled function, by the input's name.
 */
export interface Packing {
  /** Of the tensor after `maps`, as are those of `order`. */
  readonly axis: number;
  readonly tile: number;
  /** The other axes, in the order of the packed tensor. */
  readonly order: readonly number[];
  /** What is applied to the tensor before (the transform of a filter, for instance). */
  readonly maps?: readonly ConstantMap[];
}

export function packingOf(fn: TensorFunction, input: string): Packing | null {
  const all = fn.attrs['pack'] as { readonly [input: string]: AttrValue } | undefined;
  return (all?.[input] as unknown as Packing | undefined) ?? null;
}

/** A packed constant. */
export interface PackedConstant {
  /** Names the tensor that it is a layout of, after maps. */
  readonly original: string;
  /** Of that tensor. */
  readonly shape: readonly number[];
  readonly packing: Packing;
  /** As text. */
  readonly maps: string;
  /** What it is made from, before maps. */
  readonly of: ConstantDecl;
}

/** Packed constants by name. Equal names are equal constants. */
export type Packings = Map<string, PackedConstant>;

/**
 * Declares packed constants, each once per layout, and collects what they add to the module. The bytes are made when
 * they are read, which is while the artifact is written: one constant at a time, never all of them in memory.
 */
export class Packer {
  readonly constants = new Map<string, ConstantDecl>();
  readonly sources = new Map<string, SourceDecl>();
  readonly #done = new Map<string, Value>();
  readonly #latest = new PackedBytes();
  readonly #module: IRModule;
  readonly #session: Session;
  readonly #packings: Packings;

  constructor(module: IRModule, session: Session, packings: Packings) {
    this.#packings = packings;
    this.#module = module;
    this.#session = session;
  }

  pack(value: Value, packing: Packing): Value {
    const session = this.#session;
    const decl = value.constant ? this.#module.constants.get(value.name) : undefined;
    if (decl === undefined) return session.fail({ code: 'schedule/pack', message: `%${value.name} is to be packed for a kernel, but is no constant` });
    const maps = packing.maps ?? [];
    const layout: Packing = { axis: packing.axis, tile: packing.tile, order: packing.order };
    const mapped = this.#mapped(value.name, maps);
    const name = `${mapped}.packed_${packing.axis}_${packing.tile}_${packing.order.join('')}`;
    let packed = this.#done.get(name);
    if (packed === undefined) {
      const shape = decl.type.shape.map((d: Expr) => session.exprs.valueOf(d)!);
      const { dtype } = decl.type;
      if (maps.length > 0 && dtype !== 'f32') return session.fail({ code: 'schedule/pack', message: `%${value.name} is to be transformed for a kernel, but is ${dtype}` });
      const target = mappedShape(shape, maps);
      const type = session.types.tensor(dtype, packedShape(target, layout));
      const bytes = session.exprs.valueOf(session.bytesOf(type))!;
      const original = decl.data.kind === 'range' ? `${this.#module.sources.get(decl.data.source)?.id ?? ''} ${decl.data.offset}` : decl.name;
      const job: PackJob = { name, dtype, shape, maps, mapped: target, packing: layout, read: (memory) => session.readConstant(this.#module, decl, 0, memory) };
      const readInto = (offset: number, destination: Uint8Array): Promise<void> => this.#latest.read(job, offset, destination);
      const source = session.addSource(name, {
        uri: 'memory:', bytes, id: `${original} ${name}`, readInto,
        read: async (offset, length) => {
          const read = new Uint8Array(length);
          await readInto(offset, read);
          return read;
        },
        close: () => this.#latest.release(),
      });
      this.#packings.set(name, { original: mapped, shape: target, packing: layout, maps: JSON.stringify(maps), of: decl });
      this.sources.set(source.name, source);
      this.constants.set(name, { name, type, data: { kind: 'range', source: source.name, offset: 0, bytes }, view: null });
      packed = { name, type, constant: true };
      this.#done.set(name, packed);
    }
    return packed;
  }

  /** A name for a constant after maps, the same for equal maps. */
  #mapped(value: string, maps: readonly ConstantMap[]): string {
    if (maps.length === 0) return value;
    const known = [...new Set(Array.from(this.#packings.values(), (p) => p.maps))];
    const at = known.indexOf(JSON.stringify(maps));
    return `${value}.mapped_${at < 0 ? known.length : at}`;
  }
}

interface PackJob {
  readonly name: string;
  readonly dtype: string;
  /** Of the original, and after maps. */
  readonly shape: readonly number[];
  readonly maps: readonly ConstantMap[];
  readonly mapped: readonly number[];
  readonly packing: Packing;
  /** Fills memory with the original's bytes. */
  readonly read: (memory: Uint8Array) => Promise<void>;
}

/**
 * The packed constant that was asked for last: constants are read in pieces, one after the other. All go through the same
 * memory, which grows to the largest: fresh pages cost more than what is done with them.
 */
class PackedBytes {
  #original = new ArrayBuffer(0);
  #packed = new ArrayBuffer(0);
  #name: string | null = null;
  /** Readers follow each other. */
  #last: Promise<void> = Promise.resolve();

  read(job: PackJob, offset: number, destination: Uint8Array): Promise<void> {
    const next = this.#last.then(async () => {
      if (this.#name !== job.name) await this.#make(job);
      destination.set(new Uint8Array(this.#packed, offset, destination.length));
    });
    this.#last = next.catch(() => {});
    return next;
  }

  async #make({ name, dtype, shape, maps, mapped, packing, read }: PackJob): Promise<void> {
    this.#name = null;
    const { BYTES_PER_ELEMENT: width } = arrayFor(dtype);
    const target = packedShape(mapped, packing);
    const elements = (of: readonly number[]): number => of.reduce((a, b) => a * b, 1);
    const [size, packedSize] = [elements(shape), elements(target)];
    this.#original = atLeast(this.#original, size * width);
    this.#packed = atLeast(this.#packed, packedSize * width);
    await read(new Uint8Array(this.#original, 0, size * width));
    const lastTile = packedSize / Math.max(target[0]!, 1);
    if (mapped[packing.axis]! % packing.tile !== 0) new Uint8Array(this.#packed, (packedSize - lastTile) * width, lastTile * width).fill(0);
    // Elements move as integers of their width: one loop for all element types, and NaNs keep their bits.
    const as = (width === 8 ? BigInt64Array : width === 4 ? Int32Array : width === 2 ? Int16Array : Int8Array) as typeof Int32Array;
    const from = maps.length === 0 ? new as(this.#original, 0, size) : new Int32Array(mapConstant(new Float32Array(this.#original, 0, size), shape, maps).buffer);
    moveElements(from, new as(this.#packed, 0, packedSize), mapped, target[0]!, packing);
    this.#name = name;
  }

  release(): void {
    this.#name = null;
    this.#original = this.#packed = new ArrayBuffer(0);
  }
}

const atLeast = (memory: ArrayBuffer, bytes: number): ArrayBuffer => (memory.byteLength < bytes ? new ArrayBuffer(bytes) : memory);

function packedShape(shape: readonly number[], { axis, tile, order }: Packing): number[] {
  return [Math.ceil(shape[axis]! / tile), ...order.map((a) => shape[a]!), tile];
}

/** Rows of a tile that are written at a time where elements of a row are far apart in the original: they stay in the first cache level. */
const blockRows = 32;

/** Writes the tensor in tiles, one tile after the other. */
function moveElements(from: Int32Array, to: Int32Array, shape: readonly number[], tiles: number, { axis, tile, order }: Packing): void {
  const strideOf = (a: number): number => shape.slice(a + 1).reduce((x, y) => x * y, 1);
  const step = strideOf(axis);
  const offsets = offsetsOf(order.map((a) => [shape[a]!, strideOf(a)]));
  const rows = offsets.length;
  for (let t = 0; t < tiles; t++) {
    const base = t * tile * step;
    const count = Math.min(tile, shape[axis]! - t * tile);
    const start = t * rows * tile;
    if (step === 1) {
      for (let m = 0; m < rows; m++) {
        const source = base + offsets[m]!;
        const at = start + m * tile;
        for (let c = 0; c < count; c++) to[at + c] = from[source + c]!;
      }
      continue;
    }
    for (let first = 0; first < rows; first += blockRows) {
      const end = Math.min(first + blockRows, rows);
      let c = 0;
      // Four rows of the original at a time, which share what a row of offsets takes.
      for (; c + 4 <= count; c += 4) {
        const s0 = base + c * step, s1 = s0 + step, s2 = s1 + step, s3 = s2 + step;
        for (let m = first, at = start + first * tile + c; m < end; m++, at += tile) {
          const offset = offsets[m]!;
          to[at] = from[s0 + offset]!;
          to[at + 1] = from[s1 + offset]!;
          to[at + 2] = from[s2 + offset]!;
          to[at + 3] = from[s3 + offset]!;
        }
      }
      for (; c < count; c++) {
        const source = base + c * step;
        for (let m = first, at = start + first * tile + c; m < end; m++, at += tile) to[at] = from[source + offsets[m]!]!;
      }
    }
  }
}

/** What every position on several axes, the last of them innermost, adds to an element's offset. */
function offsetsOf(axes: readonly (readonly [size: number, stride: number])[]): Int32Array {
  let offsets = Int32Array.of(0);
  for (const [size, stride] of axes) {
    const next = new Int32Array(offsets.length * size);
    for (let i = 0, at = 0; i < offsets.length; i++) for (let j = 0; j < size; j++, at++) next[at] = offsets[i]! + j * stride;
    offsets = next;
  }
  return offsets;
}
