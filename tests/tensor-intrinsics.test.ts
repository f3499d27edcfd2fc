import { describe, expect, it } from 'vitest';
import { accept, condition, definePlugin, diagnosticOf, intrinsicsOf, reject, type GraphFunction, type HostTensor, type IRModule, type Plugin, type ScheduleRule, type TensorIntrinsic } from '@tenon/plugin';
import { evaluateDim } from '@tenon/artifact';
import { compileModule, type Compilation } from '@tenon/compiler';
import { evaluateGraph } from '@tenon/interp';
import type { Session } from '@tenon/core';
import { oneReduction, Schedule } from '@tenon/schedule';
import { outputAgreement } from './support/compare.ts';
import { cpuConfig, host, load } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';
import { roundTripProblem } from './support/round-trip.ts';

/** A vendor's instruction, in C: products of eight pairs are added to a sum. */
const dot8: TensorIntrinsic = {
  name: 'acme.dot8', target: 'cpu-c', doc: 'C += A · B over eight elements.', requires: {},
  description: `tensor @dot8(A: f32[8], B: f32[8], out C: f32[]) {
    for k in 0..8 {
      block dot(r: reduce = k) {
        C[] = C[] + A[r] * B[r]
      }
    }
  }`,
  implementation: { kind: 'text', text: '/* acme.dot8 */ float s = 0; for (int i = 0; i < 8; i++) s += {A}[i * {A.stride0}] * {B}[i * {B.stride0}]; *{C} += s;' },
};

/** Sums over a multiple of eight become calls of the intrinsic. */
const rule: ScheduleRule = {
  id: 'acme/dots', target: 'cpu-c', specificity: 100, doc: 'Products by acme.dot8.',
  require: [condition.stages(), condition.reductions(1), condition.combines('add', 'product'), condition.dtype('f32')],
  check: (fn, ctx) => {
    if (!intrinsicsOf(ctx).some((i) => i.name === dot8.name)) return reject('acme/no-dot8', 'the device has no acme.dot8');
    const extent = ctx.exprs.valueOf(oneReduction(fn)!.sum.reduce.at(-1)!.extent);
    return extent !== null && extent % 8 === 0 ? accept() : reject('acme/no-sum', 'it does not sum over a multiple of eight');
  },
  apply(fn, ctx) {
    const s = new Schedule(fn, ctx.exprs, { intrinsics: intrinsicsOf(ctx) });
    const block = oneReduction(fn)!.sum.stage.block.name;
    const loops = s.getLoops(block);
    const [outer, inner] = s.split(loops.at(-1)!, [null, 8]);
    s.decomposeReduction(block, outer!);
    s.tensorize({ loop: inner! }, dot8.name);
    s.parallel(loops[0]!);
    return s.fn;
  },
};
const acme = (intrinsic: TensorIntrinsic = dot8): Plugin => definePlugin({ name: 'acme-dots', namespace: 'acme' }, () => ({ intrinsics: [intrinsic], schedules: [rule] }))();

function product(session: Session): IRModule {
  const builder = session.module();
  const n = builder.dim({ name: 'n', min: 1, max: 64 });
  const b = builder.graph('main', [{ name: 'x', type: session.types.tensor('f32', [n, 24]) }, { name: 'w', type: session.types.tensor('f32', [24, 5]) }]);
  b.finish([b.call('nn.relu', [b.call('nn.matmul', [b.params[0]!, b.params[1]!])])], ['y']);
  return builder.finish();
}

const inputs = (n: number): HostTensor[] => [randomTensor(generator(n), 'f32', [n, 24], [-1, 1]), randomTensor(generator(2), 'f32', [24, 5], [-1, 1])];

/** Compiles with the plugin; gives what the reference makes of the inputs before, and the interpreter of the scheduled module. */
async function compiled(plugin: Plugin, sizes: readonly number[]): Promise<{ compilation: Compilation; want: HostTensor[][]; scheduled: HostTensor[][]; module: IRModule }> {
  const want: HostTensor[][] = [];
  const scheduled: HostTensor[][] = [];
  let session!: Session;
  let after!: IRModule;
  const compilation = await compileModule(async (given) => {
    session = given;
    const module = product(given);
    for (const n of sizes) want.push(await evaluateGraph(module, module.functions.get('main') as GraphFunction, inputs(n), given));
    return module;
  }, { config: { ...cpuConfig, plugins: [...cpuConfig.plugins!, plugin], verify: 'pass' }, host, onPhase: (phase, _, module) => void (phase === 'schedule' && (after = module)) });
  for (const n of sizes) scheduled.push(await evaluateGraph(after, after.functions.get('main') as GraphFunction, inputs(n), session));
  return { compilation, want, scheduled, module: after };
}

describe('a tensor intrinsic that a plugin declares', () => {
  it('is reached by tensorize, interpreted by its description, and run as its text', async () => {
    const sizes = [1, 7, 33];
    const { compilation, want, scheduled, module: scheduledModule } = await compiled(acme(), sizes);
    expect(compilation.schedules).toEqual([expect.objectContaining({ rule: 'acme/dots' })]);
    expect(compilation.listings[0]!.text).toContain('/* acme.dot8 */');
    expect(roundTripProblem(scheduledModule)).toBeNull();
    const kernel = compilation.manifest.regions[0]!.variants[0]!.kernels[0]!;
    // 2 · 24 operations for each of 5 sums, and what comes after.
    expect(evaluateDim(kernel.flops!, new Map([['n', 1]]))).toBeGreaterThanOrEqual(240);
    const runnable = await load(compilation);
    try {
      for (const [i, n] of sizes.entries()) {
        for (const [y] of [await runnable.run(inputs(n)), scheduled[i]!]) {
          const { error, problem } = outputAgreement(y!, want[i]![0]!);
          expect([problem, error < 1e-5]).toEqual([null, true]);
        }
      }
    } finally {
      runnable.dispose();
    }
  });

  it('is there only on devices that have what it requires', async () => {
    for (const [requires, rejected] of [[{ arch: process.arch }, false], [{ arch: 'other' }, true], [{ extensions: 'no such' }, true]] as const) {
      const { compilation } = await compiled(acme({ ...dot8, requires }), []);
      const [record] = compilation.schedules;
      expect(record!.rejected.some((r) => r.code === 'acme/no-dot8')).toBe(rejected);
      expect(record!.rule === 'acme/dots').toBe(!rejected);
      compilation.dispose();
    }
  });

  it('is refused where the target cannot print it, and where two plugins declare it', async () => {
    const called = await compiled(acme({ ...dot8, implementation: { kind: 'call', symbol: 'acme_dot8' } }), []).catch((error: unknown) => diagnosticOf(error));
    expect(called).toMatchObject({ code: 'cpu-c/unsupported-intrinsic', message: expect.stringContaining('acme_dot8') });
    const twin = definePlugin({ name: 'acme-twin', namespace: 'acme' }, () => ({ intrinsics: [dot8] }))();
    const config = { ...cpuConfig, plugins: [...cpuConfig.plugins!, acme(), twin] };
    const twice = await compileModule(product, { config, host }).catch((error: unknown) => diagnosticOf(error));
    expect(twice).toMatchObject({ code: 'session/conflict', message: 'intrinsic acme.dot8 is declared by both acme-dots and acme-twin' });
  });
});
