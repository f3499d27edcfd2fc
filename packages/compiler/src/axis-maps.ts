/** A matrix `[to, from]` for the fibres of a tensor along an axis, whose size becomes `to`. */
export interface AxisMap {
  readonly axis: number;
  readonly matrix: readonly (readonly number[])[];
}

/** The shape of a tensor after maps. */
export function axisMappedShape(shape: readonly number[], maps: readonly AxisMap[]): number[] {
  const sizes = [...shape];
  for (const { axis, matrix } of maps) sizes[axis] = matrix.length;
  return sizes;
}

/**
 * Parts that go through the maps together: filters have few taps, and loops over them alone would be all overhead. What is between
 * two maps stays in cache.
 */
const block = 128;

/** Applies maps to a row-major tensor, one after the other, in double precision, and rounds once. */
export function mapAxes(values: Float32Array, shape: readonly number[], maps: readonly AxisMap[]): Float32Array {
  // Axes before the first that a map concerns divide the tensor into parts.
  const first = Math.min(...maps.map((map) => map.axis));
  const parts = elementsOf(shape.slice(0, first));
  const inside = maps.map((map) => ({ ...map, axis: map.axis - first + 1 }));
  const part = shape.slice(first);
  const shapes = inside.map((_, i) => axisMappedShape([1, ...part], inside.slice(0, i)));
  const [size, target] = [elementsOf(part), elementsOf(axisMappedShape([1, ...part], inside))];
  const most = Math.max(target, ...shapes.map(elementsOf)) * Math.min(block, parts);
  let [from, to] = [new Float64Array(most), new Float64Array(most)];
  const out = new Float32Array(parts * target);
  for (let start = 0; start < parts; start += block) {
    const count = Math.min(block, parts - start);
    from.set(values.subarray(start * size, (start + count) * size));
    for (const [i, map] of inside.entries()) {
      mapAxis(from, to, [count, ...shapes[i]!.slice(1)], map);
      [from, to] = [to, from];
    }
    out.set(from.subarray(0, count * target), start * target);
  }
  return out;
}

const elementsOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function mapAxis(from: Float64Array, to: Float64Array, [count, ...shape]: readonly number[], { axis, matrix }: AxisMap): void {
  const outer = elementsOf(shape.slice(0, axis - 1));
  const inner = elementsOf(shape.slice(axis));
  const [taps, size] = [shape[axis - 1]!, matrix.length];
  for (let o = 0; o < outer; o++) {
    for (let n = 0; n < inner; n++) {
      matrix.forEach((row, i) => {
        const [begin, step] = [(o * size + i) * inner + n, outer * size * inner];
        // Three taps at a time; what there is none of has the factor 0.
        for (let k = 0; k < taps; k += 3) {
          const [a, b, c] = [row[k]!, row[k + 1] ?? 0, row[k + 2] ?? 0];
          const [second, third] = [k + 1 < taps ? inner : 0, k + 2 < taps ? 2 * inner : 0];
          for (let part = 0, source = (o * taps + k) * inner + n, at = begin; part < count!; part++, source += outer * taps * inner, at += step) {
            to[at] = (k === 0 ? 0 : to[at]!) + a * from[source]! + b * from[source + second]! + c * from[source + third]!;
          }
        }
      });
    }
  }
}
