import { describe, expect, it } from 'vitest';
import {
  any, constraint, definePlugin, op, reject, TenonError,
  type Config, type DeviceModel, type GraphFunction, type IRModule, type PartitionReport, type Placement, type Plugin,
} from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { compileModule, type Compilation } from '../src/compile.ts';
import { costKey, typicalDims } from '../src/partition/estimate.ts';
import { partition } from '../src/partition/partition.ts';
import { inUnits } from '../src/partition/rejections.ts';
import { generator } from '../../../tests/support/generator.ts';
import { failure, graph, host, main, read, testSession, testTarget, type TestTarget } from './harness.ts';
import { standardOps } from '@tenon/ops';

interface Split {
  readonly module: IRModule;
  readonly placements: readonly Placement[];
  readonly report: PartitionReport;
  readonly session: Session;
}

async function split(targets: readonly TestTarget[], text: string, options: Config['partition'] = {}, plugins: readonly Plugin[] = []): Promise<Split> {
  const session = testSession({ partition: options, plugins: [...plugins, ...targets.map(testTarget)] });
  const resolved = await Promise.all(targets.map((t) => session.resolveTarget(t.name, {})));
  const { report, ...rest } = partition(read(session, text), session, resolved);
  return { ...rest, report: report!, session };
}
type Taken = NonNullable<TestTarget['takes']>[number];
const placed = (placements: readonly Placement[]): string => placements.map((p) => `${p.op}@${p.target}`).join(' ');

/** An accelerator beside the host: products 100 times as fast, everything else no faster. */
const fast: Partial<DeviceModel> = { peak: { f32: 1e12 }, bandwidth: 1e11, launch: { region: 1e-6, kernel: 1e-7 }, transfer: { latency: 1e-6, bandwidth: 1e10 } };
const slow: Partial<DeviceModel> = { peak: { f32: 1e10 }, bandwidth: 1e10, launch: { region: 1e-6, kernel: 1e-7 } };
const x1 = (takes: TestTarget['takes'], device: Partial<DeviceModel> = fast): TestTarget => ({ name: 'x1', form: 'graph', device, ...(takes === undefined ? {} : { takes }) });
const cpu: TestTarget = { name: 'cpu', device: slow };

const layers = (size: number, activation: string): string => `
graph @main(%x: f32[${size}, ${size}], %w: f32[${size}, ${size}]) -> f32[${size}, ${size}] {
  %0: f32[${size}, ${size}] = nn.matmul(%x, %w) loc("first")
  %1: f32[${size}, ${size}] = ${activation}(%0) loc("between")
  %2: f32[${size}, ${size}] = nn.matmul(%1, %w) loc("second")
  return %2
}`;

