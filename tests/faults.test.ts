/** What users see where the code generator, the loader or a call of an accelerator fails: the right result, and a report. */
import { describe, expect, it } from 'vitest';
import { compile, diagnosticOf, type CompileOptions, type Config, type Diagnostic, type Model } from 'tenon';
import type { CodegenBlob, Loader, Plugin } from '@tenon/plugin';
import toyPlugin from 'tenon-target-toy';
import toyLoader from 'tenon-target-toy/loader';
import { info, model, node, raw } from '../packages/frontend-onnx/test/onnx-writer.ts';
import { rejects, throws, withCalls, withCodegen } from './support/faulty.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';

const random = generator(5);
const weights = (): Float32Array => randomTensor(random, 'f32', [32, 32], [-0.5, 0.5]).data as Float32Array;

/** Two products, which the accelerator takes, around an operator that it does not take. */
const file = model({
  inputs: [info('x', 'f32', [16, 32])], outputs: [info('y', 'f32', [16, 32])],
  initializers: [raw('w0', 'f32', [32, 32], weights()), raw('w1', 'f32', [32, 32], weights())],
  nodes: [node('MatMul', ['x', 'w0'], ['a'], { name: 'first' }), node('Softmax', ['a'], ['b'], { name: 'between' }), node('MatMul', ['b', 'w1'], ['y'], { name: 'second' })],
});
const x = randomTensor(random, 'f32', [16, 32], [-1, 1]);

interface Outcome {
  readonly model: Model;
  readonly diagnostics: readonly Diagnostic[];
}

async function build({ plugin = toyPlugin(), loader = toyLoader(), partition = {} }: { plugin?: Plugin; loader?: Loader | null; partition?: Config['partition'] } = {}): Promise<Outcome> {
  const diagnostics: Diagnostic[] = [];
  const options: CompileOptions = {
    cache: false, onDiagnostic: (d) => diagnostics.push(d), loaders: loader === null ? [] : [loader],
    config: { plugins: [plugin], targets: ['toy', 'cpu-c'], partition: { strategy: 'greedy', ...partition } },
  };
  return { model: await compile(file, options), diagnostics };
}

async function want(): Promise<Float32Array> {
  const { model: onHost } = await build({ partition: { strategy: 'host' } });
  using _ = onHost;
  return (await onHost.run({ x }))['y']!.data as Float32Array;
}
const expected = want();

async function expectRight(loaded: Model): Promise<void> {
  const got = (await loaded.run({ x }))['y']!.data as Float32Array;
  const right = await expected;
  expect(got.length).toBe(right.length);
  expect(Math.max(...got.map((v, i) => Math.abs(v - right[i]!)))).toBeLessThan(1e-5);
}

const targetsOf = ({ manifest }: Model): readonly string[] => manifest.report.placements.map((p) => `${p.loc} on ${p.target}`);
const split = ['first on toy', 'between on cpu-c', 'second on toy'];
const onHost = ['first on cpu-c', 'between on cpu-c', 'second on cpu-c'];
const codes = (diagnostics: readonly Diagnostic[]): readonly string[] => diagnostics.filter((d) => d.severity !== 'note').map((d) => d.code);

/** Hands the code generator only regions of which the predicate says that they work. */
const failingFor = (bad: (locs: readonly (string | null)[]) => boolean): Plugin => withCodegen((codegen) => (regions, ctx) => {
  for (const { graph } of regions) if (bad(graph.bindings.map((b) => b.loc))) throw new Error('out of registers');
  return codegen(regions, ctx);
});

it('without a fault nothing is reported', async () => {
  const { model: loaded, diagnostics } = await build();
  using _ = loaded;
  expect(targetsOf(loaded)).toEqual(split);
  await expectRight(loaded);
  expect([...codes(diagnostics), ...loaded.reports]).toEqual([]);
});

