import { describe, expect, it } from 'vitest';
import { diagnosticOf, type HostTensor, type Stmt, type TensorType, type TypedArray } from '@tenon/plugin';
import { Session } from '@tenon/core';
import { evaluateTensorFunction } from '@tenon/interp';
import { hostTensor } from '../src/common/host-tensor.ts';
import { isFloat } from '../src/common/dtypes.ts';
import { standardOperators, standardOps } from '../src/index.ts';

/**
 * The samples of every operator once more, with sizes as dims: one dim for each size above 1 (equal sizes are one
 * dim). Where inference accepts them, the tensor-level definition for dims must give what the reference gives for
 * numbers, without an index out of bounds.
 */
const session = new Session({ config: { plugins: [standardOps()] }, host: { name: 'test', now: () => 0, open: () => Promise.reject(new Error('no files')), resolve: (_, path) => path, cache: null } });

const floats = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => (((i + 1) * 7919 * (seed + 3)) % 997) / 250 - 2);

const reduces = (s: Stmt): boolean => {
  switch (s.kind) {
    case 'block': return s.init !== null && s.iters.some((i) => i.type === 'reduce');
    case 'seq': return s.body.some(reduces);
    case 'for': case 'alloc': case 'let': case 'while': return reduces(s.body);
    case 'if': return reduces(s.then) || (s.otherwise !== null && reduces(s.otherwise));
    default: return false;
  }
};

/** Operators of which at least one sample must be accepted with dims. */
const movement = standardOperators.filter((o) => /^(shape|index)\./.test(o.name) && o.signature.params.length > 0 && !/depth/.test(o.name));

function check(name: string, sample: NonNullable<ReturnType<NonNullable<(typeof standardOperators)[number]['facets']['samples']>>>[number]): boolean {
  const args = sample.args.map((a, i): HostTensor | null => {
    if (a === null) return null;
    const count = a.shape.reduce((n, d) => n * d, 1);
    const [lo, hi] = a.range ?? (a.dtype === 'bool' ? [0, 1] : a.dtype.startsWith('u') ? [0, 4] : [-4, 4]);
    const drawn = isFloat(a.dtype)
      ? floats(count, i).map((v) => (a.range ? lo + ((v + 2) / 4) * (hi - lo) : v))
      : Array.from({ length: count }, (_, k) => lo + ((k * 5 + i) % (hi - lo + 1)));
    return hostTensor(a.dtype, a.shape, a.values ?? drawn);
  });
  const dims = new Map<string, number>();
  const dimFor = (size: number) => {
    if (size === 1) return 1;
    dims.set(`d${size}`, size);
    return session.exprs.variable(`d${size}`);
  };
  const types = args.map((a) => (a === null ? null : session.types.tensor(a.dtype, a.shape.map(dimFor))));
  const attrs = sample.attrs ?? {};
  let fn;
  try {
    fn = session.define('under_test', name, types, attrs);
  } catch (error) {
    if (diagnosticOf(error) !== null) return false;
    throw error;
  }
  // A block's initial values are written before its reduction begins; interpretation as it stands does so in the first
  // step of the reduction, which an empty one does not have. Lowering moves them in front.
  if (fn === null || (dims.has('d0') && reduces(fn.body))) return false;
  const inferred = session.infer(name, types, attrs) as TensorType[];
  const want = session.evaluate(name, args, attrs)!;
  const got = evaluateTensorFunction(fn, args.filter((a) => a !== null), dims);
  expect(inferred.length).toBe(want.length);
  got.forEach((g, r) => {
    const w = want[r]!;
    expect([...g.shape]).toEqual([...w.shape]);
    const [x, y] = [Array.from(g.data as ArrayLike<number | bigint>, Number), Array.from(w.data as TypedArray as ArrayLike<number | bigint>, Number)];
    const largest = y.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
    const tolerance = isFloat(w.dtype) ? (sample.tolerance ?? 1e-5) * largest : 0;
    y.forEach((v, k) => {
      const near = Number.isFinite(v) ? Math.abs(x[k]! - v) <= tolerance : Object.is(x[k], v);
      if (!near) expect.fail(`result ${r}, element ${k} is ${x[k]}, the reference gives ${v}`);
    });
  });
  return true;
}

describe('operators on symbolic shapes', () => {
  for (const operator of standardOperators) {
    const samples = operator.facets.samples?.() ?? [];
    if (operator.facets.define === undefined || samples.every((s) => s.args.every((a) => a === null || a.shape.length === 0))) continue;
    it(operator.name, () => {
      const accepted = samples.filter((s) => check(operator.name, s)).length;
      if (movement.includes(operator)) expect(accepted, 'accepted samples').toBeGreaterThan(0);
    });
  }
});
