import { describe, expect, it } from 'vitest';
import { importText } from '@tenon/plugin-kit';
import frontend from '../src/index.ts';

const model = (...lines: readonly string[]): Uint8Array => new TextEncoder().encode(['acme-model 1', ...lines].join('\n'));

describe('what is imported', () => {
  it('is one operator per line', async () => {
    expect(await importText(frontend(), model('input x f32 [n, 2]', 'constant w f32 [2, 2] 1 2 3 4', 'h = matmul x w', 'y = relu h', 'output y'))).toBe([
      'dims n in 1..', '',
      'const @w: f32[2, 2] = [1, 2, 3, 4]', '',
      'graph @main(%x: f32[n, 2]) -> (y: f32[n, 2]) {',
      '  %1: f32[n, 2] = nn.matmul(%x, @w) loc("h")',
      '  %2: f32[n, 2] = nn.relu(%1) loc("y")',
      '  return %2',
      '}', '',
    ].join('\n'));
  });
  it('has the sizes that the user gives', async () => {
    const text = await importText(frontend(), model('input x f32 [n, 2]', 'y = relu x', 'output y'), { dims: { n: 5 } });
    expect(text).toContain('%x: f32[5, 2]');
  });
});

describe('what is refused', () => {
  it.each([
    ['acme/syntax', ['input x f32']],
    ['acme/syntax', ['constant w f32 [2, 2] 1 2 3']],
    ['acme/dtype', ['input x f33 [2]']],
    ['acme/unknown-value', ['input x f32 [2]', 'y = relu z']],
    ['acme/unknown-operator', ['input x f32 [2]', 'y = dance x']],
    ['acme/defined-twice', ['input x f32 [2]', 'x = relu x']],
    ['acme/no-output', ['input x f32 [2]']],
    ['op/inner-size', ['input x f32 [2, 3]', 'y = matmul x x']],
  ])('%s', async (code, lines) => {
    await expect(importText(frontend(), model(...lines))).rejects.toMatchObject({ diagnostic: { code } });
  });
});