describe('the plan', () => {
  it('depends on the size of the work', async () => {
    const large = await split([x1(['nn.matmul', 'nn.relu']), cpu], layers(512, 'nn.relu'));
    expect(placed(large.placements)).toBe('nn.matmul@x1 nn.relu@x1 nn.matmul@x1');
    expect(large.report.transfers.count).toBe(3);
    const small = await split([x1(['nn.matmul', 'nn.relu']), cpu], layers(4, 'nn.relu'));
    expect(placed(small.placements)).toBe('nn.matmul@cpu nn.relu@cpu nn.matmul@cpu');
    expect(small.report).toMatchObject({ strategy: 'cost', chosen: 'host', transfers: { count: 0, bytes: 0 } });
    expect(small.report.totals.host).toBeLessThan(small.report.totals.greedy!);
    expect(small.report.totals.cost).toBe(small.report.totals.host);
  });

  it('leaves gaps on the host where the accelerator gains more than it costs to come back', async () => {
    const { placements, report } = await split([x1(['nn.matmul']), cpu], layers(512, 'nn.relu'));
    expect(placed(placements)).toBe('nn.matmul@x1 nn.relu@cpu nn.matmul@x1');
    expect(report.targets.map((t) => [t.target, t.operators, t.regions])).toEqual([['x1', 2, 2], ['cpu', 1, 1]]);
    expect(report.targets[0]!.flops).toBe(2 * 2 * 512 ** 3);
  });

  it('that was measured as a whole counts by that, not by the sum of its parts', async () => {
    const targets = [x1(['nn.matmul', 'nn.relu']), cpu];
    const text = layers(512, 'nn.relu');
    const [greedy, host] = [await split(targets, text, { strategy: 'greedy' }), await split(targets, text, { strategy: 'host' })];
    expect(greedy.report.plan).not.toBe(host.report.plan);
    const chosen = async (of: { readonly greedy?: number; readonly host?: number }): Promise<PartitionReport> => {
      const plans = [...(of.greedy === undefined ? [] : [[greedy.report.plan, of.greedy] as const]), ...(of.host === undefined ? [] : [[host.report.plan, of.host] as const])];
      return (await split(targets, text, { costs: { cpu: Object.fromEntries(plans) } })).report;
    };
    const estimated = (await chosen({})).totals;
    expect(await chosen({ greedy: 1 })).toMatchObject({ chosen: 'host', plan: host.report.plan, totals: { greedy: 1, host: estimated.host } });
    const faster = estimated.greedy! / 2;
    expect(await chosen({ host: faster })).toMatchObject({ chosen: 'host', totals: { greedy: estimated.greedy, host: faster } });
    expect(await chosen({ greedy: faster, host: faster })).toMatchObject({ chosen: 'greedy', plan: greedy.report.plan, totals: { greedy: faster, host: faster } });
    // Another shape is another model.
    const other = await split(targets, layers(256, 'nn.relu'), { costs: { cpu: { [greedy.report.plan]: 1 } } });
    expect(other.report.chosen).toBe('greedy');
  });

  it('is the cheapest of three, and the report has all their estimates', async () => {
    // Greedy puts the elementwise operators on a device that is far away; by cost only the product goes there.
    const text = `
graph @main(%x: f32[512, 512], %w: f32[512, 512], %v: f32[1048576]) -> (a: f32[512, 512], b: f32[1048576]) {
  %0: f32[512, 512] = nn.matmul(%x, %w)
  %1: f32[1048576] = math.neg(%v)
  return %0, %1
}`;
    const { placements, report } = await split([x1(undefined), cpu], text);
    expect(placed(placements)).toBe('nn.matmul@x1 math.neg@cpu');
    expect(report.chosen).toBe('cost');
    expect(report.totals.cost).toBeLessThan(Math.min(report.totals.greedy!, report.totals.host!));
    const greedy = await split([x1(undefined), cpu], text, { strategy: 'greedy' });
    expect(placed(greedy.placements)).toBe('nn.matmul@x1 math.neg@x1');
    expect(greedy.report.totals).toEqual({ cost: null, greedy: report.totals.greedy, host: report.totals.host });
    const all = await split([x1(undefined), cpu], text, { strategy: 'host' });
    expect(placed(all.placements)).toBe('nn.matmul@cpu math.neg@cpu');
    expect(all.report.totals).toEqual({ cost: null, greedy: null, host: report.totals.host });
  });

  it('says of every other target what the operator would cost there', async () => {
    const { placements } = await split([x1(['nn.matmul', 'math.neg']), cpu], layers(4, 'math.exp'));
    expect(placements[0]!.rejected).toEqual([{
      target: 'x1', rule: 'x1/0', code: 'partition/cost', hint: null,
      message: expect.stringMatching(/^nn\.matmul takes [\d.]+ ns on x1 \(roofline\), [\d.]+ ns on cpu \(roofline\); moved there, the model would take [\d.]+ µs more$/),
    }]);
    expect(placements[1]!.rejected).toEqual([{ target: 'x1', rule: null, code: 'partition/no-rule', message: 'x1 has no rule for math.exp', hint: null }]);
  });

  it('uses a larger match where that pays, and keeps it whole', async () => {
    const takes = [{ pattern: op('nn.relu', [op('nn.matmul', [any('x'), any('w')])]) }, 'nn.matmul'] as const;
    const { placements, module } = await split([x1(takes), cpu], layers(512, 'nn.relu'));
    expect(placements.map((p) => `${p.op} ${p.rule} ${p.region}`)).toEqual(['nn.matmul x1/0 region_0_x1', 'nn.relu x1/0 region_0_x1', 'nn.matmul x1/1 region_0_x1']);
    expect(graph(module, 'region_0_x1').attrs['matches']).toEqual([{ rule: 'x1/0', results: ['1', '0'] }, { rule: 'x1/1', results: ['2'] }]);
    // An operator of a match has an equal share of what the match takes.
    expect(placements[0]!.estimate!.seconds).toBe(placements[1]!.estimate!.seconds);
  });

  it('does not depend on the order of plugins, nor of equal rules', async () => {
    const targets = [x1(['nn.matmul', 'nn.relu']), { ...x1(['nn.relu', 'math.exp']), name: 'x2' }, cpu];
    const results = await Promise.all([[0, 1, 2], [2, 1, 0], [1, 2, 0]].map(async (order) => {
      const session = testSession({ plugins: order.map((i) => testTarget(targets[i]!)) });
      const resolved = await Promise.all(targets.map((t) => session.resolveTarget(t.name, {})));
      const { placements, report } = partition(read(session, layers(256, 'nn.relu')), session, resolved);
      return JSON.stringify({ placements, report });
    }));
    expect(new Set(results).size).toBe(1);
  });

  it('keeps within the memory of a target', async () => {
    const roomy = { ...fast, memory: [{ space: 'dram', bytes: 64 * 2 ** 20 }, { space: 'sram', bytes: 1024 }] };
    const tight = { ...fast, memory: [{ space: 'dram', bytes: 2 ** 20 }] };
    expect(placed((await split([x1(['nn.matmul'], roomy), cpu], layers(512, 'nn.relu'))).placements)).toContain('@x1');
    const { placements, report } = await split([x1(['nn.matmul'], tight), cpu], layers(512, 'nn.relu'));
    expect(placed(placements)).not.toContain('@x1');
    expect(placements[0]!.rejected[0]).toMatchObject({ code: 'partition/memory' });
    expect(report.chosen).toBe('host');
  });
});

