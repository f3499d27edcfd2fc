import { expect, it } from 'vitest';
import { hash64 } from '@tenon/artifact';
import { wrongHash } from '../src/tiers/user-memory.ts';

const hashes = (memory: Uint8Array, chunk: number, of: (part: Uint8Array) => bigint = hash64): Promise<BigUint64Array> =>
  Promise.resolve(BigUint64Array.from({ length: Math.ceil(memory.length / chunk) }, (_, i) => of(memory.subarray(i * chunk, (i + 1) * chunk))));

it('hashes of a loader are compared with those of the format', async () => {
  expect(await wrongHash({})).toBe(null);
  expect(await wrongHash({ hashes })).toBe(null);
  expect(await wrongHash({ hashes: (memory, chunk) => hashes(memory.subarray(0, memory.length - (memory.length % chunk)), chunk) })).toMatch(/there are 0 hashes of 1 bytes/);
  expect(await wrongHash({ hashes: (memory, chunk) => hashes(memory, chunk, (part) => hash64(part.subarray(0, part.length & ~7))) })).toMatch(/hash 0 of 1 bytes/);
  expect(await wrongHash({ hashes: (memory, chunk) => hashes(memory.fill(0), chunk) })).toMatch(/changes the memory of 1 bytes/);
});
