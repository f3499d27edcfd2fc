import type { Context } from './context.ts';
import type { Config } from './define.ts';
import type { IRModule } from './module.ts';
import type { TargetContext } from './target.ts';
import type { ByteSource } from './host.ts';

/** In pipeline order. From `legalize` on, phases run once per target, over all regions of that target. */
export const phases = [
  'import', 'canonicalize', 'quantize', 'partition', 'legalize', 'fuse', 'dispatch', 'layout', 'schedule', 'memory', 'codegen', 'link',
] as const;
export type Phase = (typeof phases)[number];

/** A transformation of modules. Functions that it does not change keep their identity. */
export interface Pass {
  readonly name: string;
  readonly phase: Phase;
  /** Names of passes of the same phase that run before or after this one. Names that are absent do not matter. */
  readonly after?: readonly string[];
  readonly before?: readonly string[];
  /** Only for these targets (phases from `legalize` on). */
  readonly targets?: readonly string[];
  readonly doc: string;
  run(module: IRModule, ctx: PassContext): IRModule | Promise<IRModule>;
}
/** `target` is null in the phases before `legalize`. */
export interface PassContext extends Context {
  readonly target: TargetContext['target'] | null;
  readonly config: Config;
}

/** Reads one model format. */
export interface Frontend {
  readonly name: string;
  /** File name endings, with the dot. */
  readonly extensions: readonly string[];
  /** Whether the first bytes look like this format. */
  detect(head: Uint8Array): boolean;
  import(source: ByteSource, ctx: Context, options: ImportOptions): Promise<IRModule>;
}
export interface ImportOptions {
  /** Dims to fix or bound by name, and input shapes to override. */
  readonly dims: { readonly [name: string]: number | { readonly min?: number; readonly max?: number; readonly multipleOf?: number } };
}