describe('a code generator that throws', () => {
  it('leaves its regions to the host', async () => {
    const { model: loaded, diagnostics } = await build({ plugin: failingFor(() => true) });
    using _ = loaded;
    expect(targetsOf(loaded)).toEqual(onHost);
    await expectRight(loaded);
    expect(codes(diagnostics)).toEqual(['codegen/failed']);
    expect(diagnostics[0]!.message).toContain('out of registers');
    const [first] = loaded.manifest.report.placements;
    expect(first!.rejected).toContainEqual(expect.objectContaining({ target: 'toy', code: 'codegen/failed' }));
    expect(loaded.manifest.report.partition!.targets.map((t) => [t.target, t.operators])).toEqual([['toy', 0], ['cpu-c', 3]]);
  });

  it('over one of several regions keeps the others', async () => {
    const { model: loaded, diagnostics } = await build({ plugin: failingFor((locs) => locs.includes('second')) });
    using _ = loaded;
    expect(targetsOf(loaded)).toEqual(['first on toy', 'between on cpu-c', 'second on cpu-c']);
    await expectRight(loaded);
    expect(codes(diagnostics)).toEqual(['codegen/failed']);
    expect(diagnostics[0]!.message).toMatch(/region_2_toy of its 2 regions runs on the host: out of registers/);
    expect(loaded.reports).toEqual([]);
  });

  it('without the host to fall back to is an error', async () => {
    const failure = await build({ plugin: failingFor(() => true), partition: { fallback: 'none' } }).then(() => null, (e: unknown) => e);
    expect((failure as Error).message).toContain('out of registers');
    const refused = await build({
      plugin: withCodegen(() => (_, ctx) => ctx.fail({ code: 'toy/out-of-registers', message: 'out of registers' })), partition: { fallback: 'none' },
    }).then(() => null, diagnosticOf);
    expect(refused?.code).toBe('toy/out-of-registers');
  });

  it('fails where the configuration requires the target, with the report', async () => {
    const failure = await build({ plugin: failingFor((locs) => locs.includes('second')), partition: { require: { toy: { minCoverage: 0.5 } } } }).then(() => null, diagnosticOf);
    expect(failure?.code).toBe('partition/require');
    expect(failure?.message).toContain('toy runs 1 of 3 operators');
    expect(failure?.related.map((d) => d.code)).toEqual(expect.arrayContaining(['codegen/failed', 'partition/no-rule', 'partition/report']));
    const enough = await build({ plugin: failingFor((locs) => locs.includes('second')), partition: { require: { toy: { minCoverage: 0.3 } } } });
    using _ = enough.model;
    await expectRight(enough.model);
  });
});

describe('code that does not load', () => {
  const damaged = withCodegen((codegen) => async (regions, ctx) => (await codegen(regions, ctx)).map((blob): CodegenBlob => ({ ...blob, bytes: blob.bytes.map((b, i) => (i === 20 ? b ^ 1 : b)) })));

  it('is found while compiling where the loader is known', async () => {
    const { model: loaded, diagnostics } = await build({ plugin: damaged });
    using _ = loaded;
    expect(targetsOf(loaded)).toEqual(onHost);
    await expectRight(loaded);
    expect(codes(diagnostics)).toEqual(['codegen/not-loadable']);
    expect(diagnostics[0]!.message).toContain('it is damaged');
    expect(loaded.manifest.report.placements[0]!.rejected).toContainEqual(expect.objectContaining({ target: 'toy', code: 'codegen/not-loadable' }));
    expect(loaded.reports).toEqual([]);
  });

  it('is found while loading elsewhere', async () => {
    // Compiling tries it once: then it works.
    let loads = 0;
    const real = toyLoader();
    const loader: Loader = {
      ...real,
      load(blob, bytes, options) {
        if (++loads > 1) throw new Error('no memory for programs');
        return real.load(blob, bytes, options);
      },
    };
    const { model: loaded, diagnostics } = await build({ loader });
    using _ = loaded;
    expect(targetsOf(loaded)).toEqual(split);
    expect(codes(diagnostics)).toEqual([]);
    await expectRight(loaded);
    expect(codes(loaded.reports)).toEqual(['runtime/blob-fallback']);
    expect(loaded.reports[0]!.message).toBe('the code of toy could not be loaded, so 2 regions run on cpu-c: no memory for programs');
  });

  it.each(['unsupported', 'recompile'] as const)('is not asked for by a loader that answers %s', async (kind) => {
    const { model: loaded } = await build({ loader: { ...toyLoader(), answer: () => ({ kind, code: 'toy/old', reason: 'this machine is too old' }) } });
    using _ = loaded;
    await expectRight(loaded);
    expect(codes(loaded.reports)).toEqual(['runtime/target-unavailable']);
    expect(loaded.reports[0]!.message).toBe(`toy cannot run here, so 2 regions run on cpu-c: toy says ${kind} [toy/old]: this machine is too old`);
  });

  it('has no loader at all', async () => {
    const { model: loaded } = await build({ loader: null });
    using _ = loaded;
    await expectRight(loaded);
    expect(codes(loaded.reports)).toEqual(['runtime/target-unavailable']);
  });

  it('without the host to fall back to is an error', async () => {
    const loader: Loader = { ...toyLoader(), answer: () => ({ kind: 'unsupported', code: 'toy/old', reason: 'this machine is too old' }) };
    expect((await build({ loader, partition: { fallback: 'none' } }).then(() => null, diagnosticOf))?.code).toBe('runtime/no-variant');
  });
});

