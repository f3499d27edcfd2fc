/** Generated models, compiled, run, and compared with the reference evaluation. */
import type { HostTensor, Operator, TensorType, Value } from '@tenon/plugin';
import { evaluateGraph, evaluateTensorFunction } from '@tenon/interp';
import type { Case } from '../cases/explore.ts';
import { operatorsOf } from '../cases/instance.ts';
import { entryCases } from './libraries.ts';
import { describeCase, runCase } from '../run-case.ts';
import { generator, randomTensor, store } from '../tensors.ts';
import { describeError, type Workbench } from '../workbench.ts';

/** Cases of every rule that are run whatever time they take. */
const always = 4;
/** Failures after which a rule has been told enough. */
const enough = 4;

export async function checkNumerics(bench: Workbench): Promise<void> {
  await checkOperators(bench);
  const rules = bench.target === null || bench.makeLoader === null ? [] : bench.explorations;
  const queues = [
    ...rules.map((e) => ({ rule: e.rule, cases: interleave(e.cases), on: bench, failures: 0, ran: 0 })),
    ...bench.entries.map(({ exploration: e, bench: on }) => ({ rule: e.rule, cases: interleave(entryCases(e.cases, bench.session)), on, failures: 0, ran: 0 })),
  ];
  const began = performance.now();
  // On a slow machine, what came before took long, and so will what follows.
  const budget = Math.max(bench.budget * 0.4, bench.budget - Math.max(0, began - 5000));
  const spent = (): boolean => performance.now() - began > budget;
  for (let round = 0; queues.some((q) => q.cases.length > round); round++) {
    for (const queue of queues) {
      const c = queue.cases[round];
      if (c === undefined || queue.failures >= enough || (spent() && round >= always)) continue;
      const problem = await runCase(queue.on, c, { quick: round > 12, seed: round * 7 + 1 });
      queue.ran++;
      if (problem !== null && (c.empty || (c.refusable && problem.code === 'rules/claimed-not-compiled'))) {
        bench.note(c.empty ? 'numerics/empty' : problem.code, `${c.rule.id}: ${describeCase(c)}: ${problem.message}`);
        continue;
      }
      bench.check(problem?.code ?? 'numerics/wrong', problem === null ? null : `${describeCase(c)}: ${problem.message}`, c.rule.id);
      if (problem !== null) queue.failures++;
      else if (round === 0) await checkNonFinite(queue.on, c);
    }
  }
  const left = queues.reduce((n, q) => n + (q.failures >= enough ? 0 : q.cases.length - q.ran), 0);
  if (left > 0) bench.note('numerics/budget', `${left} of ${queues.reduce((n, q) => n + q.cases.length, 0)} generated cases were left out for lack of time`);
}

/** Infinities and NaN among the inputs. Few machines treat them as IEEE 754 says, so that only those are held to it that promise it. */
async function checkNonFinite(bench: Workbench, c: Case): Promise<void> {
  for (const regime of ['infinite', 'nan'] as const) {
    const problem = await runCase(bench, c, { quick: true, seed: 1, regimes: [regime] });
    if (bench.settings.nonFinite) bench.check('numerics/non-finite', problem && `${describeCase(c)}: ${problem.message}`, c.rule.id);
    else if (problem !== null) bench.note('numerics/non-finite', `${c.rule.id}: ${describeCase(c)}: ${problem.message}`);
  }
}

