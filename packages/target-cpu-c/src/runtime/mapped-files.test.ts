import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { largePage, LargePages } from './large-pages.ts';
import { MappedFiles } from './mapped-files.ts';
import { findMemoryFunctions } from './system.ts';

const system = findMemoryFunctions();
const bytes = Uint8Array.from({ length: 9 * largePage + 12_345 }, (_, i) => (i * 31 + (i >> 12)) & 255);

describe.skipIf(system === null)('files in memory (Linux)', () => {
  let folder: string;
  let path: string;
  let fd: number;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tenon-map-'));
    path = join(folder, 'file');
    writeFileSync(path, bytes);
    fd = openSync(path, 'r');
  });
  afterEach(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  });
  const map = (offset: number, length: number): ReturnType<MappedFiles['map']> => new MappedFiles(system!).map(fd, offset, length);
  const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

  test('have what lies in the file, from any place on', async () => {
    for (const offset of [0, 64, 4096, 64 << 10, (64 << 10) + 192]) {
      const length = bytes.length - offset - 64;
      const found = await map(offset, length);
      expect(same(found!.host, bytes.subarray(offset, offset + length))).toBe(true);
      expect(Number(found!.address % BigInt(largePage))).toBe(offset % (64 << 10));
    }
  });

  test('are not taken where pages are missing, or not worth it', async () => {
    expect(await map(0, bytes.length + (64 << 10))).toBeNull();
    truncateSync(path, 3 << 20);
    expect(await map(0, 4 << 20)).toBeNull();
    expect(await map(0, 3 << 20)).not.toBeNull();
    expect(await map(0, 1000)).toBeNull();
    expect(await new MappedFiles(system!).map(9999, 0, 2 << 20)).toBeNull();
  });

  test('become memory of the process alone, with the same contents', async () => {
    const { host, address } = (await map(0, bytes.length))!;
    const largePages = new LargePages(system!);
    largePages.add(host, address, true);
    await vi.waitFor(() => expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain(path), { timeout: 20_000, interval: 50 });
    truncateSync(path, 0);
    expect(same(host, bytes)).toBe(true);
  });
});
