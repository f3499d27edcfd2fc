import { describe, expect, it } from 'vitest';
import type { HostTensor } from '@tenon/plugin';
import { standardOperators } from '@tenon/ops';
import { testSession } from '../packages/ops/test/session.ts';
import { Random } from './support/generator.ts';
import { runRandomSchedule, type Tally } from '../packages/schedule/test/run-random.ts';
import { materialize } from './support/samples.ts';

const session = testSession();

/** Floats up to the rounding of another order of summation, everything else exactly. */
function agree(got: readonly HostTensor[], want: readonly HostTensor[]): boolean {
  return want.every((w, k) => {
    const x = Array.from(got[k]!.data as ArrayLike<number | bigint>, Number);
    const y = Array.from(w.data as ArrayLike<number | bigint>, Number);
    const exact = !/^(f|bf)\d/.test(w.dtype);
    const largest = y.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 1e-30);
    return x.length === y.length && x.every((v, i) => (exact || !Number.isFinite(y[i]!) ? Object.is(v + 0, y[i]! + 0) : Math.abs(v - y[i]!) <= 1e-4 * largest));
  });
}

describe('random schedules of operators', () => {
  it('verify and compute the same after every primitive, and lowered', () => {
    const random = new Random(11);
    const tally: Tally = { applied: new Map(), refused: new Map() };
    let functions = 0;
    for (const operator of standardOperators) {
      const samples = operator.facets.samples?.() ?? [];
      for (const sample of random.shuffled(samples).slice(0, 3)) {
        const args = sample.args.map((a) => (a === null ? null : materialize(a, () => random.real())));
        if (args.some((a) => a !== null && /^(f16|bf16|f8|string)/.test(a.dtype))) continue;
        const types = args.map((a) => (a === null ? null : session.types.tensor(a.dtype, a.shape)));
        const contents = (i: number) => {
          const a = args[i];
          return a && /^[iu]\d|^bool$/.test(a.dtype) && a.data.length <= 4096 ? Array.from(a.data as ArrayLike<number | bigint>, (v) => session.exprs.int(v)) : null;
        };
        const fn = session.define('under_test', operator.name, types, sample.attrs ?? {}, contents);
        if (fn === null || (args.some((a) => a !== null && a.data.length > 600))) continue;
        functions++;
        try {
          runRandomSchedule(random, session.exprs, fn, args.filter((a) => a !== null), new Map(), 8, tally, agree);
        } catch (error) {
          throw new Error(`${operator.name} ${JSON.stringify(sample.args)} ${JSON.stringify(sample.attrs, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`, { cause: error });
        }
      }
    }
    expect(functions).toBeGreaterThan(200);
    expect([...tally.applied.values()].reduce((a, b) => a + b, 0)).toBeGreaterThan(700);
  });
});
