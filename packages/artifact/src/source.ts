import type { ByteSource } from '@tenon/plugin';

/** Fills memory from a source, whether or not that reads into the memory of others. */
export async function readInto(source: ByteSource, offset: number, destination: Uint8Array): Promise<void> {
  if (source.readInto !== undefined) await source.readInto(offset, destination);
  else destination.set(await source.read(offset, destination.length));
}
