import type { Cache, Memo } from '@tenon/plugin';
import { Murmur128 } from '../structure/murmur.ts';

/** What an entry holds: all that its key was made from, so that neither a collision nor a damaged file is ever taken for an answer. */
interface Entry {
  readonly identity: string;
  readonly kind: string;
  readonly of: string;
  readonly value: unknown;
}

/** A memo in a cache, for one identity of code, plugins, options and targets. */
export class CachedMemo implements Memo {
  readonly #cache: Cache;
  readonly #identity: string;
  readonly #writes: Promise<void>[];

  constructor(cache: Cache, identity: string, writes: Promise<void>[] = []) {
    this.#cache = cache;
    this.#identity = identity;
    this.#writes = writes;
  }

  /** The same for what depends on `more` besides. */
  scoped(more: unknown): CachedMemo {
    return new CachedMemo(this.#cache, `${this.#identity} ${JSON.stringify(more, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))}`, this.#writes);
  }

  async get(kind: string, of: string): Promise<unknown> {
    const bytes = await this.#cache.get(this.#key(kind, of));
    if (bytes === null) return null;
    try {
      const entry = JSON.parse(new TextDecoder().decode(bytes)) as Entry;
      return entry.identity === this.#identity && entry.kind === kind && entry.of === of ? entry.value : null;
    } catch {
      return null;
    }
  }

  put(kind: string, of: string, value: unknown): void {
    const entry: Entry = { identity: this.#identity, kind, of, value };
    // A cache that cannot be written says so itself.
    this.#writes.push(this.#cache.put(this.#key(kind, of), new TextEncoder().encode(JSON.stringify(entry))).catch(() => {}));
  }

  /** When all that was put is kept. */
  async written(): Promise<void> {
    await Promise.all(this.#writes.splice(0));
  }

  #key(kind: string, of: string): string {
    const hash = new Murmur128();
    for (const part of ['memo', this.#identity, kind, of]) {
      hash.word(part.length);
      for (let i = 0; i < part.length; i += 2) hash.word(part.charCodeAt(i) | ((i + 1 < part.length ? part.charCodeAt(i + 1) : 0) << 16));
    }
    return hash.digest();
  }
}