/** By priority, taking kinds of cases in turn, those of every operator, so that a budget cuts none of them off. */
function interleave(cases: readonly Case[]): readonly Case[] {
  const kinds = new Map<string, Case[]>();
  for (const c of cases) {
    const kind = `${operatorsOf(c.instance)} ${Math.floor(c.priority)} ${c.about.replace(/\b\d[\d.]*\b/g, '')}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), c]);
  }
  return [...kinds.values()].flatMap((list) => list.map((c, i) => ({ c, order: c.priority + i * 0.35 })))
    .sort((a, b) => a.order - b.order).map(({ c }) => c);
}

/** The plugin's own operators: definition and decomposition against reference evaluation. */
async function checkOperators(bench: Workbench): Promise<void> {
  const plugin = bench.makePlugin();
  for (const operator of plugin.ops ?? []) {
    bench.check('numerics/operator', operator.name.startsWith(`${plugin.namespace}.`) ? null : `${operator.name}: the names of a plugin's operators begin with its namespace, ${plugin.namespace}.`);
    bench.check('numerics/operator', operator.doc.trim() !== '' ? null : `${operator.name} has no doc`);
    bench.check('numerics/operator', operator.facets.infer !== undefined ? null : `${operator.name} has no type inference`);
    bench.check('numerics/operator', operator.facets.reference !== undefined ? null : `${operator.name} has no reference evaluation: nothing says what it means`);
    if (operator.facets.infer === undefined || operator.facets.reference === undefined) continue;
    const samples = bench.session.facet(operator.name, 'samples')?.() ?? plainCalls(operator);
    for (const [i, sample] of samples.entries()) {
      const problem = await operatorProblem(bench, operator, sample.args.map((a, j) => {
        if (a === null) return null;
        const tensor = randomTensor(generator(i * 97 + j + 1), a.dtype, a.shape, 'mixed', a.range ?? null);
        a.values?.forEach((v, at) => store(tensor, at, Number(v)));
        return tensor;
      }), sample.attrs ?? {}, sample.tolerance);
      bench.check('numerics/operator', problem === null ? null : `${operator.name}, sample ${i}: ${problem}`);
    }
  }
}

const plainCalls = (operator: Operator): readonly { readonly args: readonly { dtype: string; shape: readonly number[]; range?: readonly [number, number]; values?: readonly (number | bigint)[] }[]; readonly attrs?: undefined; readonly tolerance?: undefined }[] =>
  [[5, 7], [], [2, 3, 4]].map((shape) => ({ args: operator.signature.params.filter((p) => !/[?*]$/.test(p)).map(() => ({ dtype: 'f32', shape })) }));

async function operatorProblem(bench: Workbench, { name, facets, signature }: Operator, args: readonly (HostTensor | null)[], attrs: Operator['signature']['attrs'], tolerance?: number): Promise<string | null> {
  const { session } = bench;
  const types = args.map((a) => (a === null ? null : session.types.tensor(a.dtype, a.shape)));
  const contents = (i: number) => {
    const a = args[i];
    return a && /^[iu]\d|^bool$/.test(a.dtype) && a.data.length <= 4096 ? Array.from(a.data as ArrayLike<number | bigint>, (v) => session.exprs.int(v)) : null;
  };
  try {
    const inferred = session.infer(name, types, attrs, contents) as readonly TensorType[];
    const want = session.evaluate(name, args, attrs)!;
    for (const [r, w] of want.entries()) {
      const shape = inferred[r]?.shape.map((d) => session.exprs.valueOf(d));
      if (inferred[r]?.dtype !== w.dtype || (!shape!.includes(null) && shape!.join() !== w.shape.join())) {
        return `inference says ${inferred[r]?.dtype ?? 'nothing'}[${shape?.join(', ') ?? ''}], the reference gives ${w.dtype}[${w.shape.join(', ')}]`;
      }
    }
    const compare = (what: string, got: readonly HostTensor[]): string | null => {
      const problem = bench.disagreement(got, want, args.filter((a) => a !== null), tolerance);
      return problem === null ? null : `${what} differs from the reference: ${problem}`;
    };
    const fn = session.define('kit', name, types, attrs, contents);
    if (fn !== null) {
      const problem = compare('the tensor-level definition', evaluateTensorFunction(fn, args.filter((a) => a !== null)));
      if (problem !== null) return problem;
    }
    if (facets.decompose !== undefined) {
      const module = session.module();
      const b = module.graph('main', types.flatMap((t, i) => (t === null ? [] : [{ name: `a${i}`, type: t }])));
      let next = 0;
      const values = args.map((a): Value | null => (a === null ? null : b.params[next++]!));
      const parts = facets.decompose({ op: name, args: values, attrs: { ...signature.attrs, ...attrs }, results: inferred }, b);
      if (parts !== null) {
        const main = b.finish(parts);
        return compare('the decomposition', await evaluateGraph(module.finish(), main, args.filter((a) => a !== null), session));
      }
    }
    return null;
  } catch (error) {
    return describeError(error);
  }
}
