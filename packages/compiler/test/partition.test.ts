import { describe, expect, it } from 'vitest';
import {
  accept, any, constraint, definePlugin, op, reject,
  type Binding, type Config, type GraphFunction, type IRModule, type Placement, type Value,
} from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { cutRegions } from '../src/partition/regions.ts';
import type { Claim } from '../src/partition/claim.ts';
import { partition } from '../src/partition/partition.ts';
import { generator } from '../../../tests/support/generator.ts';
import { failure, graph, main, read, testSession, testTarget, type TestTarget } from './harness.ts';

/** Partitions a module in text form over test targets; the last is the host. */
async function split(targets: readonly TestTarget[], text: string, config: Config = {}): Promise<{ module: IRModule; placements: readonly Placement[]; session: Session }> {
  const session = testSession({ ...config, partition: { strategy: 'greedy', ...config.partition }, plugins: [...(config.plugins ?? []), ...targets.map(testTarget)] });
  const resolved = await Promise.all(targets.map((t) => session.resolveTarget(t.name, {})));
  return { ...partition(read(session, text), session, resolved), session };
}

/** Operator → target, in program order. */
const placed = (placements: readonly Placement[]): string => placements.map((p) => `${p.op}@${p.target}`).join(' ');
const regionsOf = (module: IRModule): string[] =>
  main(module).bindings.map((b) => `${b.callee}: ${graph(module, b.callee).bindings.map((x) => x.callee).join(' ')}`);

describe('claims', () => {
  const chain = `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = math.tanh(%x)
  %1: f32[4] = math.neg(%0)
  %2: f32[4] = math.exp(%1)
  return %2
}`;

  it('give an operator to the first target that takes it', async () => {
    const { placements, module } = await split([{ name: 'a', form: 'graph', takes: ['math.neg'] }, { name: 'b', form: 'graph', takes: ['math.neg', 'math.exp'] }, { name: 'host' }], chain);
    expect(placed(placements)).toBe('math.tanh@host math.neg@a math.exp@b');
    expect(placements[1]).toMatchObject({ region: 'region_1_a', results: ['1'], rule: 'a/0' });
    expect(placements[0]!.rejected.map((r) => [r.target, r.code])).toEqual([['a', 'partition/no-rule'], ['b', 'partition/no-rule']]);
    expect(regionsOf(module)).toEqual(['region_0_host: math.tanh', 'region_1_a: math.neg', 'region_2_b: math.exp']);
  });

  it('prefer larger patterns, and named operators to any', async () => {
    const takes = ['*', 'math.neg', { id: 'a/pair', pattern: op('math.neg', [op('math.tanh')]) }] as const;
    const { placements } = await split([{ name: 'a', form: 'graph', takes }, { name: 'host' }], chain);
    expect(placements.map((p) => p.rule)).toEqual(['a/pair', 'a/pair', 'a/0']);
  });

  it('state why every other target did not take the operator', async () => {
    const { placements } = await split([
      {
        name: 'a', form: 'graph',
        takes: [
          { pattern: op('math.exp', [op('math.tanh')]) },
          { pattern: op('math.neg', null, { name: 'y' }), require: [constraint.dtype('y', 'f16', 'f64')] },
          { pattern: op('math.tanh'), check: () => reject('a/busy', 'not today', 'come again') },
        ],
      },
      { name: 'host' },
    ], chain);
    expect(placements.map((p) => p.rejected)).toEqual([
      [{ target: 'a', rule: 'a/2', code: 'a/busy', message: 'not today', hint: 'come again' }],
      [{ target: 'a', rule: 'a/1', code: 'constraint/dtype', message: 'the dtype of y must be f16 or f64; it is f32', hint: null }],
      [{ target: 'a', rule: 'a/0', code: 'partition/pattern', message: 'the operators around math.exp do not match the rule\'s pattern', hint: null }],
    ]);
  });

  it('turn what holds only for some dims into guards, except on the host', async () => {
    const text = `
dims n in 1..100
graph @main(%x: f32[n]) -> f32[n] {
  %0: f32[n] = math.tanh(%x)
  return %0
}`;
    const takes = [{ pattern: op('math.tanh', [any('x')]), require: [constraint.multipleOf('x', 0, 8)] }];
    const { module, session } = await split([{ name: 'a', form: 'graph', takes }, { name: 'host' }], text);
    const n = session.exprs.variable('n');
    expect(graph(module, 'region_0_a').attrs).toMatchObject({ target: 'a', guards: [session.exprs.eq(session.exprs.mod(n, 8), 0)] });
    // The variant for the host runs where the guard is false.
    expect(graph(module, 'region_0_a_on_host').attrs).toEqual({ target: 'host', variantOf: 'region_0_a' });
    expect(await failure(() => split([{ name: 'host', takes }], text))).toMatchObject({
      code: 'partition/unsupported', related: [{ code: 'constraint/unproved', op: 'math.tanh' }],
    });
    // A proof needs no guard.
    const proved = await split([{ name: 'a', form: 'graph', takes }, { name: 'host' }], text.replace('1..100', '8..96, n % 8 == 0'));
    expect(graph(proved.module, 'region_0_a').attrs['guards']).toBeUndefined();
  });

  it('do not take an operator twice', async () => {
    const { placements } = await split([
      { name: 'a', form: 'graph', takes: [{ pattern: op('math.neg', [op('math.tanh')]) }] },
      { name: 'b', form: 'graph', takes: [{ pattern: op('math.exp', [op('math.neg')]) }, 'math.exp'] },
      { name: 'host' },
    ], chain);
    expect(placed(placements)).toBe('math.tanh@a math.neg@a math.exp@b');
    expect(placements[2]!.rule).toBe('b/1');
  });

  it('offer everything to the host alone under the strategy host', async () => {
    const { placements } = await split([{ name: 'a', form: 'graph' }, { name: 'host' }], chain, { partition: { strategy: 'host' } });
    expect(placed(placements)).toBe('math.tanh@host math.neg@host math.exp@host');
  });
});

