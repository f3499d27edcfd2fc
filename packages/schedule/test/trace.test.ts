import { diagnosticOf, type Diagnostic } from '@tenon/plugin';
import { createExprs, equalFunctions, printFunction, type Exprs } from '@tenon/core';
import { describe, expect, it } from 'vitest';
import { parseTrace, primitives, printTrace, replay, Schedule, type Trace } from '../src/index.ts';
import { Random } from '../../../tests/support/generator.ts';
import { randomFunction } from './random-function.ts';
import { attempts, partsOf } from './random-primitive.ts';
import { chain, matmul, tensorFunction } from './support.ts';

function tiled(exprs: Exprs, choices: ReadonlyMap<string, number> = new Map()): Schedule {
  const s = new Schedule(tensorFunction(matmul, exprs), exprs, { verify: true, choices });
  const width = s.sample('width', [2, 4, 8], 4);
  const [ko, ki] = s.split('k', [null, width]);
  s.reorder(ko!, 'j', ki!);
  s.choose('unrolled', [true, false], true);
  s.unroll(ki!);
  s.transformLayout(s.cacheRead('mm', 'B', 'global').buffer, (k, j) => [j!, k!]);
  s.annotate({ loop: 'i' }, 'grain', [1, { threads: 2 }]);
  s.decomposeReduction('mm', ko!);
  return s;
}
const failure = (run: () => unknown): Diagnostic => {
  try {
    run();
  } catch (error) {
    const found = diagnosticOf(error);
    if (found !== null) return found;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('trace', () => {
  it('prints a step a line', () => {
    expect(printTrace(tiled(createExprs()).trace)).toBe(`width = choose([2, 4, 8]) = 4
k_0, k_1 = split(loop=k, factors=[null, width], tail="predicate")
reorder(loops=[k_0, j, k_1])
unrolled = choose([true, false]) = true
unroll(loop=k_1)
B_global_copy, B_global = cache_read(block=mm, buffer=B, scope="global")
transform_layout(buffer=B_global, map={inputs: ["index_0", "index_1"], outputs: [(index_1), (index_0)]})
annotate(loop=i, key="grain", value=[1, {threads: 2}])
mm_init = decompose_reduction(block=mm, loop=k_0)
`);
  });

  it('is data, and does the same again in another session', () => {
    const s = tiled(createExprs());
    const trace = parseTrace(JSON.parse(JSON.stringify(s.trace)));
    const other = createExprs();
    const again = replay(trace, tensorFunction(matmul, other), other);
    expect(printFunction(again.fn)).toBe(printFunction(s.fn));
    expect(again.trace).toEqual(s.trace);
  });

  it('replays with another choice', () => {
    const exprs = createExprs();
    const { trace } = tiled(exprs);
    const wide = replay(trace, tensorFunction(matmul, exprs), exprs, { choices: new Map([['width', 8]]) });
    expect(equalFunctions(wide.fn, tiled(exprs, new Map([['width', 8]])).fn)).toBe(true);
    expect(equalFunctions(wide.fn, tiled(exprs).fn)).toBe(false);
    expect(printTrace(wide.trace)).toContain('width = choose([2, 4, 8]) = 8');
  });

  it('follows names where steps give others', () => {
    const exprs = createExprs();
    const s = new Schedule(tensorFunction(chain, exprs), exprs);
    s.split('i', [null, 2]);
    const renamed = JSON.parse(JSON.stringify(s.trace).replaceAll('i_0', 'outer')) as Trace;
    const follow: Trace = { version: 1, steps: [...renamed.steps, { primitive: 'parallel', args: { loop: { loop: 'outer' } }, results: [] }] };
    expect(printFunction(replay(follow, tensorFunction(chain, exprs), exprs).fn)).toContain('i_0: parallel');
  });

  it('refuses what is no trace, other functions, unknown choices and values', () => {
    const exprs = createExprs();
    const { trace } = tiled(exprs);
    const fn = tensorFunction(matmul, exprs);
    expect(failure(() => parseTrace({ version: 2, steps: [] })).code).toBe('schedule/trace');
    expect(failure(() => parseTrace({ version: 1, steps: [{ primitive: 'split', args: { loop: { what: 'i' } }, results: [] }] })).message).toContain('step 0');
    expect(failure(() => parseTrace(null)).code).toBe('schedule/trace');
    expect(failure(() => replay(trace, tensorFunction(chain, exprs), exprs)).code).toBe('schedule/not-nested');
    expect(failure(() => replay(trace, fn, exprs, { choices: new Map([['width', 3]]) }))).toMatchObject({ code: 'schedule/choice', message: '3 is not among the values of width: 2, 4, 8' });
    expect(failure(() => replay(trace, fn, exprs, { choices: new Map([['height', 3]]) })).message).toBe('the trace makes no choice height');
    expect(failure(() => replay({ version: 1, steps: [{ primitive: 'warp', args: {}, results: [] }] }, fn, exprs)).code).toBe('schedule/unknown-primitive');
    expect(failure(() => new Schedule(fn, exprs).choose('a', [1], 2)).code).toBe('schedule/choice');
  });

  it('of random schedules does the same again', () => {
    for (let seed = 500; seed < 540; seed++) {
      const random = new Random(seed);
      const exprs = createExprs();
      const { fn } = randomFunction(random, exprs);
      const s = new Schedule(fn, exprs);
      for (let k = 0; k < 12; k++) {
        const parts = partsOf(s.fn);
        if (parts.loops.length === 0) break;
        try {
          attempts[random.pick(Object.keys(attempts))]!(s, random, parts, exprs);
        } catch (error) {
          if (diagnosticOf(error) === null) throw error;
        }
      }
      const again = replay(parseTrace(JSON.parse(JSON.stringify(s.trace))), fn, exprs);
      expect(printFunction(again.fn), `seed ${seed}`).toBe(printFunction(s.fn));
    }
  });
});

describe('primitives', () => {
  it('are at least thirty, questions apart', () => {
    expect(Object.keys(primitives).filter((name) => !name.startsWith('get_')).length).toBeGreaterThanOrEqual(30);
  });
});
