import { Hook } from 'tapable';
import type { Hooks, NotifyHook, WaterfallHook } from '@tenon/plugin';

type Tap = { readonly name: string; readonly fn: (...args: unknown[]) => unknown };
type Compile = { readonly taps: readonly Tap[] };

// tapable compiles its hooks to source text and evaluates it. These interpret the list of taps instead, so that core
// also runs where code generation from strings is forbidden; ordering (stage, before) stays tapable's.

class Notify extends Hook<unknown[], void> {
  compile({ taps }: Compile): (...args: unknown[]) => void {
    return (...args) => {
      for (const tap of taps) tap.fn(...args);
    };
  }
}

class Waterfall extends Hook<unknown[], unknown> {
  compile({ taps }: Compile): (...args: unknown[]) => unknown {
    return (first, ...rest) => {
      let value = first;
      for (const tap of taps) {
        value = tap.fn(value, ...rest);
        if (value === undefined) throw new TypeError(`hook tap ${tap.name} returned undefined; a waterfall tap returns a value or throws`);
      }
      return value;
    };
  }
}

/** The session's side of a hook: taps and calls. */
export type NotifyCaller<Args extends readonly unknown[]> = NotifyHook<Args> & { call(...args: Args): void };
export type WaterfallCaller<Value, Rest extends readonly unknown[]> = WaterfallHook<Value, Rest> & { call(value: Value, ...rest: Rest): Value };

export type SessionHooks = {
  readonly [K in keyof Hooks]: Hooks[K] extends NotifyHook<infer Args>
    ? NotifyCaller<Args>
    : Hooks[K] extends WaterfallHook<infer Value, infer Rest>
      ? WaterfallCaller<Value, Rest>
      : never;
};

/** Argument names are for tapable's own error messages; their number must match the calls. */
type Names = ConstructorParameters<typeof Notify>[0];
const notify = (...names: string[]): unknown => new Notify(names as unknown as Names);
const waterfall = (...names: string[]): unknown => new Waterfall(names as unknown as Names);

export function createHooks(): SessionHooks {
  return {
    configResolved: notify('config'),
    sessionStart: notify(),
    moduleImported: waterfall('module'),
    beforePass: notify('pass', 'module'),
    afterPass: notify('pass', 'module', 'changed', 'milliseconds'),
    partitioned: waterfall('placements', 'module'),
    regionLowered: notify('region', 'target', 'module'),
    codegenDone: notify('target', 'blobs'),
    emit: notify('artifact'),
    diagnostic: notify('diagnostic'),
    sessionEnd: notify(),
  } as unknown as SessionHooks;
}