describe('decomposition while partitioning', () => {
  const nested = definePlugin({ name: 'nested', namespace: 'n' }, () => ({
    ops: [
      { name: 'n.outer', doc: 'tanh(inner)', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)], decompose: ({ args }, b) => [b.call('math.tanh', [b.call('n.inner', [args[0]!])])] } },
      { name: 'n.inner', doc: 'neg(exp)', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)], decompose: ({ args }, b) => [b.call('math.neg', [b.call('math.exp', [args[0]!])])] } },
      { name: 'n.endless', doc: 'itself', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)], decompose: ({ args }, b) => [b.call('n.endless', [args[0]!])] } },
    ],
  }))();
  const plain = ['math.tanh', 'math.neg', 'math.exp'];
  const text = `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = n.outer(%x) loc("block")
  return %0
}`;

  it('offers the highest level first', async () => {
    const whole = await split([{ name: 'a', form: 'graph', takes: ['n.outer', 'n.inner'] }, { name: 'host', takes: plain }], text, { plugins: [nested], partition: { fallback: 'none' } });
    expect(placed(whole.placements)).toBe('n.outer@a');
    const part = await split([{ name: 'a', form: 'graph', takes: ['n.inner'] }, { name: 'host', takes: plain }], text, { plugins: [nested], partition: { fallback: 'none' } });
    expect(placed(part.placements)).toBe('n.inner@a math.tanh@host');
    const none = await split([{ name: 'a', form: 'graph', takes: ['math.sin'] }, { name: 'host', takes: plain }], text, { plugins: [nested] });
    expect(placed(none.placements)).toBe('math.exp@host math.neg@host math.tanh@host');
    expect(none.placements.map((p) => p.loc)).toEqual(['block', 'block', 'block']);
  });

  it('ends where a decomposition does not', async () => {
    const endless = text.replace('n.outer', 'n.endless');
    expect(await failure(() => split([{ name: 'host', takes: plain }], endless, { plugins: [nested] }))).toMatchObject({ code: 'partition/unsupported', related: [{ op: 'n.endless', loc: 'block' }] });
  });

  it('lists every unsupported operator at once, with counts and places', async () => {
    const error = await failure(() => split([{ name: 'host', takes: ['math.exp'] }], `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = math.tanh(%x) loc("one")
  %1: f32[4] = math.neg(%0) loc("two")
  %2: f32[4] = math.tanh(%1) loc("three")
  return %2
}`));
    expect(error.code).toBe('partition/unsupported');
    expect(error.related.map((d) => d.message)).toEqual([
      'math.tanh × 2 (one, three): host has no rule for math.tanh', 'math.neg × 1 (two): host has no rule for math.neg',
    ]);
  });
});