describe('estimates', () => {
  const text = layers(64, 'nn.relu');

  it('come from a measurement, else from the rule, else from the device', async () => {
    const seconds = (value: number): Taken => ({ pattern: op('nn.matmul'), cost: (_, ctx) => ctx.exprs.constant(value, 'f64') });
    const plain = await split([x1(['nn.relu', seconds(3e-9)]), cpu], text);
    expect(plain.placements.map((p) => [p.target, p.estimate!.source])).toEqual([['x1', 'rule'], ['x1', 'roofline'], ['x1', 'rule']]);
    expect(plain.placements[0]!.estimate!.seconds).toBe(3e-9);
    const { session } = plain;
    const product = read(session, text).functions.get('main') as GraphFunction;
    const key = costKey([product.bindings[0]!], session, typicalDims(plain.module));
    expect(key).toMatch(/^nn\.matmul:[0-9a-f]{32}$/);
    // Equal calls have equal keys, whatever the values are called; other shapes have others.
    expect(costKey([product.bindings[2]!], session, new Map())).toBe(key);
    expect(costKey([(read(session, layers(32, 'nn.relu')).functions.get('main') as GraphFunction).bindings[0]!], session, new Map())).not.toBe(key);
    const measured = await split([x1(['nn.relu', seconds(3e-9)]), cpu], text, { costs: { x1: { [key]: 0.5 }, cpu: { [key]: 2e-6 } } });
    expect(measured.placements.map((p) => [p.target, p.estimate!.source])).toEqual([['cpu', 'measured'], ['cpu', 'roofline'], ['cpu', 'measured']]);
    expect(measured.placements[0]!.estimate).toEqual({ seconds: 2e-6, source: 'measured', flops: 2 * 64 ** 3, key });
  });

  it('of a rule that gives no time are the device\'s, with a warning', async () => {
    const bad: Taken = { pattern: op('nn.matmul'), cost: (_, ctx) => ctx.exprs.constant(-1, 'f64') };
    const { session } = await split([x1([bad]), cpu], text);
    expect(session.diagnostics.filter((d) => d.code === 'partition/bad-cost')).toHaveLength(1);
  });

  it('of symbolic shapes are made at typical dims', async () => {
    const symbolic = layers(512, 'nn.relu').replaceAll('f32[512, 512]', 'f32[n, n]');
    const few = await split([x1(['nn.matmul', 'nn.relu']), cpu], `dims n in 1..8${symbolic}`);
    expect([placed(few.placements), few.report.dims]).toEqual(['nn.matmul@cpu nn.relu@cpu nn.matmul@cpu', { n: 8 }]);
    const many = await split([x1(['nn.matmul', 'nn.relu']), cpu], `dims n in 1000..5000${symbolic}`);
    expect([placed(many.placements), many.report.dims]).toEqual(['nn.matmul@x1 nn.relu@x1 nn.matmul@x1', { n: 1000 }]);
  });

  it('of 80 random models add up: operators, launches of the regions cut, copies of the program', async () => {
    const chosen = new Set<string>();
    for (let seed = 1; seed <= 80; seed++) {
      const random = generator(seed);
      const pick = (low: number, high: number): number => low * (high / low) ** random();
      const device = (): Partial<DeviceModel> => ({ bandwidth: pick(1e9, 1e11), launch: { region: pick(1e-8, 1e-5), kernel: 1e-8 }, transfer: { latency: pick(1e-8, 1e-6), bandwidth: 1e11 } });
      const targets: TestTarget[] = [
        { name: 'a', form: 'graph', device: device(), takes: [{ pattern: op('math.add', [op(['math.tanh', 'math.neg']), any()], { commutative: true }) }, 'math.tanh', 'math.exp'] },
        { name: 'b', form: 'graph', device: device(), takes: ['math.neg', 'math.add'] },
        { name: 'host', device: { bandwidth: 1e9 } },
      ];
      const { module, placements, report } = await split(targets, randomText(random), { fallback: 'none' });
      chosen.add(report.chosen);
      const calls = main(module).bindings;
      const place = (callee: string): string => String(graph(module, callee).attrs['target']);
      report.targets.forEach((share) => {
        expect(share.regions).toBe(calls.filter((c) => place(c.callee) === share.target).length);
        expect(share.operators).toBe(placements.filter((p) => p.target === share.target).length);
      });
      // A value is in the memory of every target that touches it; parameters and results are with the host.
      const where = new Map(main(module).params.map((p) => [p, new Set(['host'])]));
      for (const call of calls) {
        for (const r of call.results) where.set(r, new Set([place(call.callee)]));
        for (const a of call.args) where.get(a!)!.add(place(call.callee));
      }
      for (const r of main(module).results) where.get(r)!.add('host');
      let copies = 0;
      for (const places of where.values()) if (places.size > 1) copies += places.size - Number(places.has('host'));
      expect(report.transfers.count, `seed ${seed}`).toBe(copies);
      const sum = report.targets.reduce((total, t) => total + t.seconds, report.transfers.seconds);
      expect(sum).toBeCloseTo(report.totals[report.chosen]!, 12);
      for (const total of Object.values(report.totals)) if (total !== null) expect(report.totals[report.chosen]!).toBeLessThanOrEqual(total * (1 + 1e-9));
    }
    expect(chosen).toContain('cost');
  });
});

