import koffi from 'koffi';
import { largePage } from './large-pages.ts';
import { advice, elsewhere, map, mappedAt, prot, type MemoryFunctions } from './system.ts';

/** Offsets in files must be multiples of this: the largest page of any system. */
const pageBytes = 64 << 10;
/** Below, reading takes no longer. */
const least = 1 << 20;
/** Pages are brought in by so many threads. */
const threads = 2;

/** Of no object: memory of a loader that is gone is given back as well. */
const giveBack = new FinalizationRegistry<() => void>((unmap) => unmap());

/**
 * Puts parts of files into memory without copying them: the pages of the system's cache, shared with all who use them. What is written there stays in
 * this process. They are given back when nobody has the memory any more.
 */
export class MappedFiles {
  readonly #system: MemoryFunctions;

  constructor(system: MemoryFunctions) {
    this.#system = system;
  }

  /**
   * The memory begins at a multiple of {@link largePage}, where the range in the file begins at one of {@link pageBytes}. null where this cannot be had,
   * for a range that is too short, or not all there: reading says what is wrong.
   */
  async map(descriptor: number, offset: number, bytes: number): Promise<{ readonly host: Uint8Array; readonly address: bigint } | null> {
    if (bytes < least) return null;
    const { mmap, munmap, madvise } = this.#system;
    const shift = offset % pageBytes;
    const length = BigInt(shift + bytes);
    // A piece of address space to choose the place from.
    const step = BigInt(largePage);
    const whole = length + 2n * step;
    const reserved = mappedAt(mmap(0n, whole, prot.none, map.private | map.anonymous | map.noReserve, -1n, 0n));
    if (reserved === null) return null;
    const address = (reserved + step - 1n) & -step;
    if (mappedAt(mmap(address, length, prot.readWrite, map.private | map.fixed, BigInt(descriptor), BigInt(offset - shift))) === null) {
      munmap(reserved, whole);
      return null;
    }
    const part = (length / BigInt(threads) + step - 1n) & -step;
    const parts = Array.from({ length: threads }, (_, i) => BigInt(i) * part).filter((begin) => begin < length);
    const states = await Promise.all(parts.map((begin) => elsewhere(madvise, address + begin, begin + part < length ? part : length - begin, advice.populateRead)));
    // Older systems do not know this, and of a file that has become shorter, or cannot be read, not all pages come: touching them would end the process.
    if (states.some((state) => BigInt(state) !== 0n)) {
      munmap(reserved, whole);
      return null;
    }
    const memory = koffi.view(address, Number(length));
    giveBack.register(memory, () => void munmap(reserved, whole));
    return { host: new Uint8Array(memory, shift, bytes), address: address + BigInt(shift) };
  }
}
