import type { Case } from './cases.ts';

export type Status = 'pass' | 'wrong' | 'unsupported' | 'error';

export interface Outcome {
  readonly status: Status;
  readonly code: string | null;
  readonly message: string | null;
  readonly ms: number;
}

/** To a worker: cases to run, compiled together where there are several. */
export interface Work {
  readonly id: number;
  readonly cases: readonly Case[];
}
/** From a worker: an outcome per case, or null where they must be run one by one to know whose fault a failure is. */
export interface Done {
  readonly id: number;
  readonly outcomes: readonly Outcome[] | null;
}
