import { describe, expect, it } from 'vitest';
import type { HostTensor, OperatorSample, SampleArgument, TensorType, TypedArray, Value } from '@tenon/plugin';
import { evaluateGraph, evaluateTensorFunction } from '@tenon/interp';
import { hostTensor } from '../src/common/host-tensor.ts';
import { isFloat } from '../src/common/dtypes.ts';
import { standardOperators } from '../src/index.ts';
import { testSession } from './session.ts';
import { generator } from '../../../tests/support/generator.ts';

const session = testSession();

function materialize(argument: SampleArgument, random: () => number): HostTensor {
  const { dtype, shape, values } = argument;
  if (values !== undefined) return hostTensor(dtype, shape, values);
  const count = shape.reduce((n, d) => n * d, 1);
  const real = isFloat(dtype);
  const [lo, hi] = argument.range ?? (real ? [-2, 2] : dtype === 'bool' ? [0, 1] : dtype.startsWith('u') ? [0, 4] : [-4, 4]);
  return hostTensor(dtype, shape, Array.from({ length: count }, () => (real ? lo + (hi - lo) * random() : lo + Math.floor((hi - lo + 1) * random()))));
}

const asNumbers = (t: HostTensor): number[] => Array.from(t.data as ArrayLike<number | bigint>, Number);

function expectAgreement(what: string, got: HostTensor, want: HostTensor, tolerance: number): void {
  expect(got.dtype, `${what}: dtype`).toBe(want.dtype);
  expect([...got.shape], `${what}: shape`).toEqual([...want.shape]);
  expect((got.data as TypedArray).length, `${what}: elements`).toBe((want.data as TypedArray).length);
  if (!isFloat(want.dtype)) {
    expect(Array.from(got.data as ArrayLike<number | bigint>), what).toEqual(Array.from(want.data as ArrayLike<number | bigint>));
    return;
  }
  const x = asNumbers(got);
  const y = asNumbers(want);
  const largest = y.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
  y.forEach((expected, i) => {
    const actual = x[i]!;
    const near = Number.isFinite(expected) ? Math.abs(actual - expected) <= tolerance * largest : Object.is(actual, expected);
    if (!near) expect.fail(`${what}: element ${i} is ${actual}, the reference gives ${expected}`);
  });
}

const known = (args: readonly (HostTensor | null)[]) => (i: number) => {
  const a = args[i];
  return a && /^[iu]\d|^bool$/.test(a.dtype) && a.data.length <= 4096 ? Array.from(a.data as ArrayLike<number | bigint>, (v) => session.exprs.int(v)) : null;
};

/** Evaluates the operator's decomposition by one step; null where it has none for this call. */
function decomposed(op: string, args: readonly (HostTensor | null)[], sample: OperatorSample, results: readonly TensorType[]): Promise<HostTensor[]> | null {
  const decompose = session.facet(op, 'decompose');
  if (decompose === undefined) return null;
  const module = session.module();
  const params = args.flatMap((a, i) => (a === null ? [] : [{ name: `a${i}`, type: session.types.tensor(a.dtype, a.shape, known(args)(i) === null ? {} : { contents: known(args)(i)! }) }]));
  const fn = module.graph('main', params);
  const values: (Value | null)[] = args.map((a, i) => (a === null ? null : fn.params.find((p) => p.name === `a${i}`)!));
  const attrs = { ...session.operator(op)!.signature.attrs, ...sample.attrs };
  const parts = decompose({ op, args: values, attrs, results }, fn);
  if (parts === null) return null;
  const graph = fn.finish(parts);
  return evaluateGraph(module.finish(), graph, args.filter((a) => a !== null), session);
}

describe.each(standardOperators.map((o) => [o.name, o] as const))('%s', (name, operator) => {
  const { define, reference, infer, cost, samples } = operator.facets;

  it('is described and can be evaluated', () => {
    expect(operator.doc.length).toBeGreaterThan(2);
    expect(infer, 'infer').toBeDefined();
    expect(reference, 'reference').toBeDefined();
    expect(cost, 'cost').toBeDefined();
    if (define !== undefined) expect(samples?.().length ?? 0, 'samples').toBeGreaterThan(0);
  });

  for (const [i, sample] of (samples?.() ?? []).entries()) {
    const shapes = sample.args.map((a) => (a === null ? '_' : `${a.dtype}[${a.shape.join()}]`)).join(', ');
    it(`sample ${i}: (${shapes}) ${JSON.stringify(sample.attrs ?? {}, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`, async () => {
      const random = generator(i + 1);
      const args = sample.args.map((a) => (a === null ? null : materialize(a, random)));
      const types = args.map((a) => (a === null ? null : session.types.tensor(a.dtype, a.shape)));
      const attrs = sample.attrs ?? {};
      const inferred = session.infer(name, types, attrs, known(args)) as TensorType[];
      const want = session.evaluate(name, args, attrs)!;
      expect(want.length).toBe(inferred.length);
      want.forEach((w, r) => {
        expect(w.dtype, `reference: dtype of result ${r}`).toBe(inferred[r]!.dtype);
        const shape = inferred[r]!.shape.map((d) => session.exprs.valueOf(d));
        if (!shape.includes(null)) expect([...w.shape], `reference: shape of result ${r}`).toEqual(shape);
        expect((w.data as TypedArray).length).toBe(w.shape.reduce((n, d) => n * d, 1));
      });
      const tolerance = (r: number): number => sample.tolerance ?? (want[r]!.dtype === 'f64' ? 1e-10 : 1e-5);

      const fn = session.define('under_test', name, types, attrs, known(args));
      if (define !== undefined) expect(fn, 'define').not.toBeNull();
      if (fn !== null) {
        const got = evaluateTensorFunction(fn, args.filter((a) => a !== null));
        got.forEach((g, r) => expectAgreement(`define, result ${r}`, g, want[r]!, tolerance(r)));
      }

      const contents = session.shapeValue(name, types, attrs, known(args));
      contents.forEach((elements, r) => {
        if (elements === null) return;
        expect(elements.map((e) => session.exprs.valueOf(e)), `shapeValue, result ${r}`).toEqual(asNumbers(want[r]!));
      });

      const parts = await decomposed(name, args, sample, inferred);
      parts?.forEach((p, r) => expectAgreement(`decompose, result ${r}`, p, want[r]!, tolerance(r)));
    });
  }
});
