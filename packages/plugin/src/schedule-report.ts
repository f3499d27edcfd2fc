/** How kernels came about: what rules and the layout phase decided, as plain data. It goes into the artifact. */

/** Which rule took a kernel, and why the others did not. */
export interface ScheduleRecord {
  /** The kernel that fusion made. */
  readonly kernel: string;
  readonly target: string;
  /** The kernels that it was cut into, in launch order; where there is one, it has the same name. */
  readonly launches: readonly string[];
  /** null: none applied, and the loops are as definitions have them. */
  readonly rule: string | null;
  /** The other rules of the target, the most specific first. */
  readonly rejected: readonly RejectedSchedule[];
  /** The free choices that the rule took: the trace that makes the same schedule again. */
  readonly choices: readonly { readonly name: string; readonly value: number | string | boolean }[];
}

export interface RejectedSchedule {
  readonly rule: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** A value between kernels that lies otherwise than the model has it: its axes in another order, or inside of another value. */
export interface LayoutRecord {
  readonly target: string;
  readonly region: string;
  readonly value: string;
  /** Axis i in memory is axis `order[i]` of the model's value. */
  readonly order: readonly number[];
  /** Its type as it lies in memory; that of the whole where it lies inside of another value. */
  readonly type: string;
  /** The value that it lies in, and where its first element is there, by the axes in memory. */
  readonly within?: { readonly value: string; readonly before: readonly number[] };
}
