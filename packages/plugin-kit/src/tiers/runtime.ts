/** The loader at work: memory that it must leave alone, calls at the same time, binding again and again, stopping. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { GraphFunction } from '@tenon/plugin';
import { basesOf, compositions } from '../cases/compose.ts';
import type { Case } from '../cases/explore.ts';
import { moduleOf, rangesOf } from '../run-case.ts';
import { about, directCall, exampleOf, guarded, single, singles, type Single } from '../single.ts';
import { inputsFor, resultsOf, type Workbench } from '../workbench.ts';
import { checkHashes, checkUserMemory } from './user-memory.ts';

export async function checkRuntime(bench: Workbench): Promise<void> {
  const rows = await inARow(bench);
  const some = await singles(bench, 24);
  for (const s of [...rows, ...some]) await checkCall(bench, s);
  const symbolic = await singles(bench, 6, (c) => c.symbolic.length > 0);
  for (const s of symbolic) for (const size of [16, 48]) await checkCall(bench, s, new Map(s.case.symbolic.map((d, i) => [d.name, size + 16 * i])));
  if (some.length === 0) return;
  await checkSideBySide(bench, [...rows.slice(0, 1), ...some]);
  await checkTwoModels(bench, some);
  await checkConcurrentRuns(bench, some);
  await checkUserMemory(bench, some);
  await checkHashes(bench, some[0]!);
  await checkUnknownSymbol(bench, some[0]!);
  await checkAbort(bench, some[0]!);
  await checkLeaks(bench, some);
}

/** Several matches in one entry: temporaries, and steps that wait for each other. */
async function inARow(bench: Workbench): Promise<readonly Single[]> {
  const bases = basesOf(bench.explorations, 10);
  const chains = compositions(bases, bench.session).filter(({ instance, results }) => results.length === 1 && results[0] === instance.calls.length - 1);
  const found: Single[] = [];
  for (const { about: what, instance } of chains.sort((a, b) => b.matches - a.matches).slice(0, 4)) {
    const c: Case = { rule: bases[0]!.rule, instance, about: what, priority: 0, symbolic: [], leaks: [], every: false, empty: false, refusable: false };
    const made = await single(bench, c);
    if (made !== null) found.push(made);
  }
  return found;
}

/** Results complete, arguments and constants untouched, nothing written beside the views; the same again on a second run. */
async function checkCall(bench: Workbench, s: Single, sizes: ReadonlyMap<string, number> = new Map()): Promise<void> {
  await guarded(bench, s, 'runtime/failed', async () => {
    const loader = bench.makeLoader!();
    const loaded = await loader.load(s.blob.info, s.blob.bytes.slice(), { threads: 1 });
    const { inputs, want } = await exampleOf(bench, s, 11, 'mixed', sizes);
    const call = await directCall(bench, s, loader, loaded, inputs, sizes);
    try {
      for (const round of ['first', 'second'] as const) {
        call.call.profile?.(round === 'second');
        const before = loader.device.simulatedTime?.() ?? 0;
        await call.run();
        const spent = (loader.device.simulatedTime?.() ?? 0) - before;
        if (!(spent >= 0 && Number.isFinite(spent))) return { code: 'runtime/simulated-time', message: `a run takes ${spent} ns of the device's simulated time` };
        const damage = await call.damage();
        if (damage !== null) return damage;
        const problem = bench.disagreement(await call.results(), want, inputs);
        if (problem !== null) return { code: 'runtime/wrong', message: `${round} run of a bound call, with memory that was not zero before: ${problem}` };
        await call.spoil();
      }
      const queued = await call.pipelined();
      if (queued === null) return { code: 'runtime/queue', message: 'the fence of a queue comes to an end before a run that was enqueued ahead of it' };
      const late = bench.disagreement(queued, want, inputs);
      if (late !== null) return { code: 'runtime/queue', message: `a run between a write and a read that were enqueued with it, without waiting in between: ${late}` };
      await call.spoil();
      if (call.call.runSync !== undefined) {
        call.call.runSync();
        const problem = bench.disagreement(await call.results(), want, inputs);
        if (problem !== null) return { code: 'runtime/wrong', message: `runSync: ${problem}` };
      }
      for (const { kernel, begin, end } of call.call.kernelTimes ?? []) {
        if (!(Number.isFinite(begin) && Number.isFinite(end) && begin >= 0 && end >= begin)) return { code: 'runtime/kernel-times', message: `the times of kernel ${kernel} are ${begin} … ${end} ns` };
      }
      return null;
    } finally {
      call.dispose();
      loaded.dispose();
    }
  });
}