/** A chain with some branches, in text form. */
function randomText(random: () => number): string {
  const values = ['x'];
  const lines: string[] = [];
  const value = (): string => values[Math.max(0, values.length - 1 - Math.floor(random() * 4))]!;
  const n = 3 + Math.floor(random() * 14);
  for (let i = 0; i < n; i++) {
    const unary = ['math.tanh', 'math.neg', 'math.exp', 'nn.relu'][Math.floor(random() * 4)]!;
    lines.push(`  %${i}: f32[4096] = ${random() < 0.6 ? `${unary}(%${value()})` : `math.add(%${value()}, %${value()})`}`);
    values.push(String(i));
  }
  return `graph @main(%x: f32[4096]) -> (p: f32[4096], q: f32[4096]) {\n${lines.join('\n')}\n  return %${n - 1}, %${Math.max(0, n - 3)}\n}`;
}

describe('decomposition by cost', () => {
  const nested = definePlugin({ name: 'nested', namespace: 'n' }, () => ({
    ops: [{
      name: 'n.block', doc: 'relu(x·w)', signature: { params: ['x', 'w'], attrs: {}, results: ['y'] },
      facets: {
        infer: (c) => [c.tensor(0)], decompose: ({ args }, b) => [b.call('nn.relu', [b.call('nn.matmul', [args[0]!, args[1]!])])],
        cost: (c) => ({ flops: c.exprs.mul(c.exprs.product([...c.tensor(0).shape, c.tensor(0).shape[1]!]), 2) }),
      },
    }],
  }))();
  const text = (size: number): string => `
graph @main(%x: f32[${size}, ${size}], %w: f32[${size}, ${size}]) -> f32[${size}, ${size}] {
  %0: f32[${size}, ${size}] = n.block(%x, %w)
  return %0
}`;
  const pieces: TestTarget = { ...cpu, takes: ['nn.matmul', 'nn.relu'] };

  it('weighs a whole operator against what the host makes of it', async () => {
    const whole = await split([x1(['n.block']), pieces], text(512), {}, [nested]);
    expect(placed(whole.placements)).toBe('n.block@x1');
    expect(whole.report.totals.host).toBeGreaterThan(whole.report.totals.cost!);
    const apart = await split([x1(['n.block']), pieces], text(4), {}, [nested]);
    expect(placed(apart.placements)).toBe('nn.matmul@cpu nn.relu@cpu');
    expect(apart.report.totals.greedy).toBeGreaterThan(apart.report.totals.cost!);
  });
});

