import type { Config } from './define.ts';
import type { Diagnostic } from './diagnostic.ts';
import type { IRModule } from './module.ts';
import type { Pass } from './pass.ts';
import type { PartitionReport, Placement } from './placement.ts';
import type { CodegenBlob } from './region.ts';

type TapOptions = string | { readonly name: string; readonly stage?: number; readonly before?: string | readonly string[] };

/** Called with the same arguments, in order. */
export interface NotifyHook<Args extends readonly unknown[]> {
  tap(options: TapOptions, fn: (...args: Args) => void): void;
}
/** Each tap receives what the one before returned, and must return a value or throw: `undefined` is an error. */
export interface WaterfallHook<Value, Rest extends readonly unknown[]> {
  tap(options: TapOptions, fn: (value: Value, ...rest: Rest) => Value): void;
}

/** Lifecycle hooks. Never one per node. */
export interface Hooks {
  readonly configResolved: NotifyHook<[config: Config]>;
  readonly sessionStart: NotifyHook<[]>;
  readonly moduleImported: WaterfallHook<IRModule, []>;
  readonly beforePass: NotifyHook<[pass: Pass, module: IRModule]>;
  readonly afterPass: NotifyHook<[pass: Pass, module: IRModule, changed: boolean, milliseconds: number]>;
  readonly partitioned: WaterfallHook<readonly Placement[], [module: IRModule, report: PartitionReport | null]>;
  readonly regionLowered: NotifyHook<[region: string, target: string, module: IRModule]>;
  readonly codegenDone: NotifyHook<[target: string, blobs: readonly CodegenBlob[]]>;
  readonly emit: NotifyHook<[artifact: Uint8Array]>;
  readonly diagnostic: NotifyHook<[diagnostic: Diagnostic]>;
  readonly sessionEnd: NotifyHook<[]>;
}
