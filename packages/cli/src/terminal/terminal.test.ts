import { describe, expect, test } from 'vitest';
import { formatBytes, formatNumber, formatTime, percentile } from './numbers.ts';
import { createProgress } from './progress.ts';
import { pad, plainPaint, styleFor, textWidth, truncate, type Style } from './style.ts';
import { formatList, formatTable, wrap } from './table.ts';

const style = (width: number): Style => ({ width, paint: plainPaint });
const columns = [{ title: 'operator', shrink: 5 }, { title: 'ms', right: true }, { title: 'where', shrink: 4 }];
const rows = [['nn.conv', '1.50', 'encoder/layer.0/Conv'], ['nn.relu', '10.25', 'x']];

describe('tables', () => {
  test('are as wide as their contents where there is room', () => {
    expect(formatTable(columns, rows, style(Infinity))).toBe([
      'operator     ms  where',
      'nn.conv    1.50  encoder/layer.0/Conv',
      'nn.relu   10.25  x',
    ].join('\n'));
  });
  test('fit narrow terminals, the widest columns being cut first', () => {
    expect(formatTable(columns, rows, style(27))).toBe([
      'operator     ms  where',
      'nn.conv    1.50  encoder/l…',
      'nn.relu   10.25  x',
    ].join('\n'));
    for (const width of [40, 30, 25, 20, 18]) {
      for (const line of formatTable(columns, rows, style(width)).split('\n')) expect(textWidth(line)).toBeLessThanOrEqual(width);
    }
  });
  test('never cut below the least widths', () => {
    expect(formatTable(columns, rows, style(3)).split('\n')[1]).toBe('nn.c…   1.50  enc…');
  });
  test('keep a row on a line', () => {
    expect(formatTable([{ title: 'a' }], [['x\n  y']], style(80))).toBe('a\nx y');
  });
  test('lists wrap', () => {
    expect(formatList([['-a', 'one two three four five six'], ['--long', 'x']], style(30))).toBe('-a      one two three four\n        five six\n--long  x');
    expect(wrap('some words', 80)).toEqual(['some words']);
  });
});

describe('text', () => {
  test('widths', () => {
    expect(textWidth('abc')).toBe(3);
    expect(textWidth('\u001b[31mabc\u001b[39m')).toBe(3);
    expect(textWidth('漢字')).toBe(4);
    expect(textWidth('é')).toBe(1);
    expect(truncate('漢字字', 5)).toBe('漢字…');
    expect(truncate('abcdef', 4)).toBe('abc…');
    expect(truncate('abcd', 4)).toBe('abcd');
    expect(pad('ab', 4)).toBe('ab  ');
    expect(pad('ab', 4, true)).toBe('  ab');
  });
  test('colours on terminals that want them', () => {
    const on = (isTTY: boolean, env: Record<string, string>): boolean => styleFor({ isTTY, columns: 80, write: () => {} }, env).paint('red', 'x') !== 'x';
    expect(on(true, {})).toBe(true);
    expect(on(false, {})).toBe(false);
    expect(on(true, { NO_COLOR: '1' })).toBe(false);
    expect(on(true, { TERM: 'dumb' })).toBe(false);
    expect(on(false, { FORCE_COLOR: '1' })).toBe(true);
    expect(styleFor({ write: () => {} }, {}).width).toBe(Infinity);
  });
});

describe('progress', () => {
  const record = (env: Record<string, string>, isTTY = true): { lines: string[]; progress: ReturnType<typeof createProgress>; clock: { now: number } } => {
    const lines: string[] = [];
    const clock = { now: 0 };
    return { lines, clock, progress: createProgress({ isTTY, columns: 40, write: (text) => lines.push(text) }, env, () => clock.now) };
  };
  test('is one line, rewritten, with the time', () => {
    const { lines, progress, clock } = record({});
    progress.show('codegen');
    clock.now = 1500;
    progress.show('compile C', 3, 12);
    clock.now = 1510;
    progress.show('compile C', 4, 12); // too soon
    progress.stop();
    expect(lines).toEqual(['\r\u001b[K  0.0 s  codegen', '\r\u001b[K  1.5 s  compile C 3/12 █████░░░░░░░░░…', '\r\u001b[K']);
  });
  test('is nothing in pipes and in CI', () => {
    for (const { lines, progress } of [record({}, false), record({ CI: 'true' })]) {
      progress.show('codegen');
      progress.stop();
      expect(lines).toEqual([]);
    }
  });
});

test('numbers', () => {
  expect([0, 1023, 1536, 11_443_200, 5e12].map(formatBytes)).toEqual(['0 B', '1023 B', '1.50 KiB', '10.9 MiB', '4.55 TiB']);
  expect([0.0123, 0.5, 35.123, 1240].map(formatTime)).toEqual(['12 µs', '0.500 ms', '35.1 ms', '1.24 s']);
  expect([0, 3, -1.23456789, 1e-9, 1e12, NaN, Infinity].map(formatNumber)).toEqual(['0', '3', '-1.2346', '1.000e-9', '1.000e+12', 'NaN', 'Infinity']);
  expect(percentile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(percentile([7], 0.95)).toBe(7);
});
