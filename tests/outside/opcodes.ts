/** What the machine of this example computes, element by element. Both halves of the plugin agree on it. */
export const opcodes = ['add', 'mul', 'neg', 'relu', 'snake'] as const;
export type Opcode = (typeof opcodes)[number];

/** A step of a program: `out = opcode(args…)`. Slots are the views of a call, then temporaries. */
export interface Step {
  readonly opcode: Opcode;
  readonly args: readonly number[];
  readonly out: number;
  readonly alpha: number;
}
/** An entry of the blob, which is JSON: programs by symbol. */
export interface Program {
  /** Parameters, results and constants. */
  readonly views: number;
  /** Temporaries, each as long as the slot it is named after. */
  readonly temporaries: readonly number[];
  readonly steps: readonly Step[];
}
export const format = 'acme-js';

/** Snake activation, x + sin²(αx)/α. Ziyin, Hartwig, Ueda: "Neural Networks Fail to Learn Periodic Functions", 2020. */
export const snake = (x: number, alpha: number): number => x + Math.sin(alpha * x) ** 2 / alpha;
