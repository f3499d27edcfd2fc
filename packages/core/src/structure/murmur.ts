/**
 * MurmurHash3_x86_128 (Austin Appleby, public domain) over a stream of 32-bit words. Not cryptographic.
 * https://github.com/aappleby/smhasher
 */
export class Murmur128 {
  readonly #h = new Int32Array(4);
  readonly #block = new Int32Array(4);
  #filled = 0;
  #words = 0;

  word(w: number): void {
    this.#block[this.#filled++] = w;
    this.#words++;
    if (this.#filled === 4) {
      this.#mix();
      this.#filled = 0;
    }
  }

  #mix(): void {
    const h = this.#h;
    for (let i = 0; i < 4; i++) {
      h[i] = h[i]! ^ scramble(this.#block[i]!, i);
      h[i] = Math.imul(rotate(h[i]!, bodyRotations[i]!) + h[(i + 1) % 4]!, 5) + additions[i]!;
    }
  }

  /** 32 hexadecimal digits. May be called once. */
  digest(): string {
    const h = this.#h;
    for (let i = this.#filled - 1; i >= 0; i--) h[i] = h[i]! ^ scramble(this.#block[i]!, i);
    for (let i = 0; i < 4; i++) h[i] = h[i]! ^ (this.#words * 4);
    gather(h);
    for (let i = 0; i < 4; i++) h[i] = finalize(h[i]!);
    gather(h);
    return Array.from(h, (x) => (x >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

const multipliers = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
const scrambleRotations = [15, 16, 17, 18];
const bodyRotations = [19, 17, 15, 13];
const additions = [0x561ccd1b, 0x0bcaa747, 0x96cd1c35, 0x32ac3b17];

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}
function scramble(k: number, lane: number): number {
  return Math.imul(rotate(Math.imul(k, multipliers[lane]!), scrambleRotations[lane]!), multipliers[(lane + 1) % 4]!);
}
function gather(h: Int32Array): void {
  h[0] = h[0]! + h[1]! + h[2]! + h[3]!;
  for (let i = 1; i < 4; i++) h[i] = h[i]! + h[0]!;
}
function finalize(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
