import { widthOf, type HelperScope, type HelperType } from './helper.ts';
import { snippets } from './snippets.ts';
import { scalarTypedefs } from './types.ts';

/** Collects the vector types and helper functions that one translation unit needs, each after what it uses. */
export class Support implements HelperScope {
  readonly #vectors = new Map<string, string>();
  readonly #helpers = new Map<string, string>();

  /** The vector type of so many elements; the element type itself for one lane. */
  vector(element: string, lanes: number): string {
    if (lanes === 1) return element;
    const name = `${element}x${lanes}`;
    if (!this.#vectors.has(name)) {
      const bytes = widthOf(element) * lanes;
      this.#vectors.set(
        name,
        `typedef ${element} ${name} __attribute__((vector_size(${bytes})));\n` +
          // The type of vectors in memory: buffers are aligned to their elements only.
          `typedef ${element} ${name}_u __attribute__((vector_size(${bytes}), aligned(${widthOf(element)})));`,
      );
    }
    return name;
  }

  helperType(element: string, lanes: number): HelperType {
    return { element, lanes, type: this.vector(element, lanes), mask: this.vector(`i${widthOf(element) * 8}`, lanes) };
  }

  /** Name of a helper function for this element type and lane count; its text is added once. */
  use(helper: string, element: string, lanes: number): string {
    const name = `tn_${helper}_${lanes === 1 ? element : `${element}x${lanes}`}`;
    if (!this.#helpers.has(name)) {
      const snippet = snippets[helper];
      if (snippet === undefined) throw new TypeError(`no C helper named ${helper}`);
      const text = snippet(name, this.helperType(element, lanes), this);
      this.#helpers.set(name, text);
    }
    return name;
  }

  /** Everything collected, in an order that compiles. */
  text(): string {
    return [scalarTypedefs, ...this.#vectors.values(), ...this.#helpers.values()].join('\n');
  }
}
