import { hash64 } from '@tenon/artifact';
import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { allDone } from './all-done.ts';

/** Bytes in memory as a source. They must not change while it is used. */
export function bytesSource(uri: string, bytes: Uint8Array): ByteSource {
  const range = (offset: number, length: number): Uint8Array => {
    checkRange(uri, bytes.length, offset, length);
    return bytes.subarray(offset, offset + length);
  };
  return {
    uri,
    bytes: bytes.length,
    id: `${bytes.length}-${hash64(bytes).toString(16)}`,
    readSync: range,
    read: async (offset, length) => range(offset, length),
    readInto: async (offset, destination) => destination.set(range(offset, destination.length)),
    close() {},
  };
}

/** Throws `host/past-end` where a range is not within `available` bytes. */
export function checkRange(uri: string, available: number, offset: number, length: number): void {
  if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= available)) {
    throw new TenonError({ code: 'host/past-end', message: `${uri} has ${available} bytes; ${length} were asked for at ${offset}`, hint: 'the file may be truncated' });
  }
}

/** Large reads go in pieces of this size, so that no second copy of a whole section exists. */
const copiedBytes = 64 << 20;
/** Pieces that are read where they belong: small, for what is done with one while the others are read. */
const placedBytes = 8 << 20;
/** So many of those are read at a time: copies from the system's cache go as fast as memory only from several threads. */
const readers = 4;

/**
 * Fills memory from a source. `onPiece` is told of what is there: of ranges that begin at multiples of `unit` bytes, in any order.
 */
export async function readInto(source: ByteSource, offset: number, destination: Uint8Array, unit = 1, onPiece: (begin: number, end: number) => void = () => {}): Promise<void> {
  const { length } = destination;
  const step = Math.max(unit, Math.floor((source.readInto ? placedBytes : copiedBytes) / unit) * unit);
  let next = 0;
  const readOn = async (): Promise<void> => {
    while (next < length) {
      const begin = next;
      const end = Math.min(length, begin + step);
      next = end;
      if (source.readInto) await source.readInto(offset + begin, destination.subarray(begin, end));
      else destination.set(await source.read(offset + begin, end - begin), begin);
      onPiece(begin, end);
    }
  };
  await allDone(Array.from({ length: source.readInto ? readers : 1 }, readOn));
}
