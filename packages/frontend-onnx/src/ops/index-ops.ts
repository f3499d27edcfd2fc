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

/** Only where the condition is constant: otherwise the size of the result depends on data. */
function compress(c: Conversion): readonly Value[] {
  const condition = c.numbers(1) ?? c.unsupported('onnx/dynamic-shape', 'the condition is computed while the model runs, and decides the size of the result');
  const { shape } = c.tensor(0);
  const flat = !c.has('axis');
  const at = flat ? 0 : axis(c, 'axis', shape.length);
  const kept = condition.flatMap((v, i) => (v !== 0 ? [i] : []));
  const x = flat ? c.b.call('shape.reshape', [c.input(0)], { shape: [c.exprs.product(shape)] }) : c.input(0);
  const size = c.exprs.valueOf(flat ? c.exprs.product(shape) : shape[at]!);
  if (size === null || kept.some((i) => i >= size)) c.unsupported('onnx/invalid-shape', `the condition keeps elements beyond the ${size ?? 'symbolic'} of the axis`);
  return [c.b.call('index.gather', [x, c.b.constant(kept, 'i64', [kept.length])], { axis: at })];
}

/** Only of constants: otherwise the size of the result depends on data. */
function nonZero(c: Conversion): readonly Value[] {
  const x = c.constantOf(0);
  const values = c.numbers(0);
  if (x === null || values === null) c.unsupported('onnx/dynamic-shape', 'the input is computed while the model runs, and decides the size of the result');
  const { shape } = x;
  const found = values.flatMap((v, i) => (v !== 0 ? [i] : []));
  const rows = shape.flatMap((size, a) => {
    const stride = shape.slice(a + 1).reduce((n, d) => n * d, 1);
    return found.map((position) => Math.floor(position / stride) % size);
  });
  return [c.b.constant(rows, 'i64', [shape.length, found.length])];
}

export const converters: ConverterTable = {
  Gather: { since: 1, convert: gather },
  GatherElements: { since: 11, convert: gatherElements },
  GatherND: { since: 11, convert: (c) => [c.b.call('index.gather_nd', [c.input(0), c.input(1)], { batch_dims: c.int('batch_dims', 0) })] },
  Scatter: { since: 9, convert: scatterElements },
  ScatterElements: { since: 11, convert: scatterElements },
  ScatterND: { since: 11, convert: (c) => [c.b.call('index.scatter_nd', [c.input(0), c.input(1), c.input(2)], { reduction: c.string('reduction', 'none') })] },
  Compress: { since: 9, convert: compress },
  NonZero: { since: 9, convert: nonZero },
  OneHot: { since: 9, convert: oneHot },
  TopK: { since: 1, convert: topK },
  TensorScatter: { since: 24, convert: tensorScatter },
};
