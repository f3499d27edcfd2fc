/**
 * A 64-bit hash that detects damage, not malice: XXH32's round (https://github.com/Cyan4973/xxHash) over eight 32-bit
 * lanes, because JavaScript multiplies 32-bit integers in one instruction and 64-bit ones not at all. A round is
 * invertible in the lane and in the word, so any change within one word changes its lane.
 */

const P1 = 0x9e3779b1 | 0;
const P2 = 0x85ebca77 | 0;
const P3 = 0xc2b2ae3d | 0;
const P4 = 0x27d4eb2f | 0;
const P5 = 0x165667b1 | 0;

const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

const avalanche = (hash: number): number => {
  let h = hash;
  h = Math.imul(h ^ (h >>> 15), P2);
  h = Math.imul(h ^ (h >>> 13), P3);
  return h ^ (h >>> 16);
};

/** The hash of some bytes. Reads 32-bit words in the machine's order, which is little-endian wherever JavaScript runs today. */
export function hash64(bytes: Uint8Array): bigint {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const blocks = aligned.length >>> 5;
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, blocks * 8);
  const lanes = hashBlocks(words);
  let low = (P5 + aligned.length) | 0;
  let high = (P4 ^ Math.floor(aligned.length / 2 ** 32)) | 0;
  for (let i = 0; i < 8; i++) {
    const lane = lanes[i]!;
    low = Math.imul(rotate((low + Math.imul(lane, P3)) | 0, 17), P4);
    high = Math.imul(rotate(high ^ Math.imul(lane, P2), 11) + P1, P5);
  }
  for (let i = blocks * 32; i < aligned.length; i++) {
    const byte = aligned[i]! + 1;
    low = Math.imul(rotate((low + Math.imul(byte, P5)) | 0, 11), P1);
    high = Math.imul(rotate(high ^ Math.imul(byte, P3), 15), P2);
  }
  return (BigInt(avalanche(high) >>> 0) << 32n) | BigInt(avalanche(low) >>> 0);
}

/** Unrolled over the lanes: this loop is the whole cost of reading an artifact beyond the read itself. */
function hashBlocks(words: Int32Array): Int32Array {
  let a = (P1 + P2) | 0, b = P2, c = 0, d = -P1 | 0, e = P3, f = P4, g = P5, h = (P3 + P4) | 0;
  const n = words.length;
  for (let i = 0; i < n; i += 8) {
    a = (a + Math.imul(words[i]!, P2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), P1);
    b = (b + Math.imul(words[i + 1]!, P2)) | 0;
    b = Math.imul((b << 13) | (b >>> 19), P1);
    c = (c + Math.imul(words[i + 2]!, P2)) | 0;
    c = Math.imul((c << 13) | (c >>> 19), P1);
    d = (d + Math.imul(words[i + 3]!, P2)) | 0;
    d = Math.imul((d << 13) | (d >>> 19), P1);
    e = (e + Math.imul(words[i + 4]!, P2)) | 0;
    e = Math.imul((e << 13) | (e >>> 19), P1);
    f = (f + Math.imul(words[i + 5]!, P2)) | 0;
    f = Math.imul((f << 13) | (f >>> 19), P1);
    g = (g + Math.imul(words[i + 6]!, P2)) | 0;
    g = Math.imul((g << 13) | (g >>> 19), P1);
    h = (h + Math.imul(words[i + 7]!, P2)) | 0;
    h = Math.imul((h << 13) | (h >>> 19), P1);
  }
  return Int32Array.of(a, b, c, d, e, f, g, h);
}
