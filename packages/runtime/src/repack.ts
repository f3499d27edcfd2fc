import type { ConstantInfo, PackedLayout } from '@tenon/artifact';

/** A tensor of a shape, from one layout to another. Zeros fill the last tile. */
export function repack(bytes: Uint8Array, { shape, from, to }: Extract<ConstantInfo['data'], { readonly kind: 'repacked' }>, width: number): Uint8Array {
  // Elements move as integers of their width: one loop for all element types, and NaNs keep their bits.
  const as = width === 8 ? BigInt64Array : width === 4 ? Int32Array : width === 2 ? Int16Array : Int8Array;
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const source = new as(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / width) as Int32Array;
  const rows = to.order.reduce((product, axis) => product * shape[axis]!, 1);
  const size = shape[to.axis]!;
  const tiles = Math.ceil(size / to.tile);
  const target = new as(tiles * rows * to.tile) as Int32Array;
  const fromOffsets = shape.map((_, axis) => offsetsAlong(axis, shape, from));
  // Where a row begins in the source: the sum of what its position on every axis adds.
  let begins = Int32Array.of(0);
  for (const axis of to.order) {
    const offsets = fromOffsets[axis]!;
    const next = new Int32Array(begins.length * offsets.length);
    begins.forEach((base, i) => offsets.forEach((offset, j) => (next[i * offsets.length + j] = base + offset)));
    begins = next;
  }
  const along = fromOffsets[to.axis]!;
  for (let t = 0; t < tiles; t++) {
    const first = t * to.tile;
    const count = Math.min(to.tile, size - first);
    for (let row = 0, at = t * rows * to.tile; row < rows; row++, at += to.tile) {
      const begin = begins[row]!;
      for (let c = 0; c < count; c++) target[at + c] = source[begin + along[first + c]!]!;
    }
  }
  return new Uint8Array(target.buffer);
}

/** What each position on an axis adds to an element's offset. Layouts are separable: the sum over all axes is the offset. */
function offsetsAlong(axis: number, shape: readonly number[], { axis: tiled, tile, order }: PackedLayout): Int32Array {
  const inside = (a: number): number => order.slice(order.indexOf(a) + 1).reduce((product, b) => product * shape[b]!, tile);
  if (axis !== tiled) return Int32Array.from({ length: shape[axis]! }, (_, i) => i * inside(axis));
  const rows = order.reduce((product, a) => product * shape[a]!, 1);
  return Int32Array.from({ length: shape[axis]! }, (_, i) => Math.floor(i / tile) * rows * tile + (i % tile));
}
