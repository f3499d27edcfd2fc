/** A process that has an artifact, the runtime and one loader: what a deployed model has. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import type { HostTensor } from '@tenon/plugin';
import { createRuntime } from '@tenon/runtime';
import { importLoader, provideOwnPackages } from './load.ts';
import { fromBytes } from '@tenon/interp';
import type { CleanJob, CleanResult } from './tiers/artifact.ts';

provideOwnPackages();
const job = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as CleanJob;
const modules: string[] = [];
const hooks = registerHooks({
  load(url, context, next) {
    modules.push(url);
    return next(url, context);
  },
});
async function execute(): Promise<CleanResult> {
  try {
    const loader = (await importLoader(job.loader))();
    hooks.deregister();
    const model = await createRuntime({ loaders: [loader], allowNative: true, threads: 1 }).load(new Uint8Array(readFileSync(job.artifact)));
    const inputs = Object.fromEntries(Object.entries(job.inputs).map(([name, t]): [string, HostTensor] => [name, fromBytes(t.dtype, t.shape, Uint8Array.from(Buffer.from(t.bytes, 'base64')))]));
    const outputs = await model.run(inputs);
    const result: CleanResult = {
      error: null, modules,
      outputs: Object.values(outputs).map((t) => ({ dtype: t.dtype, shape: t.shape, bytes: Buffer.from((t.data as Uint8Array).buffer, (t.data as Uint8Array).byteOffset, (t.data as Uint8Array).byteLength).toString('base64') })),
    };
    model.dispose();
    return result;
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error), outputs: [], modules };
  }
}
const result = await execute();
process.send!(result, () => process.disconnect());
