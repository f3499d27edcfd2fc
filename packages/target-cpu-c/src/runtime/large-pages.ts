import koffi from 'koffi';

/** Bytes of a large page of the systems that have this. */
export const largePage = 2 << 20;

/** Until then a model has been loaded and has run once, as a rule. */
const delayMilliseconds = 200;

/** Bytes that one call moves: some milliseconds, which a process that ends has to wait for. */
const stepBytes = 4 * largePage;

const MADV_HUGEPAGE = 14;
const MADV_COLLAPSE = 25;

type Advise = ((address: bigint, bytes: bigint, advice: number) => number) & {
  async(address: bigint, bytes: bigint, advice: number, done: (error: Error | null, status: number) => void): void;
};

interface Wanted {
  /** Keeps the memory from being freed. */
  readonly memory: Uint8Array;
  next: bigint;
  readonly end: bigint;
}

/**
 * Puts memory on large pages, a while after it was allocated and on another thread: kernels that stream through it wait less for
 * translations. Not at once, because large pages that a virtual machine has not used lately take several times as long to come as small
 * ones, and the first result would wait for them. Only on Linux; elsewhere nothing happens.
 */
export class LargePages {
  readonly #wanted: Wanted[] = [];
  #advise: Advise | null | undefined;
  #scheduled = false;

  /** `address` is the memory's, a multiple of {@link largePage}. */
  add(memory: Uint8Array, address: bigint): void {
    if (process.platform !== 'linux') return;
    this.#wanted.push({ memory, next: address, end: address + BigInt(memory.length - (memory.length % largePage)) });
    this.#schedule(delayMilliseconds);
  }

  /** The memory is about to be freed. */
  forget(memory: Uint8Array): void {
    const at = this.#wanted.findIndex((wanted) => wanted.memory === memory);
    if (at >= 0) this.#wanted.splice(at, 1);
  }

  /** One step at a time, and never what a process would have to stay alive for. */
  #schedule(milliseconds: number): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => this.#step(), milliseconds).unref();
  }

  #step(): void {
    const [wanted] = this.#wanted;
    this.#scheduled = false;
    this.#advise ??= find();
    const advise = this.#advise;
    if (advise === null) this.#wanted.length = 0;
    if (wanted === undefined || advise === null) return;
    if (wanted.next >= wanted.end) {
      this.forget(wanted.memory);
      this.#schedule(0);
      return;
    }
    const { next, end } = wanted;
    const bytes = end - next < stepBytes ? end - next : BigInt(stepBytes);
    wanted.next += bytes;
    this.#scheduled = true;
    advise.async(next, bytes, MADV_COLLAPSE, (_error, status) => {
      this.#scheduled = false;
      if (status !== 0) {
        // Systems before Linux 6.1, or without room: it may come to it by itself later.
        advise(next, end - next, MADV_HUGEPAGE);
        wanted.next = end;
      }
      this.#schedule(0);
    });
  }
}

function find(): Advise | null {
  try {
    return koffi.load(null).func('madvise', 'int', ['uint64_t', 'uint64_t', 'int']) as unknown as Advise;
  } catch {
    return null;
  }
}
