import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';

/** A source over bytes that counts what is read. */
export function memory(uri: string, bytes: Uint8Array): ByteSource & { closed: boolean; reads: number } {
  return {
    uri, bytes: bytes.length, id: uri, closed: false, reads: 0,
    read(offset, length) {
      this.reads++;
      if (offset < 0 || offset + length > bytes.length) throw new TenonError({ code: 'host/past-end', message: `${uri}: past the end` });
      return Promise.resolve(bytes.subarray(offset, offset + length));
    },
    close() {
      this.closed = true;
    },
  };
}

/** The diagnostic with which a promise fails. */
export async function failure(promise: Promise<unknown>): Promise<TenonError['diagnostic']> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TenonError) return error.diagnostic;
    throw error;
  }
  throw new Error('it did not fail');
}
