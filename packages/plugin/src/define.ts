import type { Context } from './context.ts';
import type { DType } from './dtype.ts';
import type { Hooks } from './hooks.ts';
import type { Library } from './library.ts';
import type { FacetExtension, Operator } from './operator.ts';
import type { Frontend, Pass } from './pass.ts';
import type { PartitionStrategy } from './placement.ts';
import type { Rule, ScheduleRule, Target } from './target.ts';
import type { TensorIntrinsic } from './tensor.ts';
import type { Attrs } from './types.ts';

/** The level of this contract. Stamped into every plugin by the copy of this package that the plugin depends on. */
export const contractLevel = 1;

/** What a plugin adds to a session. All optional; rules, schedules and libraries name their target, which may be somebody else's. */
export interface Contributions {
  readonly ops?: readonly Operator[];
  readonly facets?: readonly FacetExtension[];
  readonly dtypes?: readonly DType[];
  readonly frontends?: readonly Frontend[];
  readonly targets?: readonly Target[];
  readonly rules?: readonly Rule[];
  readonly schedules?: readonly ScheduleRule[];
  readonly libraries?: readonly Library[];
  readonly intrinsics?: readonly TensorIntrinsic[];
  readonly passes?: readonly Pass[];
  /** Lifecycle only: everything else is declared. */
  readonly apply?: (hooks: Hooks, ctx: Context) => void;
}

export interface Plugin extends Contributions {
  readonly name: string;
  readonly namespace: string;
  readonly contract: number;
  /**
   * Identifies the plugin's code: changes whenever its output may. Whole compilations are cached only where every
   * foreign plugin states one.
   */
  readonly version?: string;
  /** The options it was made with, as validated. */
  readonly options?: unknown;
}

/** Any Standard Schema object (zod, valibot, arktype …). https://standardschema.dev */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) =>
      | { readonly value: T; readonly issues?: undefined }
      | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] }
      | Promise<unknown>;
  };
}

/** Declares a plugin; the result is what users call in their configuration. */
export function definePlugin<Options = Record<never, never>>(
  about: { readonly name: string; readonly namespace: string; readonly version?: string; readonly options?: StandardSchema<Options> },
  contributions: (options: Options) => Contributions,
): (options?: Options) => Plugin {
  return (options = {} as Options) => {
    const result = about.options?.['~standard'].validate(options);
    if (result instanceof Promise) throw new TypeError(`${about.name}: the options schema must validate synchronously`);
    if (result?.issues) {
      const issues = result.issues.map((issue) => `${(issue.path ?? []).join('.') || 'options'}: ${issue.message}`);
      throw new TypeError(`${about.name}: ${issues.join('; ')}`);
    }
    const valid = result ? result.value : options;
    const version = about.version === undefined ? {} : { version: about.version };
    return { name: about.name, namespace: about.namespace, contract: contractLevel, ...version, options: valid, ...contributions(valid) };
  };
}

/** What `tenon.config.ts` exports. Validated by core when a session starts. */
export interface Config {
  readonly plugins?: readonly Plugin[];
  /** In order of preference; the last is the host and must accept every legalised operator. */
  readonly targets?: readonly (string | readonly [string, Attrs])[];
  readonly passes?: {
    readonly disable?: readonly string[];
    readonly insert?: readonly { readonly pass: Pass; readonly after?: string; readonly before?: string }[];
    readonly replace?: { readonly [name: string]: Pass };
  };
  readonly partition?: {
    /**
     * `cost` (default): the plan with the least estimated time, of those found by minimum cuts, `greedy` and `host`.
     * `greedy`: every operator on the first target that takes it. `host`: everything on the host.
     */
    readonly strategy?: PartitionStrategy;
    readonly fallback?: 'host' | 'none';
    /** What a target must take on; otherwise the compilation fails. `minCoverage`: a share of the operators, 0 to 1. */
    readonly require?: { readonly [target: string]: { readonly minCoverage?: number; readonly maxRegions?: number } };
    /**
     * Measured seconds by target, or `LIBRARY/ENTRY`, and key, before every estimate. Keys are those of `OperatorEstimate`; `launch.region` is
     * the start of a region; with the host's, that of `PartitionReport.plan` is a run of the whole model under that plan. `tenon bench MODEL --costs FILE` measures and writes them.
     */
    readonly costs?: { readonly [target: string]: { readonly [key: string]: number } };
  };
  /** Libraries and entries (`LIBRARY/ENTRY`) that replace no kernels. The others do where they are at least as cheap. */
  readonly dispatch?: { readonly disable?: readonly string[] };
  /** Dims to fix or bound by name. */
  readonly dims?: { readonly [name: string]: number | { readonly min?: number; readonly max?: number; readonly multipleOf?: number } };
  /** `phase`: verify modules at phase boundaries (default); `pass`: after every pass; `off`. */
  readonly verify?: 'phase' | 'pass' | 'off';
  /** Passes after which the module is handed to `print`; `*` for all. */
  readonly printAfter?: readonly string[];
  /** Largest constant, in bytes, that folding may make. */
  readonly foldLimit?: number;
}

/** Gives a configuration its types. */
export function defineConfig(config: Config): Config {
  return config;
}
