import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import type { Config, Expr, GraphFunction, HostTensor, IRModule, Library } from '@tenon/plugin';
import { compileModule, type Compilation } from '@tenon/compiler';
import { evaluateGraph } from '@tenon/interp';
import type { Session } from '@tenon/core';
import { info, model, node, raw } from '../packages/frontend-onnx/test/onnx-writer.ts';
import acmeLibrary, { acmeRows } from 'tenon-library-rows';
import { outputAgreement } from './support/compare.ts';
import { repository } from './support/data.ts';
import { cpuConfig, host, load } from './support/engines.ts';
import { explain, unexplained } from './support/explained.ts';
import { generator } from './support/generator.ts';
import { integer, pick, randomTensor } from './support/random.ts';
import { roundTripProblem } from './support/round-trip.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenon-libraries-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const withLibrary = (library: Library = acmeRows, more: Config = {}): Config => ({ ...cpuConfig, verify: 'pass', plugins: [...cpuConfig.plugins!, acmeLibrary({ library })], ...more });

interface Made {
  readonly module: IRModule;
  /** Inputs of several sizes, where sizes are open. */
  readonly runs: readonly (readonly HostTensor[])[];
}

/** A network of the operators that the library knows, among others, with some of its sizes open. */
function randomNetwork(session: Session, seed: number): Made {
  const random = generator(seed);
  const builder = session.module();
  const dims = { n: integer(random, 1, 6), l: integer(random, 4, 12) };
  const open = { n: random() < 0.6, l: random() < 0.6 };
  const size = (name: 'n' | 'l'): Expr => (open[name] ? builder.dim({ name, min: name === 'n' ? 1 : 3, max: 64 }) : session.exprs.int(dims[name]));
  const [n, l] = [size('n'), size('l')];
  const [c, o, k] = [integer(random, 1, 5), integer(random, 1, 9), integer(random, 1, 3)];
  const b = builder.graph('main', [{ name: 'x', type: session.types.tensor('f32', [n, c, l]) }, { name: 'm', type: session.types.tensor('f32', [n, o]) }]);
  const [x, m] = b.params;
  const weights = (shape: readonly number[]): ReturnType<typeof b.constant> => {
    const count = shape.reduce((a, d) => a * d, 1);
    return b.constant(Array.from({ length: count }, () => Math.fround(random() - 0.5)), 'f32', shape);
  };
  const pads = [integer(random, 0, k - 1), integer(random, 0, k - 1)];
  b.loc = 'conv';
  let image = b.call('nn.conv', [random() < 0.5 ? b.call('math.neg', [x!]) : x!, weights([o, c, k])], { pads: pads.map((p) => session.exprs.int(p)) });
  if (random() < 0.5) image = b.call('nn.relu', [image]);
  const pooled = b.call('reduce.mean', [image], { axes: [2], keepdims: false });
  b.loc = 'dense';
  const hidden = integer(random, 1, 7);
  let rows = b.call('math.add', [pooled, m!]);
  rows = b.call('nn.matmul', [rows, weights([o, hidden])]);
  if (random() < 0.7) rows = b.call('math.add', [rows, weights([hidden])]);
  if (random() < 0.7) rows = b.call('nn.relu', [rows]);
  b.loc = 'softmax';
  const soft = b.call('nn.softmax', [rows], { axis: pick(random, [0, 1, -1]) });
  b.finish([soft, image, rows], ['soft', 'image', 'rows']);
  return {
    module: builder.finish(),
    runs: [dims, { n: open.n ? 64 : dims.n, l: open.l ? 3 : dims.l }, { n: open.n ? 1 : dims.n, l: open.l ? 37 : dims.l }].map((at) => [
      randomTensor(random, 'f32', [at.n, c, at.l], [-2, 2]), randomTensor(random, 'f32', [at.n, o], [-2, 2]),
    ]),
  };
}

async function reference({ module, runs }: Made, session: Session): Promise<readonly (readonly HostTensor[])[]> {
  return Promise.all(runs.map((inputs) => evaluateGraph(module, module.functions.get('main') as GraphFunction, inputs, session)));
}

async function compiled(make: (session: Session) => Made, config: Config): Promise<{ compilation: Compilation; inputs: readonly HostTensor[]; want: readonly HostTensor[]; all: readonly { readonly inputs: readonly HostTensor[]; readonly want: readonly HostTensor[] }[] }> {
  let made!: Made;
  let want!: readonly (readonly HostTensor[])[];
  const compilation = await compileModule(async (session) => {
    made = make(session);
    want = await reference(made, session);
    return made.module;
  }, { config, host });
  const all = made.runs.map((inputs, i) => ({ inputs, want: want[i]! }));
  return { compilation, ...all[0]!, all };
}

