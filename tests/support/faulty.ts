import type { BoundCall, Loader, Plugin, Queue, Target } from '@tenon/plugin';
import toyPlugin from 'tenon-target-toy';
import toyLoader from 'tenon-target-toy/loader';

/** The toy accelerator with its code generator replaced by one that is given the real one. */
export function withCodegen(change: (codegen: Target['codegen']) => Target['codegen']): Plugin {
  const plugin = toyPlugin();
  return { ...plugin, targets: plugin.targets!.map((t) => ({ ...t, codegen: change((regions, ctx) => t.codegen(regions, ctx)) })) };
}

/** The toy accelerator's loader, whose calls are changed by their symbols. */
export function withCalls(change: (symbol: string, call: BoundCall) => BoundCall): Loader {
  const loader = toyLoader();
  return {
    ...loader,
    async load(blob, bytes, options) {
      const loaded = await loader.load(blob, bytes, options);
      return {
        bind: (symbol, views, dims) => change(symbol, loaded.bind(symbol, views, dims)),
        dispose: () => loaded.dispose(),
      };
    },
  };
}

/** Enqueues nothing, and throws. */
export const throws = (call: BoundCall, message: string): BoundCall => ({
  ...call, enqueue() {
    throw new Error(message);
  },
});

/** Runs, and reports afterwards that it has failed. */
export const rejects = (call: BoundCall, message: string): BoundCall => ({
  ...call,
  enqueue(queue: Queue) {
    const fence = call.enqueue(queue);
    const failed = fence.wait().then(() => new Promise<never>((_, reject) => void setTimeout(() => reject(new Error(message)), 1)));
    failed.catch(() => {});
    return { get done() { return false; }, wait: () => failed };
  },
});
