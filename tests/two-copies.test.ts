import { beforeAll, describe, expect, it } from 'vitest';
import * as ownPlugin from '@tenon/plugin';
import { diagnosticOf, type GraphFunction, type IRModule, type Plugin } from '@tenon/plugin';
import { compileModule } from '@tenon/compiler';
import * as ownCore from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { cpuC } from '@tenon/target-cpu-c';
import { outputAgreement } from './support/compare.ts';
import { host, load } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { randomTensor } from './support/random.ts';
import { randomGraph } from './support/random-graph.ts';
import { secondCopy, type SecondCopy } from './support/second-copy.ts';

let other: SecondCopy;
beforeAll(async () => {
  other = await secondCopy();
}, 60_000);

const ownSession = () => new ownCore.Session({ config: { plugins: [standardOps()] }, host });
const otherSession = () => new other.core.Session({ config: { plugins: [other.ops.standardOps()] }, host });

describe('two copies of core in one process', () => {
  it('are two copies', () => {
    expect(other.core.Session).not.toBe(ownCore.Session);
    expect(other.plugin.TenonError).not.toBe(ownPlugin.TenonError);
  });

  it('make equal modules, which either reads from text', () => {
    for (let seed = 0; seed < 50; seed++) {
      const options = { calls: 10, symbolic: true };
      const mine = randomGraph(ownSession(), seed, options);
      const theirs = randomGraph(otherSession() as unknown as ownCore.Session, seed, options);
      expect(ownCore.diffModules(mine, theirs)).toBeNull();
      expect(other.core.diffModules(mine, theirs)).toBeNull();
      const text = other.core.printModule(theirs);
      expect(text).toBe(ownCore.printModule(mine));
      const session = ownSession();
      expect(ownCore.diffModules(ownCore.parseModule(text, session.exprs), theirs)).toBeNull();
    }
  });

  it('intern expressions apart, and take in those of the other', () => {
    const [mine, theirs] = [ownSession().exprs, otherSession().exprs];
    const make = (e: ownPlugin.ExprBuilder): ownPlugin.Expr => e.floordiv(e.add(e.mul(e.variable('n'), 4), 3), e.variable('m'));
    const a = make(mine);
    const b = make(theirs);
    expect(a).not.toBe(b);
    expect(mine.intern(b)).toBe(a);
    expect(theirs.intern(a)).toBe(b);
  });

  it('recognise the errors of the other', () => {
    let thrown: unknown;
    try {
      otherSession().fail({ code: 'test/other', message: 'from the other copy' });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).not.toBeInstanceOf(ownPlugin.TenonError);
    expect(diagnosticOf(thrown)?.code).toBe('test/other');
  });

  it('compile with plugins of the other to the same bytes, which run', async () => {
    const make = (session: ownCore.Session): IRModule => randomGraph(session, 7, { calls: 12, symbolic: true, continuous: true });
    const compiled = (ops: Plugin) => compileModule(make, { config: { plugins: [ops, cpuC()], targets: ['cpu-c'], verify: 'pass' }, host });
    const [mine, theirs] = [await compiled(standardOps()), await compiled(other.ops.standardOps())];
    const bytes = Buffer.from(await theirs.toBytes());
    expect(bytes.equals(Buffer.from(await mine.toBytes()))).toBe(true);
    mine.dispose();

    const session = otherSession();
    const module = make(session as unknown as ownCore.Session);
    const main = module.functions.get('main') as GraphFunction;
    const random = generator(1);
    const dims = new Map(['n', 'm'].map((name, i) => [name, session.exprs.int(3 + i)]));
    const inputs = main.params.map((p) => {
      const shape = p.type.kind === 'tensor' ? p.type.shape.map((d) => session.exprs.valueOf(session.exprs.substitute(d, dims))!) : [];
      return randomTensor(random, 'f32', shape, [-1, 1]);
    });
    const want = await evaluateGraph(module, main, inputs, session);
    const runnable = await load(theirs);
    const got = await runnable.run(inputs);
    want.forEach((w, i) => {
      const { error, problem } = outputAgreement(got[i]!, w);
      expect(problem).toBeNull();
      expect(error).toBeLessThan(1e-4);
    });
    runnable.dispose();
  }, 60_000);

  it('run sessions side by side without sharing anything', () => {
    const sessions = [ownSession(), otherSession() as unknown as ownCore.Session, ownSession()];
    const modules = sessions.map((s) => randomGraph(s, 3, { calls: 8, symbolic: true }));
    const nodes = modules.map((m) => new Set([...m.functions.values()].flatMap((f) => (f.kind === 'graph' ? f.params.flatMap((p) => (p.type.kind === 'tensor' ? p.type.shape : [])) : []))));
    expect([...nodes[0]!].some((e) => nodes[1]!.has(e) || nodes[2]!.has(e))).toBe(false);
    sessions[0]!.report({ code: 'test/note', message: 'only here' });
    expect(sessions.map((s) => s.diagnostics.length)).toEqual([1, 0, 0]);
  });
});