function expectEqual(got: readonly HostTensor[], want: readonly HostTensor[], what: string): void {
  want.forEach((w, i) => {
    const { error, problem } = outputAgreement(got[i]!, w);
    expect(problem, `${what}, result ${i}`).toBeNull();
    expect(error, `${what}, result ${i}`).toBeLessThan(1e-5);
  });
}

/** Matrix product, bias and activation of one layer, then a softmax. */
const layer = (session: Session): Made => {
  const builder = session.module();
  const n = builder.dim({ name: 'n', min: 1, max: 64 });
  const b = builder.graph('main', [{ name: 'x', type: session.types.tensor('f32', [n, 8]) }]);
  b.loc = 'dense/MatMul';
  const random = generator(5);
  const product = b.call('nn.matmul', [b.params[0]!, b.constant(Array.from({ length: 32 }, () => Math.fround(random() - 0.5)), 'f32', [8, 4])]);
  b.loc = 'dense/Add';
  const sum = b.call('math.add', [product, b.constant([1, 2, 3, 4], 'f32', [4])]);
  b.loc = 'dense/Relu';
  const active = b.call('nn.relu', [sum]);
  b.loc = 'softmax';
  b.finish([b.call('nn.softmax', [active])], ['y']);
  return { module: builder.finish(), runs: [[randomTensor(random, 'f32', [3, 8], [-2, 2])]] };
};

