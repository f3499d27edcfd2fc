/** What the contract asks of every plugin: the same bytes every time, wherever and in whatever company it runs. */
import { relative } from 'node:path';
import { Worker } from 'node:worker_threads';
import { contractLevel, type GraphFunction, type HostTensor } from '@tenon/plugin';
import { evaluateGraph } from '@tenon/interp';
import { basesOf, compositions } from '../cases/compose.ts';
import type { Case } from '../cases/explore.ts';
import { describeInstance, ModuleWriter } from '../cases/instance.ts';
import { isWriteToFrozen } from '../frozen.ts';
import { moduleOf } from '../run-case.ts';
import { secondCopy } from '../second-copy.ts';
import type { Settings } from '../settings.ts';
import { evaluatesStrings, type ScannedFile } from '../source-scan.ts';
import { checkFrontends } from './frontends.ts';
import { bareHost, describeError, inputsFor, type CompileMode, type Workbench } from '../workbench.ts';

/** What the worker needs to compile a case. */
export interface WorkerJob {
  readonly folder: string;
  readonly settings: Settings;
  readonly files: { readonly plugin: string; readonly loader: string | null };
  readonly rule: string;
  readonly case: Omit<Case, 'rule'>;
}

export async function checkContract(bench: Workbench, files: { readonly plugin: ReadonlyMap<string, ScannedFile>; readonly loader: ReadonlyMap<string, ScannedFile> }): Promise<void> {
  const plugin = bench.makePlugin();
  bench.check('contract/level', plugin.contract === contractLevel ? null : `the plugin states contract level ${plugin.contract}, the kit speaks ${contractLevel}: update @tenon/plugin`);
  bench.check('contract/name', plugin.name !== '' && plugin.namespace !== '' ? null : 'a plugin needs a name and a namespace');
  for (const file of new Map([...files.plugin, ...files.loader]).values()) {
    bench.check('contract/eval', evaluatesStrings(file.code) ? `${relative(bench.folder, file.path)} makes code from strings (eval, new Function): that is forbidden in many places where Tenon runs` : null);
    for (const name of moduleState(file)) bench.note('contract/module-state', `${relative(bench.folder, file.path)}: \`${name}\` at the top of a module is shared by all sessions`);
  }
  checkFrozenOptions(bench);
  await checkDevice(bench);
  const cases = bench.explorations.flatMap((e) => e.cases.filter((c) => c.symbolic.length === 0 && !c.empty && !c.refusable).slice(0, 1));
  await checkDeterminism(bench, cases);
  if (bench.makeLoader !== null) checkLoader(bench);
  if (cases.length > 0 && bench.makeLoader !== null) await checkWorker(bench, cases[0]!);
  await checkOtherEntries(bench);
}

/** Variables that a module keeps between calls. */
function moduleState(file: ScannedFile): readonly string[] {
  return [...file.code.matchAll(/^(?:export\s+)?(?:let|var)\s+([\w$]+)|^(?:export\s+)?const\s+([\w$]+)\s*(?::[^=\n]+)?=\s*new\s+(?:Map|Set)\s*(?:<[^()]*>)?\(\s*\)/gm)].map((m) => m[1] ?? m[2]!);
}

function checkFrozenOptions(bench: Workbench): void {
  const one = bench.makePlugin();
  const two = bench.makePlugin();
  const ids = (p: typeof one): string => JSON.stringify([p.targets?.map((t) => t.name), p.rules?.map((r) => r.id), p.passes?.map((x) => x.name), p.ops?.map((o) => o.name), p.frontends?.map((f) => f.name)]);
  bench.check('contract/factory', ids(one) === ids(two) ? null : `the plugin declares something else when it is made a second time: ${ids(one)}, then ${ids(two)}`);
}

async function checkDevice(bench: Workbench): Promise<void> {
  if (bench.target === null) return;
  const { target, session } = bench;
  bench.check('contract/target', /^[a-z][\w.-]*$/.test(target.name) ? null : `${JSON.stringify(target.name)} is no name for a target`);
  bench.check('contract/target', target.form === 'graph' || target.form === 'kernels' ? null : `the form of ${target.name} must be graph or kernels, not ${String(target.form)}`);
  bench.check('contract/target', typeof target.doc === 'string' && target.doc !== '' ? null : `${target.name} has no doc`);
  for (const dtype of target.dtypes) {
    let known = true;
    try {
      session.dtype(dtype);
    } catch {
      known = false;
    }
    bench.check('contract/target', known ? null : `${target.name} lists the dtype ${dtype}, which does not exist`);
  }
  try {
    const [one, two] = [await target.device(bench.settings.targetOptions, session), await target.device(bench.settings.targetOptions, session)];
    bench.check('contract/device', JSON.stringify(one) === JSON.stringify(two) ? null : 'device() says something else when it is asked again');
  } catch (error) {
    bench.fail('contract/device', `device() throws: ${describeError(error)}`);
  }
}

