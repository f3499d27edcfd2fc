import { SyncHook } from 'tapable';
import type { Hooks, NotifyHook, WaterfallHook } from '@tenon/plugin';

type Tap = { readonly name: string; readonly fn: (...args: unknown[]) => unknown };

// tapable compiles its hooks to source text and evaluates it. These interpret the list of taps instead, so that core
// also runs where code generation from strings is forbidden; ordering (stage, before) stays tapable's.

type Call = (...args: unknown[]) => unknown;
type Interpret = (taps: readonly Tap[]) => Call;

const notifyAll: Interpret = (taps) => (...args) => {
  for (const tap of taps) tap.fn(...args);
};

const waterfallThrough: Interpret = (taps) => (first, ...rest) => {
  let value = first;
  for (const tap of taps) {
    value = tap.fn(value, ...rest);
    if (value === undefined) throw new TypeError(`hook tap ${tap.name} returned undefined; a waterfall tap returns a value or throws`);
  }
  return value;
};

/** `names`: of the arguments, for tapable's own messages; their number must match the calls. */
function hook(interpret: Interpret, names: readonly string[]): unknown {
  const made = new SyncHook(names as unknown as ConstructorParameters<typeof SyncHook>[0]);
  (made as unknown as { compile: (options: { readonly taps: readonly Tap[] }) => Call }).compile = ({ taps }) => interpret(taps);
  return made;
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

const notify = (...names: string[]): unknown => hook(notifyAll, names);
const waterfall = (...names: string[]): unknown => hook(waterfallThrough, names);

export function createHooks(): SessionHooks {
  return {
    configResolved: notify('config'),
    sessionStart: notify(),
    moduleImported: waterfall('module'),
    beforePass: notify('pass', 'module'),
    afterPass: notify('pass', 'module', 'changed', 'milliseconds'),
    partitioned: waterfall('placements', 'module', 'report'),
    regionLowered: notify('region', 'target', 'module'),
    codegenDone: notify('target', 'blobs'),
    emit: notify('artifact'),
    diagnostic: notify('diagnostic'),
    sessionEnd: notify(),
  } as unknown as SessionHooks;
}
