import { describe, expect, it } from 'vitest';
import { definePlugin, phases, type ByteSource, type Config, type IRModule, type Pass } from '@tenon/plugin';
import { standardOps } from '@tenon/ops';
import type { Session } from '@tenon/core';
import { compile, compileModule, type Compilation, type CompileOptions } from '../src/index.ts';
import { failure, host, read, testTarget, type TestTarget } from './harness.ts';

const configFor = (targets: readonly TestTarget[], more: Config = {}): Config => ({
  ...more, plugins: [standardOps(), ...targets.map(testTarget), ...(more.plugins ?? [])], targets: more.targets ?? targets.map((t) => t.name),
});
function compileText(text: string, targets: readonly TestTarget[] = [{ name: 'k' }], more: Config = {}, options: Partial<CompileOptions> = {}): Promise<Compilation> {
  return compileModule((session) => read(session, text), { host, config: configFor(targets, more), ...options });
}
const tanh = `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = math.tanh(%x)
  return %0
}`;

describe('linking', () => {
  const entry = async (text: string, targets?: readonly TestTarget[], more?: Config) => (await compileText(text, targets, more)).manifest.entries[0]!;
  const program = (e: Awaited<ReturnType<typeof entry>>): string[] => e.program.map((i) => {
    switch (i.op) {
      case 'call': return `call ${i.region} (${i.args}) → (${i.results})`;
      case 'copy': return `copy ${i.from} → ${i.to}`;
      default: return i.op === 'return' ? `return ${i.values}` : i.op;
    }
  });

  it('a call per region; results go straight to the caller', async () => {
    const e = await entry(tanh);
    expect(program(e)).toEqual(['call 0 (0) → (1)', 'return 1']);
    expect(e.values.map((v) => v.storage.kind)).toEqual(['param', 'result']);
    expect(e.arenas).toEqual([]);
  });

  it('a model that does nothing', async () => {
    const e = await entry('graph @main(%x: f32[4]) -> f32[4] {\n  return %x\n}');
    expect(program(e)).toEqual(['copy 0 → 1', 'return 1']);
    expect(e.values[1]!.storage).toEqual({ kind: 'result', index: 0 });
  });

  it('results that are parameters, constants, or the same value twice', async () => {
    const e = await entry(`
const @c: f32[2] = [1, 2]
graph @main(%x: f32[4]) -> (a: f32[4], b: f32[2], c: f32[4], d: f32[4], e: f32[4]) {
  %0: f32[4] = math.tanh(%x)
  return %x, @c, %0, %0, %x
}`);
    expect(program(e)[0]).toBe('call 0 (0) → (1)');
    expect(e.values[1]!.storage).toEqual({ kind: 'result', index: 2 });
    const copies = e.program.filter((i) => i.op === 'copy').map((i) => `${e.values[i.from]!.storage.kind} → ${JSON.stringify(e.values[i.to]!.storage)}`);
    expect(copies).toEqual([
      'param → {"kind":"result","index":0}', 'constant → {"kind":"result","index":1}', 'result → {"kind":"result","index":3}', 'param → {"kind":"result","index":4}',
    ]);
    expect(new Set(e.program.flatMap((i) => (i.op === 'return' ? i.values : []))).size).toBe(5);
    expect(e.results.map((r) => r.name)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('copies to and from a device with memory of its own, once each', async () => {
    const e = await entry(`
graph @main(%x: f32[4]) -> (a: f32[4], b: f32[4]) {
  %0: f32[4] = math.neg(%x)
  %1: f32[4] = math.exp(%0)
  %2: f32[4] = math.tanh(%0)
  %3: f32[4] = math.add(%1, %2)
  return %0, %3
}`, [{ name: 'far', form: 'graph', takes: ['math.neg'], separate: true }, { name: 'k' }], { partition: { strategy: 'greedy' } });
    expect(program(e)).toEqual(['copy 0 → 1', 'call 0 (1) → (2)', 'copy 2 → 3', 'call 1 (3) → (4)', 'return 3,4']);
    expect(e.values.map((v) => v.device)).toEqual([0, 1, 1, 0, 0]);
  });

  it('says how dims get their values; contents that decide nothing are data', async () => {
    const e = await entry(`
dims n in 1..64, n % 4 == 0
dims k in 0..
dims unused in 0..
graph @main(%x: f32[n, 2], %s: i64[2; contents = [(k), (unused)]]) -> f32[k] {
  %0: f32[] = reduce.sum(%x) {axes = [0, 1], keepdims = false}
  %1: f32[k] = shape.expand(%0) {shape = [(k)]}
  return %1
}`);
    expect(e.dims).toEqual([
      { name: 'n', min: 1, max: 64, multipleOf: 4, binding: { kind: 'axis', param: 0, axis: 0 } },
      { name: 'k', min: 0, max: null, multipleOf: 1, binding: { kind: 'element', param: 1, element: 0 } },
    ]);
    expect(e.params[1]!.contents!.map((c) => c === null)).toEqual([false, true]);
  });

  it('refuses dims that nothing gives a value', async () => {
    expect(await failure(() => compileText(`
dims n in 1..64
graph @main(%x: f32[n + 1]) -> f32[n + 1] {
  %0: f32[n + 1] = math.neg(%x)
  return %0
}`))).toMatchObject({ code: 'link/unbound-dim' });
  });

  it('takes the host\'s variant along, behind the guard of the region\'s own', async () => {
    const { manifest } = await compileText(tanh, [{ name: 'a', form: 'graph', takes: ['math.tanh'] }, { name: 'k' }]);
    expect(manifest.regions.map((r) => r.variants.map((v) => manifest.blobs[v.blob]!.target))).toEqual([['a', 'k']]);
  });

  it('falls back to the host where a code generator fails, and says so', async () => {
    const broken: TestTarget = { name: 'a', form: 'graph', takes: ['math.tanh'], codegen: () => { throw new Error('out of registers'); } };
    const result = await compileText(tanh, [broken, { name: 'k' }]);
    expect(result.manifest.regions[0]!.variants.map((v) => result.manifest.blobs[v.blob]!.target)).toEqual(['k']);
    expect(result.diagnostics.map((d) => d.code)).toEqual(['codegen/failed']);
    await expect(compileText(tanh, [broken, { name: 'k' }], { partition: { fallback: 'none' } })).rejects.toThrow('out of registers');
    await expect(compileText(tanh, [{ ...broken, name: 'k', takes: ['*'] }])).rejects.toThrow('out of registers');
  });

  it('refuses a code generator that leaves a region out', async () => {
    expect(await failure(() => compileText(tanh, [{ name: 'k', codegen: () => [] }]))).toMatchObject({ code: 'link/missing-region' });
  });

  it('gives the same bytes for the same model', async () => {
    const bytes = async () => Buffer.from(await (await compileText(`
const @c: f32[4] = [1, 2, 3, 4]
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = math.add(%x, @c)
  return %0
}`)).toBytes()).toString('hex');
    expect(await bytes()).toBe(await bytes());
  });
});

describe('a compilation', () => {
  it('shows the module after each phase, times them, and records the passes', async () => {
    const seen: string[] = [];
    const printed: string[] = [];
    const result = await compileText(tanh, [{ name: 'k' }], { printAfter: ['fuse-operators'] }, {
      onPhase: (phase, target) => void seen.push(target === null ? phase : `${phase} ${target}`),
      onPrint: (pass, target) => void printed.push(`${pass.name} ${target}`),
    });
    expect(seen).toEqual(phases.map((p, i) => (i < phases.indexOf('legalize') || p === 'link' ? p : `${p} k`)));
    expect(printed).toEqual(['fuse-operators k']);
    expect(result.phases.map((p) => p.phase)).toEqual(phases);
    expect(result.passes.find((p) => p.pass === 'fuse-operators')).toMatchObject({ phase: 'fuse', target: 'k', changed: true });
    expect(result.plans.get('region_0_k')!.launches).toHaveLength(1);
    result.dispose();
  });

  it('checks modules at phase boundaries, or after each pass', async () => {
    const broken: Pass = {
      name: 'break', phase: 'canonicalize', doc: 'Makes a module that is not well-formed.', after: ['fold-constants'],
      run: (module): IRModule => {
        const fn = module.functions.get('main')!;
        if (fn.kind !== 'graph') return module;
        return { ...module, functions: new Map(module.functions).set('main', { ...fn, results: [{ name: 'nowhere', type: fn.results[0]!.type, constant: false }] }) };
      },
    };
    const plugins = [definePlugin({ name: 'breaking', namespace: 'b' }, () => ({ passes: [broken] }))()];
    expect((await failure(() => compileText(tanh, [{ name: 'k' }], { plugins }))).message).toMatch('not well-formed after phase canonicalize');
    expect((await failure(() => compileText(tanh, [{ name: 'k' }], { plugins, verify: 'pass' }))).message).toMatch('not well-formed after break');
  });

  it('stops where it is told to', async () => {
    for (const step of ['canonicalize', 'fuse', 'generate k']) {
      const controller = new AbortController();
      let ended = false;
      const watch = definePlugin({ name: 'watch', namespace: 'w' }, () => ({ apply: (hooks) => hooks.sessionEnd.tap('watch', () => { ended = true; }) }))();
      const error = await failure(() => compileText(tanh, [{ name: 'k' }], { plugins: [watch] }, {
        signal: controller.signal, onProgress: (at) => { if (at === step) controller.abort(); },
      }));
      expect(error.code, step).toBe('session/aborted');
      expect(ended, 'the session ends').toBe(true);
    }
    const before = AbortSignal.abort();
    expect((await failure(() => compileText(tanh, [{ name: 'k' }], {}, { signal: before }))).code).toBe('session/aborted');
  });

  it('stops in the middle of code generation with the same code', async () => {
    const controller = new AbortController();
    const slow: TestTarget = {
      name: 'k',
      codegen: (_, ctx) => new Promise((_resolve, reject) => {
        ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error));
        controller.abort();
      }),
    };
    for (const targets of [[slow], [{ ...slow, name: 'a', form: 'graph' as const }, { name: 'k' }]]) {
      expect((await failure(() => compileText(tanh, targets, {}, { signal: controller.signal }))).code).toBe('session/aborted');
    }
  });

  it('refuses targets that are unknown, listed twice, or absent', async () => {
    expect(await failure(() => compileText(tanh, [{ name: 'kernels' }], { targets: ['kernel'] }))).toMatchObject({ code: 'target/unknown', hint: 'Did you mean kernels?' });
    expect(await failure(() => compileText(tanh, [{ name: 'k' }], { targets: ['k', 'k'] }))).toMatchObject({ code: 'target/duplicate' });
    expect(await failure(() => compileModule((s) => read(s, tanh), { host, config: { plugins: [standardOps()] } }))).toMatchObject({ code: 'target/none' });
    expect(await failure(() => compileModule((s: Session) => s.module().finish(), { host, config: configFor([{ name: 'k' }]) }))).toMatchObject({ code: 'module/no-entry' });
  });

  it('refuses a file that no frontend reads', async () => {
    const source: ByteSource = { uri: 'dir/model.xyz', bytes: 3, id: '', read: () => Promise.resolve(new Uint8Array(3)), close: () => {} };
    expect(await failure(() => compile(source, { host, config: configFor([{ name: 'k' }]) }))).toMatchObject({ code: 'model/unknown-format', hint: 'Add a frontend to the configuration.' });
  });

  it('of large graphs takes time in proportion', async () => {
    const chain = (session: Session): IRModule => {
      const m = session.module();
      const b = m.graph('main', [{ name: 'x', type: session.types.tensor('f32', [4, 8]) }]);
      let v = b.params[0]!;
      for (let i = 0; i < 1200; i++) v = b.call('math.add', [v, b.call('math.tanh', [v])]);
      b.finish([v]);
      return m.finish();
    };
    const wide = (session: Session): IRModule => {
      const m = session.module();
      const b = m.graph('main', [{ name: 'x', type: session.types.tensor('f32', [4, m.dim({ name: 'n', min: 1 })]) }]);
      const outs = Array.from({ length: 1200 }, (_, i) => b.call('reduce.sum', [b.call('math.mul', [b.params[0]!, b.constant([i], 'f32', [])])], { axes: [1] }));
      b.finish(outs, outs.map((_, i) => `y${i}`));
      return m.finish();
    };
    for (const make of [chain, wide]) {
      for (const targets of [[{ name: 'k' }], [{ name: 'a', form: 'graph', takes: ['math.tanh', 'math.mul'] }, { name: 'k' }]] as const) {
        const begin = process.cpuUsage();
        await compileModule(make, { host, config: configFor(targets) });
        // Anything quadratic takes tens of seconds; processor time does not mind what else runs.
        expect(process.cpuUsage(begin).user / 1e6, `${make.name} on ${targets.length}`).toBeLessThan(5);
      }
    }
  }, 60_000);
});
