import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { definePlugin, diagnosticOf, findConfig, loadConfig, type Diagnostic, type Plugin } from 'tenon';
import { mergeConfig } from '../src/config.ts';
import { formatDiagnostic } from '../src/diagnostics.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenon-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plugin = (name: string): Plugin => definePlugin({ name, namespace: 'x' }, () => ({}))();

describe('mergeConfig', () => {
  const [a, b] = [plugin('a'), plugin('b')];
  const defaults = { plugins: [a, b], targets: ['t'] };
  test('plugins are added, and replace those of their name', () => {
    const [other, c] = [plugin('b'), plugin('c')];
    expect(mergeConfig(defaults, {}).plugins).toEqual([a, b]);
    expect(mergeConfig(defaults, { config: { plugins: [other, c] } }).plugins).toStrictEqual([a, other, c]);
  });
  test('the call goes before the configuration, and that before the defaults', () => {
    expect(mergeConfig(defaults, {}).targets).toEqual(['t']);
    expect(mergeConfig(defaults, { config: { targets: ['u'] } }).targets).toEqual(['u']);
    expect(mergeConfig(defaults, { config: { targets: ['u'] }, target: 'v' }).targets).toEqual(['v']);
    expect(mergeConfig({ ...defaults, targets: null }, {})).not.toHaveProperty('targets');
    expect(mergeConfig(defaults, { config: { dims: { n: 1, m: 2 } }, dims: { n: 3 } }).dims).toEqual({ n: 3, m: 2 });
  });
});

describe('configuration files', () => {
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const failure = async (path: string): Promise<Diagnostic | null> => loadConfig(path).then(() => null, diagnosticOf);

  test('TypeScript is run, and checked', async () => {
    const path = write('tenon.config.ts', "type T = string;\nconst t: T = 'cpu-c';\nexport default { targets: [t], dims: { n: 4 } };");
    expect(findConfig(folder)).toBe(path);
    expect(await loadConfig(path)).toEqual({ path, config: { targets: ['cpu-c'], dims: { n: 4 } }, loaders: [] });
  });
  test('mistakes are told with their file', async () => {
    expect(await failure(join(folder, 'none.ts'))).toMatchObject({ code: 'config/not-found' });
    expect(await failure(write('a.mjs', 'export default { targest: [] }'))).toMatchObject({ code: 'config/invalid', message: expect.stringMatching(/a\.mjs.*did you mean targets/) });
    expect(await failure(write('b.mjs', 'export const x = 1'))).toMatchObject({ code: 'config/invalid', message: expect.stringContaining('no default export') });
    expect(await failure(write('c.mjs', 'export default {'))).toMatchObject({ code: 'config/unreadable' });
    expect(await failure(write('d.mjs', 'export default {}; export const loaders = [1]'))).toMatchObject({ code: 'config/invalid', message: expect.stringContaining('loaders') });
  });
  test('a folder without one has none', () => {
    expect(findConfig(join(folder, 'elsewhere'))).toBeNull();
  });
});

test('diagnostics are printed with place and hint', () => {
  const d: Diagnostic = { severity: 'error', code: 'a/b', message: 'it broke', hint: 'mend it', op: 'nn.conv', loc: 'layer/3', text: null, related: [] };
  expect(formatDiagnostic(d)).toBe('error[a/b]: it broke\n  at: layer/3 (nn.conv)\n  hint: mend it');
  expect(formatDiagnostic({ ...d, hint: null, message: 'layer/3 broke' })).toBe('error[a/b]: layer/3 broke');
  expect(formatDiagnostic({ ...d, hint: null, loc: null, text: { file: 'm.tir', line: 2, column: 5, excerpt: 'abc\n  ^' } })).toBe('error[a/b]: it broke\n  at: m.tir:2:5\n    abc\n      ^');
});
