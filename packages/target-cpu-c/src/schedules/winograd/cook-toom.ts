export type Matrix = readonly (readonly number[])[];

/**
 * Minimal filtering F(m, r): m results of a correlation with r taps from m + r − 1 products, `y = output · (filter · g ⊙ input · d)`.
 * Over several axes the transforms are applied along each. S. Winograd, Arithmetic Complexity of Computations, 1980; for
 * convolutions A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
 */
export interface Transforms {
  /** `[products, positions]`: from a tile of the input. */
  readonly input: Matrix;
  /** `[products, r]`: from a filter. */
  readonly filter: Matrix;
  /** `[m, products]`: from products to results. */
  readonly output: Matrix;
}

/**
 * Finite points by how many there are; infinity is always one more. Errors grow with the number of points and with how far
 * they are from 1 (B. Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
 * Networks, 2020). Pairs ±p share half of
 * their sums. Of five, these have less than half the error of 0, ±1, ±2, and all transforms but that of filters are exact in binary.
 */
const points: { readonly [count: number]: readonly number[] } = {
  1: [0],
  2: [0, 1],
  3: [0, 1, -1],
  4: [0, 1, -1, 0.5],
  5: [0, 0.625, -0.625, 1.5, -1.5],
};

/** The largest m + r − 1 that there are points for. */
const mostProducts = 6;

/**
 * The transforms of m results whose windows of r taps are `stride` positions apart; null where there are no points for them. The taps k ≡ p (mod stride) meet only
 * positions ≡ p: that is a correlation with steps of one for each p, whose results are added. Two steps and three taps:
 * 2m + 1 products in place of 3m, of correlations with two taps and one.
 */
export function strided(m: number, r: number, stride: number): Transforms | null {
  const positions = stride * (m - 1) + r;
  const parts = Array.from({ length: Math.min(stride, r) }, (_, phase) => ({ phase, taps: Math.ceil((r - phase) / stride) }));
  if (parts.some(({ taps }) => taps > 1 && m + taps - 1 > mostProducts)) return null;
  const transforms = parts.map((part) => ({ ...part, ...(part.taps === 1 ? oneTap(m) : cookToom(m, part.taps)) }));
  const spread = (row: readonly number[], phase: number, length: number): number[] => {
    const all = new Array<number>(length).fill(0);
    row.forEach((factor, k) => (all[phase + stride * k] = factor));
    return all;
  };
  return {
    input: transforms.flatMap(({ phase, input }) => input.map((row) => spread(row, phase, positions))),
    filter: transforms.flatMap(({ phase, filter }) => filter.map((row) => spread(row, phase, r))),
    output: Array.from({ length: m }, (_, i) => transforms.flatMap(({ output }) => output[i]!)),
  };
}

/** With one tap every result is a product. */
function oneTap(m: number): Transforms {
  const identity = Array.from({ length: m }, (_, i) => Array.from({ length: m }, (_unused, k) => Number(i === k)));
  return { input: identity, filter: identity.map(() => [1]), output: identity };
}

/** The transforms of F(m, r) by the construction of Cook and Toom. */
export function cookToom(m: number, r: number): Transforms {
  const size = m + r - 1;
  const p = size === 1 ? [] : points[size - 1];
  if (p === undefined) throw new RangeError(`there are no points for F(${m}, ${r})`);
  const scale = p.map((at, k) => p.reduce((product, other, l) => (l === k ? product : product * (at - other)), 1));
  return {
    input: [...p.map((_, k) => padTo(polynomial(p.filter((_point, l) => l !== k)), size)), padTo(polynomial(p), size)],
    filter: [...p.map((at, k) => Array.from({ length: r }, (_, j) => at ** j / scale[k]!)), Array.from({ length: r }, (_, j) => Number(j === r - 1))],
    output: Array.from({ length: m }, (_, i) => [...p.map((at) => at ** i), Number(i === m - 1)]),
  };
}

/** Coefficients of `∏ (x − root)`, the constant one first. */
function polynomial(roots: readonly number[]): number[] {
  return roots.reduce<number[]>((c, root) => [...c, 0].map((_, i) => (c[i - 1] ?? 0) - root * (c[i] ?? 0)), [1]);
}

const padTo = (c: readonly number[], size: number): number[] => [...c, ...new Array<number>(size - c.length).fill(0)];
