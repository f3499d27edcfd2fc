import type { Attrs, Value } from '@tenon/plugin';
import { scalarConstant, type Conversion, type ConverterTable } from '../convert.ts';
import { intList, spatialRank, windowAttrs } from './sliding-window.ts';

function poolAttrs(c: Conversion): Attrs {
  const spatial = spatialRank(c);
  if (!c.has('kernel_shape')) c.unsupported('onnx/missing-attribute', 'the attribute kernel_shape is missing');
  const kernel = intList(c, 'kernel_shape', spatial, 1, 1);
  return { ...windowAttrs(c, kernel), kernel, ceil_mode: c.int('ceil_mode', 0) !== 0 };
}

function maxPool(c: Conversion): readonly Value[] {
  const attrs = poolAttrs(c);
  if (!c.used(1)) return [c.b.call('nn.max_pool', [c.input(0)], attrs)];
  return c.b.op('nn.max_pool_with_indices', [c.input(0)], { ...attrs, storage_order: c.int('storage_order', 0) });
}

/** The axes that a global pool reduces. */
function spatialAxes(c: Conversion): number[] {
  const spatial = spatialRank(c);
  return Array.from({ length: spatial }, (_, i) => i + 2);
}

function globalLpPool(c: Conversion): readonly Value[] {
  const axes = spatialAxes(c);
  const p = c.int('p', 2);
  const { dtype } = c.tensor(0);
  if (p === 1) return [c.b.call('reduce.l1', [c.input(0)], { axes, keepdims: true })];
  if (p === 2) return [c.b.call('reduce.l2', [c.input(0)], { axes, keepdims: true })];
  const powers = c.b.call('math.pow', [c.b.call('math.abs', [c.input(0)]), scalarConstant(c, p, dtype)]);
  const sum = c.b.call('reduce.sum', [powers], { axes, keepdims: true });
  return [c.b.call('math.pow', [sum, scalarConstant(c, 1 / p, dtype)])];
}

/** Each element to its position in a tensor of zeros; the position counts over all of the output. */
function maxUnpool(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape, dtype } = c.tensor(0);
  const spatial = spatialRank(c);
  const kernel = intList(c, 'kernel_shape', spatial, 1, 1);
  const strides = intList(c, 'strides', spatial, 1, 1);
  const pads = intList(c, 'pads', 2 * spatial, 0, 0);
  const inferred = [
    ...shape.slice(0, 2),
    ...shape.slice(2).map((size, i) => exprs.sub(exprs.add(exprs.mul(exprs.sub(size, 1), strides[i]!), kernel[i]!), pads[i]! + pads[i + spatial]!)),
  ];
  const given = c.optional(2) === null ? null : c.contents(2);
  if (c.optional(2) !== null && given === null) c.unsupported('onnx/dynamic-shape', 'output_shape is computed at run time from data');
  const target = given ?? inferred;
  const count = exprs.product(shape);
  const flat = (value: Value): Value => c.b.call('shape.reshape', [value], { shape: [count] });
  let positions = flat(c.input(1));
  if (given) {
    // Positions count over the tensor that the attributes imply; its planes lie in the corner of larger ones.
    let rest = positions;
    let position: Value | null = null;
    let step = exprs.int(1);
    for (let axis = inferred.length - 1; axis >= 0; axis--) {
      const size = c.b.dims([inferred[axis]!], []);
      const index: Value = axis === 0 ? rest : c.b.call('math.mod', [rest, size]);
      const offset: Value = c.b.call('math.mul', [index, c.b.dims([step], [])]);
      position = position === null ? offset : c.b.call('math.add', [position, offset]);
      rest = c.b.call('math.div', [rest, size]);
      step = exprs.mul(step, target[axis]!);
    }
    positions = position!;
  }
  const zeros = c.b.call('shape.full', [], { shape: [exprs.product(target)], value: 0, dtype });
  const scattered = c.b.call('index.scatter_elements', [zeros, positions, flat(c.input(0))], { axis: 0 });
  return [c.b.call('shape.reshape', [scattered], { shape: target })];
}

export const converters: ConverterTable = {
  MaxPool: { since: 1, convert: maxPool },
  AveragePool: {
    since: 7,
    convert: (c) => [c.b.call('nn.avg_pool', [c.input(0)], { ...poolAttrs(c), count_include_pad: c.int('count_include_pad', 0) !== 0 })],
  },
  LpPool: { since: 2, convert: (c) => [c.b.call('nn.lp_pool', [c.input(0)], { ...poolAttrs(c), p: c.int('p', 2) })] },
  GlobalAveragePool: { since: 1, convert: (c) => [c.b.call('reduce.mean', [c.input(0)], { axes: spatialAxes(c), keepdims: true })] },
  GlobalMaxPool: { since: 1, convert: (c) => [c.b.call('reduce.max', [c.input(0)], { axes: spatialAxes(c), keepdims: true })] },
  GlobalLpPool: { since: 2, convert: globalLpPool },
  MaxUnpool: { since: 9, convert: maxUnpool },
};
