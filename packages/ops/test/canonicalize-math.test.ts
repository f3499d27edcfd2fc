import { describe, expect, it } from 'vitest';
import type { GraphFunction, HostTensor, IRModule } from '@tenon/plugin';
import { parseModule, printModule, rewriteModule } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { rules } from '../src/canonicalize/math.ts';
import { hostTensor } from '../src/common/host-tensor.ts';
import { testSession } from './session.ts';

const constants = `const @zero: f32[] = [0]
const @one: f32[1] = [1]
const @two: f32[] = [2]
const @wide_one: f32[2, 1] = [1, 1]
const @izero: i32[] = [0]
const @ione: i32[] = [1]
const @itwo: i32[] = [2]
const @true: bool[] = [1]
const @false: bool[] = [0]
`;
const params = '%x: f32[5], %y: f32[5], %i: i32[5], %j: i32[5], %u: u8[5], %p: bool[5], %q: bool[5]';

/** Input text → expected text of the bindings and the result; null: unchanged. New values are numbered after the parameters and bindings. */
const cases: readonly (readonly [what: string, type: string, body: string, expected: string | null])[] = [
  ['x · 1', 'f32[5]', '%0: f32[5] = math.mul(%x, @one)', 'return %x'],
  ['1 · x', 'f32[5]', '%0: f32[5] = math.mul(@one, %x)', 'return %x'],
  ['x · 1 that broadcasts', 'f32[2, 5]', '%0: f32[2, 5] = math.mul(%x, @wide_one)', null],
  ['x / 1', 'f32[5]', '%0: f32[5] = math.div(%x, @one)', 'return %x'],
  ['x + 0 on floats, where −0 would change', 'f32[5]', '%0: f32[5] = math.add(%x, @zero)', null],
  ['i + 0', 'i32[5]', '%0: i32[5] = math.add(%i, @izero)', 'return %i'],
  ['i − 0', 'i32[5]', '%0: i32[5] = math.sub(%i, @izero)', 'return %i'],
  ['0 − i', 'i32[5]', '%0: i32[5] = math.sub(@izero, %i)', null],
  ['i << 0', 'i32[5]', '%0: i32[5] = math.shl(%i, @izero)', 'return %i'],
  ['x¹', 'f32[5]', '%0: f32[5] = math.pow(%x, @one)', 'return %x'],
  ['x²', 'f32[5]', '%0: f32[5] = math.pow(%x, @two)', '%8: f32[5] = math.mul(%x, %x)\nreturn %8'],
  ['i² with an integer exponent', 'i32[5]', '%0: i32[5] = math.pow(%i, @itwo)', '%8: i32[5] = math.mul(%i, %i)\nreturn %8'],
  ['i² with a float exponent saturates', 'i32[5]', '%0: i32[5] = math.pow(%i, @two)', null],
  ['1 / x', 'f32[5]', '%0: f32[5] = math.div(@one, %x)', '%8: f32[5] = math.reciprocal(%x)\nreturn %8'],
  ['1 / i', 'i32[5]', '%0: i32[5] = math.div(@ione, %i)', null],
  ['−−x', 'f32[5]', '%0: f32[5] = math.neg(%x)\n%1: f32[5] = math.neg(%0)', 'return %x'],
  ['x + −y', 'f32[5]', '%0: f32[5] = math.neg(%y)\n%1: f32[5] = math.add(%x, %0)', '%9: f32[5] = math.sub(%x, %y)\nreturn %9'],
  ['x − −y', 'f32[5]', '%0: f32[5] = math.neg(%y)\n%1: f32[5] = math.sub(%x, %0)', '%9: f32[5] = math.add(%x, %y)\nreturn %9'],
  ['not not p', 'bool[5]', '%0: bool[5] = math.not(%p)\n%1: bool[5] = math.not(%0)', 'return %p'],
  ['not p = q', 'bool[5]', '%0: bool[5] = math.equal(%p, %q)\n%1: bool[5] = math.not(%0)', '%9: bool[5] = math.not_equal(%p, %q)\nreturn %9'],
  ['not i < j', 'bool[5]', '%0: bool[5] = math.less(%i, %j)\n%1: bool[5] = math.not(%0)', '%9: bool[5] = math.greater_equal(%i, %j)\nreturn %9'],
  ['not x < y with NaN', 'bool[5]', '%0: bool[5] = math.less(%x, %y)\n%1: bool[5] = math.not(%0)', null],
  ['p and true', 'bool[5]', '%0: bool[5] = math.and(%p, @true)', 'return %p'],
  ['p xor true', 'bool[5]', '%0: bool[5] = math.xor(%p, @true)', '%8: bool[5] = math.not(%p)\nreturn %8'],
  ['max(x, x)', 'f32[5]', '%0: f32[5] = math.max(%x, %x)', 'return %x'],
  ['where(p, x, x)', 'f32[5]', '%0: f32[5] = math.where(%p, %x, %x)', 'return %x'],
  ['where(true, x, y)', 'f32[5]', '%0: f32[5] = math.where(@true, %x, %y)', 'return %x'],
  ['where(false, x, y)', 'f32[5]', '%0: f32[5] = math.where(@false, %x, %y)', 'return %y'],
  ['where(not p, x, y)', 'f32[5]', '%0: bool[5] = math.not(%p)\n%1: f32[5] = math.where(%0, %x, %y)', '%9: f32[5] = math.where(%p, %y, %x)\nreturn %9'],
  ['floor of an integer', 'i32[5]', '%0: i32[5] = math.floor(%i)', 'return %i'],
  ['ceil(round(x))', 'f32[5]', '%0: f32[5] = math.round(%x)\n%1: f32[5] = math.ceil(%0)', '%0: f32[5] = math.round(%x)\nreturn %0'],
  ['relu(relu(x))', 'f32[5]', '%0: f32[5] = nn.relu(%x)\n%1: f32[5] = nn.relu(%0)', '%0: f32[5] = nn.relu(%x)\nreturn %0'],
  ['cast to its own dtype', 'f32[5]', '%0: f32[5] = math.cast(%x) {to = "f32"}', 'return %x'],
  ['i32 → i64 → i32', 'i32[5]', '%0: i64[5] = math.cast(%i) {to = "i64"}\n%1: i32[5] = math.cast(%0) {to = "i32"}', 'return %i'],
  ['i32 → i64 → f32', 'f32[5]', '%0: i64[5] = math.cast(%i) {to = "i64"}\n%1: f32[5] = math.cast(%0) {to = "f32"}', '%9: f32[5] = math.cast(%i) {to = "f32"}\nreturn %9'],
  ['i32 → f32 → i32 rounds', 'i32[5]', '%0: f32[5] = math.cast(%i) {to = "f32"}\n%1: i32[5] = math.cast(%0) {to = "i32"}', null],
  ['i32 → i8 → i32 wraps', 'i32[5]', '%0: i8[5] = math.cast(%i) {to = "i8"}\n%1: i32[5] = math.cast(%0) {to = "i32"}', null],
  ['u8 → i32 → u8', 'u8[5]', '%0: i32[5] = math.cast(%u) {to = "i32"}\n%1: u8[5] = math.cast(%0) {to = "u8"}', 'return %u'],
  ['clip without limits', 'f32[5]', '%0: f32[5] = math.clip(%x, _, _)', 'return %x'],
  ['max over no axes', 'f32[5]', '%0: f32[5] = reduce.max(%x) {axes = []}', 'return %x'],
  ['sum over no axes, which makes −0 to 0', 'f32[5]', '%0: f32[5] = reduce.sum(%x) {axes = []}', null],
];

