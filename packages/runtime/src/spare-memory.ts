/**
 * Memory of results that their users gave back, for results to come: its pages are there already, and caches may still hold it. What was
 * given last is taken first; there is never more than `limit` bytes of it.
 */
export class SpareMemory {
  readonly #limit: number;
  readonly #spare: ArrayBuffer[] = [];
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Memory of exactly so many bytes, with whatever is in it; null: there is none. */
  take(bytes: number): ArrayBuffer | null {
    const at = this.#spare.findLastIndex((memory) => memory.byteLength === bytes);
    if (at < 0) return null;
    this.#bytes -= bytes;
    return this.#spare.splice(at, 1)[0]!;
  }

  give(memory: ArrayBuffer): void {
    this.#spare.push(memory);
    this.#bytes += memory.byteLength;
    while (this.#bytes > this.#limit) this.#bytes -= this.#spare.shift()!.byteLength;
  }

  clear(): void {
    this.#spare.length = 0;
    this.#bytes = 0;
  }
}
