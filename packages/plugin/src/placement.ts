/** Where operators run and why: what a partitioner decided, as plain data. It goes into the artifact. */

/**
 * Where a figure comes from: a measurement of this operator on this target (`Config.partition.costs`), the rule's own
 * formula, or a roofline of the device's declared rates.
 */
export type CostSource = 'measured' | 'rule' | 'roofline';

/** What a partitioner decided for one operator, and why. */
export interface Placement {
  readonly op: string;
  readonly loc: string | null;
  /** Names of the values it defines. */
  readonly results: readonly string[];
  readonly target: string;
  /** `decomposed` where a code generator failed, and the host runs what the operator decomposes to. */
  readonly rule: string;
  readonly region: string;
  /** `LIBRARY/ENTRY` where a library computes it; absent: generated code does. */
  readonly library?: string;
  /** Absent where nothing is estimated: there is only the host. */
  readonly estimate?: OperatorEstimate;
  readonly rejected: readonly RejectedAlternative[];
}

export interface OperatorEstimate {
  /** On its target, without region launches and transfers; of an operator in a match of several, an equal share. */
  readonly seconds: number;
  readonly source: CostSource;
  /** Scalar operations, by the operator's `cost` facet. */
  readonly flops: number;
  /** Under which a measurement of it is kept in `Config.partition.costs`; one key for all operators of a match. */
  readonly key?: string;
}

/** Why another target does not run an operator. */
export interface RejectedAlternative {
  readonly target: string;
  /** A rule, or an entry of a library as `LIBRARY/ENTRY`. null: the target has no rule for the operator. */
  readonly rule: string | null;
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  /** Set where a library for the operator's own target refused it, or was not worth calling. */
  readonly library?: string;
}

/**
 * The partition as a whole. Every figure is an estimate at typical dims. What is said of single operators is in their
 * {@link Placement}s.
 */
export interface PartitionReport {
  /** What the configuration asked for. */
  readonly strategy: PartitionStrategy;
  /** The plan that was kept: the cheapest of those compared. */
  readonly chosen: PartitionStrategy;
  /**
   * Seconds of one run under each plan: measured as a whole where `Config.partition.costs` has the plan, else estimated
   * as the sum of its parts. null where there is no such plan or it was not asked for.
   */
  readonly totals: { readonly cost: number | null; readonly greedy: number | null; readonly host: number | null };
  /** Under which a measurement of the kept plan is found in `Config.partition.costs`, with the host's. */
  readonly plan: string;
  /** The values of dims at which it was estimated. */
  readonly dims: { readonly [name: string]: number };
  /** The targets of the session in order of preference; the last is the host. */
  readonly targets: readonly TargetShare[];
  /** Copies between devices in one run. */
  readonly transfers: { readonly count: number; readonly bytes: number; readonly seconds: number };
  /** What would gain most if it were supported, best first. */
  readonly whatIf: readonly WhatIf[];
}
export type PartitionStrategy = 'cost' | 'greedy' | 'host';

/** What runs on one target. */
export interface TargetShare {
  readonly target: string;
  readonly operators: number;
  readonly regions: number;
  /** Scalar operations of its operators. */
  readonly flops: number;
  /** Estimated seconds of its operators and the launches of its regions. */
  readonly seconds: number;
}

/** A single change of a target, and what it would gain. */
export interface WhatIf {
  /** `operator`: the target would take the operator. `constraint`: the rule would not refuse for this reason. */
  readonly kind: 'operator' | 'constraint';
  readonly target: string;
  readonly op: string;
  readonly rule: string | null;
  /** The refusal that would fall away. */
  readonly code: string;
  readonly message: string;
  /** How many operators of the model it concerns, and where they are. */
  readonly operators: number;
  readonly locs: readonly string[];
  /** Estimated seconds of one run with the change, and how many fewer they are. */
  readonly seconds: number;
  readonly gain: number;
}
