import type { Buffer, Expr, IterVar } from '@tenon/plugin';
import type { NameTypes } from './syntax.ts';

/** What is in scope at a place of a tensor function: the same for printer and parser. */
export class TensorScope implements NameTypes {
  readonly variables = new Map<string, string>();
  readonly buffers = new Map<string, string>();
  readonly shapes = new Map<string, readonly Expr[]>();
  readonly #loops = new Map<string, Expr>();

  declareBuffer(buffer: Buffer): void {
    this.buffers.set(buffer.name, buffer.dtype);
    this.shapes.set(buffer.name, buffer.shape);
  }

  withBuffer<T>(buffer: Buffer, body: () => T): T {
    const dtype = this.buffers.get(buffer.name);
    const shape = this.shapes.get(buffer.name);
    this.declareBuffer(buffer);
    const result = body();
    restore(this.buffers, buffer.name, dtype);
    restore(this.shapes, buffer.name, shape);
    return result;
  }

  /** `extent` for a loop variable, null for any other. */
  withVariable<T>(name: string, dtype: string, extent: Expr | null, body: () => T): T {
    const oldType = this.variables.get(name);
    const oldLoop = this.#loops.get(name);
    this.variables.set(name, dtype);
    restore(this.#loops, name, extent ?? undefined);
    const result = body();
    restore(this.variables, name, oldType);
    restore(this.#loops, name, oldLoop);
    return result;
  }

  withIters<T>(iters: readonly Pick<IterVar, 'name'>[], body: () => T, from = 0): T {
    const iter = iters[from];
    return iter === undefined ? body() : this.withVariable(iter.name, 'i64', null, () => this.withIters(iters, body, from + 1));
  }

  /** The extent of the loop whose variable this expression is, or null. */
  loopExtent(e: Expr): Expr | null {
    return e.op === 'var' && e.dtype === 'i64' ? this.#loops.get(String(e.value)) ?? null : null;
  }
}

function restore<T>(map: Map<string, T>, key: string, old: T | undefined): void {
  if (old === undefined) map.delete(key);
  else map.set(key, old);
}
