/** The plugin's target among others: rivals that take its neighbours, operators that it must take, and no rules at all. */
import type { Binding, Placement } from '@tenon/plugin';
import { parseTypeText, type Session } from '@tenon/core';
import { basesOf, compositions, type Composition } from '../cases/compose.ts';
import { describeInstance, ModuleWriter } from '../cases/instance.ts';
import { compileProblem, runCase } from '../run-case.ts';
import type { Delegate } from '../settings.ts';
import { describeError, inputsFor, resultsOf, type CompileMode, type Workbench } from '../workbench.ts';

const rivals = ['rival-a', 'rival-b'] as const;

export async function checkPartition(bench: Workbench): Promise<void> {
  for (const wanted of bench.settings.mustDelegate) await checkDelegate(bench, wanted);
  await checkWithoutRules(bench);
  const bases = basesOf(bench.explorations, 10);
  const all = compositions(bases, bench.session);
  const began = performance.now();
  let left = 0;
  for (const [i, composition] of all.entries()) {
    for (const [about, mode] of modes(i)) {
      if (performance.now() - began > bench.budget / 2 && i > 3) {
        left++;
        continue;
      }
      const problem = await compositionProblem(bench, composition, mode, i + 1);
      bench.check(problem?.code ?? 'partition/wrong', problem === null ? null : `${composition.about}, ${about}: ${problem.message}`);
    }
  }
  if (left > 0) bench.note('partition/budget', `${left} of ${all.length * modes(0).length} models were left out for lack of time`);
}

/** Ways to share the work. Rivals take about half of the operators, which half depends on the seed. */
function modes(seed: number): readonly (readonly [string, CompileMode])[] {
  const takes = (salt: number) => (binding: Binding): boolean => hash(`${salt} ${binding.callee} ${binding.results[0]?.name ?? ''}`) % 2 === 0;
  return [
    ['with the host alone', { canonicalize: true }],
    ['beside a target that comes first', { rivals: [{ target: { name: rivals[0], space: 'rival', takes: takes(seed) }, first: true }] }],
    ['between two targets', { rivals: [{ target: { name: rivals[0], space: 'rival', takes: takes(seed + 7) }, first: true }, { target: { name: rivals[1], space: 'host' }, first: false }] }],
  ];
}

function hash(text: string): number {
  let h = 0x811c9dc5;
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0)!, 0x01000193);
  return (h ^ (h >>> 15)) >>> 0;
}

async function compositionProblem(bench: Workbench, c: Composition, mode: CompileMode, seed: number): Promise<{ code: string; message: string } | null> {
  bench.step(c.about);
  const make = (session: Session) => new ModuleWriter(session, seed).write(c.instance, c.results).module;
  let bytes: Uint8Array;
  try {
    const compilation = await bench.compile(make, mode);
    try {
      const failed = compileProblem(compilation.diagnostics);
      if (failed !== null) return { ...failed, code: failed.code === 'rules/claimed-not-compiled' ? 'partition/not-compiled' : failed.code };
      bytes = await compilation.toBytes();
    } finally {
      compilation.dispose();
    }
  } catch (error) {
    return { code: 'partition/not-compiled', message: `it cannot be compiled: ${describeError(error)}` };
  }
  let model;
  try {
    model = await bench.load(bytes, mode);
  } catch (error) {
    return { code: 'artifact/not-loaded', message: `it cannot be loaded: ${describeError(error)}` };
  }
  try {
    const { main } = new ModuleWriter(bench.session, seed).write(c.instance, c.results);
    for (const [i, regime] of (['mixed', 'large'] as const).entries()) {
      const ranges = new Map(c.instance.leaves.flatMap((l, j) => (l.range === null ? [] : [[`x${j}`, l.range] as const])));
      const inputs = inputsFor(main, new Map(), seed * 5 + i, regime, bench.session, ranges);
      const want = await bench.reference(make, inputs);
      const outputs = await model.run(Object.fromEntries(main.params.map((p, j) => [p.name, inputs[j]!])));
      const problem = bench.disagreement(resultsOf(outputs), want, inputs);
      if (problem !== null) return { code: 'partition/wrong', message: `${problem}\n${c.results.length} results, ${c.instance.calls.length} operators` };
      const [report] = model.reports;
      if (report !== undefined) return { code: 'runtime/failed', message: report.message };
    }
    return null;
  } catch (error) {
    return { code: 'runtime/failed', message: describeError(error) };
  } finally {
    model.dispose();
  }
}

async function checkDelegate(bench: Workbench, wanted: Delegate): Promise<void> {
  const target = bench.target!.name;
  if (wanted.args === null) {
    const found = bench.explorations.some((e) => e.bases.some((b) => b.instance.calls.some((c) => c.op === wanted.op)));
    bench.check('partition/must-delegate', found ? null : `no rule takes ${wanted.op} in any of the generated cases`);
    return;
  }
  let placements: readonly Placement[];
  try {
    const compilation = await bench.compile((session) => {
      const module = session.module();
      const b = module.graph('main', wanted.args!.map((text, i) => ({ name: `x${i}`, type: parseTypeText(text, session.exprs) })));
      b.finish(b.op(wanted.op, b.params, wanted.attrs));
      return module.finish();
    });
    placements = compilation.placements;
    compilation.dispose();
  } catch (error) {
    bench.check('partition/must-delegate', `${wanted.op}(${wanted.args.join(', ')}): ${describeError(error)}`);
    return;
  }
  const other = placements.find((p) => p.target !== target);
  const reason = other?.rejected.find((r) => r.target === target);
  bench.check('partition/must-delegate', other === undefined ? null : `${wanted.op}(${wanted.args.join(', ')}) is not taken: ${reason === undefined ? 'no reason is given' : `${reason.message} [${reason.code}]`}`);
}

/** Without rules nothing may reach the target, and the kit's own tests must say so. */
async function checkWithoutRules(bench: Workbench): Promise<void> {
  const plugin = { ...bench.makePlugin(), rules: [] };
  for (const exploration of bench.explorations.slice(0, 3)) {
    const [c] = exploration.cases;
    if (c === undefined) continue;
    const problem = await runCase(bench, c, { quick: true, seed: 1, mode: { plugin } });
    bench.check('partition/without-rules', problem?.code === 'numerics/not-delegated' ? null
      : `${describeInstance(c.instance)}: with the plugin's rules taken away its target still gets work, or the test does not notice: ${problem?.message ?? 'nothing fails'}`);
  }
}
