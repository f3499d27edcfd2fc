import type { Attrs, Buffer, Expr, TensorBuilder } from '@tenon/plugin';

/** What a recurrent cell computes; the walk over steps, directions and samples is the same for all of them. */
export interface Cell {
  /** Its operators are nn.NAME and nn.NAME_steps. */
  readonly name: string;
  /** Rows of w and r are `gates` blocks of H. */
  readonly gates: number;
  /** Whether a cell state c goes along with the hidden state h. */
  readonly cellState: boolean;
  /** Vectors [H] that a step needs besides its states and gates. */
  readonly temporaries: readonly string[];
  /** Default functions. */
  readonly activations: readonly string[];
  /** Attributes of its own, with their defaults. */
  readonly attrs: Attrs;
  /** One step for numbers: updates h and c. */
  readonly evaluate: (step: NumberStep, attrs: Attrs) => void;
  /** One step as statements: updates h and c. */
  readonly emit: (step: StatementStep, attrs: Attrs) => void;
}

/** A step of one sample in one direction. Gate rows are numbered 0 … gates · H − 1. */
export interface NumberStep {
  readonly size: number;
  readonly h: Float64Array;
  readonly c: Float64Array;
  /** x · w[row] + the input bias. */
  readonly input: Float64Array;
  /** state · r[row]. */
  recurrent(row: number, state: Float64Array): number;
  recurrentBias(row: number): number;
  peephole(row: number): number;
  activate(i: number, x: number): number;
  clip(x: number): number;
}

/** A step of some samples in one direction; the first axis of all its buffers is the sample. */
export interface StatementStep {
  readonly b: TensorBuilder;
  readonly size: Expr;
  readonly h: Buffer;
  readonly c: Buffer | null;
  /** Space for all gates, [samples, gates · H]. */
  readonly gates: Buffer;
  /** A loop over the samples that are not at their end, and for each of them one whose iterations are independent. */
  each(extent: Expr, body: (sample: Expr, i: Expr) => void): void;
  /** x · w[row] + the input bias. */
  input(sample: Expr, row: Expr): Expr;
  /** The same with the recurrent bias. */
  biased(sample: Expr, row: Expr): Expr;
  /** Adds state · r[row] to `count` elements of `gates` from row `first` on, for all samples. */
  addRecurrent(first: Expr, count: Expr, state: Buffer): void;
  /** null where there are no biases. */
  recurrentBias(row: Expr): Expr | null;
  /** null where the cell has none. */
  peephole(row: Expr): Expr | null;
  activate(i: number, x: Expr): Expr;
  clip(x: Expr): Expr;
  /** One of the cell's temporaries. */
  temporary(name: string): Buffer;
}
