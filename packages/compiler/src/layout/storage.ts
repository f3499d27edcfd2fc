import type { Expr, ExprBuilder, TensorType, Value } from '@tenon/plugin';
import type { Surroundings } from './padding.ts';
import type { Permutation, Places } from './places.ts';

/** How a value lies that lies otherwise than its type says. */
export interface Storage {
  /** null: its axes are in order. */
  readonly permutation: Permutation | null;
  /** The same, the identity where there is none. */
  readonly order: Permutation;
  /** What it lies in; itself where that is no other value. */
  readonly root: Value;
  /** Where it begins in that, in elements along each axis. */
  readonly before: readonly number[];
  /** null: nothing is around it. */
  readonly surroundings: Surroundings | null;
  /** Along which axes it is shorter than what it lies in, and its extent there. */
  readonly cut: readonly { readonly axis: number; readonly extent: number }[];
}

/** How all values of a function lie. */
export class Storages {
  readonly #permutations: ReadonlyMap<Value, Permutation>;
  readonly #places: Places['places'];
  readonly #frames: Places['frames'];
  readonly #exprs: ExprBuilder;
  readonly #known = new Map<Value, Storage | null>();

  constructor(permutations: ReadonlyMap<Value, Permutation>, { places, frames }: Places, exprs: ExprBuilder) {
    this.#permutations = permutations;
    this.#places = places;
    this.#frames = frames;
    this.#exprs = exprs;
  }

  rootOf(value: Value): Value {
    return this.#places.get(value)?.root ?? value;
  }

  /** null: as its type says, and no part of another. */
  of(value: Value): Storage | null {
    let storage = this.#known.get(value);
    if (storage === undefined) this.#known.set(value, (storage = this.#make(value)));
    return storage;
  }

  /** The type of the memory that a value lies in. */
  typeOf(value: Value): TensorType {
    const root = this.rootOf(value);
    const type = root.type as TensorType;
    const frame = this.#frames.get(root);
    const shape = type.shape.map((d, axis): Expr => (frame === undefined ? d : this.#exprs.add(d, frame.before[axis]! + frame.after[axis]!)));
    return { ...type, shape: this.#permutations.get(root)?.map((a) => shape[a]!) ?? shape };
  }

  #make(value: Value): Storage | null {
    const permutation = this.#permutations.get(value) ?? null;
    const place = this.#places.get(value);
    const root = this.rootOf(value);
    const frame = this.#frames.get(root);
    if (value.type.kind !== 'tensor' || (permutation === null && place === undefined)) return null;
    const { shape } = value.type;
    const cut = shape.flatMap((d, axis) => {
      const all = (root.type as TensorType).shape[axis]!;
      return d === all ? [] : [{ axis, extent: this.#exprs.valueOf(d)!, all: this.#exprs.valueOf(all)! }];
    });
    const none = shape.map(() => 0);
    const zeros = frame ?? { before: none, after: none };
    const before = shape.map((_, axis) => zeros.before[axis]! + (place?.before[axis] ?? 0));
    const after = shape.map((_, axis) => {
      const beyond = cut.find((c) => c.axis === axis);
      return zeros.after[axis]! + (beyond === undefined ? 0 : beyond.all - beyond.extent - place!.before[axis]!);
    });
    return {
      permutation, order: permutation ?? shape.map((_, axis) => axis), root, before, cut: cut.map(({ axis, extent }) => ({ axis, extent })),
      surroundings: frame === undefined && cut.length === 0 ? null : { before, after, zeros },
    };
  }
}
