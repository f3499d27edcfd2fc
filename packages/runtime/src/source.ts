import { hash64 } from '@tenon/artifact';
import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';

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
const pieceBytes = 64 << 20;

/** Fills memory from a source. */
export async function readInto(source: ByteSource, offset: number, destination: Uint8Array): Promise<void> {
  if (source.readInto) return source.readInto(offset, destination);
  for (let at = 0; at < destination.length; at += pieceBytes) {
    const length = Math.min(pieceBytes, destination.length - at);
    destination.set(await source.read(offset + at, length), at);
  }
}
