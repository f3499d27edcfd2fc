/** What both halves agree on. */
export const format = 'rows-json';
export const formatVersion = 1;

export interface Step {
  readonly op: 'sum' | 'mean' | 'max' | 'softmax' | 'norm' | 'dequantize';
  readonly dtype: 'f32' | 'i32';
  readonly x: number;
  readonly scale: number | null;
  readonly bias: number | null;
  readonly out: number;
  /** Elements per row. */
  readonly size: number;
  readonly epsilon: number;
}
export interface Program {
  readonly version: number;
  readonly entries: { readonly [symbol: string]: { readonly views: number; readonly scratch: number; readonly temporaries: readonly { readonly like: number; readonly perElement: number }[]; readonly steps: readonly Step[] } };
}

/** Seconds per element of a row, and per row. */
export const perElement = 1e-9;
export const perRow = 2e-9;
export const start = 2e-6;