describe('a call that fails', () => {
  it.each([['throws', throws], ['rejects later', rejects]] as const)('because it %s moves its region to the host', async (...[, fault]) => {
    const { model: loaded } = await build({ loader: withCalls((symbol, call) => (symbol.startsWith('region_2') ? fault(call, 'the array overheats') : call)) });
    using _ = loaded;
    await expectRight(loaded);
    expect(codes(loaded.reports)).toEqual(['runtime/region-fallback']);
    expect(loaded.reports[0]!.message).toBe("region 'region_2_toy' failed on toy and runs on cpu-c from now on: the array overheats");
    // Further runs start there, and say nothing new.
    await expectRight(loaded);
    const { profile } = await loaded.run({ x }, { profile: true });
    expect(profile.calls.map((c) => c.loader)).toEqual(['toy', 'cpu-c', 'cpu-c']);
    expect(loaded.reports).toHaveLength(1);
  });

  it('in every region moves them all, in one run', async () => {
    const { model: loaded } = await build({ loader: withCalls((_, call) => rejects(call, 'the array overheats')) });
    using _ = loaded;
    await expectRight(loaded);
    expect(codes(loaded.reports)).toEqual(['runtime/region-fallback', 'runtime/region-fallback']);
  });

  it('when it is bound, too', async () => {
    const { model: loaded } = await build({ loader: { ...toyLoader(), load: () => ({ bind: () => { throw new Error('out of order'); }, dispose: () => undefined }) } });
    using _ = loaded;
    await expectRight(loaded);
    expect(codes(loaded.reports)).toEqual(['runtime/region-fallback', 'runtime/region-fallback']);
  });

  it('leaves nothing of the failed attempt in the profile', async () => {
    const { model: loaded } = await build({ loader: withCalls((symbol, call) => (symbol.startsWith('region_2') ? throws(call, 'the array overheats') : call)) });
    using _ = loaded;
    const { profile } = await loaded.run({ x }, { profile: true });
    expect(profile.calls.map((c) => c.loader)).toEqual(['toy', 'cpu-c', 'cpu-c']);
  });

  it('is what is blamed, and not a later one that worked on what it left behind', async () => {
    let misled = 0;
    const loader = withCalls((symbol, call) => {
      if (symbol.startsWith('region_0')) return rejects(call, 'the array overheats');
      return misled++ === 0 ? throws(call, 'not a number') : call;
    });
    const { model: loaded } = await build({ loader });
    using _ = loaded;
    await expectRight(loaded);
    expect(misled).toBeGreaterThan(1);
    expect(loaded.reports.map((r) => r.message)).toEqual([expect.stringContaining("region 'region_0_toy' failed on toy")]);
  });

  it('while runs overlap gives every one its own result', async () => {
    const { model: loaded } = await build({ loader: withCalls((symbol, call) => (symbol.startsWith('region_0') ? rejects(call, 'the array overheats') : call)) });
    using _ = loaded;
    await Promise.all(Array.from({ length: 4 }, () => expectRight(loaded)));
    expect(codes(loaded.reports)).toEqual(['runtime/region-fallback']);
  });

  it('with bound memory gives the right result', async () => {
    const { model: loaded } = await build({ loader: withCalls((symbol, call) => (symbol.startsWith('region_2') ? rejects(call, 'the array overheats') : call)) });
    using _ = loaded;
    const bound = await loaded.bind({ x });
    const right = await expected;
    for (let i = 0; i < 3; i++) {
      await bound.run();
      const got = bound.outputs['y']!.data as Float32Array;
      expect(Math.max(...got.map((v, j) => Math.abs(v - right[j]!)))).toBeLessThan(1e-5);
    }
    bound.dispose();
    expect(codes(loaded.reports)).toEqual(['runtime/region-fallback']);
  });

  it('is not answered by a fallback where there is none', async () => {
    const { model: loaded } = await build({ loader: withCalls((_, call) => throws(call, 'the array overheats')), partition: { fallback: 'none' } });
    using _ = loaded;
    const failure = await loaded.run({ x }).then(() => null, diagnosticOf);
    expect(failure?.code).toBe('runtime/region-failed');
    expect(failure?.message).toContain('toy: the array overheats');
    expect(loaded.reports).toEqual([]);
  });
});
