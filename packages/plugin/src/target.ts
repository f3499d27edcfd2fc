import type { Context } from './context.ts';
import type { Expr } from './expr.ts';
import type { KernelCondition } from './kernel-condition.ts';
import type { Constraint, Match, Pattern, Verdict } from './pattern.ts';
import type { LibrarySupport } from './library.ts';
import type { CodegenBlob, CodegenRegion } from './region.ts';
import type { TensorFunction, TensorIntrinsic } from './tensor.ts';
import type { Attrs, AttrValue } from './types.ts';

/** Declared figures of a device, for cost models and schedules. */
export interface DeviceModel {
  readonly name: string;
  /** Peak rates by dtype, in operations per second (a fused multiply-add counts two). */
  readonly peak: { readonly [dtype: string]: number };
  /** Memory bandwidth, bytes per second. */
  readonly bandwidth: number;
  /** Seconds to start a region, and a kernel within it. */
  readonly launch: { readonly region: number; readonly kernel: number };
  /** To and from host memory: seconds per transfer and bytes per second. null: it shares host memory. */
  readonly transfer: { readonly latency: number; readonly bandwidth: number } | null;
  readonly memory: readonly { readonly space: string; readonly bytes: number | null }[];
  /** Limits and features that schedules and rules of the target read: vector width, threads, tile sizes. */
  readonly features: Attrs;
}

export interface Target {
  readonly name: string;
  readonly doc: string;
  /** What this target is on this machine with these options. */
  device(options: Attrs, ctx: Context): DeviceModel | Promise<DeviceModel>;
  /**
   * Kinds of machine to compile regions for, the best first: options that take the place of those given. Each gets code of
   * its own, and a loader takes the first that its machine can run; `device` of the options given describes what all of
   * them have. For the form `kernels`. Absent, or none: one kind, that of the options given.
   */
  machines?(options: Attrs): readonly Attrs[];
  readonly dtypes: readonly string[];
  /** `graph`: the code generator takes operators. `kernels`: it takes scheduled tensor functions and a memory plan. */
  readonly form: 'graph' | 'kernels';
  /** Layouts that the target prefers, by operator. */
  readonly layouts?: Attrs;
  /** Absent: the code generator cannot call libraries, and none is used. */
  readonly libraries?: LibrarySupport;
  /** Receives all regions of the target at once. */
  codegen(regions: readonly CodegenRegion[], ctx: TargetContext): Promise<readonly CodegenBlob[]> | readonly CodegenBlob[];
}

/** A target of this session, with its options and device resolved. */
export interface TargetContext extends Context {
  readonly target: { readonly name: string; readonly form: Target['form']; readonly options: Attrs; readonly device: DeviceModel };
}

/** The tensor intrinsics that a target has on this device: those declared for it whose `requires` the device's features meet. */
export function intrinsicsOf(ctx: TargetContext): readonly TensorIntrinsic[] {
  const { name, device } = ctx.target;
  const meets = ([feature, wanted]: readonly [string, AttrValue]): boolean => {
    const has = device.features[feature];
    return has === wanted || (Array.isArray(has) && has.includes(wanted));
  };
  return [...ctx.intrinsics().values()].filter((i) => i.target === name && Object.entries(i.requires).every(meets));
}

/** States which operators a target takes, and how they map to it. */
export interface Rule {
  /** `target/what`, e.g. `cpu-c/generic`. */
  readonly id: string;
  readonly target: string;
  readonly pattern: Pattern;
  readonly require: readonly Constraint[];
  readonly check?: (match: Match, ctx: Context) => Verdict;
  /** Seconds on the device, the start of its kernels included, as a formula in dims. Transfers and the start of the region are not part of it. */
  readonly cost?: (match: Match, ctx: TargetContext) => Expr;
  readonly doc: string;
}

/** The free choices of a schedule, so that tuning can replay it with others. */
export interface ScheduleChoices {
  /** One of `values`: `byDefault`, or what a trace says. Names are unique within one application of a rule. */
  choose<T extends number | string | boolean>(name: string, values: readonly T[], byDefault: T): T;
}

/** Transforms a tensor function for a target. Of the rules that apply, the one with the highest `specificity` wins. */
export interface ScheduleRule {
  readonly id: string;
  readonly target: string;
  readonly specificity: number;
  /** Checked in order; the first that is not met is the reason that the rule does not apply. */
  readonly require: readonly KernelCondition[];
  /** What conditions cannot say, asked where all are met. */
  readonly check?: (fn: TensorFunction, ctx: TargetContext) => Verdict;
  /** Takes every free choice through `choices`: what it does at the defaults is the default schedule. */
  readonly apply: (fn: TensorFunction, ctx: TargetContext, choices: ScheduleChoices) => TensorFunction;
  /**
   * How this rule would have buffers of the function lie in memory, parameters and temporaries, by name: axis i in memory
   * is axis `permutation[i]`. The layout phase decides for every value between kernels what suits most of them; the rule is
   * then asked about the function with buffers in that order. null: it does not matter.
   */
  readonly layouts?: (fn: TensorFunction, ctx: TargetContext) => { readonly [buffer: string]: readonly number[] } | null;
  readonly doc: string;
}
