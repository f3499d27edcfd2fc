import type { AttrValue, ConstantDecl, Context, Expr, IRModule, SourceDecl, TensorFunction, Value } from '@tenon/plugin';
import { arrayFor } from '@tenon/interp';
import { mapAxes, mappedShape, type AxisMap } from './axis-maps.ts';

/**
 * How a schedule wants a constant input laid out: the named axis in tiles, outermost and innermost,
 * `[ceil(size / tile), other axes in `order`, tile]`, the last tile filled up with zeros. Stated as the attribute `pack`
 * of the scheduled function, by the input's name.
 */
export interface Packing {
  readonly axis: number;
  readonly tile: number;
  /** The other axes of the original, in the order of the packed tensor. */
  readonly order: readonly number[];
  /** What is applied to the tensor before (the transform of a filter, for instance). */
  readonly maps?: readonly AxisMap[];
}

export function packingOf(fn: TensorFunction, input: string): Packing | null {
  const all = fn.attrs['pack'] as { readonly [input: string]: AttrValue } | undefined;
  return (all?.[input] as unknown as Packing | undefined) ?? null;
}

/** Packed constants by name: the tensor that they are a layout of, after maps, and which. Equal names are equal constants. */
export type Packings = Map<string, { readonly original: string; readonly shape: readonly number[]; readonly packing: Packing; /** As text. */ readonly maps: string }>;

/**
 * Declares packed constants, each once per layout, and collects what they add to the module. The bytes are made when
 * they are read, which is while the artifact is written: one constant at a time, never all of them in memory.
 */
export class Packer {
  readonly constants = new Map<string, ConstantDecl>();
  readonly sources = new Map<string, SourceDecl>();
  readonly #done = new Map<string, Value>();
  #latest: { readonly name: string; readonly bytes: Uint8Array } | null = null;
  readonly #module: IRModule;
  readonly #ctx: Context;
  readonly #packings: Packings;

  constructor(module: IRModule, ctx: Context, packings: Packings) {
    this.#packings = packings;
    this.#module = module;
    this.#ctx = ctx;
  }

  pack(value: Value, packing: Packing): Value {
    const ctx = this.#ctx;
    const decl = value.constant ? this.#module.constants.get(value.name) : undefined;
    if (decl === undefined) return ctx.fail({ code: 'schedule/pack', message: `%${value.name} is to be packed for a kernel, but is no constant` });
    const maps = packing.maps ?? [];
    const layout: Packing = { axis: packing.axis, tile: packing.tile, order: packing.order };
    const mapped = this.#mapped(value.name, maps);
    const name = `${mapped}.packed_${packing.axis}_${packing.tile}_${packing.order.join('')}`;
    let packed = this.#done.get(name);
    if (packed === undefined) {
      const shape = decl.type.shape.map((d: Expr) => ctx.exprs.valueOf(d)!);
      const { dtype } = decl.type;
      if (maps.length > 0 && dtype !== 'f32') return ctx.fail({ code: 'schedule/pack', message: `%${value.name} is to be transformed for a kernel, but is ${dtype}` });
      const target = mappedShape(shape, maps);
      const type = ctx.types.tensor(dtype, packedShape(target, layout));
      const bytes = ctx.exprs.valueOf(ctx.bytesOf(type))!;
      const original = decl.data.kind === 'range' ? `${this.#module.sources.get(decl.data.source)?.id ?? ''} ${decl.data.offset}` : decl.name;
      const source = ctx.addSource(name, {
        uri: 'memory:', bytes, id: `${original} ${name}`,
        read: async (offset, length) => {
          // Read in pieces, one after the other: the last constant is kept.
          if (this.#latest?.name !== name) {
            this.#latest = null;
            const bytes = await ctx.constantBytes(this.#module, decl);
            this.#latest = { name, bytes: packBytes(dtype, target, maps.length === 0 ? bytes : mapBytes(bytes, shape, maps), layout) };
          }
          return this.#latest.bytes.subarray(offset, offset + length);
        },
        close: () => {
          this.#latest = null;
        },
      });
      this.#packings.set(name, { original: mapped, shape: target, packing: layout, maps: JSON.stringify(maps) });
      this.sources.set(source.name, source);
      this.constants.set(name, { name, type, data: { kind: 'range', source: source.name, offset: 0, bytes }, view: null });
      packed = { name, type, constant: true };
      this.#done.set(name, packed);
    }
    return packed;
  }

  /** A name for a constant after maps, the same for equal maps. */
  #mapped(value: string, maps: readonly AxisMap[]): string {
    if (maps.length === 0) return value;
    const known = [...new Set(Array.from(this.#packings.values(), (p) => p.maps))];
    const at = known.indexOf(JSON.stringify(maps));
    return `${value}.mapped_${at < 0 ? known.length : at}`;
  }
}

function mapBytes(bytes: Uint8Array, shape: readonly number[], maps: readonly AxisMap[]): Uint8Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const values = new Float32Array(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / 4);
  return new Uint8Array(Float32Array.from(mapAxes(values, shape, maps)).buffer);
}

function packedShape(shape: readonly number[], { axis, tile, order }: Packing): number[] {
  return [Math.ceil(shape[axis]! / tile), ...order.map((a) => shape[a]!), tile];
}

function packBytes(dtype: string, shape: readonly number[], bytes: Uint8Array, packing: Packing): Uint8Array {
  const { BYTES_PER_ELEMENT: width } = arrayFor(dtype);
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const target = packedShape(shape, packing);
  const packed = new ArrayBuffer(target.reduce((a, b) => a * b, width));
  // Elements move as integers of their width: one loop for all element types, and NaNs keep their bits.
  const as = width === 8 ? BigInt64Array : width === 4 ? Int32Array : width === 2 ? Int16Array : Int8Array;
  const from = new as(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / width);
  moveElements(from as Int32Array, new as(packed) as Int32Array, shape, target[0]!, packing);
  return new Uint8Array(packed);
}

const blockRows = 64;

function moveElements(from: Int32Array, to: Int32Array, shape: readonly number[], tiles: number, { axis, tile, order }: Packing): void {
  const strides = shape.map((_, a) => shape.slice(a + 1).reduce((x, y) => x * y, 1));
  const step = strides[axis]!;
  // Offsets of the middle axes, once for all tiles.
  let middle = [0];
  for (const a of order) middle = middle.flatMap((base) => Array.from({ length: shape[a]! }, (_, i) => base + i * strides[a]!));
  const offsets = Int32Array.from(middle);
  const rows = offsets.length;
  // In blocks of rows, so that what a block reads stays in cache while all tiles take their part of it.
  for (let first = 0; first < rows; first += blockRows) {
    const end = Math.min(first + blockRows, rows);
    for (let t = 0; t < tiles; t++) {
      const base = t * tile * step;
      const count = Math.min(tile, shape[axis]! - t * tile);
      const start = t * rows * tile;
      if (step === 1) {
        for (let m = first; m < end; m++) {
          const source = base + offsets[m]!;
          const at = start + m * tile;
          for (let c = 0; c < count; c++) to[at + c] = from[source + c]!;
        }
      } else {
        for (let c = 0; c < count; c++) {
          const source = base + c * step;
          for (let m = first, at = start + first * tile + c; m < end; m++, at += tile) to[at] = from[source + offsets[m]!]!;
        }
      }
    }
  }
}
