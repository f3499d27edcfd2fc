import { describe, expect, it } from 'vitest';
import type { GraphFunction, IRModule, Value } from '@tenon/plugin';
import { compileModule } from '@tenon/compiler';
import { printExpr, type Session } from '@tenon/core';
import { differences, type Part } from './support/differential.ts';
import { cpuConfig, host } from './support/engines.ts';
import { mergeModules } from './support/merge.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';
import { randomNetwork, type RandomNetworkOptions } from './support/random-network.ts';

/** How often a kernel's callee changed in the layout phase: kernels that run on other layouts than types say. */
function relaid(before: IRModule, after: IRModule): number {
  let count = 0;
  for (const fn of after.functions.values()) {
    if (fn.kind !== 'graph') continue;
    const was = before.functions.get(fn.name) as GraphFunction;
    const callees = new Map(was.bindings.map((b) => [b.results[0]!.name, b.callee]));
    for (const b of fn.bindings) count += Number(b.kind === 'kernel' && b.callee !== callees.get(b.results[0]!.name));
  }
  return count;
}

/** Kernels that write a part of what others have written a part of. */
function updating(module: IRModule): number {
  let count = 0;
  for (const fn of module.functions.values()) if (fn.kind === 'graph') for (const b of fn.bindings) count += Number(b.effects !== null);
  return count;
}

const shapeOf = (v: Value): string[] => (v.type.kind === 'tensor' ? v.type.shape.map((d) => printExpr(d)) : []);

/** Networks of each kind; `TENON_SAMPLES` takes more. */
const networks = Number(process.env['TENON_SAMPLES'] ?? 12);

describe('random convolution networks on the C target, layouts chosen over the whole graph', () => {
  it.each<Omit<RandomNetworkOptions, 'layers'>>([
    { spatial: 2, symbolic: false }, { spatial: 2, symbolic: true }, { spatial: 1, symbolic: false }, { spatial: 1, symbolic: true }, { spatial: 3, symbolic: false }, { spatial: 3, symbolic: true },
    { spatial: 2, symbolic: false, halves: true }, { spatial: 2, symbolic: true, halves: true }, { spatial: 1, symbolic: false, halves: true }, { spatial: 3, symbolic: true, halves: true },
  ])('compute what the reference evaluation does (%o)', async ({ spatial, symbolic, halves = false }) => {
    for (const n of symbolic ? [1, 3] : [1]) {
      let before: IRModule | null = null;
      let changed = 0;
      let updates = 0;
      const { problems, results } = await differences((session) => Array.from({ length: networks }, (_, i): Part => {
        const seed = 10_000 * spatial + 1000 * Number(symbolic) + i;
        const module = randomNetwork(session, seed, { layers: 3 + (i % 10), symbolic, spatial, halves });
        const main = module.functions.get('main') as GraphFunction;
        const random = generator(seed);
        const inputs = main.params.map((p) => {
          if (p.type.kind !== 'tensor') throw new Error('only tensors');
          return randomTensor(random, 'f32', p.type.shape.map((d) => session.exprs.valueOf(d) ?? n), [-1, 1]);
        });
        return { name: `network of seed ${seed} with batches of ${n}`, module, inputs, tolerance: 1e-4, scaleLimit: Infinity };
      }), {
        config: { ...cpuConfig, verify: 'pass' },
        onPhase: (phase, _, module) => {
          if (phase === 'dispatch') before = module;
          if (phase === 'layout') changed += relaid(before!, module);
          if (phase === 'layout') updates += updating(module);
        },
      });
      expect(problems.join('\n')).toBe('');
      expect(results).toBeGreaterThan(10);
      expect(changed).toBeGreaterThan(spatial === 2 ? 10 : 5);
      if (halves) expect(updates).toBeGreaterThan(3);
    }
  }, 600_000);

  it('keep parameters, results and what is viewed as they were', async () => {
    let moved = 0;
    let before: IRModule | null = null;
    const parts = (session: Session): IRModule => mergeModules(Array.from({ length: 40 }, (_, seed) => randomNetwork(session, seed, { layers: 8, symbolic: true, spatial: 2 })), session);
    const compilation = await compileModule(parts, {
      config: cpuConfig, host,
      onPhase: (phase, _, after) => {
        if (phase === 'dispatch') before = after;
        if (phase !== 'layout') return;
        for (const fn of after.functions.values()) {
          if (fn.kind !== 'graph') continue;
          const was = before!.functions.get(fn.name) as GraphFunction;
          expect([fn.params, fn.results.map((r) => r.type)]).toEqual([was.params, was.results.map((r) => r.type)]);
          fn.bindings.forEach((b) => {
            // What is left of a concatenation is new; what is read in place is gone.
            const old = was.bindings.find((o) => o.results[0]!.name === b.results[0]!.name);
            if (old === undefined) return;
            if (b.kind !== 'kernel') expect([b.callee, b.attrs, b.results, b.args.map((a) => a!.type)]).toEqual([old.callee, old.attrs, old.results, old.args.map((a) => a!.type)]);
            b.results.forEach((r, k) => {
              const shape = shapeOf(r);
              const previous = shapeOf(old.results[k]!);
              // Other axes may have changed places, and have zeros around them.
              expect(shape.length).toBe(previous.length);
              moved += Number(shape.join() !== previous.join());
            });
          });
        }
        throw new Error('seen');
      },
    }).catch((error: unknown) => error);
    expect(String(compilation)).toBe('Error: seen');
    expect(moved).toBeGreaterThan(20);
  }, 300_000);
});