describe('variants for the host', () => {
  const strange = definePlugin({ name: 'strange', namespace: 's' }, () => ({
    ops: [{ name: 's.magic', doc: 'Only an accelerator knows.', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)] } }],
  }))();
  const text = `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = s.magic(%x)
  %1: f32[4] = math.neg(%0)
  return %1
}`;

  it('are left out where the host cannot take the operators, and the build says so', async () => {
    const { module, session, placements } = await split([{ name: 'a', form: 'graph', takes: ['s.magic'] }, { name: 'host', takes: ['math.neg'] }], text, { plugins: [strange] });
    expect(placed(placements)).toBe('s.magic@a math.neg@host');
    expect([...module.functions.keys()].sort()).toEqual(['main', 'region_0_a', 'region_1_host']);
    expect(session.diagnostics.map((d) => [d.severity, d.code])).toEqual([['note', 'partition/no-variant']]);
  });

  it('are decomposed as far as the host needs', async () => {
    const composed = definePlugin({ name: 'composed', namespace: 's' }, () => ({
      ops: [{ name: 's.magic', doc: '-exp', signature: { params: ['x'], attrs: {}, results: ['y'] }, facets: { infer: (c) => [c.tensor(0)], decompose: ({ args }, b) => [b.call('math.neg', [b.call('math.exp', [args[0]!])])] } }],
    }))();
    const { module } = await split([{ name: 'a', form: 'graph', takes: ['s.magic'] }, { name: 'host', takes: ['math.neg', 'math.exp'] }], text, { plugins: [composed] });
    expect(graph(module, 'region_0_a').bindings.map((b) => b.callee)).toEqual(['s.magic']);
    expect(graph(module, 'region_0_a_on_host').bindings.map((b) => b.callee)).toEqual(['math.exp', 'math.neg']);
  });

  it('are not made under fallback none', async () => {
    const { module, session } = await split([{ name: 'a', form: 'graph', takes: ['math.neg'] }, { name: 'host' }], text.replace('s.magic', 'math.exp'), { partition: { fallback: 'none' } });
    expect([...module.functions.keys()].sort()).toEqual(['main', 'region_0_host', 'region_1_a']);
    expect(session.diagnostics).toEqual([]);
  });
});

describe('regions', () => {
  it('keep a match together although its operators could run at different stages', async () => {
    // neg(tanh(x)) is one match; what it adds to comes through the host.
    const { module } = await split([{ name: 'a', form: 'graph', takes: [{ pattern: op('math.add', [op('math.tanh'), any()]) }, 'math.tanh'] }, { name: 'host', takes: ['math.exp', 'math.add'] }], `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = math.tanh(%x)
  %1: f32[4] = math.exp(%x)
  %2: f32[4] = math.add(%0, %1)
  return %2
}`, { partition: { fallback: 'none' } });
    expect(regionsOf(module)).toEqual(['region_0_host: math.exp', 'region_1_a: math.tanh math.add']);
  });

  it('pass what others need, in order, once', async () => {
    const { module } = await split([{ name: 'a', form: 'graph', takes: ['math.neg'] }, { name: 'host' }], `
graph @main(%x: f32[4], %y: f32[4]) -> (p: f32[4], q: f32[4], r: f32[4]) {
  %0: f32[4] = math.tanh(%y)
  %1: f32[4] = math.neg(%0)
  %2: f32[4] = math.add(%0, %1)
  %3: f32[4] = math.add(%2, %x)
  return %0, %3, %y
}`, { partition: { fallback: 'none' } });
    const calls = main(module).bindings.map((b) => `${b.results.map((r) => r.name)} = ${b.callee}(${b.args.map((a) => a!.name)})`);
    expect(calls).toEqual(['0 = region_0_host(y)', '1 = region_1_a(0)', '3 = region_2_host(0,1,x)']);
    expect(main(module).results.map((r) => r.name)).toEqual(['0', '3', 'y']);
  });

  it('of 300 random graphs with random labels are convex, and their order is acyclic', () => {
    const session = testSession();
    const order = ['a', 'b', 'c'];
    let regions = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const random = generator(seed);
      const fn = randomGraph(session, random);
      const labels = randomClaims(fn, random, order);
      const cut = cutRegions(fn, labels, order);
      regions += cut.length;
      expect(cut.flatMap((r) => r.bindings).length).toBe(fn.bindings.length);
      const position = new Map<Value, number>();
      const at = new Map<Binding, number>();
      cut.forEach((region, i) => {
        for (const b of region.bindings) {
          at.set(b, i);
          expect(labels.get(b)!.target).toBe(region.target);
        }
      });
      // Every edge leads to the same region or a later one: then the regions in order are a valid program, and no path
      // that leaves a region comes back to it.
      for (const b of fn.bindings) for (const r of b.results) position.set(r, at.get(b)!);
      for (const b of fn.bindings) for (const arg of b.args) if (arg !== null && position.has(arg)) expect(position.get(arg)!).toBeLessThanOrEqual(at.get(b)!);
      for (const claim of new Set(labels.values())) expect(new Set(claim.bindings.map((b) => at.get(b))).size, `seed ${seed}: a match is cut`).toBe(1);
    }
    expect(regions).toBeGreaterThan(1000);
  });

  it('of random models with pattern rules are valid programs', async () => {
    let joint = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = generator(seed);
      const targets: TestTarget[] = [
        { name: 'a', form: 'graph', takes: [{ pattern: op('math.add', [op(['math.tanh', 'math.neg']), any()], { commutative: true }) }, { pattern: op('math.neg', [op('math.tanh', [op('math.add')])]) }] },
        { name: 'b', form: 'graph', takes: ['math.tanh'] },
        { name: 'host', takes: ['*'] },
      ];
      const session = testSession({ plugins: targets.map(testTarget), partition: { fallback: 'none' } });
      const built = session.module();
      built.add(randomGraph(session, random));
      const { module } = partition(built.finish(), session, await Promise.all(targets.map((t) => session.resolveTarget(t.name, {}))));
      const defined = new Set<Value>(main(module).params);
      for (const call of main(module).bindings) {
        for (const arg of call.args) expect(defined.has(arg!), `seed ${seed}: %${arg!.name} before its definition`).toBe(true);
        for (const r of call.results) defined.add(r);
        const region = graph(module, call.callee);
        const inside = new Set<Value>(region.params);
        for (const b of region.bindings) {
          for (const arg of b.args) expect(inside.has(arg!)).toBe(true);
          for (const r of b.results) inside.add(r);
        }
        const matches = (region.attrs['matches'] ?? []) as readonly { results: readonly string[] }[];
        joint += matches.filter((m) => m.results.length > 1).length;
      }
      for (const r of main(module).results) expect(defined.has(r)).toBe(true);
    }
    expect(joint).toBeGreaterThan(30);
  });
});

