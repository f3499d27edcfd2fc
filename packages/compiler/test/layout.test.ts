import { describe, expect, it } from 'vitest';
import { definePlugin, type IRModule, type Plugin, type ScheduleRule, type TensorFunction } from '@tenon/plugin';
import { parseModule, printExpr, printModule, type Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { layoutPass } from '../src/layout/layout.ts';
import { generator } from '../../../tests/support/generator.ts';
import { expectModule, failure, floats, kernels, main, read, runPass, testSession, testTarget } from './harness.ts';

type Wishes = { readonly [buffer: string]: readonly number[] } | null;

/** A rule of the target that wants its kernels' buffers in an order; kernels are told apart by name. */
function rule(id: string, wishes: (fn: TensorFunction) => Wishes, specificity = 1): ScheduleRule {
  return { id: `k/${id}`, target: 'k', specificity, doc: 'A rule of a test.', require: [], apply: (fn) => fn, layouts: wishes };
}
const rules = (...schedules: readonly ScheduleRule[]): Plugin => definePlugin({ name: 'wishes', namespace: 'w' }, () => ({ schedules }))();
const last: readonly number[] = [1, 0];

async function assigned(text: string, ...schedules: readonly ScheduleRule[]): Promise<{ before: IRModule; module: IRModule; session: Session }> {
  const session = testSession({ plugins: [testTarget({ name: 'k' }), rules(...schedules)] });
  const before = read(session, text);
  const module = await runPass(session, layoutPass(session, []), before, await session.resolveTarget('k', {}));
  return { before, module, session };
}

async function same({ before, module, session }: Awaited<ReturnType<typeof assigned>>, shapes: readonly (readonly number[])[], dims?: ReadonlyMap<string, number>): Promise<void> {
  const inputs = shapes.map((s, i) => floats(s, generator(i)));
  const want = await evaluateGraph(before, main(before), inputs, session, dims);
  const got = await evaluateGraph(module, main(module), inputs, session, dims);
  expect(got).toEqual(want);
  const text = printModule(module);
  expect(printModule(parseModule(text, session.exprs))).toBe(text);
}

/** The shape of what a binding of the entry gives. */
function shapeOf(module: IRModule, binding: number): string {
  const { type } = main(module).bindings[binding]!.results[0]!;
  return type.kind === 'tensor' ? type.shape.map((d) => printExpr(d)).join(', ') : type.kind;
}

/** Elementwise kernels of one name and operator; each reads `a` and writes `out`. */
const unary = (name: string, value: string, shape = '4, 6'): string => {
  const [rows, columns] = shape.split(', ');
  return `
tensor @${name}(a: f32[${shape}], out out: f32[${shape}]) {
  for i in 0..${rows}, j in 0..${columns} {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = ${value}
    }
  }
}
`;
};

const chain = `
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @first(%x)
  %2: f32[4, 6] = kernel @middle(%1)
  %3: f32[4, 6] = kernel @last(%2)
  return %3
}
${unary('first', 'a[v, w] * 2f')}${unary('middle', 'a[v, w] + 1f')}${unary('last', 'a[v, w] * a[v, w]')}`;

describe('layouts of values between kernels', () => {
  it('are what a rule wants; kernels without a wish follow, and run along the innermost axis', async () => {
    const found = await assigned(chain, rule('first', (fn) => (fn.name === 'first' ? { out: last } : null)));
    expectModule(found.session, found.module, `
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[6, 4] = kernel @first_1(%x)
  %2: f32[6, 4] = kernel @middle_1(%1)
  %3: f32[4, 6] = kernel @last_1(%2)
  return %3
}

tensor @first_1(a: f32[4, 6], out out: f32[6, 4]) {
  for j in 0..6, i in 0..4 {
    block out(w: spatial = j, v: spatial = i) {
      out[w, v] = a[v, w] * 2f
    }
  }
}

tensor @middle_1(a: f32[6, 4], out out: f32[6, 4]) {
  for j in 0..6, i in 0..4 {
    block out(w: spatial = j, v: spatial = i) {
      out[w, v] = a[w, v] + 1f
    }
  }
}

tensor @last_1(a: f32[6, 4], out out: f32[4, 6]) {
  for i in 0..4, j in 0..6 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[w, v] * a[w, v]
    }
  }
}`);
    await same(found, [[4, 6]]);
  });

  it('stay where nobody wants anything, or nothing else than there is', async () => {
    for (const wishes of [null, {}, { out: [0, 1], a: [0, 1] }]) {
      const found = await assigned(chain, rule('none', () => wishes));
      expect(found.module).toBe(found.before);
    }
    // Rules of other targets have no say.
    const other = await assigned(chain, { ...rule('other', () => ({ out: last })), target: 'other' });
    expect(other.module).toBe(other.before);
  });

  it('stay as types say for parameters and results', async () => {
    const found = await assigned(`
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @only(%x)
  return %1
}
${unary('only', 'a[v, w]')}`, rule('all', () => ({ a: last, out: last })));
    expect(found.module).toBe(found.before);
  });

  it('stay for what views, libraries and kernels that work in place touch', async () => {
    const pinned = (use: string): string => `
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6], z: f32[24]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @only(%x)
  ${use}
  %3: f32[4, 6] = kernel @only(%1)
  return %3, %2
}
${unary('only', 'a[v, w] * 2f')}`;
    const view = await assigned(pinned('%2: f32[24] = shape.reshape(%1) {shape = [24]}'), rule('all', () => ({ a: last, out: last })));
    expect(view.module).toBe(view.before);
    const library = await assigned(pinned('%2: f32[24] = extern "flatten"(%1)'), rule('all', () => ({ a: last, out: last })));
    expect(library.module).toBe(library.before);
    const inPlace = await assigned(`
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @only(%x)
  %2: f32[4, 6] = kernel @only(%1) effects(mutates 0; aliases 0 = 0)
  %3: f32[4, 6] = kernel @only(%2)
  return %3
}
${unary('only', 'a[v, w] * 2f')}`, rule('all', () => ({ a: last, out: last })));
    expect(inPlace.module).toBe(inPlace.before);
  });

  it('go by the number of kernels that want them; of equals, the order of the type stays', async () => {
    const text = `
graph @main(%x: f32[4, 6]) -> (a: f32[4, 6], b: f32[4, 6], c: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @produce(%x)
  %2: f32[4, 6] = kernel @ra(%1)
  %3: f32[4, 6] = kernel @rb(%1)
  %4: f32[4, 6] = kernel @rc(%1)
  return %2, %3, %4
}
${unary('produce', 'a[v, w]')}${unary('ra', 'a[v, w] + 1f')}${unary('rb', 'a[v, w] + 2f')}${unary('rc', 'a[v, w] + 3f')}`;
    const wants = (swapped: readonly string[], straight: readonly string[]) =>
      rule('votes', ({ name }) => (swapped.includes(name) ? { a: last } : straight.includes(name) ? { a: [0, 1] } : null));
    const shape = async (swapped: readonly string[], straight: readonly string[]) => {
      const found = await assigned(text, wants(swapped, straight));
      await same(found, [[4, 6]]);
      return shapeOf(found.module, 0);
    };
    expect(await shape(['ra', 'rb'], ['rc'])).toBe('6, 4');
    expect(await shape(['ra'], ['rb', 'rc'])).toBe('4, 6');
    expect(await shape(['ra'], ['rb'])).toBe('4, 6');
    expect(await shape(['rc'], [])).toBe('6, 4');
  });
});

describe('kernels without a wish', () => {
  const text = (second: string) => `
graph @main(%x: f32[4, 6], %r: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @wants(%x)
  %2: f32[4, 6] = kernel @also(%r)
  %3: f32[4, 6] = kernel @sum(%1, ${second})
  %4: f32[4, 6] = kernel @end(%3)
  return %4
}

tensor @sum(a: f32[4, 6], b: f32[4, 6], out out: f32[4, 6]) {
  for i in 0..4, j in 0..6 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[v, w] + b[v, w]
    }
  }
}
${unary('wants', 'a[v, w] + 3f')}${unary('also', 'a[v, w] + 4f')}${unary('end', 'a[v, w]')}`;

  it('follow their inputs where these agree', async () => {
    const found = await assigned(text('%2'), rule('both', ({ name }) => (name === 'wants' || name === 'also' ? { out: last } : null)));
    expect([0, 1, 2, 3].map((i) => shapeOf(found.module, i))).toEqual(['6, 4', '6, 4', '6, 4', '4, 6']);
    await same(found, [[4, 6], [4, 6]]);
  });

  it('do not follow where one input lies as its type says', async () => {
    for (const second of ['%2', '%r']) {
      const found = await assigned(text(second), rule('one', ({ name }) => (name === 'wants' ? { out: last } : null)));
      expect([0, 1, 2, 3].map((i) => shapeOf(found.module, i))).toEqual(['6, 4', '4, 6', '4, 6', '4, 6']);
      await same(found, [[4, 6], [4, 6]]);
    }
  });

  it('do not follow constants, or inputs of other ranks', async () => {
    const found = await assigned(`
const @c: f32[6] = [1, 2, 3, 4, 5, 6]
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @wants(%x)
  %2: f32[4, 6] = kernel @bias(%1, @c)
  %3: f32[4] = kernel @rows(%2)
  %4: f32[4, 6] = kernel @back(%3)
  %5: f32[4, 6] = kernel @wants(%4)
  return %5
}

tensor @bias(a: f32[4, 6], b: f32[6], out out: f32[4, 6]) {
  for i in 0..4, j in 0..6 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[v, w] + b[w]
    }
  }
}

tensor @rows(a: f32[4, 6], out out: f32[4]) {
  for i in 0..4, j in 0..6 {
    block out(v: spatial = i, k: reduce = j) {
      init {
        out[v] = 0f
      }
      out[v] = out[v] + a[v, k]
    }
  }
}

tensor @back(a: f32[4], out out: f32[4, 6]) {
  for i in 0..4, j in 0..6 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = a[v]
    }
  }
}
${unary('wants', 'a[v, w] + 3f')}`, rule('one', ({ name }) => (name === 'wants' ? { out: last } : null)));
    expect([0, 1, 2, 3, 4].map((i) => shapeOf(found.module, i))).toEqual(['6, 4', '6, 4', '4', '4, 6', '4, 6']);
    await same(found, [[4, 6]]);
  });
});

describe('kernels in another layout', () => {
  it('are made once for all calls that need the same, and the old ones go', async () => {
    const found = await assigned(`
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @step(%x)
  %2: f32[4, 6] = kernel @step(%1)
  %3: f32[4, 6] = kernel @step(%2)
  %4: f32[4, 6] = kernel @step(%3)
  return %4
}
${unary('step', 'a[v, w] * 2f')}`, rule('all', () => ({ a: last, out: last })));
    expect(main(found.module).bindings.map((b) => b.callee)).toEqual(['step_1', 'step_2', 'step_2', 'step_3']);
    expect(kernels(found.module).map((k) => k.name)).toEqual(['step_1', 'step_2', 'step_3']);
    await same(found, [[4, 6]]);
  });

  it('order their temporaries as the rule says, else as what is around them', async () => {
    const text = `
graph @main(%x: f32[4, 6]) -> (y: f32[4, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @pad(%x)
  %2: f32[4, 6] = kernel @end(%1)
  return %2
}

tensor @pad(a: f32[4, 6], out out: f32[4, 6]) {
  alloc padded: f32[6, 6]
  for i in 0..6, j in 0..6 {
    block padded(v: spatial = i, w: spatial = j) {
      padded[v, w] = select(v >= 1 && v < 5, a[clamp_row(v), w], 0f)
    }
  }
  for i in 0..4, j in 0..6, k in 0..3 {
    block out(v: spatial = i, w: spatial = j, r: reduce = k) {
      init {
        out[v, w] = 0f
      }
      out[v, w] = out[v, w] + padded[v + r, w]
    }
  }
}
${unary('end', 'a[v, w]')}`.replace('clamp_row(v)', 'min(max(v - 1, 0), 3)');
    const shape = async (wishes: Wishes) => {
      const found = await assigned(text, rule('one', ({ name }) => (name === 'pad' ? wishes : null)));
      await same(found, [[4, 6]]);
      return /alloc padded: f32\[6, 6\]\n.*\n.*block padded\((\w): /.exec(printModule(found.module))?.[1];
    };
    expect(await shape({ out: last })).toBe('w');
    expect(await shape({ out: last, padded: [0, 1] })).toBe('v');
    expect(await shape({ out: last, padded: last })).toBe('w');
    expect(await shape({ out: [0, 1] })).toBe('v');
  });

  it('order a temporary that is smaller than the result as that lies: what is written across is the smaller of the two', async () => {
    const enlarged = (rows: number, between: number): string => `
graph @main(%x: f32[4, 6]) -> (y: f32[${rows}, 6]) attrs {target = "k"} {
  %1: f32[4, 6] = kernel @first(%x)
  %2: f32[${rows}, 6] = kernel @enlarge(%1)
  return %2
}
${unary('first', 'a[v, w] * 2f')}
tensor @enlarge(a: f32[4, 6], out out: f32[${rows}, 6]) {
  alloc between: f32[${between}, 6]
  for i in 0..${between}, j in 0..6 {
    block between(v: spatial = i, w: spatial = j) {
      between[v, w] = a[v % 4, w]
    }
  }
  for i in 0..${rows}, j in 0..6 {
    block out(v: spatial = i, w: spatial = j) {
      out[v, w] = between[v % ${between}, w] + 1f
    }
  }
}
`;
    const first = async (text: string) => {
      const found = await assigned(text, rule('one', ({ name }) => (name === 'first' ? { out: last } : null)));
      await same(found, [[4, 6]]);
      return /block between\((\w): /.exec(printModule(found.module))?.[1];
    };
    expect(await first(enlarged(16, 8))).toBe('v');
    expect(await first(enlarged(4, 8))).toBe('w');
  });

  it('keep shapes with dims, and scalars', async () => {
    const found = await assigned(`
dims n in 1..8

graph @main(%x: f32[n, 6, 2]) -> (y: f32[n, 6, 2]) attrs {target = "k"} {
  %1: f32[n, 6, 2] = kernel @scale(%x; 3)
  %2: f32[n, 6, 2] = kernel @scale(%1; 5)
  return %2
}

tensor @scale(a: f32[n, 6, 2], out out: f32[n, 6, 2], scalar by) {
  for i in 0..n, j in 0..6, k in 0..2 {
    block out(v: spatial = i, w: spatial = j, u: spatial = k) {
      out[v, w, u] = a[v, w, u] * f32(by)
    }
  }
}
`, rule('one', () => ({ out: [2, 0, 1] })));
    expect(shapeOf(found.module, 0)).toBe('2, n, 6');
    expect(main(found.module).bindings.map((b) => b.scalars.map((e) => printExpr(e)))).toEqual([['3'], ['5']]);
    await same(found, [[3, 6, 2]], new Map([['n', 3]]));
  });
});

describe('rules with wishes', () => {
  it('are asked in order of specificity, until one has a wish', async () => {
    const asked: string[] = [];
    const found = await assigned(chain,
      rule('low', (fn) => (asked.push(`low ${fn.name}`), { out: last }), 1),
      rule('high', (fn) => (asked.push(`high ${fn.name}`), fn.name === 'first' ? { out: [0, 1] } : null), 5));
    expect(asked).toEqual(['high first', 'high middle', 'low middle', 'high last', 'low last']);
    expect([0, 1].map((i) => shapeOf(found.module, i))).toEqual(['4, 6', '6, 4']);
  });

  it('are told where what they want is no order of a buffer', async () => {
    for (const [wishes, message] of [
      [{ out: [0, 0] }, 'k/bad: [0, 0] is no order of the 2 axes of out in @first'],
      [{ a: [2, 1, 0] }, 'k/bad: [2, 1, 0] is no order of the 2 axes of a in @first'],
      [{ b: [1, 0] }, 'k/bad: there is no buffer b in @first'],
    ] as const) {
      const problem = await failure(() => assigned(chain, rule('bad', () => wishes)));
      expect([problem.code, problem.message]).toEqual(['schedule/layout', message]);
    }
  });
});
