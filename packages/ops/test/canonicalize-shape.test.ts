import { describe, expect, it } from 'vitest';
import type { GraphFunction, HostTensor } from '@tenon/plugin';
import { parseModule, printModule, rewriteModule, Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { rules } from '../src/canonicalize/shape.ts';
import { standardOps } from '../src/index.ts';

const session = new Session({ config: { plugins: [standardOps()] }, host: { name: 'test', now: () => 0, open: () => Promise.reject(new Error('no files')), resolve: (_, path) => path, cache: null } });

function canonical(text: string): string {
  return printModule(rewriteModule(parseModule(text, session.exprs), rules, session)).trim();
}
/** A function of `params` whose bindings are `body`; dims n and m are declared. */
const source = (params: string, body: readonly string[], results: string, types: string): string =>
  [
    'dims n in 0..', 'dims m in 1..', '', `graph @main(${params}) -> ${types} {`, ...body.map((line) => `  ${line}`), `  return ${results}`, '}',
  ].join('\n');

const cases: readonly { readonly what: string; readonly params: string; readonly body: readonly string[]; readonly type: string; readonly becomes: readonly string[]; readonly result: string }[] = [
  {
    what: 'a reshape to the same shape', params: '%x: f32[n, 4]', type: 'f32[n, 4]', result: '%x', becomes: [],
    body: ['%0: f32[n, 4] = shape.reshape(%x) {shape = [(n), (4)]}'],
  },
  {
    what: 'reshapes in a row', params: '%x: f32[n, 4]', type: 'f32[n, 2, 2]', result: '%3', becomes: ['%3: f32[n, 2, 2] = shape.reshape(%x) {shape = [(n), (2), (2)]}'],
    body: ['%0: f32[n * 4] = shape.reshape(%x) {shape = [(n * 4)]}', '%1: f32[n, 2, 2] = shape.reshape(%0) {shape = [(n), (2), (2)]}'],
  },
  {
    what: 'permutations that undo each other', params: '%x: f32[n, 4, 3]', type: 'f32[n, 4, 3]', result: '%x', becomes: [],
    body: ['%0: f32[4, 3, n] = shape.transpose(%x) {perm = [1, 2, 0]}', '%1: f32[n, 4, 3] = shape.transpose(%0) {perm = [2, 0, 1]}'],
  },
  {
    what: 'a permutation of axes of size 1', params: '%x: f32[n, 1, 3]', type: 'f32[1, n, 3]', result: '%2', becomes: ['%2: f32[1, n, 3] = shape.reshape(%x) {shape = [(1), (n), (3)]}'],
    body: ['%0: f32[1, n, 3] = shape.transpose(%x) {perm = [1, 0, 2]}'],
  },
  {
    what: 'a permutation that moves elements stays', params: '%x: f32[n, m, 3]', type: 'f32[m, n, 3]', result: '%0', becomes: ['%0: f32[m, n, 3] = shape.transpose(%x) {perm = [1, 0, 2]}'],
    body: ['%0: f32[m, n, 3] = shape.transpose(%x) {perm = [1, 0, 2]}'],
  },
  {
    what: 'an operand that broadcasts by itself', params: '%x: f32[1, 4], %y: f32[n, 4]', type: 'f32[n, 4]', result: '%4', becomes: ['%4: f32[n, 4] = math.sub(%x, %y)'],
    body: ['%0: f32[n, 4] = shape.expand(%x) {shape = [(n), (4)]}', '%1: f32[n, 4] = math.sub(%0, %y)'],
  },
  {
    what: 'an expand that the result needs stays', params: '%x: f32[1, 4], %y: f32[1, 4]', type: 'f32[n, 4]', result: '%1',
    body: ['%0: f32[n, 4] = shape.expand(%x) {shape = [(n), (4)]}', '%1: f32[n, 4] = math.sub(%0, %y)'],
    becomes: ['%0: f32[n, 4] = shape.expand(%x) {shape = [(n), (4)]}', '%1: f32[n, 4] = math.sub(%0, %y)'],
  },
];

describe('canonicalization of movement', () => {
  it.each(cases)('$what', ({ params, body, type, becomes, result }) => {
    const last = body.at(-1)!.split(':')[0]!;
    expect(normal(canonical(source(params, body, last, type)))).toBe(normal(source(params, becomes, result, type)));
  });

  it.each([
    ['slice of slice', '%x: f32[9, 4]', ['%0: f32[4, 4] = shape.slice(%x) {axes = [0], starts = [8], sizes = [4], steps = [-2]}', '%1: f32[2, 2] = shape.slice(%0) {starts = [1, 0], sizes = [2, 2], steps = [2, 3]}'], ['shape.slice']],
    ['slice of concat', '%x: f32[9, 4]', ['%0: f32[9, 8] = shape.concat(%x, %x) {axis = 1}', '%1: f32[3, 4] = shape.slice(%0) {axes = [0, -1], starts = [2, 4], sizes = [3, 4]}'], ['shape.slice']],
    ['slice across parts', '%x: f32[9, 4]', ['%0: f32[9, 8] = shape.concat(%x, %x) {axis = 1}', '%1: f32[9, 4] = shape.slice(%0) {axes = [1], starts = [3], sizes = [4]}'], ['shape.concat', 'shape.slice']],
    ['concat of one part and nothing', '%x: f32[9, 4]', ['%0: f32[0, 4] = shape.full() {shape = [0, 4]}', '%1: f32[9, 4] = shape.concat(%0, %x) {axis = 0}'], []],
    ['movement of equal elements', '%x: f32[9, 4]', ['%0: f32[6] = shape.full() {shape = [6], value = 2}', '%1: f32[2, 3] = shape.reshape(%0) {shape = [2, 3]}', '%2: f32[3, 2] = shape.transpose(%1)'], ['shape.full']],
    ['padding by nothing, tiling once, a slice of all', '%x: f32[9, 4]', ['%0: f32[9, 4] = shape.pad(%x) {pads = [0, 0, 0, 0]}', '%1: f32[9, 4] = shape.tile(%0) {repeats = [1, 1]}', '%2: f32[9, 4] = shape.slice(%1) {axes = [1], starts = [0], sizes = [4]}'], []],
    ['a reversal stays', '%x: f32[9, 4]', ['%0: f32[9, 4] = shape.slice(%x) {axes = [1], starts = [3], sizes = [4], steps = [-1]}'], ['shape.slice']],
    ['a gather with one index', '%x: f32[9, 4]', ['%0: f32[9] = index.gather(%x, @i) {axis = 1}'], ['shape.slice', 'shape.reshape']],
  ] as const)('%s: same values from what is left', async (_, params, body, left) => {
    const last = body.at(-1)!;
    const type = /: ([^=]*) =/.exec(last)![1]!;
    const text = `const @i: i64[] = [-1]\n\n${source(params, body, last.split(':')[0]!, type)}`;
    const before = parseModule(text, session.exprs);
    const after = rewriteModule(before, rules, session);
    const x: HostTensor = { dtype: 'f32', shape: [9, 4], data: Float32Array.from({ length: 36 }, (__, i) => i) };
    const [a, b] = [before, after].map((m) => m.functions.get('main') as GraphFunction) as [GraphFunction, GraphFunction];
    const needed = new Set(b.results);
    const live = b.bindings.toReversed().filter((binding) => {
      const used = binding.results.some((r) => needed.has(r));
      if (used) for (const arg of binding.args) if (arg) needed.add(arg);
      return used;
    }).toReversed();
    expect(live.map((l) => l.callee)).toEqual(left);
    expect(await evaluateGraph(after, b, [x], session)).toEqual(await evaluateGraph(before, a, [x], session));
  });
});

/** The text without bindings that the result does not need: rewriting leaves them to another pass. */
function normal(text: string): string {
  const lines = text.split('\n');
  const needed = new Set(/%\w+/.exec(lines.find((l) => l.includes('return'))!)!);
  for (const line of lines.toReversed()) {
    const [defined] = /%\w+/.exec(line) ?? [];
    if (defined && needed.has(defined) && line.includes(' = ')) for (const used of line.split(' = ')[1]!.match(/%\w+/g) ?? []) needed.add(used);
  }
  return lines.filter((line) => !/^ {2}%/.test(line) || needed.has(/%\w+/.exec(line)![0])).join('\n');
}
