/**
 * Cuts a tensor in halves along each of `axes`, and makes sums of the blocks: `out[i] = Σ_b matrix[i][b] · block b`, along a new
 * outermost axis. Blocks are numbered row-major over `axes`, in their order.
 */
export interface BlockMap {
  readonly axes: readonly number[];
  readonly matrix: readonly (readonly number[])[];
}

/** The shape of a tensor after a map; the axes are of even sizes. */
export const blockMappedShape = (shape: readonly number[], { axes, matrix }: BlockMap): number[] => [matrix.length, ...shape.map((n, a) => (axes.includes(a) ? n / 2 : n))];

/** Applies a map to a row-major tensor, in double precision, and rounds once. */
export function mapBlocks(values: Float32Array, shape: readonly number[], map: BlockMap): Float32Array {
  const { axes, matrix } = map;
  const [count, ...part] = blockMappedShape(shape, map);
  const strides = shape.map((_, a) => shape.slice(a + 1).reduce((x, y) => x * y, 1));
  const last = Math.max(...axes);
  // From the last of the cut axes on, what lies together in the tensor does so in a block.
  const run = part[last]! * strides[last]!;
  const runs = part.slice(0, last).reduce((x, y) => x * y, 1);
  const size = run * runs;
  const offsetOf = (block: number): number => axes.reduce((at, axis, i) => at + ((block >> (axes.length - 1 - i)) & 1) * part[axis]! * strides[axis]!, 0);
  const out = new Float32Array(count! * size);
  matrix.forEach((row, i) => {
    const terms = row.flatMap((factor, block) => (factor === 0 ? [] : [{ factor, offset: offsetOf(block) }]));
    for (let r = 0; r < runs; r++) {
      let begin = 0;
      for (let a = last - 1, rest = r; a >= 0; a--) {
        begin += (rest % part[a]!) * strides[a]!;
        rest = Math.floor(rest / part[a]!);
      }
      sumInto(out, i * size + r * run, values, run, terms.map(({ factor, offset }) => ({ factor, at: begin + offset })));
    }
  });
  return out;
}

function sumInto(out: Float32Array, to: number, values: Float32Array, count: number, terms: readonly { readonly factor: number; readonly at: number }[]): void {
  const [first, second, third, fourth] = terms;
  const part = (term: { readonly factor: number; readonly at: number } | undefined): readonly [number, number] => [term?.factor ?? 0, term?.at ?? 0];
  const [[a, i], [b, j], [c, k], [d, l]] = [part(first), part(second), part(third), part(fourth)];
  if (terms.length > 4) throw new RangeError('a sum of more than four blocks');
  if (terms.length === 1) for (let n = 0; n < count; n++) out[to + n] = a * values[i + n]!;
  else if (terms.length === 2) for (let n = 0; n < count; n++) out[to + n] = a * values[i + n]! + b * values[j + n]!;
  else if (terms.length === 3) for (let n = 0; n < count; n++) out[to + n] = a * values[i + n]! + b * values[j + n]! + c * values[k + n]!;
  else if (terms.length === 4) for (let n = 0; n < count; n++) out[to + n] = a * values[i + n]! + b * values[j + n]! + c * values[k + n]! + d * values[l + n]!;
}