/** A random graph of unary and binary operators on vectors. */
function randomGraph(session: Session, random: () => number): GraphFunction {
  const b = session.module().graph('main', [{ name: 'x', type: session.types.tensor('f32', [4]) }]);
  const values = [...b.params];
  const value = (): Value => values[Math.floor((random() < 0.6 ? Math.max(0, 1 - random() * 0.3) : random()) * (values.length - 0.001))]!;
  const size = 3 + Math.floor(random() * 25);
  for (let i = 0; i < size; i++) {
    values.push(random() < 0.5 ? b.call(['math.tanh', 'math.neg', 'math.exp'][Math.floor(random() * 3)]!, [value()]) : b.call('math.add', [value(), value()]));
  }
  return b.finish([values.at(-1)!, value()]);
}

/** Labels at random; some bindings share a match with the producer of their first argument, where that stays convex. */
function randomClaims(fn: GraphFunction, random: () => number, targets: readonly string[]): Map<Binding, Claim> {
  const labels = new Map<Binding, Claim>();
  const producer = new Map<Value, Binding>();
  const uses = new Map<Value, number>();
  for (const b of fn.bindings) {
    for (const r of b.results) producer.set(r, b);
    for (const a of b.args) uses.set(a!, (uses.get(a!) ?? 0) + 1);
  }
  for (const r of fn.results) uses.set(r, (uses.get(r) ?? 0) + 1);
  for (const b of [...fn.bindings].reverse()) {
    if (labels.has(b)) continue;
    const first = b.args[0]!;
    const inner = producer.get(first);
    const joins = random() < 0.3 && inner !== undefined && uses.get(first) === 1;
    const claim: Claim = { target: targets[Math.floor(random() * targets.length)]!, rule: 'random', guards: [], bindings: joins ? [b, inner] : [b] };
    for (const member of claim.bindings) labels.set(member, claim);
  }
  return labels;
}

it('a rule may accept under guards of its own', async () => {
  const { module, session } = await split([
    { name: 'a', form: 'graph', takes: [{ pattern: op('math.tanh', [any('x')]), check: (_, ctx) => accept([ctx.exprs.lt(ctx.exprs.variable('n'), 50)]) }] },
    { name: 'host' },
  ], `
dims n in 1..100
graph @main(%x: f32[n]) -> f32[n] {
  %0: f32[n] = math.tanh(%x)
  return %0
}`);
  expect(graph(module, 'region_0_a').attrs['guards']).toEqual([session.exprs.lt(session.exprs.variable('n'), 50)]);
});
