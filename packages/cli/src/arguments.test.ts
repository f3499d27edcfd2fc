import { describe, expect, test } from 'vitest';
import { diagnosticOf } from 'tenon';
import { parseArguments, parseCount, parseDims, type CommandLine } from './arguments.ts';

const command: CommandLine = {
  name: 'go', positionals: ['MODEL', '[EXTRA]'],
  options: { output: { value: 'FILE', short: 'o', doc: '' }, input: { value: 'X', multiple: true, doc: '' }, profile: { doc: '' } },
};
const problem = (work: () => unknown): { code: string; message: string; hint: string | null } => {
  try {
    work();
  } catch (error) {
    const d = diagnosticOf(error);
    if (d !== null) return d;
    throw error;
  }
  throw new Error('nothing failed');
};
const parse = (...argv: string[]): ReturnType<typeof parseArguments> => parseArguments(command, argv);

describe('parseArguments', () => {
  test('takes options anywhere, in every form', () => {
    const args = parse('m', '-o', 'x', '--input=a', '--profile', '--input', 'b=c');
    expect(args.positionals).toEqual(['m']);
    expect(args.value('output')).toBe('x');
    expect(args.values('input')).toEqual(['a', 'b=c']);
    expect(args.flag('profile')).toBe(true);
    expect(parse('m').flag('profile')).toBe(false);
    expect(parse('m').value('output')).toBeUndefined();
    expect(parse('--', '-m').positionals).toEqual(['-m']);
    expect(parse('m', '--output=-x').value('output')).toBe('-x');
  });
  test.each([
    [['m', '--profle'], 'usage/unknown-option', 'did you mean --profile?'],
    [['m', '-x'], 'usage/unknown-option', '`tenon help go` lists its options'],
    [[], 'usage/arguments', 'usage: tenon go MODEL [EXTRA] [options]'],
    [['m', 'e', 'f'], 'usage/arguments', 'usage: tenon go MODEL [EXTRA] [options]'],
    [['m', '--output'], 'usage/arguments', null],
    [['m', '--output='], 'usage/arguments', null],
    [['m', '-o', '--profile'], 'usage/arguments', 'write -o=--profile if that is meant'],
    [['m', '--profile=1'], 'usage/arguments', null],
    [['m', '-o', 'a', '-o', 'b'], 'usage/arguments', null],
  ])('refuses %j', (argv, code, hint) => {
    expect(problem(() => parse(...argv))).toMatchObject({ code, hint });
  });
});

test('parseCount', () => {
  expect(parseCount('rounds', undefined, 7, 1)).toBe(7);
  expect(parseCount('rounds', '12', 7, 1)).toBe(12);
  for (const bad of ['0', '-1', '1.5', 'many', '1e3', '9'.repeat(30)]) expect(problem(() => parseCount('rounds', bad, 7, 1)).code).toBe('usage/arguments');
});

describe('parseDims', () => {
  test('understands sizes, ranges and multiples', () => {
    expect(parseDims(['n=8', 'batch size=1..512', 'm=1..', 'k=..9', 'l=8..512%8', 'q=%4', 'z=0'])).toEqual({
      n: 8, 'batch size': { min: 1, max: 512 }, m: { min: 1 }, k: { max: 9 }, l: { min: 8, max: 512, multipleOf: 8 }, q: { multipleOf: 4 }, z: 0,
    });
  });
  test.each(['n', 'n=', '=3', 'n=x', 'n=-1', 'n=1.5', 'n=3..2', 'n=1...3', 'n=8%2', 'n=1..8%0'])('refuses %s', (text) => {
    expect(problem(() => parseDims([text])).code).toBe('usage/dim');
  });
});
