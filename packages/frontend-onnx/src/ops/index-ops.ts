import type { Value } from '@tenon/plugin';
import type { Conversion, ConverterTable } from '../convert.ts';
import { axis } from '../convert.ts';
import { size } from './sizes.ts';

function gather(c: Conversion): readonly Value[] {
  return [c.b.call('index.gather', [c.input(0), c.input(1)], { axis: axis(c, 'axis', c.tensor(0).shape.length, 0) })];
}

function gatherElements(c: Conversion): readonly Value[] {
  return [c.b.call('index.gather_elements', [c.input(0), c.input(1)], { axis: axis(c, 'axis', c.tensor(0).shape.length, 0) })];
}

function scatterElements(c: Conversion): readonly Value[] {
  return [c.b.call('index.scatter_elements', [c.input(0), c.input(1), c.input(2)], {
    axis: axis(c, 'axis', c.tensor(0).shape.length, 0), reduction: c.string('reduction', 'none'),
  })];
}

/** `values` is [off, on]. The depth may be of any numeric dtype. */
function oneHot(c: Conversion): readonly Value[] {
  const { b } = c;
  const given = c.input(0);
  const dtype = c.tensor(0).dtype;
  const indices = dtype === 'i64' || dtype === 'i32' ? given : b.call('math.cast', [given], { to: 'i64' });
  const number = c.numbers(1)?.[0];
  const depth = number === undefined ? size(c, 1, 'depth') : Math.trunc(number);
  const element = (i: number): Value => b.call('shape.slice', [c.input(2)], { axes: [0], starts: [i], sizes: [1] });
  return [b.call('index.one_hot', [indices, element(1), element(0)], { depth, axis: c.int('axis', -1) })];
}

function topK(c: Conversion): readonly Value[] {
  const k = c.opset < 10 ? c.int('k') : size(c, 1, 'k');
  return c.b.op('index.topk', [c.input(0)], { k, axis: axis(c, 'axis', c.tensor(0).shape.length, -1), largest: c.int('largest', 1) !== 0 });
}

function tensorScatter(c: Conversion): readonly Value[] {
  return [c.b.call('index.tensor_scatter', [c.input(0), c.input(1), c.optional(2)], {
    axis: axis(c, 'axis', c.tensor(0).shape.length, -2), mode: c.string('mode', 'linear'),
  })];
}

export const converters: ConverterTable = {
  Gather: { since: 1, convert: gather },
  GatherElements: { since: 11, convert: gatherElements },
  GatherND: { since: 11, convert: (c) => [c.b.call('index.gather_nd', [c.input(0), c.input(1)], { batch_dims: c.int('batch_dims', 0) })] },
  Scatter: { since: 9, convert: scatterElements },
  ScatterElements: { since: 11, convert: scatterElements },
  ScatterND: { since: 11, convert: (c) => [c.b.call('index.scatter_nd', [c.input(0), c.input(1), c.input(2)], { reduction: c.string('reduction', 'none') })] },
  OneHot: { since: 9, convert: oneHot },
  TopK: { since: 1, convert: topK },
  TensorScatter: { since: 24, convert: tensorScatter },
};
