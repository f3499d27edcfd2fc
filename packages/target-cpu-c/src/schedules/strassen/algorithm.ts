/**
 * One step of Strassen's algorithm in the form with fifteen additions: S. Winograd, "On multiplication of 2 × 2 matrices", Linear Algebra and
 * its Applications 4 (1971). With matrices in quadrants, numbered row by row, seven products of sums of quadrants take the place of eight.
 */

/** The left operands of the products as sums of the left matrix's quadrants, in the order in which the products run. */
export const left: readonly (readonly number[])[] = [[1, 0, 0, 0], [0, 1, 0, 0], [-1, 0, 1, 1], [1, 0, -1, 0], [0, 0, 1, 1], [1, 1, -1, -1], [0, 0, 0, 1]];

/** The right operands, of the right matrix's quadrants. */
export const right: readonly (readonly number[])[] = [[1, 0, 0, 0], [0, 0, 1, 0], [1, -1, 0, 1], [0, -1, 0, 1], [-1, 1, 0, 0], [0, 0, 0, 1], [-1, 1, 1, -1]];

/** Sums that wait for others: slot 0 stays zero. */
export const slots = 4;

/** A product is added to what slot `from` has, into slot `to`; then a quadrant of the result may be finished: the sum of two slots. */
export interface Product {
  readonly from: number;
  readonly to: number;
  readonly result: { readonly quadrant: number; readonly sum: readonly [number, number] } | null;
}

export const products: readonly Product[] = [
  { from: 0, to: 1, result: null },
  { from: 1, to: 3, result: { quadrant: 0, sum: [3, 0] } },
  { from: 1, to: 1, result: null },
  { from: 1, to: 2, result: null },
  { from: 0, to: 3, result: { quadrant: 3, sum: [2, 3] } },
  { from: 3, to: 3, result: { quadrant: 1, sum: [1, 3] } },
  { from: 2, to: 2, result: { quadrant: 2, sum: [2, 0] } },
];
