import type { ByteSource } from '@tenon/plugin';

const chunkBytes = 1 << 22;

/** The SHA-1 of a source's contents in hexadecimal (FIPS 180-4): what ONNX's `checksum` of external data holds. */
export async function sha1(source: ByteSource): Promise<string> {
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const words = new Int32Array(80);
  for (let offset = 0; offset < source.bytes; offset += chunkBytes) {
    const chunk = await source.read(offset, Math.min(chunkBytes, source.bytes - offset));
    const whole = chunk.length - (chunk.length % 64);
    for (let at = 0; at < whole; at += 64) block(state, words, chunk, at);
    if (offset + chunk.length === source.bytes) finish(state, words, chunk.subarray(whole), source.bytes);
  }
  if (source.bytes === 0) finish(state, words, new Uint8Array(0), 0);
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

function finish(state: Int32Array, words: Int32Array, rest: Uint8Array, bytes: number): void {
  const padded = new Uint8Array(rest.length < 56 ? 64 : 128);
  padded.set(rest);
  padded[rest.length] = 0x80;
  new DataView(padded.buffer).setBigUint64(padded.length - 8, BigInt(bytes) * 8n);
  for (let at = 0; at < padded.length; at += 64) block(state, words, padded, at);
}

function block(state: Int32Array, words: Int32Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++, at += 4) words[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  for (let i = 16; i < 80; i++) {
    const w = words[i - 3]! ^ words[i - 8]! ^ words[i - 14]! ^ words[i - 16]!;
    words[i] = (w << 1) | (w >>> 31);
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  for (let i = 0; i < 80; i++) {
    let f: number;
    if (i < 20) f = ((b & c) | (~b & d)) + 0x5a827999;
    else if (i < 40) f = (b ^ c ^ d) + 0x6ed9eba1;
    else if (i < 60) f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    else f = (b ^ c ^ d) + 0xca62c1d6;
    const next = (((a << 5) | (a >>> 27)) + f + e + words[i]!) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = next;
  }
  state[0] = state[0]! + a;
  state[1] = state[1]! + b;
  state[2] = state[2]! + c;
  state[3] = state[3]! + d;
  state[4] = state[4]! + e;
}
