import { describe, expect, it } from 'vitest';
import { definePlugin, type Config, type IRModule, type Pass } from '@tenon/plugin';
import { failure, host, read, testSession } from '../../test/harness.ts';
import { PassManager, type PassManagerOptions } from './manager.ts';

const text = `
graph @main(%x: f32[4]) -> f32[4] {
  %0: f32[4] = t.neg(%x)
  return %0
}`;

/** Passes that note when they run. */
function noted(config: Config = {}, options: PassManagerOptions = {}) {
  const ran: string[] = [];
  const pass = (name: string, more: Partial<Pass> = {}): Pass => ({ name, phase: 'canonicalize', doc: '', run: (m) => { ran.push(name); return m; }, ...more });
  const run = async (passes: readonly Pass[], phase: Pass['phase'] = 'canonicalize', target: string | null = null): Promise<string[]> => {
    const session = testSession(config);
    const manager = new PassManager(session, passes, options);
    await manager.run(phase, read(session, text), target === null ? null : { name: target, form: 'graph', options: {}, device: {} as never });
    return ran.splice(0);
  };
  return { pass, run };
}

describe('the order of passes', () => {
  it('is by before and after, then by name, whatever the order of registration', async () => {
    const { pass, run } = noted();
    const passes = [pass('a', { after: ['z'] }), pass('m'), pass('z'), pass('b', { before: ['a', 'absent'], after: ['nobody'] })];
    expect(await run(passes)).toEqual(['b', 'm', 'z', 'a']);
    expect(await run([...passes].reverse())).toEqual(['b', 'm', 'z', 'a']);
  });

  it('keeps to phases and targets', async () => {
    const { pass, run } = noted();
    const passes = [pass('a'), pass('b', { phase: 'fuse' }), pass('c', { phase: 'fuse', targets: ['npu'] })];
    expect(await run(passes)).toEqual(['a']);
    expect(await run(passes, 'fuse', 'npu')).toEqual(['b', 'c']);
    expect(await run(passes, 'fuse', 'cpu')).toEqual(['b']);
  });

  it('may not have a cycle, nor a name twice', async () => {
    const { pass, run } = noted();
    expect(await failure(() => run([pass('a', { after: ['b'] }), pass('b', { after: ['a'] }), pass('c')]))).toMatchObject({ code: 'pass/cycle', message: expect.stringContaining('a, b') as string });
    expect(await failure(() => run([pass('a'), pass('a')]))).toMatchObject({ code: 'pass/duplicate' });
    const named = definePlugin({ name: 'p', namespace: 'p' }, () => ({ passes: [pass('a')] }))();
    expect(await failure(() => noted({ plugins: [named] }).run([pass('a')]))).toMatchObject({ code: 'pass/duplicate' });
  });
});

describe('the configuration', () => {
  const base = noted().pass;
  it('disables, inserts and replaces passes', async () => {
    const { pass } = noted();
    const given = (passes: Config['passes']) => noted(passes === undefined ? {} : { passes });
    const disabled = given({ disable: ['b'] });
    expect(await disabled.run([disabled.pass('a'), disabled.pass('b')])).toEqual(['a']);
    expect(pass('x').name).toBe('x');

    const ran: string[] = [];
    const mine: Pass = { ...base('mine'), run: (m) => { ran.push('mine'); return m; } };
    const between = given({ insert: [{ pass: mine, after: 'z', before: 'y' }] });
    const before = await between.run([between.pass('z'), between.pass('y', { run: (m) => { ran.push('y'); return m; } })]);
    expect([before, ran]).toEqual([['z'], ['mine', 'y']]);
  });

  it('lets a replacement stand where the pass stood, whatever its name', async () => {
    const order: string[] = [];
    const note = (name: string, more: Partial<Pass> = {}): Pass => ({ ...base(name), run: (m) => { order.push(name); return m; }, ...more });
    const session = testSession({ passes: { replace: { first: note('zz-mine') } } });
    const manager = new PassManager(session, [note('first', { before: ['b'] }), note('b'), note('a', { after: ['first'] })]);
    await manager.run('canonicalize', read(session, text), null);
    expect(order).toEqual(['zz-mine', 'a', 'b']);
  });

  it('suggests names for misspelt passes', async () => {
    for (const passes of [{ disable: ['fold-constnats'] }, { replace: { 'fold-constnats': base('x') } }, { insert: [{ pass: base('x'), after: 'fold-constnats' }] }]) {
      const { pass, run } = noted({ passes });
      expect(await failure(() => run([pass('fold-constants'), pass('dead-code')]))).toMatchObject({ code: 'config/unknown-pass', hint: 'Did you mean fold-constants?' });
    }
    const { pass, run } = noted({ passes: { disable: ['qwertyuiop'] } });
    expect(await failure(() => run([pass('b'), pass('a')]))).toMatchObject({ hint: 'Passes: a, b' });
  });

  it('refuses to insert a pass after one of a later phase', async () => {
    const { pass, run } = noted({ passes: { insert: [{ pass: base('mine'), after: 'fuse-it' }] } });
    expect(await failure(() => run([pass('fuse-it', { phase: 'fuse' })]))).toMatchObject({ code: 'config/pass-order' });
    const later = noted({ passes: { insert: [{ pass: base('mine'), before: 'fuse-it' }] } });
    expect(await later.run([later.pass('fuse-it', { phase: 'fuse' })], 'fuse')).toEqual(['fuse-it']);
  });
});

