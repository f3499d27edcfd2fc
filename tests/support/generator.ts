/** Pseudo-random numbers in 0 … 1 (mulberry32): the same everywhere for a seed. */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What tests draw from a {@link generator}. */
export class Random {
  /** In [0, 1). */
  readonly real: () => number;
  constructor(seed: number) {
    this.real = generator(seed);
  }
  /** 0 … n − 1. */
  below(n: number): number {
    return Math.floor(this.real() * n);
  }
  chance(p: number): boolean {
    return this.real() < p;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  /** A list of up to `max` items. */
  list<T>(max: number, item: (i: number) => T): T[] {
    return Array.from({ length: this.below(max + 1) }, (_, i) => item(i));
  }
  shuffled<T>(items: readonly T[]): T[] {
    const list = [...items];
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
    return list;
  }
}
