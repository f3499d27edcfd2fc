import { constants } from 'node:fs';
import { copyFile, link, lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ArtifactSink } from '@tenon/artifact';
import { TenonError } from '@tenon/plugin';

/**
 * Writes a file piece by piece under another name and renames it when it is complete: it is there whole or not at all,
 * whatever happens on the way. `begun` is a file in the same folder to go on from. Throws `tenon/unwritable`.
 */
export async function writeFileAtomically<T>(path: string, content: (sink: ArtifactSink) => Promise<T>, begun: string | null = null): Promise<T> {
  return replacing(path, async (temporary) => {
    const attempt = async <R>(work: () => Promise<R>): Promise<R> => {
      try {
        return await work();
      } catch (cause) {
        throw unwritable(path, cause);
      }
    };
    const file = await attempt(() => open(temporary, begun === null ? 'wx' : 'r+'));
    try {
      return await content({
        write: (offset, bytes) => attempt(async () => {
          for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
        }),
        truncate: (bytes) => attempt(() => file.truncate(bytes)),
      });
    } finally {
      await file.close();
    }
  }, begun);
}

/**
 * Gives the cache's file `from` a second name outside, without another copy of its bytes where the file system can: a clone of its
 * blocks, else a link. Only one link is made: writing to one file outside must not change another. (The cache tells by the
 * time of change.) Throws `tenon/unwritable`.
 */
export async function shareFile(from: string, to: string): Promise<void> {
  if (await sameFile(from, to)) return;
  await replacing(to, async (temporary) => {
    try {
      await copyFile(from, temporary, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      return;
    } catch {
      // Most file systems cannot. What it left goes before the next attempt.
      await rm(temporary, { force: true }).catch(() => {});
    }
    try {
      await link(from, temporary);
      // Counted afterwards: another process may do the same.
      if ((await stat(temporary)).nlink === 2) return;
      await rm(temporary);
    } catch {
      // Another file system, or one without links.
    }
    try {
      await copyFile(from, temporary);
    } catch (cause) {
      throw unwritable(to, cause);
    }
  });
}

async function sameFile(a: string, b: string): Promise<boolean> {
  const [x, y] = await Promise.all([a, b].map((path) => lstat(path, { bigint: true }).catch(() => null)));
  return x != null && y != null && x.ino === y.ino && x.dev === y.dev && x.isFile();
}

/** A name for what is on its way to `path`. */
export const temporaryName = (path: string): string => `${path}.${process.pid}.${Math.random().toString(36).slice(2, 8)}.tmp`;

async function replacing<T>(path: string, make: (temporary: string) => Promise<T>, begun: string | null = null): Promise<T> {
  const temporary = begun ?? temporaryName(path);
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (cause) {
    throw unwritable(path, cause);
  }
  try {
    const result = await make(temporary);
    try {
      await rename(temporary, path);
    } catch (cause) {
      throw unwritable(path, cause);
    }
    return result;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

function unwritable(path: string, cause: unknown): TenonError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const hint = code === 'ENOSPC' ? 'free some space' : code === 'EACCES' || code === 'EROFS' ? 'choose a folder that you may write to' : null;
  return new TenonError({ code: 'tenon/unwritable', message: `${path} cannot be written: ${message}`, hint }, { cause });
}
