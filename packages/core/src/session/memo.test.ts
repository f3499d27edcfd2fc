import type { Cache } from '@tenon/plugin';
import { describe, expect, it } from 'vitest';
import { contextFor } from '../pass/index.ts';
import { host, testSession } from '../../test/harness.ts';
import { CachedMemo } from './memo.ts';

const memory = () => {
  const entries = new Map<string, Uint8Array>();
  const cache: Cache = { get: async (key) => entries.get(key) ?? null, put: async (key, bytes) => void entries.set(key, bytes) };
  return { entries, cache };
};

describe('a memo', () => {
  it('gives back what was put by the same identity, of the same kind and the same thing', async () => {
    const { cache } = memory();
    const memo = new CachedMemo(cache, 'one');
    expect(await memo.get('kind', 'x')).toBeNull();
    memo.put('kind', 'x', { list: [1, 'two'] });
    await memo.written();
    expect(await new CachedMemo(cache, 'one').get('kind', 'x')).toEqual({ list: [1, 'two'] });
    for (const [identity, kind, of] of [['two', 'kind', 'x'], ['one', 'other', 'x'], ['one', 'kind', 'y'], ['one', 'kindx', ''], ['on', 'ekind', 'x']] as const) {
      expect(await new CachedMemo(cache, identity).get(kind, of)).toBeNull();
    }
    expect(await memo.scoped([{ lanes: 4 }]).get('kind', 'x')).toBeNull();
  });

  it('takes neither damaged entries nor those of another key', async () => {
    const { cache, entries } = memory();
    const memo = new CachedMemo(cache, 'one');
    memo.put('kind', 'x', 'value of x');
    memo.put('kind', 'y', 'value of y');
    await memo.written();
    const [[x, ofX], [y, ofY]] = [...entries] as [[string, Uint8Array], [string, Uint8Array]];
    entries.set(x, ofY);
    entries.set(y, ofX.subarray(0, 20));
    expect(await memo.get('kind', 'x')).toBeNull();
    expect(await memo.get('kind', 'y')).toBeNull();
  });

  it('does without a cache that cannot be written', async () => {
    const memo = new CachedMemo({ get: async () => null, put: () => Promise.reject(new Error('full')) }, 'one');
    memo.put('kind', 'x', 1);
    await memo.written();
  });

  it('is there where an identity and a cache are, for each target apart', async () => {
    const { cache } = memory();
    expect(testSession({}, { host: { ...host, cache } }).memo).toBeUndefined();
    expect(testSession({}, { identity: 'one' }).memo).toBeUndefined();
    const session = testSession({}, { host: { ...host, cache }, identity: 'one' });
    const device = { name: 'd', peak: {}, bandwidth: 1, launch: { region: 0, kernel: 0 }, transfer: null, memory: [], features: { lanes: 4 } };
    const [a, again, b] = [{}, {}, { n: 1n }].map((options) => contextFor(session, { name: 't', form: 'kernels', options, device }).memo!);
    a!.put('kind', 'x', 1);
    await session.memo!.written();
    expect(await again!.get('kind', 'x')).toBe(1);
    expect(await b!.get('kind', 'x')).toBeNull();
  });
});
