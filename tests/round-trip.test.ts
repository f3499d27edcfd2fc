import { describe, expect, it } from 'vitest';
import { phases, type Config, type IRModule } from '@tenon/plugin';
import { compileModule } from '@tenon/compiler';
import type { Session } from '@tenon/core';
import { standardOps } from '@tenon/ops';
import { cpuC } from '@tenon/target-cpu-c';
import { acme } from './outside/plugin.ts';
import { bareTarget } from './support/bare-target.ts';
import { host } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { randomGraph } from './support/random-graph.ts';
import { roundTripProblem } from './support/round-trip.ts';
import { sampleModule, samplesOf } from './support/samples.ts';

/** Schedules as the C target does, and generates nothing. */
const scheduled = (): Config => {
  const target = cpuC();
  const codegen = bareTarget({ name: 'cpu-c', form: 'kernels', ops: null }).targets![0]!.codegen;
  return { plugins: [standardOps(), { ...target, targets: target.targets!.map((t) => ({ ...t, codegen })) }], targets: ['cpu-c'], verify: 'off' };
};

/** Problems of the modules after each phase, and the phases seen. */
async function check(make: (session: Session) => IRModule, config: Config, problems: string[], name: string): Promise<ReadonlySet<string>> {
  const seen = new Set<string>();
  const compilation = await compileModule(make, {
    config, host,
    onPhase(phase, target, module) {
      seen.add(phase);
      const problem = roundTripProblem(module);
      if (problem !== null) problems.push(`${name} after ${phase}${target === null ? '' : ` of ${target}`}: ${problem}`);
    },
  });
  compilation.dispose();
  return seen;
}

describe('every module of every phase prints and parses back structurally equal', () => {
  it('of 150 random graphs', async () => {
    const problems: string[] = [];
    let complete = 0;
    for (let seed = 0; seed < 150; seed++) {
      const seen = await check((session) => randomGraph(session, seed, { calls: 3 + (seed % 20), symbolic: seed % 2 === 0 }), scheduled(), problems, `graph ${seed}`);
      // A graph that is all constants or parameters has nothing to compile.
      if (phases.every((p) => seen.has(p))) complete++;
    }
    expect(complete).toBeGreaterThan(130);
    expect(problems.join('\n')).toBe('');
  }, 60_000);

  it('of models split over two targets', async () => {
    const problems: string[] = [];
    const config: Config = { ...scheduled(), plugins: [...scheduled().plugins!, acme()], targets: ['acme-js', 'cpu-c'] };
    for (let seed = 0; seed < 40; seed++) await check((session) => randomGraph(session, seed, { calls: 12, symbolic: seed % 2 === 0 }), config, problems, `graph ${seed}`);
    expect(problems.join('\n')).toBe('');
  }, 60_000);

  it('of three samples of every operator', async () => {
    const problems: string[] = [];
    const names: string[] = [];
    await compileModule((session) => {
      names.push(...samplesOf(session).map((s) => s.op));
      const module = session.module();
      module.graph('main', []).finish([]);
      return module.finish();
    }, { config: { ...scheduled(), plugins: [standardOps(), bareTarget({ name: 'bare', form: 'graph', ops: null })], targets: ['bare'] }, host });
    const random = generator(5);
    const taken = new Map<string, number>();
    const config: Config = { plugins: [standardOps(), bareTarget({ name: 'bare', form: 'kernels', ops: null })], targets: ['bare'], verify: 'off' };
    let checked = 0;
    for (const [i, op] of names.entries()) {
      const n = taken.get(op) ?? 0;
      if (n === 3 || random() < 0.5) continue;
      taken.set(op, n + 1);
      await check((session) => sampleModule(session, samplesOf(session)[i]!, generator(i)).module, config, problems, `${op}, sample ${i}`);
      checked++;
    }
    expect(checked).toBeGreaterThan(300);
    expect(problems.join('\n')).toBe('');
  }, 60_000);
});