describe('a library from outside', () => {
  it('computes what generated code would, for generated shapes', async () => {
    const used = new Set<string>();
    for (let seed = 1; seed <= 24; seed++) {
      const { compilation, all } = await compiled((session) => randomNetwork(session, seed), withLibrary());
      for (const p of compilation.placements) if (p.library !== undefined) used.add(p.library);
      expect(compilation.diagnostics, `seed ${seed}`).toEqual([]);
      const runnable = await load(compilation);
      try {
        for (const [i, { inputs, want }] of all.entries()) expectEqual(await runnable.run(inputs), want, `seed ${seed}, run ${i}`);
      } finally {
        runnable.dispose();
      }
    }
    expect([...used].sort()).toEqual(['acme-rows/conv1d', 'acme-rows/matmul', 'acme-rows/softmax-rows']);
  }, 120_000);

  it('prints and parses at every phase, and evaluates to the same at each', async () => {
    const phases: { phase: string; module: IRModule }[] = [];
    let session!: Session;
    let made!: Made;
    const compilation = await compileModule((s) => {
      session = s;
      made = layer(s);
      return made.module;
    }, { config: withLibrary(), host, onPhase: (phase, _, module) => phases.push({ phase, module }) });
    const [want] = await reference(made, session);
    expect(phases.find((p) => p.phase === 'dispatch')!.module.functions.get('acme_matmul_ops')).toBeDefined();
    for (const { phase, module } of phases) {
      expect(roundTripProblem(module), phase).toBeNull();
      expectEqual(await evaluateGraph(module, module.functions.get('main') as GraphFunction, made.runs[0]!, session), want!, phase);
    }
    compilation.dispose();
  });

  it('is named in profiles, with its operators', async () => {
    const { compilation, inputs, want } = await compiled(layer, withLibrary());
    const runnable = await load(compilation);
    try {
      const { outputs, profile } = await runnable.model.run({ x: inputs[0]! }, { profile: true });
      expectEqual(Object.values(outputs), want, 'layer');
      expect(profile.kernels.map((k) => [k.kernel, k.ops.join(' ')])).toEqual([['acme_matmul', 'nn.matmul'], ['add_relu', 'math.add nn.relu'], ['acme_softmax_rows', 'nn.softmax']]);
    } finally {
      runnable.dispose();
    }
  });

  it('gives way to generated code where its C does not compile or lacks a symbol: the warning names library and operator', async () => {
    const text = acmeRows.provides[0]!.text!;
    for (const [broken, message] of [
      [text.replace('float m = -INFINITY;', 'float m = nothing;'), /nothing/],
      [text.replace('acme_conv1d(', 'acme_other('), /acme_conv1d/],
      [text.replace('return 0;', 'return acme_elsewhere();').replace('static float', 'int acme_elsewhere();\nstatic float'), /acme_elsewhere/],
    ] as const) {
      const { compilation, inputs, want } = await compiled(layer, withLibrary({ ...acmeRows, provides: [{ ...acmeRows.provides[0]!, text: broken }] }));
      expect(compilation.diagnostics).toMatchObject([{ severity: 'warning', code: 'dispatch/unusable-library', op: 'nn.matmul', loc: 'dense/MatMul', message: expect.stringMatching(message) as string }]);
      expect(compilation.diagnostics[0]!.message).toContain('the library acme-rows');
      expect(compilation.placements.map((p) => p.library)).toEqual([undefined, undefined, undefined, undefined]);
      expect(compilation.placements[0]!.rejected).toMatchObject([{ target: 'cpu-c', rule: 'acme-rows/matmul', code: 'dispatch/unusable-library' }]);
      const runnable = await load(compilation);
      expectEqual(await runnable.run(inputs), want, String(message));
      runnable.dispose();
    }
  }, 60_000);

  it('links object files for the machine that they are for', async () => {
    const c = join(folder, 'rows.c');
    writeFileSync(c, acmeRows.provides[0]!.text!);
    await promisify(execFile)(process.env['CC'] ?? 'cc', ['-O2', '-fPIC', '-c', c, '-o', join(folder, 'rows.o')]);
    const { symbols } = acmeRows.provides[0]!;
    const bytes = new Uint8Array(readFileSync(join(folder, 'rows.o')));
    const here = { arch: process.arch, platform: process.platform };
    const { compilation, inputs, want } = await compiled(layer, withLibrary({ ...acmeRows, provides: [{ format: 'object', symbols, bytes, requires: here }] }));
    expect(compilation.placements[0]!.library).toBe('acme-rows/matmul');
    const runnable = await load(compilation);
    expectEqual(await runnable.run(inputs), want, 'object');
    runnable.dispose();
    const elsewhere = await compiled(layer, withLibrary({ ...acmeRows, provides: [{ format: 'object', symbols, bytes, requires: { ...here, arch: 'pdp11' } }] }));
    expect(elsewhere.compilation.diagnostics).toMatchObject([{ code: 'dispatch/unusable-library', message: expect.stringContaining('pdp11') as string }]);
    elsewhere.compilation.dispose();
    const newer = await compiled(layer, withLibrary({ ...acmeRows, provides: [{ format: 'object', symbols, bytes, requires: { ...here, features: ['avx4096'] } }] }));
    expect(newer.compilation.diagnostics).toMatchObject([{ code: 'dispatch/unusable-library', message: expect.stringContaining('avx4096') as string }]);
    newer.compilation.dispose();
  });

  it('ends the run with its name where a routine fails', async () => {
    const failing = acmeRows.provides[0]!.text!.replace(/(int32_t acme_softmax_rows[^]*?)return 0;/, '$1return 7;');
    const { compilation, inputs } = await compiled(layer, withLibrary({ ...acmeRows, provides: [{ ...acmeRows.provides[0]!, text: failing }] }));
    const runnable = await load(compilation);
    await expect(runnable.run(inputs)).rejects.toThrow(/acme_softmax_rows/);
    runnable.dispose();
  });

  it('is switched off by the configuration', async () => {
    const { compilation } = await compiled(layer, withLibrary(acmeRows, { dispatch: { disable: ['acme-rows'] } }));
    expect(compilation.placements.every((p) => p.library === undefined && p.rejected.length === 0)).toBe(true);
    const one = await compiled(layer, withLibrary(acmeRows, { dispatch: { disable: ['acme-rows/matmul'] } }));
    expect(one.compilation.placements.map((p) => p.library)).toEqual([undefined, undefined, undefined, 'acme-rows/softmax-rows']);
    const none = await compiled(layer, withLibrary(acmeRows, { passes: { disable: ['dispatch-libraries'] } }));
    expect(none.compilation.placements.every((p) => p.library === undefined)).toBe(true);
    none.compilation.dispose();
    compilation.dispose();
    one.compilation.dispose();
  });

  it('shows in explain, with what it computes and why it does not', async () => {
    const file = join(folder, 'layer.onnx');
    writeFileSync(file, model({
      inputs: [info('x', 'f32', ['n', 4])], outputs: [info('y', 'f32', ['n', 4])],
      initializers: [raw('w', 'f32', [4, 4], Float32Array.from({ length: 16 }, (_, i) => i / 16))],
      nodes: [node('MatMul', ['x', 'w'], ['a'], { name: 'MatMul' }), node('Relu', ['a'], ['b'], { name: 'Relu' }), node('Neg', ['b'], ['y'], { name: 'Neg' })],
    }));
    const config = join(folder, 'tenon.config.ts');
    writeFileSync(config, `import acmeLibrary from ${JSON.stringify(join(repository, 'examples/row-library/src/index.ts'))};\nexport default { plugins: [acmeLibrary()] };\n`);
    const explained = await explain(file, '--config', config);
    expect(await unexplained(file, explained)).toBeNull();
    expect(explained.operators.map((o) => [o.loc, o.library, o.kernels])).toEqual([
      ['MatMul', 'acme-rows/matmul', ['acme_matmul']], ['Relu', undefined, ['relu_neg']], ['Neg', undefined, ['relu_neg']],
    ]);
    expect(explained.operators[1]!.rejected).toMatchObject([{ target: 'cpu-c', rule: 'acme-rows', code: 'dispatch/no-entry' }]);
    const main = join(repository, 'packages/cli/src/main.ts');
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=tenon-source', main, 'explain', file, '--config', config]);
    expect(stdout).toContain('library: acme-rows/matmul');
    expect(stdout).toContain('not acme-rows: acme-rows has no entry for nn.relu [dispatch/no-entry]');
  }, 60_000);
});
