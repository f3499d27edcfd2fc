import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { diagnosticOf, type Config, type GraphFunction, type HostTensor, type IRModule, type Plugin } from '@tenon/plugin';
import { compileModule, type Compilation } from '@tenon/compiler';
import { Session } from '@tenon/core';
import { onnx } from '@tenon/frontend-onnx';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { createRuntime, type Model } from '@tenon/runtime';
import { cpuC } from '@tenon/target-cpu-c';
import { cpuC as cpuCLoader } from '@tenon/target-cpu-c/loader';
import { acmeLoader } from './outside/loader.ts';
import { acme } from './outside/plugin.ts';
import { outputAgreement } from './support/compare.ts';
import { host } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';

/** relu(x + sin²x) · W + y, its row sums, and the negated product: parts of it suit either target. */
function model(session: Session): IRModule {
  const module = session.module();
  const n = module.dim({ name: 'n', min: 1, max: 100 });
  const type = session.types.tensor('f32', [n, 4]);
  const b = module.graph('main', [{ name: 'x', type }, { name: 'y', type }]);
  const [x, y] = b.params;
  b.loc = 'activation';
  const sine = b.call('math.sin', [x!]);
  const active = b.call('nn.relu', [b.call('math.add', [x!, b.call('math.mul', [sine, sine])])]);
  b.loc = 'dense';
  const random = generator(3);
  const product = b.call('nn.matmul', [active, b.constant(Array.from({ length: 16 }, () => Math.fround(random() - 0.5)), 'f32', [4, 4])]);
  b.loc = 'tail';
  const sum = b.call('math.add', [product, y!]);
  b.finish([sum, b.call('reduce.sum', [sum], { axes: [1], keepdims: false }), b.call('math.neg', [product])], ['sum', 'rows', 'negated']);
  return module.finish();
}

const createSession = (plugins: readonly Plugin[]): Session => new Session({ config: { plugins }, host });
const config = (plugins: readonly Plugin[]): Config => ({ plugins, targets: ['acme-js', 'cpu-c'], verify: 'pass', partition: { strategy: 'greedy' } });
const split = (plugins: readonly Plugin[] = [standardOps(), cpuC(), acme()]): Promise<Compilation> => compileModule(model, { config: config(plugins), host });

function inputs(n: number): { [name: string]: HostTensor } {
  const random = generator(n);
  return { x: randomTensor(random, 'f32', [n, 4], [-3, 3]), y: randomTensor(random, 'f32', [n, 4], [-3, 3]) };
}

async function expectReference(loaded: Model, n: number): Promise<void> {
  const session = createSession([standardOps()]);
  const module = model(session);
  const given = inputs(n);
  const want = await evaluateGraph(module, module.functions.get('main') as GraphFunction, [given['x']!, given['y']!], session);
  const got = await loaded.run(given);
  Object.values(got).forEach((tensor, i) => {
    const { error, problem } = outputAgreement(tensor, want[i]!);
    expect(problem).toBeNull();
    expect(error).toBeLessThan(1e-5);
  });
  expect(Object.keys(got)).toEqual(['sum', 'rows', 'negated']);
}

describe('a plugin from outside', () => {
  it('imports @tenon/plugin alone', () => {
    const folder = new URL('./outside/', import.meta.url);
    const imports = readdirSync(folder).flatMap((f) => [...readFileSync(new URL(f, folder), 'utf8').matchAll(/from '([^']+)'/g)].map((m) => m[1]!));
    expect([...new Set(imports.filter((i) => !i.startsWith('./')))]).toEqual(['@tenon/plugin']);
  });

  it('adds an operator, a facet, a pass and a target, and splits one model over two targets', async () => {
    const compilation = await split();
    const ran = compilation.passes.map((p) => p.pass);
    expect(ran.indexOf('acme-find-snake')).toBeGreaterThan(ran.indexOf('canonicalize-ops'));
    expect(compilation.passes.find((p) => p.pass === 'acme-find-snake' && p.changed)).toBeDefined();
    const placed = compilation.placements.map((p) => `${p.op} on ${p.target}`);
    expect(placed).toEqual(['acme.snake on acme-js', 'nn.relu on acme-js', 'nn.matmul on cpu-c', 'math.add on acme-js', 'reduce.sum on cpu-c', 'math.neg on acme-js']);
    expect(compilation.placements.find((p) => p.op === 'nn.matmul')!.rejected.map((r) => r.target)).toEqual(['acme-js']);
    expect(compilation.manifest.entries[0]!.program.filter((i) => i.op === 'call')).toHaveLength(4);

    const bytes = await compilation.toBytes();
    compilation.dispose();
    const calls = { calls: 0 };
    const loaded = await createRuntime({ loaders: [acmeLoader(calls), cpuCLoader()], host, allowNative: true }).load(bytes);
    for (const n of [1, 5, 100]) await expectReference(loaded, n);
    expect(calls.calls).toBe(6);
    expect(loaded.reports).toEqual([]);
    // Runs may overlap.
    await Promise.all([7, 8, 7].map((n) => expectReference(loaded, n)));
    loaded.dispose();
  });

  it('is not needed to run the model: its regions have variants for the host', async () => {
    const compilation = await split();
    const loaded = await createRuntime({ loaders: [cpuCLoader()], host, allowNative: true }).load(await compilation.toBytes());
    compilation.dispose();
    for (const n of [1, 5]) await expectReference(loaded, n);
    loaded.dispose();
  });

  it('falls back to the host where it fails, and the run says so', async () => {
    const compilation = await split();
    const broken = { ...acmeLoader(), load: () => ({ bind: () => { throw new Error('out of order'); }, dispose: () => undefined }) };
    const loaded = await createRuntime({ loaders: [broken, cpuCLoader()], host, allowNative: true }).load(await compilation.toBytes());
    compilation.dispose();
    await expectReference(loaded, 5);
    expect(loaded.reports.length).toBeGreaterThan(0);
    expect(loaded.reports.every((r) => r.message.includes('out of order'))).toBe(true);
    loaded.dispose();
  });

  it('conflicts with another that claims the same facet: both are named', () => {
    const rival: Plugin = { name: 'rival', namespace: 'rival', contract: acme().contract, facets: [{ op: 'math.add', facets: { 'acme.opcode': 'plus' } }] };
    let thrown: unknown;
    try {
      createSession([standardOps(), rival, acme()]);
    } catch (error) {
      thrown = error;
    }
    expect(diagnosticOf(thrown)?.code).toBe('session/conflict');
    expect(diagnosticOf(thrown)?.message).toMatch(/@acme\/tenon-target-js.*rival|rival.*@acme\/tenon-target-js/);
  });
});

describe('the order of plugins', () => {
  it('changes no byte of the artifact', async () => {
    const plugins = [standardOps, cpuC, acme, onnx] as const;
    const orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    const artifacts = [];
    for (const order of orders) {
      const compilation = await split(order.map((i) => plugins[i]!()));
      artifacts.push(Buffer.from(await compilation.toBytes()));
      compilation.dispose();
    }
    expect(artifacts[0]!.length).toBeGreaterThan(1000);
    for (const other of artifacts.slice(1)) expect(other.equals(artifacts[0]!)).toBe(true);
  }, 60_000);
});
