import { inline, outOfLine, widthOf, type HelperScope, type HelperType } from './helper.ts';
import { snippets } from './snippets.ts';
import { scalarTypedefs } from './types.ts';

/** A helper with more text that is called at more places is not inlined: a tile's epilogue would hold dozens of copies of a polynomial, which take the C compiler longer than all else. */
const largeText = 500;
const manyUses = 4;

/** Collects the vector types and helper functions that one translation unit needs, each after what it uses. */
export class Support implements HelperScope {
  readonly #vectors = new Map<string, string>();
  readonly #helpers = new Map<string, { readonly text: string; uses: number }>();

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
    let known = this.#helpers.get(name);
    if (known === undefined) {
      const snippet = snippets[helper];
      if (snippet === undefined) throw new TypeError(`no C helper named ${helper}`);
      known = { text: snippet(name, this.helperType(element, lanes), this), uses: 0 };
      this.#helpers.set(name, known);
    }
    known.uses++;
    return name;
  }

  /** Everything collected, in an order that compiles. */
  text(): string {
    const helpers = Array.from(this.#helpers.values(), ({ text, uses }) => (text.length > largeText && uses > manyUses ? text.replace(inline, outOfLine) : text));
    return [scalarTypedefs, ...this.#vectors.values(), ...helpers].join('\n');
  }
}
