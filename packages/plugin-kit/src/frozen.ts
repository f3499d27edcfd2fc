/** Data that throws where somebody writes to it. */
import type { CodegenRegion } from '@tenon/plugin';

/** Freezes plain data in depth. Expressions are the session's and stay as they are. */
export function freeze<T>(value: T, seen: Set<unknown> = new Set()): T {
  if (typeof value !== 'object' || value === null || seen.has(value) || ArrayBuffer.isView(value)) return value;
  if ((value as { tag?: unknown }).tag === 'expr') return value;
  seen.add(value);
  if (Object.prototype.toString.call(value) === '[object Map]') {
    const map = value as unknown as Map<unknown, unknown>;
    for (const inner of map.values()) freeze(inner, seen);
    for (const method of ['set', 'delete', 'clear'] as const) {
      Object.defineProperty(map, method, { value: () => { throw new TypeError(`a read-only map was changed (${method})`); } });
    }
    return value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype && !Array.isArray(value)) return value;
  for (const inner of Object.values(value)) freeze(inner, seen);
  return Object.freeze(value);
}

/** Whether an error says that something frozen was written to. */
export const isWriteToFrozen = (message: string): boolean => /read.only|object is not extensible|Cannot delete property|Cannot redefine property/i.test(message);

/** Bytes of constants cannot be frozen: what was read is compared afterwards with what it was. */
export class ReadConstants {
  readonly #read: { readonly name: string; readonly bytes: Uint8Array; readonly before: Uint8Array }[] = [];

  watch(region: CodegenRegion): CodegenRegion {
    return {
      ...region,
      constantBytes: async (name) => {
        const bytes = await region.constantBytes(name);
        this.#read.push({ name, bytes, before: bytes.slice() });
        return bytes;
      },
    };
  }

  /** Throws where a constant has other bytes now. */
  check(): void {
    const changed = this.#read.find(({ bytes, before }) => bytes.some((b, i) => b !== before[i]));
    if (changed !== undefined) throw new TypeError(`the bytes of the constant ${changed.name} are read-only, and were changed`);
  }
}
