import type { Value } from '@tenon/plugin';
import type { Conversion, ConverterTable } from '../convert.ts';
import { elements } from '../proto/numeric.ts';

/** Exactly one of the attributes holds the value. */
function constant(c: Conversion): readonly Value[] {
  const name = c.node.outputs[0] || 'constant';
  const dense = c.attribute('value')?.t;
  if (dense) return [c.constant(dense, name)];
  const sparse = c.attribute('sparse_value')?.sparseTensor;
  if (sparse) return [c.constant(sparse, name)];
  if (c.has('value_float')) return [c.b.constant([c.float('value_float')], 'f32', [])];
  if (c.has('value_floats')) {
    const values = c.floats('value_floats');
    return [c.b.constant(values, 'f32', [values.length])];
  }
  if (c.has('value_int')) return [c.b.constant([c.attribute('value_int')!.i], 'i64', [])];
  if (c.has('value_ints')) {
    const values = c.attribute('value_ints')!.ints;
    return [c.b.constant(values, 'i64', [values.length])];
  }
  if (c.has('value_string') || c.has('value_strings')) c.unsupported('onnx/unsupported-dtype', 'string constants are not supported');
  return c.unsupported('onnx/missing-attribute', 'a Constant needs one of value, value_float(s), value_int(s), sparse_value');
}

function constantOfShape(c: Conversion): readonly Value[] {
  const shape = c.contents(0) ?? c.unsupported('onnx/dynamic-rank', 'the shape is computed at run time from data', 'only shapes that follow from constants and the shapes of inputs are supported');
  shape.forEach((dim, i) => {
    if (c.exprs.prove(c.exprs.lt(dim, 0)) === 'yes') c.unsupported('onnx/invalid-shape', `the shape has the negative size ${c.exprs.valueOf(dim) ?? ''} on axis ${i}`);
  });
  const fill = c.tensorAttr('value');
  if (!fill) return [c.b.call('shape.full', [], { shape, value: 0, dtype: 'f32' })];
  const values = fill.dtype === 'string' ? [] : elements(fill);
  if (values.length !== 1) c.unsupported('onnx/unsupported-attribute', 'the attribute value must be a numeric tensor of one element');
  return [c.b.call('shape.full', [], { shape, value: values[0]!, dtype: fill.dtype })];
}

/** Since opset 15 a slice of the shape, whose bounds are clamped to the rank. */
function shapeOf(c: Conversion): readonly Value[] {
  const rank = c.tensor(0).shape.length;
  const clamp = (axis: number): number => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
  const start = clamp(c.int('start', 0));
  const end = clamp(c.int('end', rank));
  return [c.b.call('shape.shape_of', [c.input(0)], { start, end: Math.max(start, end) })];
}

export const converters: ConverterTable = {
  Constant: { since: 1, convert: constant },
  Identity: { since: 1, convert: (c) => [c.input(0)] },
  ConstantOfShape: { since: 9, convert: constantOfShape },
  Shape: { since: 1, convert: shapeOf },
  Size: { since: 1, convert: (c) => [c.b.call('shape.size_of', [c.input(0)])] },
};