describe('a run', () => {
  const neg = (m: IRModule): IRModule => ({ ...m, functions: new Map(m.functions) });
  const broken = (m: IRModule): IRModule => {
    const fn = m.functions.get('main')!;
    return fn.kind !== 'graph' ? m : { ...m, functions: new Map(m.functions).set('main', { ...fn, results: [{ ...fn.results[0]!, name: 'nowhere' }] }) };
  };
  const mended = (m: IRModule): IRModule => {
    const fn = m.functions.get('main')!;
    return fn.kind !== 'graph' ? m : { ...m, functions: new Map(m.functions).set('main', { ...fn, results: fn.params }) };
  };

  it('records each pass, its time, and whether it changed anything', async () => {
    let clock = 0;
    const session = testSession({}, { host: { ...host, now: () => (clock += 5) } });
    const { pass } = noted();
    const seen: unknown[] = [];
    session.hooks.beforePass.tap('test', (p) => void seen.push(`before ${p.name}`));
    session.hooks.afterPass.tap('test', (p, _module, changed, ms) => void seen.push([p.name, changed, ms]));
    const manager = new PassManager(session, [pass('a'), pass('b', { run: neg })]);
    await manager.run('canonicalize', read(session, text), null);
    expect(manager.records).toEqual([
      { pass: 'a', phase: 'canonicalize', target: null, milliseconds: 5, changed: false }, { pass: 'b', phase: 'canonicalize', target: null, milliseconds: 5, changed: true },
    ]);
    expect(seen).toEqual(['before a', ['a', false, 5], 'before b', ['b', true, 5]]);
    expect(manager.passes('canonicalize').map((p) => p.name)).toEqual(['a', 'b']);
    expect(manager.passes('link')).toEqual([]);
  });

  it('finds the pass that breaks a module, at the phase or at once', async () => {
    for (const [verify, message] of [['phase', 'after phase canonicalize'], ['pass', 'after breaks']] as const) {
      const { pass, run } = noted({ verify });
      const error = await failure(() => run([pass('breaks', { run: broken })]));
      expect(error.message).toContain(message);
      expect(error.related.length).toBeGreaterThan(0);
      expect(error.code).toMatch(/^verify\//);
    }
    const off = noted({ verify: 'off' });
    await off.run([off.pass('breaks', { run: broken })]);
    // A module that a later pass mends is well-formed at the end of the phase.
    const passes = (p: ReturnType<typeof noted>['pass']) => [p('breaks', { run: broken }), p('mends', { run: mended })];
    const atEnd = noted({ verify: 'phase' });
    await atEnd.run(passes(atEnd.pass));
    const atOnce = noted({ verify: 'pass' });
    expect((await failure(() => atOnce.run(passes(atOnce.pass)))).message).toContain('after breaks');
  });

  it('prints after the passes named', async () => {
    const printed: string[] = [];
    const onPrint: NonNullable<PassManagerOptions['onPrint']> = (p, target) => void printed.push(`${p.name} ${target}`);
    const one = noted({ printAfter: ['b'] }, { onPrint });
    await one.run([one.pass('a'), one.pass('b')]);
    const all = noted({ printAfter: ['*'] }, { onPrint });
    await all.run([all.pass('a'), all.pass('b')]);
    expect(printed).toEqual(['b null', 'a null', 'b null']);
  });

  it('gives passes the session, the target and the configuration', async () => {
    const session = testSession({ foldLimit: 7 });
    const { pass } = noted();
    let seen: unknown = null;
    const manager = new PassManager(session, [pass('a', { phase: 'fuse', run: (m, ctx) => { seen = [ctx.target?.name, ctx.config.foldLimit, ctx.exprs === session.exprs, ctx.operator('t.neg')?.name, ctx.diagnostics]; return m; } })]);
    await manager.run('fuse', read(session, text), { name: 'npu', form: 'graph', options: {}, device: {} as never });
    expect(seen).toEqual(['npu', 7, true, 't.neg', []]);
  });

  it('waits for passes, and stops between them', async () => {
    const controller = new AbortController();
    const session = testSession({}, { signal: controller.signal });
    const { pass } = noted();
    let after = false;
    const manager = new PassManager(session, [
      pass('a', { run: async (m) => { await Promise.resolve(); controller.abort(new Error('enough')); return m; } }), pass('b', { run: (m) => { after = true; return m; } }),
    ]);
    expect(await failure(() => manager.run('canonicalize', read(session, text), null))).toMatchObject({ code: 'session/aborted', message: 'stopped during b' });
    expect(after).toBe(false);
  });
});
