import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { read as readCallback } from 'node:fs';
import { promisify } from 'node:util';
import { hash64 } from '@tenon/artifact';
import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { checkRange } from '../source.ts';

const read = promisify(readCallback);

/** One read call takes at most 2³¹ − 1 bytes. */
const pieceBytes = 2 ** 30;
/** What of a file's beginning and end goes into its identity. */
const sampleBytes = 64 << 10;

/**
 * A file read by position, of any size. Its id is made of size, time of the last change, and a hash of its beginning
 * and end: reading all of a large file to identify it would cost more than compiling it. Throws `host/…` diagnostics.
 */
export function fileSource(path: string): ByteSource {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw openError(path, error);
  }
  let stat: Stats;
  try {
    stat = fstatSync(fd);
    if (!stat.isFile()) throw new TenonError({ code: 'host/not-a-file', message: `${path} is not a file` });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const bytes = stat.size;
  let open = true;

  const check = (offset: number, length: number): void => {
    if (!open) throw new TenonError({ code: 'host/closed', message: `${path} has been closed` });
    checkRange(path, bytes, offset, length);
  };
  const short = (): TenonError => new TenonError({ code: 'host/changed', message: `${path} became shorter while it was being read` });
  const failed = (cause: unknown): TenonError => new TenonError({ code: 'host/unreadable', message: `${path} cannot be read: ${(cause as Error).message}` }, { cause });

  const readIntoSync = (offset: number, destination: Uint8Array): void => {
    check(offset, destination.length);
    for (let at = 0; at < destination.length; ) {
      let count: number;
      try {
        count = readSync(fd, destination, at, Math.min(pieceBytes, destination.length - at), offset + at);
      } catch (error) {
        throw failed(error);
      }
      if (count === 0) throw short();
      at += count;
    }
  };
  const readInto = async (offset: number, destination: Uint8Array): Promise<void> => {
    check(offset, destination.length);
    for (let at = 0; at < destination.length; ) {
      const length = Math.min(pieceBytes, destination.length - at);
      const { bytesRead } = await read(fd, destination, at, length, offset + at).catch((error: unknown) => {
        throw failed(error);
      });
      if (bytesRead === 0) throw short();
      at += bytesRead;
    }
  };

  const sample = new Uint8Array(Math.min(bytes, 2 * sampleBytes));
  const half = Math.min(sampleBytes, sample.length);
  readIntoSync(0, sample.subarray(0, half));
  readIntoSync(bytes - (sample.length - half), sample.subarray(half));

  return {
    uri: path,
    bytes,
    descriptor: fd,
    id: `${bytes}-${Math.floor(stat.mtimeMs)}-${hash64(sample).toString(16)}`,
    readSync(offset, length) {
      check(offset, length);
      const destination = new Uint8Array(length);
      readIntoSync(offset, destination);
      return destination;
    },
    async read(offset, length) {
      check(offset, length);
      const destination = new Uint8Array(length);
      await readInto(offset, destination);
      return destination;
    },
    readInto,
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

function openError(path: string, cause: unknown): TenonError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new TenonError({ code: 'host/not-found', message: `there is no file ${path}` }, { cause });
  return new TenonError({ code: 'host/unreadable', message: `${path} cannot be opened: ${message}` }, { cause });
}
