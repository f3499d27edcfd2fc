import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openArtifactStore } from '../src/node/artifact-store.ts';
import { writeFileAtomically } from '../src/node/files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenon-store-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (store: ReturnType<typeof openArtifactStore>, key: string, bytes: number): Promise<string | null> =>
  store.put(key, async (sink) => {
    await sink.write(0, new Uint8Array(bytes));
    return { bytes, digest: key };
  }, async (written) => ({ ...written, dependencies: [], diagnostics: [], contents: {} }));

test('gives back what was put', async () => {
  const store = openArtifactStore({ folder });
  expect(await store.get('a')).toBeNull();
  const path = await put(store, 'a', 100);
  const found = await store.get('a');
  expect(found).toMatchObject({ path, record: { digest: 'a', bytes: 100 } });
  expect(found!.source.bytes).toBe(100);
  found!.source.close();
  expect(await store.usage()).toEqual({ entries: 1, bytes: 100 });
  expect(await store.clean()).toEqual({ entries: 1, bytes: 100 });
  expect(await store.get('a')).toBeNull();
  expect(readdirSync(folder)).toEqual([]);
});

test('stays within its limit: the least recently used go first, what is too large is not kept', async () => {
  const store = openArtifactStore({ folder, maxBytes: 250 });
  for (const [i, key] of ['a', 'b'].entries()) {
    await put(store, key, 100);
    utimesSync(join(folder, `${key}.json`), 1000 + i, 1000 + i);
  }
  (await store.get('a'))!.source.close(); // used again
  await put(store, 'c', 100);
  expect(readdirSync(folder).sort()).toEqual(['a.json', 'a.tenon', 'c.json', 'c.tenon']);
  expect(await put(store, 'd', 300)).toBeNull();
  expect(readdirSync(folder).sort()).toEqual(['a.json', 'a.tenon', 'c.json', 'c.tenon']);
});

test('records without artifacts, and records that are no JSON, are no entries', async () => {
  const store = openArtifactStore({ folder });
  await put(store, 'a', 10);
  rmSync(join(folder, 'a.tenon'));
  expect(await store.get('a')).toBeNull();
  await put(store, 'b', 10);
  writeFileSync(join(folder, 'b.json'), '{');
  expect(await store.get('b')).toBeNull();
  expect(readdirSync(folder)).toEqual([]);
});

test('a file that is not finished is not there', async () => {
  const path = join(folder, 'deep', 'x');
  await expect(writeFileAtomically(path, async (sink) => {
    await sink.write(0, new Uint8Array(10));
    throw new Error('stopped');
  })).rejects.toThrow('stopped');
  expect(readdirSync(join(folder, 'deep'))).toEqual([]);
});