/** Two calls of one entry on two queues, and a blob that goes on after its twin was disposed. */
async function checkSideBySide(bench: Workbench, all: readonly Single[]): Promise<void> {
  for (const s of all.slice(0, 6)) {
    await guarded(bench, s, 'runtime/concurrent', async () => {
      const loader = bench.makeLoader!();
      const [one, other] = [await loader.load(s.blob.info, s.blob.bytes.slice(), { threads: 1 }), await loader.load(s.blob.info, s.blob.bytes.slice(), { threads: 1 })];
      const examples = [await exampleOf(bench, s, 21, 'mixed'), await exampleOf(bench, s, 22, 'mixed'), await exampleOf(bench, s, 23, 'mixed')];
      const blobs = [one, one, other];
      const calls = await Promise.all(examples.map((e, i) => directCall(bench, s, loader, blobs[i]!, e.inputs)));
      await Promise.all(calls.map((c) => c.start()));
      for (const [i, c] of calls.entries()) {
        const problem = bench.disagreement(await c.results(), examples[i]!.want, examples[i]!.inputs);
        if (problem !== null) return { code: 'runtime/concurrent', message: `call ${i + 1} of 3 at the same time: ${problem}` };
      }
      calls[0]!.dispose();
      calls[1]!.dispose();
      one.dispose();
      await calls[2]!.spoil();
      await calls[2]!.run();
      const problem = bench.disagreement(await calls[2]!.results(), examples[2]!.want, examples[2]!.inputs);
      calls[2]!.dispose();
      other.dispose();
      return problem === null ? null : { code: 'runtime/loads-twice', message: `a blob after another of the same bytes was disposed: ${problem}` };
    });
  }
}

/** Models whose entries have equal symbols, loaded by one loader, in turn. */
async function checkTwoModels(bench: Workbench, all: readonly Single[]): Promise<void> {
  const loader = bench.makeLoader!();
  const different = [...new Map(all.map((s) => [`${s.case.rule.id} ${s.case.instance.leaves.map((l) => l.constant).join()}`, s])).values()].slice(0, 4);
  const again = await single(bench, different[0]!.case, 2);
  const set = [...different, ...(again === null ? [] : [again])];
  await guarded(bench, set[0]!, 'runtime/two-models', async () => {
    const models = await Promise.all(set.map((s) => bench.load(s.artifact, {}, loader)));
    for (let round = 0; round < 2; round++) {
      for (const [i, s] of set.entries()) {
        const make = moduleOf(s.case, s === again ? 2 : 1);
        const main = make(bench.session).functions.get('main') as GraphFunction;
        const inputs = inputsFor(main, new Map(), 31 + round, 'mixed', bench.session, rangesOf(s.case));
        const got = resultsOf(await models[i]!.run(Object.fromEntries(main.params.map((p, j) => [p.name, inputs[j]!]))));
        const problem = bench.disagreement(got, await bench.reference(make, inputs), inputs);
        if (problem !== null) return { code: 'runtime/two-models', message: `with ${set.length} models loaded, ${about(s)}: ${problem}` };
      }
    }
    models.forEach((m) => m.dispose());
    return null;
  });
}

async function checkConcurrentRuns(bench: Workbench, all: readonly Single[]): Promise<void> {
  for (const s of all.slice(0, 4)) {
    await guarded(bench, s, 'runtime/concurrent', async () => {
      const model = await bench.load(s.artifact);
      const make = moduleOf(s.case, 1);
      const main = make(bench.session).functions.get('main') as GraphFunction;
      const problems = await Promise.all([1, 2, 3, 4].map(async (seed) => {
        const inputs = inputsFor(main, new Map(), 40 + seed, 'mixed', bench.session, rangesOf(s.case));
        const want = await bench.reference(make, inputs);
        const got = resultsOf(await model.run(Object.fromEntries(main.params.map((p, j) => [p.name, inputs[j]!]))));
        return bench.disagreement(got, want, inputs);
      }));
      model.dispose();
      const problem = problems.find((p) => p !== null);
      return problem === undefined ? null : { code: 'runtime/concurrent', message: `with four runs at the same time: ${problem}` };
    });
  }
}