/** The same bytes for the same model: at another time, in another order, after other models, and beside them. */
async function checkDeterminism(bench: Workbench, all: readonly Case[]): Promise<void> {
  const cases = all.slice(0, 4);
  const models = cases.map((c) => ({ about: describeInstance(c.instance), make: moduleOf(c, 1), rule: c.rule.id as string | undefined }));
  const [joint] = compositions(basesOf(bench.explorations, 6), bench.session);
  if (joint !== undefined) models.push({ about: `${joint.matches} rules side by side`, make: (session) => new ModuleWriter(session, 1).write(joint.instance, joint.results).module, rule: undefined });
  const bytesOf = async (i: number, mode: CompileMode = {}): Promise<Uint8Array> => {
    const compilation = await bench.compile(models[i]!.make, mode);
    try {
      const failed = compilation.diagnostics.find((d) => d.code === 'codegen/failed');
      if (failed !== undefined) throw new Error(failed.message);
      return await compilation.toBytes();
    } finally {
      compilation.dispose();
    }
  };
  const same = (i: number, a: Uint8Array, b: Uint8Array, code: string, when: string): void => {
    bench.check(code, Buffer.from(a).equals(b) ? null : `${models[i]!.about}: the artifact has other bytes ${when}`, models[i]!.rule);
  };
  const first: (Uint8Array | null)[] = [];
  for (const i of models.keys()) {
    try {
      first.push(await bytesOf(i));
    } catch (error) {
      const message = describeError(error);
      bench.fail(isWriteToFrozen(message) ? 'contract/changes-input' : 'rules/claimed-not-compiled', `${models[i]!.about}: ${message}`, models[i]!.rule);
      first.push(null);
    }
  }
  for (const [i, bytes] of first.entries()) {
    if (bytes === null) continue;
    bench.check('contract/not-deterministic', !Buffer.from(bytes).includes(bench.folder) ? null : `${models[i]!.about}: the artifact names the folder that the plugin is installed in`, models[i]!.rule);
  }
  const other = await loadSecondCopy(bench);
  for (const [i, bytes] of first.entries()) {
    if (bytes === null) continue;
    try {
      same(i, bytes, await elsewhere(() => bytesOf(i)), 'contract/not-deterministic', 'when it is compiled again, at another time and with other random numbers');
      same(i, bytes, await bytesOf(i, { order: 'reversed' }), 'contract/plugin-order', 'when the plugins are listed in another order');
      same(i, bytes, await bytesOf(i, { bystander: true }), 'contract/plugin-order', 'when there is another plugin, which has nothing to do with it');
      if (other !== null) same(i, bytes, await other(models[i]!.make), 'contract/two-cores', 'when another copy of core compiles it');
    } catch (error) {
      bench.fail('contract/not-deterministic', `${models[i]!.about}: compiling it again fails: ${describeError(error)}`, models[i]!.rule);
    }
  }
  const together = await Promise.allSettled(first.map((_, i) => bytesOf(i)));
  together.forEach((result, i) => {
    if (first[i] === null) return;
    if (result.status === 'rejected') bench.fail('contract/not-deterministic', `${models[i]!.about}: compiling it beside other models fails: ${describeError(result.reason)}`);
    else same(i, first[i]!, result.value, 'contract/not-deterministic', 'when it is compiled beside other models');
  });
}

async function loadSecondCopy(bench: Workbench): Promise<((make: Parameters<Workbench['compile']>[0]) => Promise<Uint8Array>) | null> {
  try {
    const { compiler, ops } = await secondCopy();
    return async (make) => {
      const config = bench.config();
      const plugins = config.plugins!.map((p) => (p.name === '@tenon/ops' ? ops.standardOps() : p));
      const compilation = await compiler.compileModule(make as never, { config: { ...config, plugins }, host: bareHost });
      try {
        const failed = compilation.diagnostics.find((d) => d.code === 'codegen/failed');
        if (failed !== undefined) throw new Error(`with another copy of core, ${failed.message}`);
        return await compilation.toBytes();
      } finally {
        compilation.dispose();
      }
    };
  } catch (error) {
    bench.note('contract/two-cores', `no second copy of core could be loaded here: ${describeError(error)}`);
    return null;
  }
}

