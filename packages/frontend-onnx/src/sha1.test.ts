import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { memory } from '../test/source.ts';
import { sha1 } from './sha1.ts';

it('agrees with Node on every length round a block, and over several chunks', async () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, (1 << 22) - 1, 1 << 22, (1 << 22) + 57]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) & 255);
    expect(await sha1(memory('m', bytes))).toBe(createHash('sha1').update(bytes).digest('hex'));
  }
});
