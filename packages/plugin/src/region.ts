import type { Expr, Scope } from './expr.ts';
import type { GraphFunction } from './graph.ts';
import type { Library } from './library.ts';
import type { ConstantDecl } from './module.ts';
import type { TensorFunction } from './tensor.ts';
import type { Attrs, Location } from './types.ts';

/** Where a buffer of a planned region lies. Offsets are formulas in the region's dims. */
export type Storage =
  | { readonly kind: 'argument'; readonly index: number }
  | { readonly kind: 'result'; readonly index: number }
  | { readonly kind: 'constant'; readonly index: number } // into RegionPlan.constants
  | { readonly kind: 'workspace'; readonly offset: Expr };

export interface PlannedBuffer {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly Expr[];
  readonly bytes: Expr;
  readonly storage: Storage;
}

/** One call of a tensor function or of a library's routine: a kernel, its argument views, its scalars. */
export interface Launch {
  /** The tensor function's name in the module; the symbol of a routine. */
  readonly kernel: string;
  /** Set where it is a library's routine. Its scalars are in the order in which it takes them. */
  readonly extern?: ExternLaunch;
  /**
   * Indices into RegionPlan.buffers: inputs, then outputs. Buffers of two of them may be the same memory: of an output that the kernel writes in place of an
   * input, or of a whole of which it writes one part and reads others.
   */
  readonly args: readonly number[];
  /** Values of the function's free dims and scalars, by name. */
  readonly scalars: readonly { readonly name: string; readonly value: Expr }[];
  /** The model nodes that this kernel computes. */
  readonly locs: readonly Location[];
  /** The operators it computes, in order. */
  readonly ops: readonly string[];
  /** Floating-point operations, and bytes of arguments as far as the kernel touches them, as formulas in dims. */
  readonly flops: Expr;
  readonly bytes: Expr;
}

export interface ExternLaunch {
  readonly library: string;
  readonly entry: string;
  /** As the entry's call gave them. */
  readonly attrs: Attrs;
  /** Index into RegionPlan.buffers of the routine's own memory; null for none. */
  readonly workspace: number | null;
}

/**
 * A region in kernel form, with all memory planned: one call of its entry runs the launches in order. Arguments of the
 * entry are views: parameters, results, constants, then one workspace of `workspace` bytes (64-byte aligned).
 */
export interface RegionPlan {
  readonly entry: string;
  /** Dims that the caller passes, in order. */
  readonly dims: readonly string[];
  /** Dims that the region computes while it runs: read from an i64 scalar buffer after the launch that writes it. */
  readonly runDims: readonly { readonly name: string; readonly buffer: number; readonly after: number }[];
  readonly params: number;
  readonly results: number;
  readonly constants: readonly string[];
  readonly workspace: Expr;
  readonly buffers: readonly PlannedBuffer[];
  readonly launches: readonly Launch[];
}

/** What a code generator receives for one region of its target. */
export interface CodegenRegion {
  readonly name: string;
  /** The region as a graph function: operators for the region form `graph`, kernels for `kernels`. */
  readonly graph: GraphFunction;
  /** What each match of a rule covers, by the names of the values that its operators define, the root's first. */
  readonly matches: readonly { readonly rule: string; readonly results: readonly string[] }[];
  /** Dims that the caller passes, in order. */
  readonly dims: readonly string[];
  /** What is known of dims: ranges and divisors, which the runtime checks at every call. */
  readonly facts: Scope;
  /** The scheduled tensor functions it calls (region form `kernels`). */
  readonly functions: ReadonlyMap<string, TensorFunction>;
  /** null for the region form `graph`. */
  readonly plan: RegionPlan | null;
  /** The libraries whose routines it calls. */
  readonly libraries: readonly Library[];
  readonly constants: ReadonlyMap<string, ConstantDecl>;
  /** Bytes of a constant, dense and row-major. */
  constantBytes(name: string): Promise<Uint8Array>;
}

export interface EntryManifest {
  /** The region it implements. */
  readonly region: string;
  /** The symbol in the blob. */
  readonly symbol: string;
  /** Constants that the entry wants as views, in order, after parameters and results. */
  readonly constants: readonly string[];
  /** Dims that the caller passes, in order. */
  readonly dims: readonly string[];
  /** Dims that the entry returns. */
  readonly runDims: readonly string[];
  /** Bytes of workspace, as a formula in `dims`; null for none. */
  readonly workspace: Expr | null;
  /** Kernel by kernel, in order: for profiles, listings and error messages. */
  readonly kernels: readonly KernelInfo[];
}
export interface KernelInfo {
  readonly name: string;
  readonly ops: readonly string[];
  readonly locs: readonly Location[];
  readonly flops: Expr | null;
  readonly bytes: Expr | null;
}

/** Machine code or whatever the target's loader reads. */
export interface CodegenBlob {
  readonly format: string;
  readonly formatVersion: number;
  readonly bytes: Uint8Array;
  readonly entries: readonly EntryManifest[];
  /** What it needs of the machine; the loader compares it with what it finds. */
  readonly requires: Attrs;
  /** For people: source code, assembly, a command list. */
  readonly listing: string;
}
