import type { EntryInfo } from '@tenon/artifact';
import type { Prepared } from './prepared.ts';

/** Prepared memory between runs: the next run with the same dims finds buffers allocated and calls bound. */
export interface PreparedPool {
  /** Idle memory for these dims, else new. */
  take(entry: EntryInfo, dims: ReadonlyMap<string, number>): Prepared;
  make(entry: EntryInfo, dims: ReadonlyMap<string, number>): Prepared;
  /** Keeps it for the next run; what has been idle longest is freed when there is too much. */
  give(prepared: Prepared): void;
  dispose(): void;
}

/** At most this many are kept, since each also holds bound calls. */
const maxIdle = 16;

export function createPool(idleBytes: number, create: (entry: EntryInfo, dims: ReadonlyMap<string, number>, key: string) => Prepared): PreparedPool {
  /** The longest idle first. */
  const idle: Prepared[] = [];
  const keyOf = (entry: EntryInfo, dims: ReadonlyMap<string, number>): string => `${entry.name}:${entry.dims.map((dim) => dims.get(dim.name) ?? '').join(',')}`;
  return {
    take(entry, dims) {
      const key = keyOf(entry, dims);
      const at = idle.findLastIndex((prepared) => prepared.key === key);
      return at >= 0 ? idle.splice(at, 1)[0]! : create(entry, dims, key);
    },
    make: (entry, dims) => create(entry, dims, keyOf(entry, dims)),
    give(prepared) {
      idle.push(prepared);
      let bytes = idle.reduce((total, one) => total + one.bytes, 0);
      // The newest stays whatever its size: running one model in a row must not allocate.
      while (idle.length > 1 && (bytes > idleBytes || idle.length > maxIdle)) {
        const oldest = idle.shift()!;
        bytes -= oldest.bytes;
        oldest.dispose();
      }
    },
    dispose() {
      for (const prepared of idle) prepared.dispose();
      idle.length = 0;
    },
  };
}
