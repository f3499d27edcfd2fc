import { readFileSync, utimesSync, type Dirent } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { hash64 } from '@tenon/artifact';
import type { Cache, Diagnostic } from '@tenon/plugin';
import { diagnostic, TenonError } from '@tenon/plugin';

export interface DiskCacheOptions {
  readonly folder: string;
  /** Limit for all entries together; the least recently used go first. Default: 4 GiB. */
  readonly maxBytes?: number;
  /** Told once if the folder cannot be written: caching then stops, work goes on. */
  readonly onProblem?: (problem: Diagnostic) => void;
}

export interface DiskCache extends Cache {
  readonly folder: string;
  usage(): Promise<{ readonly entries: number; readonly bytes: number }>;
  /** Removes all entries; gives what they took. */
  clean(): Promise<{ readonly entries: number; readonly bytes: number }>;
}

/** `TENON_CACHE`, else the folder for caches of the operating system. */
export function defaultCacheFolder(environment: { readonly [name: string]: string | undefined } = process.env, platform: string = process.platform): string {
  if (environment['TENON_CACHE']) return environment['TENON_CACHE'];
  if (platform === 'win32') return join(environment['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'tenon', 'cache');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'tenon');
  return join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tenon');
}

const suffix = '.entry';
/** Before the contents of an entry: their hash64 and length, since a crash may leave a file that was renamed but not yet written. */
const prefixBytes = 16;
/** Leftovers of processes that died are removed after an hour. */
const staleMilliseconds = 3_600_000;

/** Of which the system is asked side by side. */
const filesAtOnce = 64;

interface Entry {
  readonly path: string;
  readonly bytes: number;
  readonly used: number;
}

/**
 * Entries are files in a folder, two levels deep. Several processes may share it: files are written elsewhere and
 * renamed into place, and every reader copes with a file that is gone.
 */
export function openDiskCache({ folder, maxBytes = 4 * 2 ** 30, onProblem }: DiskCacheOptions): DiskCache {
  /** Bytes of all entries by the last count and what was written since; null before the first count. */
  let total: number | null = null;
  let broken = false;
  // Evictions and writes of this process follow each other, so that the total stays right.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };

  const pathOf = (key: string): string => {
    if (!/^[0-9a-f]{4,128}$/.test(key)) throw new TenonError({ code: 'host/cache-key', message: `'${key}' is not a cache key: lower-case hex of 4 to 128 digits` });
    return join(folder, key.slice(0, 2), key.slice(2) + suffix);
  };

  const list = async (): Promise<Entry[]> => {
    const files: Dirent[] = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const entries: Entry[] = [];
    const look = async (file: Dirent): Promise<void> => {
      const path = join(file.parentPath, file.name);
      const info = await stat(path).catch(() => null);
      if (info === null) return;
      if (file.name.endsWith(suffix)) entries.push({ path, bytes: info.size, used: info.mtimeMs });
      else if (file.name.endsWith('.tmp') && Date.now() - info.mtimeMs > staleMilliseconds) await rm(path, { force: true }).catch(() => {});
    };
    const present = files.filter((file) => file.isFile());
    for (let at = 0; at < present.length; at += filesAtOnce) await Promise.all(present.slice(at, at + filesAtOnce).map(look));
    return entries;
  };

  const evict = async (): Promise<void> => {
    const entries = (await list()).sort((a, b) => a.used - b.used || (a.path < b.path ? -1 : 1));
    total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    // A tenth below the limit, so that the folder is not listed again for every new entry.
    const goal = total > maxBytes ? 0.9 * maxBytes : maxBytes;
    for (const entry of entries) {
      if (total <= goal) break;
      await rm(entry.path, { force: true }).catch(() => {});
      total -= entry.bytes;
    }
  };

  return {
    folder,
    // Entries are small and many: reading one takes less than handing it to another thread.
    async get(key) {
      const path = pathOf(key);
      let file: Uint8Array;
      try {
        file = readFileSync(path);
      } catch {
        return null;
      }
      const contents = file.subarray(prefixBytes);
      const prefix = new DataView(file.buffer, file.byteOffset, file.byteLength);
      const intact = file.length >= prefixBytes && prefix.getBigUint64(8, true) === BigInt(contents.length) && prefix.getBigUint64(0, true) === hash64(contents);
      if (!intact) {
        await rm(path, { force: true }).catch(() => {});
        return null;
      }
      try {
        const now = new Date();
        utimesSync(path, now, now);
      } catch {
        // Somebody removed it meanwhile, or the folder belongs to another user.
      }
      return new Uint8Array(contents);
    },
    put: (key, bytes) => {
      const path = pathOf(key);
      return inTurn(async () => {
        if (broken || bytes.length + prefixBytes > maxBytes) return;
        // Several caches over one folder may live in one process.
        const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2, 10)}.tmp`;
        try {
          // Who can write here can run code as its owner.
          await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
          const prefix = new DataView(new ArrayBuffer(prefixBytes));
          prefix.setBigUint64(0, hash64(bytes), true);
          prefix.setBigUint64(8, BigInt(bytes.length), true);
          const replaced = (await stat(path).catch(() => null))?.size ?? 0;
          await writeFile(temporary, [new Uint8Array(prefix.buffer), bytes]);
          await rename(temporary, path);
          if (total !== null) total += bytes.length + prefixBytes - replaced;
          if (total === null || total > maxBytes) await evict();
        } catch (error) {
          broken = true;
          await rm(temporary, { force: true }).catch(() => {});
          onProblem?.(diagnostic({ severity: 'warning', code: 'host/cache-unwritable', message: `the cache in ${folder} cannot be written: ${(error as Error).message}`, hint: 'set TENON_CACHE to a folder that can' }));
        }
      });
    },
    async usage() {
      const entries = await list();
      return { entries: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
    },
    clean: () =>
      inTurn(async () => {
        const entries = await list();
        for (const entry of entries) await rm(entry.path, { force: true });
        total = 0;
        return { entries: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
      }),
  };
}

