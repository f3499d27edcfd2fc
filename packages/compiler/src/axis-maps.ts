/** A matrix `[to, from]` for the fibres of a tensor along an axis, whose size becomes `to`. */
export interface AxisMap {
  readonly axis: number;
  readonly matrix: readonly (readonly number[])[];
}

/** The shape of a tensor after maps. */
export function mappedShape(shape: readonly number[], maps: readonly AxisMap[]): number[] {
  const sizes = [...shape];
  for (const { axis, matrix } of maps) sizes[axis] = matrix.length;
  return sizes;
}

/** Applies maps to a row-major tensor, one after the other, in double precision. */
export function mapAxes(values: ArrayLike<number>, shape: readonly number[], maps: readonly AxisMap[]): ArrayLike<number> {
  let sizes = [...shape];
  let current = values;
  for (const { axis, matrix } of maps) {
    current = mapAxis(current, sizes, axis, matrix);
    sizes = mappedShape(sizes, [{ axis, matrix }]);
  }
  return current;
}

function mapAxis(from: ArrayLike<number>, shape: readonly number[], axis: number, matrix: readonly (readonly number[])[]): Float64Array {
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const taps = shape[axis]!;
  const size = matrix.length;
  const factors = Float64Array.from(matrix.flat());
  const to = new Float64Array(outer * size * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < size; i++) {
      const at = (o * size + i) * inner;
      for (let k = 0; k < taps; k++) {
        const factor = factors[i * taps + k]!;
        const source = (o * taps + k) * inner;
        if (factor !== 0) for (let n = 0; n < inner; n++) to[at + n]! += factor * from[source + n]!;
      }
    }
  }
  return to;
}
