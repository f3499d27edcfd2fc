import type { Expr } from '@tenon/plugin';
import type { Conversion } from '../convert.ts';

/** The attributes of a sliding window (Conv and the pools) in the form that `nn` operators take. */
export interface WindowAttrs {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Beginnings, then ends. Dims where `auto_pad` makes them depend on the input. */
  readonly pads: readonly (number | Expr)[];
}

/** A list attribute of `count` integers, each at least `least`; `byDefault` for each where it is absent. */
export function intList(c: Conversion, name: string, count: number, byDefault: number, least: number): readonly number[] {
  const list = c.ints(name, null) ?? new Array<number>(count).fill(byDefault);
  if (list.length !== count || list.some((v) => v < least))
    c.unsupported('onnx/invalid-attribute', `${name} is [${list.join(', ')}], but ${count} integers from ${least} on are needed`);
  return list;
}

/** The window over the spatial axes of input 0 ([N, C, spatial…]) with this kernel. */
export function windowAttrs(c: Conversion, kernel: readonly (number | Expr)[]): WindowAttrs {
  const { exprs } = c;
  const sizes = c.tensor(0).shape.slice(2);
  const count = kernel.length;
  const strides = intList(c, 'strides', count, 1, 1);
  const dilations = intList(c, 'dilations', count, 1, 1);
  const mode = c.string('auto_pad', 'NOTSET');
  switch (mode) {
    case 'NOTSET': case '':
      return { strides, dilations, pads: intList(c, 'pads', 2 * count, 0, 0) };
    case 'VALID':
      return { strides, dilations, pads: new Array<number>(2 * count).fill(0) };
    case 'SAME_UPPER': case 'SAME_LOWER': {
      const begin: Expr[] = [];
      const end: Expr[] = [];
      sizes.forEach((size, i) => {
        const stride = strides[i]!;
        const reach = exprs.add(exprs.mul(exprs.sub(kernel[i]!, 1), dilations[i]!), 1);
        const needed = exprs.sub(exprs.add(exprs.mul(exprs.sub(exprs.ceildiv(size, stride), 1), stride), reach), size);
        // Windows that cover their stride never need negative padding.
        const covers = exprs.valueOf(reach) !== null && exprs.valueOf(reach)! >= stride;
        const total = covers ? needed : exprs.max(needed, 0);
        const less = exprs.floordiv(total, 2);
        begin.push(mode === 'SAME_UPPER' ? less : exprs.sub(total, less));
        end.push(mode === 'SAME_UPPER' ? exprs.sub(total, less) : less);
      });
      return { strides, dilations, pads: [...begin, ...end] };
    }
    default:
      return c.unsupported('onnx/unsupported-attribute', `auto_pad ${JSON.stringify(mode)} is not known`);
  }
}

/** The number of spatial axes of input 0; fails where there is none. */
export function spatialRank(c: Conversion): number {
  const rank = c.tensor(0).shape.length;
  if (rank < 3) c.unsupported('onnx/unsupported-rank', `input 0 has rank ${rank}; batch, channels and at least one spatial axis are needed`);
  return rank - 2;
}
