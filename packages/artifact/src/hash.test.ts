import { describe, expect, test } from 'vitest';
import { hash64 } from './hash.ts';

const pattern = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 131 + (i >> 8) * 17) & 255);

describe('hash64', () => {
  test('is fixed by the format', () => {
    // Files written by any version of this format must stay readable: these values may not change.
    expect([0, 1, 31, 32, 100, 4096].map((n) => hash64(pattern(n)).toString(16))).toMatchInlineSnapshot(`
      [
        "7812f11eff842113",
        "156578bfa415e4e4",
        "90450d91f8e66ca4",
        "6383ead05928ae",
        "cc6b94d00e76dbe2",
        "a756dd2ce500bdf6",
      ]
    `);
  });

  test('every flipped bit changes it, wherever it is', () => {
    for (const n of [1, 7, 32, 33, 200]) {
      const bytes = pattern(n);
      const seen = new Set([hash64(bytes)]);
      for (let bit = 0; bit < n * 8; bit++) {
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        seen.add(hash64(bytes));
        bytes[bit >> 3]! ^= 1 << (bit & 7);
      }
      expect(seen.size).toBe(n * 8 + 1);
    }
  });

  test('length counts: appended zeros change it', () => {
    const seen = new Set(Array.from({ length: 300 }, (_, n) => hash64(new Uint8Array(n))));
    expect(seen.size).toBe(300);
  });

  test('does not depend on the alignment of the memory', () => {
    const bytes = pattern(1000);
    for (let shift = 0; shift < 9; shift++) {
      const moved = new Uint8Array(1020).subarray(shift, shift + 1000);
      moved.set(bytes);
      expect(hash64(moved)).toBe(hash64(bytes));
    }
  });

  test('both halves spread: 2¹⁶ short inputs give distinct halves about as often as chance', () => {
    const low = new Set<bigint>();
    const high = new Set<bigint>();
    for (let i = 0; i < 65536; i++) {
      const hash = hash64(Uint8Array.of(i & 255, i >> 8, 0, 0));
      low.add(hash & 0xffffffffn);
      high.add(hash >> 32n);
    }
    // Expected collisions of 2¹⁶ draws from 2³²: 0.5.
    expect(65536 - low.size).toBeLessThan(6);
    expect(65536 - high.size).toBeLessThan(6);
  });
});
