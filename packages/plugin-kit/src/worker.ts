/** Compiles and runs a case in a worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { importLoader, importPlugin, provideOwnPackages } from './load.ts';
import type { WorkerJob } from './tiers/contract.ts';
import { openWorkbench } from './workbench.ts';
import { exampleOf, single } from './single.ts';

const job = workerData as WorkerJob;
provideOwnPackages();
const makePlugin = await importPlugin(job.files.plugin);
const makeLoader = await importLoader(job.files.loader!);
const bench = openWorkbench(job, () => makePlugin(job.settings.options), () => makeLoader());
const rule = bench.rules.find((r) => r.id === job.rule)!;
const made = await single(bench, { ...job.case, rule });
if (made === null) parentPort!.postMessage({ error: 'the case is not compiled for the target there' });
else {
  const { inputs, want } = await exampleOf(bench, made, 71, 'mixed');
  const model = await bench.load(made.artifact);
  const got = await model.run(Object.fromEntries(made.fn.params.map((p, i) => [p.name, inputs[i]!])));
  parentPort!.postMessage({ artifact: made.artifact, problem: bench.disagreement(Object.values(got), want, inputs) });
  model.dispose();
}