async function checkUnknownSymbol(bench: Workbench, s: Single): Promise<void> {
  await guarded(bench, s, 'runtime/failed', async () => {
    const loaded = await bench.makeLoader!().load(s.blob.info, s.blob.bytes.slice(), { threads: 1 });
    try {
      const { inputs } = await exampleOf(bench, s, 71, 'mixed');
      // The views are those of an entry that exists, so that nothing else can be what is refused.
      (await directCall(bench, { ...s, region: { ...s.region, symbol: 'no_such_symbol' } }, bench.makeLoader!(), loaded, inputs)).dispose();
    } catch {
      return null;
    } finally {
      loaded.dispose();
    }
    return { code: 'runtime/unknown-symbol', message: 'bind accepts a symbol that the blob does not have' };
  });
}

async function checkAbort(bench: Workbench, s: Single): Promise<void> {
  await guarded(bench, s, 'runtime/abort', async () => {
    const model = await bench.load(s.artifact);
    const make = moduleOf(s.case, 1);
    const main = make(bench.session).functions.get('main') as GraphFunction;
    const inputs = inputsFor(main, new Map(), 51, 'mixed', bench.session, rangesOf(s.case));
    const named = Object.fromEntries(main.params.map((p, j) => [p.name, inputs[j]!]));
    const controller = new AbortController();
    const running = model.run(named, { signal: controller.signal }).then(() => null, () => null);
    controller.abort(new Error('stopped by the kit'));
    await running;
    const problem = bench.disagreement(resultsOf(await model.run(named)), await bench.reference(make, inputs), inputs);
    model.dispose();
    return problem === null ? null : { code: 'runtime/abort', message: `a run after one that was aborted: ${problem}` };
  });
  bench.checks++;
  try {
    const compilation = await bench.compile(moduleOf(s.case, 1), { signal: AbortSignal.abort(new Error('stopped by the kit')) });
    compilation.dispose();
    bench.fail('runtime/abort', 'compiling goes on although it was aborted');
  } catch {
    // As it should be.
  }
}

/** How often calls are bound and blobs loaded, at most; for how long; bytes that may stay in use each time, and in all: what the engine keeps of code. */
const leakRounds = 400;
const leakMilliseconds = 600;
const leakBytes = 120;
const leakSlack = 16_000;

/** Memory that stays in use after many calls were bound, run and disposed, and models loaded and disposed. */
async function checkLeaks(bench: Workbench, all: readonly Single[]): Promise<void> {
  const s = [...all].sort((a, b) => weight(b) - weight(a)).find((x) => weight(x) <= 60_000) ?? all[0]!;
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const used = async (): Promise<number> => {
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => void setImmediate(resolve));
      collect();
    }
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const { inputs } = await exampleOf(bench, s, 61, 'mixed');
  // One loader for all, as a runtime has.
  const loader = bench.makeLoader!();
  const bindings = async (count: number): Promise<void> => {
    const loaded = await loader.load(s.blob.info, s.blob.bytes.slice(), { threads: 1 });
    for (let i = 0; i < count; i++) {
      const call = await directCall(bench, s, loader, loaded, inputs);
      if (i % 8 === 0) await call.run();
      call.dispose();
    }
    keep.push(loaded);
  };
  const keep: { dispose(): void }[] = [];
  const loads = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const loaded = await loader.load(s.blob.info, s.blob.bytes.slice(), { threads: 1 });
      const call = await directCall(bench, s, loader, loaded, inputs);
      call.dispose();
      loaded.dispose();
    }
  };
  for (const [what, work] of [['binding and disposing', bindings], ['loading and disposing', loads]] as const) {
    await guarded(bench, s, 'runtime/leak', async () => {
      const began = performance.now();
      await work(leakRounds / 4);
      // Slow ones are repeated less often.
      const each = (performance.now() - began) / (leakRounds / 4);
      const rounds = Math.max(60, Math.min(leakRounds, Math.round(leakMilliseconds / each)));
      // What is kept once, such as code that was just compiled, does not come back: the least of several growths counts.
      const growths: number[] = [];
      for (let i = 0; i < 3; i++) {
        const before = await used();
        await work(rounds);
        growths.push((await used()) - before);
      }
      const grown = Math.min(...growths) / rounds;
      return grown <= leakBytes + leakSlack / rounds ? null : { code: 'runtime/leak', message: `${what} ${rounds} times leaves ${grown.toFixed(0)} bytes in use each time` };
    });
  }
  keep.forEach((k) => k.dispose());
}

const weight = (s: Single): number => s.case.instance.leaves.reduce((n, l) => n + l.shape.reduce((m, d) => m * d, 1), 0);
