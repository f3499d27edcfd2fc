import { constants } from 'node:fs';
import { copyFile, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ArtifactSink } from '@tenon/artifact';
import { TenonError } from '@tenon/plugin';

/**
 * Writes a file piece by piece under another name and renames it when it is complete: it is there whole or not at all,
 * whatever happens on the way. Throws `tenon/unwritable`.
 */
export async function writeFileAtomically<T>(path: string, content: (sink: ArtifactSink) => Promise<T>): Promise<T> {
  return replacing(path, async (temporary) => {
    let file: FileHandle;
    try {
      file = await open(temporary, 'wx');
    } catch (cause) {
      throw unwritable(path, cause);
    }
    try {
      return await content({
        write: async (offset, bytes) => {
          try {
            for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
          } catch (cause) {
            throw unwritable(path, cause);
          }
        },
      });
    } finally {
      await file.close();
    }
  });
}

/** Like {@link writeFileAtomically}, with contents that are in another file; shares its blocks where the file system can. */
export async function copyFileAtomically(from: string, to: string): Promise<void> {
  await replacing(to, async (temporary) => {
    try {
      await copyFile(from, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    } catch (cause) {
      throw unwritable(to, cause);
    }
  });
}

async function replacing<T>(path: string, make: (temporary: string) => Promise<T>): Promise<T> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2, 8)}.tmp`;
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