it('times are written in the unit that suits them', () => {
  expect([0, 2e-7, 2e-4, 1.3e-4, 2.346e-3, 0.12, 100].map(inUnits)).toEqual(['0 s', '200 ns', '200 µs', '130 µs', '2.35 ms', '120 ms', '100 s']);
});

describe('what if', () => {
  const chain = (ops: readonly string[]): string => `
graph @main(%x: f32[512, 512], %w: f32[512, 512]) -> f32[512, 512] {
${ops.map((o, i) => `  %${i}: f32[512, 512] = ${o}(%${i === 0 ? 'x' : i - 1}${o === 'nn.matmul' ? ', %w' : ''}) loc("layer ${i}")`).join('\n')}
  return %${ops.length - 1}
}`;

  it('names the operator first that breaks a chain', async () => {
    const { report } = await split([x1(['nn.matmul', 'nn.relu']), cpu], chain(['nn.matmul', 'nn.relu', 'nn.matmul', 'math.tanh', 'nn.matmul', 'nn.relu', 'nn.matmul', 'math.exp']));
    const [first] = report.whatIf;
    expect(first).toMatchObject({ kind: 'operator', target: 'x1', op: 'math.tanh', code: 'partition/no-rule', operators: 1, locs: ['layer 3'] });
    expect(first!.gain).toBeGreaterThan(0);
    expect(first!.seconds + first!.gain).toBeCloseTo(report.totals[report.chosen]!, 12);
    // It is what the same model takes where the target has the rule.
    const supported = await split([x1(['nn.matmul', 'nn.relu', 'math.tanh']), cpu], chain(['nn.matmul', 'nn.relu', 'nn.matmul', 'math.tanh', 'nn.matmul', 'nn.relu', 'nn.matmul', 'math.exp']));
    expect(supported.report.totals.cost).toBeCloseTo(first!.seconds, 12);
    const gains = report.whatIf.map((w) => w.gain);
    expect(gains).toEqual([...gains].sort((a, b) => b - a));
  });

  it('names it also where the break keeps the whole model on the host', async () => {
    const far = { ...fast, transfer: { latency: 2e-3, bandwidth: 1e10 } };
    const { report, placements } = await split([x1(['nn.matmul'], far), cpu], chain(['nn.matmul', 'math.tanh', 'nn.matmul']).replaceAll('512', '256'));
    expect(placements.every((p) => p.target === 'cpu')).toBe(true);
    expect(report.whatIf.map((w) => w.op)).toEqual(['math.tanh']);
  });

  it('names a constraint, where it alone stands in the way', async () => {
    const takes = [
      { pattern: op('nn.matmul', [any('a'), any('b')]), require: [constraint.multipleOf('a', 0, 16)] },
      { pattern: op('math.exp', [any('a')]), require: [constraint.dtype('a', 'i8'), constraint.rank('a', 3)] },
      { pattern: op('math.tanh'), check: () => reject('x1/table', 'the table is full', 'Use another.') },
    ];
    const odd = chain(['math.tanh', 'nn.matmul', 'nn.matmul', 'math.exp']).replaceAll('512', '515');
    const { report } = await split([x1(takes), cpu], odd);
    expect(report.whatIf[0]).toMatchObject({ kind: 'constraint', rule: 'x1/0', op: 'nn.matmul', code: 'constraint/multipleOf', operators: 2, message: 'axis 0 of a must be a multiple of 16; it is not' });
    expect(report.whatIf.map((w) => w.op)).not.toContain('math.exp');
  });

  it('has nothing to say of a model that is where it should be', async () => {
    const { report } = await split([x1(['nn.matmul', 'nn.relu']), cpu], layers(512, 'nn.relu'));
    expect(report.whatIf).toEqual([]);
  });
});