const last = (body: string): string => /%(\d+):[^\n]*$/.exec(body)![1]!;
const moduleText = (type: string, body: string): string => `${constants}
graph @main(${params}) -> (out: ${type}) {
${body.split('\n').map((line) => `  ${line}`).join('\n')}
}
`;

const inputs: readonly HostTensor[] = [
  hostTensor('f32', [5], [-0, NaN, Infinity, 1.5, -2.25]), hostTensor('f32', [5], [0, 1, -Infinity, 2.5, NaN]),
  hostTensor('i32', [5], [0, -1, 2 ** 31 - 1, -(2 ** 31), 16777217]), hostTensor('i32', [5], [1, -1, 5, 0, 16777217]), hostTensor('u8', [5], [0, 1, 255, 128, 7]),
  hostTensor('bool', [5], [0, 1, 0, 1, 1]), hostTensor('bool', [5], [1, 1, 0, 0, 1]),
];

describe('canonicalization of math operators', () => {
  it.each(cases)('%s', async (_, type, body, expected) => {
    const session = testSession();
    const parse = (text: string): IRModule => parseModule(text, session.exprs);
    const module = parse(moduleText(type, `${body}\nreturn %${last(body)}`));
    const rewritten = rewriteModule(module, rules, session);
    if (expected === null) {
      expect(rewritten).toBe(module);
      return;
    }
    expect(printModule(rewritten)).toBe(printModule(parse(moduleText(type, keepUnused(body, expected)))));
    const run = (m: IRModule): Promise<HostTensor[]> => evaluateGraph(m, m.functions.get('main') as GraphFunction, inputs, session);
    const [before, after] = await Promise.all([run(module), run(rewritten)]);
    expect(after).toEqual(before);
  });
});

/** Rewriting leaves the bindings that nobody uses any more; removing them is another pass. */
function keepUnused(body: string, expected: string): string {
  const lines = body.split('\n').slice(0, -1);
  return [...lines.filter((line) => !expected.includes(line)), expected].join('\n');
}
