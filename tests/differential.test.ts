import { beforeAll, describe, expect, it } from 'vitest';
import type { GraphFunction } from '@tenon/plugin';
import { compileModule } from '@tenon/compiler';
import type { Session } from '@tenon/core';
import { differences, type Part } from './support/differential.ts';
import { cpuConfig, host } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { integer, randomTensor } from './support/random.ts';
import { dimValues, randomGraph } from './support/random-graph.ts';
import { sampleModule, samplesOf, type Sampled } from './support/samples.ts';

const describeSample = ({ op, sample }: Sampled): string =>
  `${op}(${sample.args.map((a) => (a === null ? '_' : `${a.dtype}[${a.shape.join()}]`)).join(', ')}) ${JSON.stringify(sample.attrs ?? {}, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`;

/** Samples of every operator, in an order that depends on the seed only. `TENON_SAMPLES=all` takes all. */
const perOperator = process.env['TENON_SAMPLES'] === 'all' ? Infinity : Number(process.env['TENON_SAMPLES'] ?? 2);
const batch = 48;

describe('operators on the C target', () => {
  const chosen: Sampled[] = [];
  beforeAll(async () => {
    await compileModule((session) => {
      const dtypes = new Set(session.registry.targets.get('cpu-c')!.dtypes);
      const random = generator(20);
      const byOp = new Map<string, Sampled[]>();
      for (const s of samplesOf(session)) {
        if (s.sample.args.every((a) => a === null || dtypes.has(a.dtype)) && dtypes.has(String(s.sample.attrs?.['to'] ?? s.sample.attrs?.['dtype'] ?? 'f32'))) {
          byOp.set(s.op, [...(byOp.get(s.op) ?? []), s]);
        }
      }
      for (const samples of byOp.values()) {
        for (let n = 0; n < perOperator && samples.length > 0; n++) chosen.push(...samples.splice(integer(random, 0, samples.length - 1), 1));
      }
      const empty = session.module();
      empty.graph('main', []).finish([]);
      return empty.finish();
    }, { config: cpuConfig, host });
  });

  it('compute what their reference evaluation does', async () => {
    const problems: string[] = [];
    let results = 0;
    for (let at = 0; at < chosen.length; at += batch) {
      const part = (sampled: Sampled, session: Session, i: number): Part => {
        const { module, inputs } = sampleModule(session, sampled, generator(at + i));
        return { name: describeSample(sampled), module, inputs, tolerance: sampled.sample.tolerance ?? 1e-5, scaleLimit: 4 };
      };
      const found = await differences((session) => chosen.slice(at, at + batch).map((s, i) => part(s, session, i)));
      problems.push(...found.problems);
      results += found.results;
    }
    expect(problems.join('\n')).toBe('');
    expect(results).toBeGreaterThan(200);
  }, 900_000);
});

describe('random graphs on the C target', () => {
  it.each([true, false])('compute what the reference evaluation does (symbolic dims: %s)', async (symbolic) => {
    for (const dims of symbolic ? dimValues.slice(0, 3) : dimValues.slice(0, 1)) {
      const { problems, results } = await differences((session) => Array.from({ length: 24 }, (_, i): Part => {
        const seed = 1000 * Number(symbolic) + i;
        const module = randomGraph(session, seed, { calls: 4 + (i % 12), symbolic, continuous: true });
        const main = module.functions.get('main') as GraphFunction;
        const random = generator(seed);
        const inputs = main.params.map((p) => {
          if (p.type.kind !== 'tensor') throw new Error('only tensors');
          const shape = p.type.shape.map((d) => session.exprs.valueOf(session.exprs.substitute(d, new Map([...dims].map(([k, v]) => [k, session.exprs.int(v)]))))!);
          return randomTensor(random, 'f32', shape, [-1, 1]);
        });
        return { name: `graph of seed ${seed} at ${[...dims].join(' ')}`, module, inputs, tolerance: 1e-4, scaleLimit: Infinity };
      }));
      expect(problems.join('\n')).toBe('');
      expect(results).toBeGreaterThan(24);
    }
  }, 300_000);
});