/** Runs something a day later, with other random numbers, in another folder and time zone. */
async function elsewhere<T>(body: () => Promise<T>): Promise<T> {
  const { Date: RealDate, Math: { random } } = globalThis;
  const [zone, folder] = [process.env['TZ'], process.cwd()];
  const later = 86_401_234;
  class LaterDate extends RealDate {
    constructor(...args: readonly unknown[]) {
      if (args.length === 0) super(RealDate.now() + later);
      else super(...(args as [number]));
    }
    static override now(): number {
      return RealDate.now() + later;
    }
  }
  globalThis.Date = LaterDate as DateConstructor;
  Math.random = () => (random() + 0.37) % 1;
  process.env['TZ'] = 'Pacific/Chatham';
  process.chdir('/');
  try {
    return await body();
  } finally {
    globalThis.Date = RealDate;
    Math.random = random;
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
    process.chdir(folder);
  }
}

function checkLoader(bench: Workbench): void {
  const [one, two] = [bench.makeLoader!(), bench.makeLoader!()];
  bench.check('contract/loader', one !== two ? null : 'every call of the loader’s factory must make a loader of its own');
  bench.check('contract/loader', typeof one.native === 'boolean' ? null : 'a loader says whether its blobs are native code (`native`)');
  bench.check('contract/loader', Array.isArray(one.formatVersions) && one.formatVersions.length > 0 && one.formatVersions.every(Number.isInteger) ? null : 'a loader lists the versions of its format that it reads (`formatVersions`)');
  const { device } = one;
  const ok = [device.allocate, device.free, device.createQueue].every((f) => typeof f === 'function') && typeof device.name === 'string' && typeof device.space === 'string';
  if (!bench.check('contract/loader', ok ? null : 'the loader’s device lacks a name, a space, allocate, free or createQueue')) return;
  for (const bytes of [64, 100, 4096]) {
    const buffer = device.allocate(bytes);
    bench.check('contract/device', buffer.bytes >= bytes ? null : `allocate(${bytes}) gives a buffer of ${buffer.bytes} bytes`);
    bench.check('contract/device', device.space !== 'host' || buffer.host !== null ? null : 'a device whose space is ‘host’ gives buffers that the host reaches (`host`)');
    bench.check('contract/device', buffer.host === null || buffer.host.every((b) => b === 0) ? null : 'new buffers must be zero');
    device.free(buffer);
  }
}

function checkWorker(bench: Workbench, c: Case): Promise<void> {
  const { rule, ...rest } = c;
  const job: WorkerJob = { folder: bench.folder, settings: bench.settings, files: bench.files, rule: rule.id, case: rest };
  const own = new URL(import.meta.url.endsWith('.ts') ? '../worker.ts' : '../worker.js', import.meta.url);
  return new Promise((resolve) => {
    const worker = new Worker(own, { workerData: job });
    const timer = setTimeout(() => end('it does not come to an end within 30 s'), 30_000);
    let ended = false;
    const end = (problem: string | null): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      bench.check('contract/worker', problem === null ? null : `${describeInstance(c.instance)}, compiled and run in a worker thread: ${problem}`, rule.id);
      void worker.terminate().then(() => resolve());
    };
    worker.on('message', (result: { error?: string; problem?: string | null }) => end(result.error ?? result.problem ?? null));
    worker.on('error', (error) => end(describeError(error)));
    worker.on('exit', () => end('it ends without a result'));
  });
}

/** Passes keep meaning, and frontends refuse what they cannot read. */
async function checkOtherEntries(bench: Workbench): Promise<void> {
  const plugin = bench.makePlugin();
  for (const pass of plugin.passes ?? []) bench.check('contract/pass', pass.doc.trim() !== '' ? null : `the pass ${pass.name} has no doc`);
  if ((plugin.passes?.length ?? 0) > 0) await checkPasses(bench);
  await checkFrontends(bench);
}

/** Random graphs of the plugin's own operators and a few standard ones mean the same after its passes. */
async function checkPasses(bench: Workbench): Promise<void> {
  const cases = bench.explorations.flatMap((e) => e.cases.filter((c) => c.symbolic.length === 0 && !c.empty).slice(0, 4));
  for (const c of cases.slice(0, 12)) {
    const make = moduleOf(c, 1);
    try {
      const compilation = await bench.compile(make, { canonicalize: true });
      const { module } = compilation;
      const main = module.functions.get('main') as GraphFunction;
      const inputs: HostTensor[] = inputsFor(main, new Map(), 3, 'mixed', bench.session);
      const got = await evaluateGraph(module, main, inputs, bench.session);
      compilation.dispose();
      const problem = bench.disagreement(got, await bench.reference(make, inputs), inputs);
      bench.check('contract/pass', problem === null ? null : `${describeInstance(c.instance)} means something else after the plugin's passes: ${problem}`, c.rule.id);
    } catch (error) {
      bench.fail('contract/pass', `${describeInstance(c.instance)}: ${describeError(error)}`, c.rule.id);
    }
  }
}
