export type Matrix = readonly (readonly number[])[];

/**
 * Minimal filtering F(m, r): m results of a correlation with r taps from m + r − 1 products, `y = outputᵀ · (filter · g ⊙ inputᵀ · d)`.
 * Over several axes the transforms are applied along each. S. Winograd, Arithmetic Complexity of Computations, 1980; for
 * convolutions A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
 */
export interface Transforms {
  /** `[m + r − 1, m + r − 1]`: from a tile of the input. */
  readonly input: Matrix;
  /** `[m + r − 1, r]`: from a filter. */
  readonly filter: Matrix;
  /** `[m, m + r − 1]`: from products to results. */
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
export const mostProducts = 6;

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
