import type { Expr, Value } from '@tenon/plugin';
import { axis, axesOf, scalarConstant, type Conversion, type Converter, type ConverterEntry, type ConverterTable } from '../convert.ts';

/**
 * The axes of a reduction: an attribute, or an input from opset `inputSince` on. null: all. Dims where an input is known
 * only at run time, by the dims that its elements bind.
 */
function axesOfReduction(c: Conversion, inputSince: number): readonly (number | Expr)[] | null {
  const rank = c.tensor(0).shape.length;
  if (c.opset < inputSince || !c.optional(1)) return c.has('axes') ? none(c, axesOf(c, 1, 'axes', rank)!) : none(c, []);
  const contents = c.contents(1);
  if (!contents) c.unsupported('onnx/dynamic-axes', 'the axes are computed at run time', 'axes decide the shape of the result and must be constant, or a small graph input');
  return contents.every((e) => e.op === 'const') ? none(c, axesOf(c, 1, 'axes', rank)!) : contents;
}

/** No axes means all, unless the node says that it means none. */
function none(c: Conversion, axes: readonly number[]): readonly number[] | null {
  return axes.length > 0 || c.int('noop_with_empty_axes', 0) !== 0 ? axes : null;
}

const reduction = (op: string, inputSince = 18): ConverterEntry => ({
  since: 7,
  convert: (c) => {
    const keepdims = c.int('keepdims', 1) !== 0;
    const axes = axesOfReduction(c, inputSince);
    const known = axes === null || axes.every((a) => typeof a === 'number');
    const result = apply(c, op, axes, keepdims || !known);
    return [keepdims || known ? result : dropAxes(c, result, axes as readonly Expr[])];
  },
});

function apply(c: Conversion, op: string, axes: readonly (number | Expr)[] | null, keepdims: boolean): Value {
  const x = c.input(0);
  const { dtype } = c.tensor(0);
  const call = (name: string, value: Value): Value => c.b.call(name, [value], { axes, keepdims });
  if (dtype === 'bool' && (op === 'reduce.max' || op === 'reduce.min')) return call(op === 'reduce.max' ? 'reduce.any' : 'reduce.all', x);
  // Roots and logarithms of integers are computed in f64 and truncated.
  if (/^[iu]\d/.test(dtype) && (op === 'reduce.l2' || op === 'reduce.log_sum' || op === 'reduce.log_sum_exp'))
    return c.b.call('math.cast', [call(op, c.b.call('math.cast', [x], { to: 'f64' }))], { to: dtype });
  return call(op, x);
}

/** Removes reduced axes (of size 1) where it is known only at run time which they are; their number is known. */
function dropAxes(c: Conversion, kept: Value, axes: readonly Expr[]): Value {
  const e = c.exprs;
  const { shape } = c.tensor(0);
  const rank = shape.length;
  const isReduced = shape.map((_, i) => axes.map((a) => e.eq(e.mod(a, rank), i)).reduce((p, q) => e.or(p, q)));
  // The position of each axis among those that stay.
  let before: Expr = e.int(0);
  const positions = isReduced.map((reduced) => {
    const position = before;
    before = e.add(before, e.select(reduced, 0, e.int(1)));
    return position;
  });
  const result = Array.from({ length: Math.max(rank - axes.length, 0) }, (_, j) =>
    shape.reduceRight((size, d, i) => e.select(e.and(e.not(isReduced[i]!), e.eq(positions[i]!, j)), d, size), e.int(1)));
  return c.b.call('shape.reshape', [kept], { shape: result });
}

const argExtreme = (op: string): ConverterEntry => ({
  since: 7,
  convert: (c) => [
    c.b.call(op, [c.input(0)], {
      axis: axis(c, 'axis', c.tensor(0).shape.length, 0), keepdims: c.int('keepdims', 1) !== 0, select_last_index: c.int('select_last_index', 0) !== 0,
    }),
  ],
});

/** The axis is an input. Where it is known only at run time, one scan per axis is computed and one of them selected. */
const scan = (op: string): Converter => (c) => {
  const x = c.input(0);
  const rank = c.tensor(0).shape.length;
  const attrs = { exclusive: c.int('exclusive', 0) !== 0, reverse: c.int('reverse', 0) !== 0 };
  const known = rank === 1 ? [0] : c.integers(1);
  if (known) return [c.b.call(op, [x], { axis: axis(c, known[0] ?? 0, rank), ...attrs })];
  if (rank === 0) c.unsupported('onnx/axis-out-of-range', 'a scalar has no axes');
  const given = c.input(1);
  const normal = c.b.call('math.mod', [given, scalarConstant(c, rank, c.tensor(1).dtype)]);
  let result = c.b.call(op, [x], { axis: rank - 1, ...attrs });
  for (let i = rank - 2; i >= 0; i--) {
    const isAxis = c.b.call('math.equal', [normal, scalarConstant(c, i, c.tensor(1).dtype)]);
    result = c.b.call('math.where', [isAxis, c.b.call(op, [x], { axis: i, ...attrs }), result]);
  }
  return [result];
};

export const converters: ConverterTable = {
  ReduceSum: reduction('reduce.sum', 13),
  ReduceMean: reduction('reduce.mean'),
  ReduceMax: reduction('reduce.max'),
  ReduceMin: reduction('reduce.min'),
  ReduceProd: reduction('reduce.prod'),
  ReduceL1: reduction('reduce.l1'),
  ReduceL2: reduction('reduce.l2'),
  ReduceSumSquare: reduction('reduce.sum_square'),
  ReduceLogSum: reduction('reduce.log_sum'),
  ReduceLogSumExp: reduction('reduce.log_sum_exp'),
  ArgMax: argExtreme('reduce.argmax'),
  ArgMin: argExtreme('reduce.argmin'),
  CumSum: { since: 11, convert: scan('reduce.cumsum') },
  CumProd: { since: 26, convert: scan('reduce.cumprod') },
};