describe('what is required', () => {
  const text = layers(512, 'nn.relu');

  it('is compared with the plan', async () => {
    await expect(split([x1(['nn.matmul']), cpu], text, { require: { x1: { minCoverage: 0.6, maxRegions: 2 } } })).resolves.toBeDefined();
    const coverage = await failure(() => split([x1(['nn.matmul']), cpu], text, { require: { x1: { minCoverage: 0.7 } } }));
    expect(coverage).toMatchObject({ code: 'partition/require', message: 'x1 runs 2 of 3 operators (66.6 %), 70 % are required' });
    expect(coverage.hint).toContain('nn.relu');
    expect(coverage.related.map((d) => d.code)).toEqual(['partition/no-rule', 'partition/report', 'partition/report', 'partition/report']);
    const regions = await failure(() => split([x1(['nn.matmul']), cpu], text, { require: { x1: { maxRegions: 1 } } }));
    expect(regions).toMatchObject({ code: 'partition/require', message: 'x1 has 2 regions, 1 are allowed' });
  });

  it('must be of a target that takes part', async () => {
    expect(await failure(() => split([x1(['nn.matmul']), cpu], text, { require: { x3: { maxRegions: 1 } } }))).toMatchObject({ code: 'partition/unknown-target' });
  });
});

describe('faults in code generation', () => {
  const broken = (codegen: TestTarget['codegen']): TestTarget => ({ ...x1(['nn.matmul']), ...(codegen === undefined ? {} : { codegen }) });
  async function compiled(target: TestTarget, options: Config['partition'] = {}): Promise<Compilation> {
    const config: Config = { plugins: [standardOps(), testTarget(target), testTarget(cpu)], targets: ['x1', 'cpu'], partition: options };
    return compileModule((session) => read(session, layers(512, 'nn.relu')), { config, host });
  }
  const throwing = broken(() => { throw new TenonError({ code: 'x1/full', message: 'no room', hint: 'Make room.' }); });
  const forgetful = broken((regions) => [{
    format: 'x1', formatVersion: 1, bytes: new Uint8Array(), requires: {}, listing: '',
    entries: regions.slice(0, 1).map((r) => ({ region: r.name, symbol: r.name, constants: [], dims: [], runDims: [], workspace: null, kernels: [] })),
  }]);

  it('put the regions on the host, and the placements say so', async () => {
    const { placements, report, diagnostics, manifest } = await compiled(throwing);
    expect(diagnostics.map((d) => d.code)).toEqual(['codegen/failed']);
    expect(placed(placements)).toBe('nn.matmul@cpu nn.relu@cpu nn.matmul@cpu');
    expect(placements[0]).toMatchObject({ rule: 'cpu/0', region: 'region_0_x1_on_cpu', rejected: [{ target: 'x1', rule: 'x1/0', code: 'codegen/failed', hint: 'Make room.' }] });
    expect(report!.targets.map((t) => [t.target, t.operators, t.regions])).toEqual([['x1', 0, 0], ['cpu', 3, 3]]);
    expect(report!.targets[0]!.seconds).toBe(0);
    expect(report!.targets[1]!.seconds).toBeGreaterThan(2 * 2 * 512 ** 3 / 1e10);
    expect(manifest.report.partition).toEqual(report);
    expect(manifest.regions.map((r) => r.variants.length)).toEqual([1, 1, 1]);
  });

  it('may concern one entry', async () => {
    const { placements, diagnostics } = await compiled(forgetful);
    expect(placed(placements)).toBe('nn.matmul@x1 nn.relu@cpu nn.matmul@cpu');
    expect(diagnostics.map((d) => [d.severity, d.code, d.message])).toEqual([['warning', 'codegen/missing-entry', 'x1 generated no code for region_2_x1, so it runs on the host']]);
    expect(placements[2]!.rejected.map((r) => r.code)).toEqual(['codegen/missing-entry']);
  });

  it('are errors where coverage is required', async () => {
    await expect(compiled(broken(undefined), { require: { x1: { minCoverage: 0.5 } } })).resolves.toBeDefined();
    for (const target of [throwing, forgetful]) {
      const error = await failure(() => compiled(target, { require: { x1: { minCoverage: 0.5 } } }));
      expect(error.code).toBe('partition/require');
      expect(error.related.map((d) => d.code)).toContain(target === throwing ? 'codegen/failed' : 'codegen/missing-entry');
    }
  });
});
