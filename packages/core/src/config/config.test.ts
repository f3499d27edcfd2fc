import { describe, expect, it } from 'vitest';
import { failure } from '../../test/harness.ts';
import { nearest, validateConfig } from './config.ts';

const message = async (config: unknown, file?: string): Promise<string> => (await failure(() => validateConfig(config, file))).message;

describe('a configuration', () => {
  it('that is valid is returned as it is', () => {
    const pass = { name: 'mine', phase: 'fuse', doc: '', run: (m: unknown) => m };
    for (const config of [
      {}, { targets: ['cpu-c'] }, { targets: ['npu', ['cpu-c', { threads: 2 }]] }, { dims: { n: 4, m: { min: 1, max: 8, multipleOf: 2 } }, verify: 'off', printAfter: ['*'], foldLimit: 0 },
      { passes: { disable: ['a'], insert: [{ pass, after: 'a' }], replace: { a: pass } }, partition: { strategy: 'host', fallback: 'none' } },
    ]) expect(validateConfig(config)).toBe(config);
  });

  it.each<[unknown, RegExp]>([
    [{ target: ['x'] }, /target: unknown option; did you mean targets\?/],
    [{ passes: { disabel: [] } }, /passes\.disabel: unknown option; did you mean disable\?/],
    [{ passes: { insert: [{ pass: { name: 'x' }, aftr: 'y' }] } }, /passes\.insert\.0\.aftr: unknown option; did you mean after\?/],
    [{ nonsense: 1 }, /nonsense: unknown option($|[^;])/],
    [{ targets: [] }, /targets: at least one target/],
    [{ targets: 'cpu-c' }, /targets: .*array/],
    [{ targets: [['cpu-c']] }, /targets\.0: /],
    [{ plugins: [null] }, /plugins\.0: expected an object with a name/],
    [{ dims: { n: -1 } }, /dims\.n/],
    [{ dims: { n: { mn: 1 } } }, /dims\.n/],
    [{ dims: { n: { min: 8, max: 4 } } }, /dims\.n: min is larger than max/],
    [{ verify: 'always' }, /verify/],
    [{ partition: { strategy: 'best' } }, /partition\.strategy/],
    [{ partition: { fallback: 'npu' } }, /partition\.fallback/],
    [{ foldLimit: 1.5 }, /foldLimit/],
    [{ printAfter: 'x' }, /printAfter/],
    [undefined, /configuration/],
    [7, /configuration/],
  ])('%j is refused', async (config, what) => {
    const error = await failure(() => validateConfig(config));
    expect(error.code).toBe('config/invalid');
    expect(error.message).toMatch(what);
  });

  it('lists all problems at once, and names the file', async () => {
    const text = await message({ verify: 1, foldLimit: 'x' }, 'tenon.config.ts');
    expect(text).toMatch(/^tenon\.config\.ts is not valid: .*verify.*; foldLimit/);
  });
});

describe('suggestions', () => {
  it('are what a typo explains', () => {
    const names = ['fold-constants', 'dead-code', 'fuse'];
    expect(nearest('fold-constnats', names)).toBe('fold-constants');
    expect(nearest('FUSE', names)).toBe('fuse');
    expect(nearest('fsue', names)).toBe('fuse');
    expect(nearest('partition', names)).toBeNull();
    expect(nearest('', [])).toBeNull();
  });
});
