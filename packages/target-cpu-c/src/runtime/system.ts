import koffi from 'koffi';

/** A function of the C library that takes and gives integers; addresses are such. `async` calls it on another thread. */
export type SystemFunction = ((...args: readonly bigint[]) => number | bigint) & {
  async(...args: readonly [...(readonly bigint[]), (error: Error | null, result: number | bigint) => void]): void;
};

/** What Linux does with memory. */
export interface MemoryFunctions {
  readonly mmap: SystemFunction;
  readonly munmap: SystemFunction;
  readonly mremap: SystemFunction;
  readonly madvise: SystemFunction;
  readonly memcpy: SystemFunction;
}

/** null: this is another system, or its C library has no such functions. */
export function findMemoryFunctions(): MemoryFunctions | null {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) return null;
  try {
    const library = koffi.load(null);
    const get = (name: string, parameters: number): SystemFunction =>
      library.func(name, 'int64_t', Array.from({ length: parameters }, () => 'int64_t')) as unknown as SystemFunction;
    return { mmap: get('mmap', 6), munmap: get('munmap', 2), mremap: get('mremap', 5), madvise: get('madvise', 3), memcpy: get('memcpy', 3) };
  } catch {
    return null;
  }
}

/** Calls a function on another thread. */
export function elsewhere(fn: SystemFunction, ...args: readonly bigint[]): Promise<number | bigint> {
  return new Promise((resolve, reject) => fn.async(...args, (error: Error | null, result: number | bigint) => (error === null ? resolve(result) : reject(error))));
}

/** What `mmap` and `mremap` give: an address, or null. */
export function mappedAt(result: number | bigint): bigint | null {
  const address = BigInt(result);
  return address === -1n ? null : address;
}

/** Numbers of Linux on both processors. */
export const prot = { none: 0n, readWrite: 3n } as const;
export const map = { private: 2n, fixed: 0x10n, anonymous: 0x20n, noReserve: 0x4000n } as const;
export const remap = { mayMove: 1n, fixed: 2n } as const;
export const advice = { hugePage: 14n, populateRead: 22n, collapse: 25n } as const;
