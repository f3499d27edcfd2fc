import { advice, elsewhere, map, mappedAt, prot, remap, type MemoryFunctions } from './system.ts';

/** Bytes of a large page of the systems that have this. */
export const largePage = 2 << 20;

/** Until then a model has been loaded and has run once, as a rule. */
const delayMilliseconds = 200;

/** Bytes that are moved at a time: some milliseconds, which a process that ends has to wait for. */
const stepBytes = 4 * largePage;

interface Wanted {
  /** Keeps the memory from being freed. */
  readonly memory: Uint8Array;
  next: bigint;
  readonly end: bigint;
  /** Of a file: it becomes memory of this process alone. */
  readonly ofFile: boolean;
}

/**
 * Puts memory on large pages, a while after it was allocated and on another thread: kernels that stream through it wait less for
 * translations. Not at once, because large pages that a virtual machine has not used lately take several times as long to come as small
 * ones, and the first result would wait for them. Memory of a file does not depend on the file from then on.
 */
export class LargePages {
  readonly #wanted: Wanted[] = [];
  readonly #system: MemoryFunctions;
  #scheduled = false;

  constructor(system: MemoryFunctions) {
    this.#system = system;
  }

  /** `address` is the memory's, a multiple of {@link largePage}. */
  add(memory: Uint8Array, address: bigint, ofFile: boolean): void {
    // What a file has on its last large page moves as well.
    const bytes = BigInt(ofFile ? memory.length : memory.length - (memory.length % largePage));
    this.#wanted.push({ memory, next: address, end: address + bytes, ofFile });
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
    setTimeout(() => void this.#step(), milliseconds).unref();
  }

  async #step(): Promise<void> {
    const [wanted] = this.#wanted;
    if (wanted !== undefined) {
      const { next, end } = wanted;
      const bytes = end - next < stepBytes ? end - next : BigInt(stepBytes);
      wanted.next += bytes;
      if (bytes > 0n) await (wanted.ofFile ? this.#copy(next, bytes) : this.#collapse(wanted, next, bytes));
      if (wanted.next >= end) this.forget(wanted.memory);
    }
    this.#scheduled = false;
    if (this.#wanted.length > 0) this.#schedule(0);
  }

  async #collapse(wanted: Wanted, address: bigint, bytes: bigint): Promise<void> {
    const { madvise } = this.#system;
    if (BigInt(await elsewhere(madvise, address, bytes, advice.collapse)) === 0n) return;
    // Systems before Linux 6.1, or without room: it may come to it by itself later.
    madvise(address, wanted.end - address, advice.hugePage);
    wanted.next = wanted.end;
  }

  /** Copies to new memory, which then takes the place of the old: whoever reads there meanwhile waits, and finds the same. */
  async #copy(address: bigint, bytes: bigint): Promise<void> {
    const { mmap, munmap, mremap, madvise, memcpy } = this.#system;
    const step = BigInt(largePage);
    const whole = bytes + step;
    const reserved = mappedAt(mmap(0n, whole, prot.readWrite, map.private | map.anonymous | map.noReserve, -1n, 0n));
    // The file's pages stay, and do as well.
    if (reserved === null) return;
    const begin = (reserved + step - 1n) & -step;
    madvise(begin, bytes, advice.hugePage);
    await elsewhere(memcpy, begin, address, bytes);
    const moved = mappedAt(mremap(begin, bytes, bytes, remap.mayMove | remap.fixed, address));
    if (moved === null) munmap(reserved, whole);
    else {
      if (begin > reserved) munmap(reserved, begin - reserved);
      const after = begin + ((bytes + 4095n) & -4096n);
      if (reserved + whole > after) munmap(after, reserved + whole - after);
    }
  }
}
