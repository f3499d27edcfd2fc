import type { Expr, Value } from '@tenon/plugin';
import type { Conversion, ConverterTable } from '../convert.ts';
import { axis, dtypeOf } from '../convert.ts';
import { scopeOf, size, sizes } from './sizes.ts';
import { slice } from './slice.ts';
import { squeeze, unsqueeze } from './squeeze.ts';

/**
 * ONNX's target shape: 0 copies the input's size (unless `allowzero`), −1 is what is left over. Elements that are sizes
 * of tensors are never −1, and where such a product of sizes is 0 the tensor is empty, so it is not taken as "copy".
 */
function reshapedDims(c: Conversion, target: readonly Expr[]): readonly Expr[] {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  const scope = scopeOf(c);
  const copies = c.int('allowzero', 0) === 0;
  const copied = (e: Expr, i: number): Expr => {
    if (!copies) return e;
    if (exprs.valueOf(e) === 0) return shape[i] ?? c.unsupported('onnx/invalid-shape', `element ${i} of the shape is 0, but the input has only ${shape.length} axes`);
    if (isSize(c, e) || shape[i] === undefined) return e;
    return exprs.prove(exprs.eq(e, 0), scope) === 'no' ? e : exprs.select(exprs.eq(e, 0), shape[i], e);
  };
  const dims = target.map(copied);
  const maybeOpen = dims.map((e) => !isSize(c, e) && exprs.prove(exprs.eq(e, -1), scope) !== 'no');
  const known = dims.map((e, i) => (!maybeOpen[i] ? e : exprs.valueOf(e) === -1 ? exprs.int(1) : exprs.select(exprs.eq(e, -1), 1, e)));
  if (dims.filter((e) => exprs.valueOf(e) === -1).length > 1) c.unsupported('onnx/invalid-shape', 'more than one element of the shape is -1');
  if (!maybeOpen.some(Boolean)) return dims;
  const rest = exprs.floordiv(exprs.product(shape), exprs.product(known));
  return dims.map((e, i) => {
    if (!maybeOpen[i]) return e;
    return exprs.simplify(exprs.valueOf(e) === -1 ? rest : exprs.select(exprs.eq(e, -1), rest, e), scope);
  });
}

/** Whether an expression is made of sizes of tensors only, none of which can be negative. */
function isSize(c: Conversion, e: Expr): boolean {
  const value = c.exprs.valueOf(e);
  if (value !== null) return value >= 0;
  if (!c.exprs.variables(e).every((name) => (c.module.dims.get(name)?.min ?? -1) >= 0)) return false;
  return c.exprs.prove(c.exprs.lt(e, 0), scopeOf(c)) === 'no';
}

function reshape(c: Conversion): readonly Value[] {
  const target = c.opset >= 5 ? sizes(c, 1, 'the shape') : c.ints('shape').map((d) => c.exprs.int(d));
  return [c.b.call('shape.reshape', [c.input(0)], { shape: reshapedDims(c, target) })];
}

function transpose(c: Conversion): readonly Value[] {
  return [c.b.call('shape.transpose', [c.input(0)], c.has('perm') ? { perm: c.ints('perm') } : {})];
}

function concat(c: Conversion): readonly Value[] {
  const inputs = c.inputs.map((_, i) => c.input(i));
  return [c.b.call('shape.concat', inputs, { axis: axis(c, 'axis', c.tensor(0).shape.length, c.opset < 4 ? 1 : undefined) })];
}

function split(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  const at = axis(c, 'axis', shape.length, 0);
  const dim = shape[at]!;
  let parts: readonly Expr[];
  if (c.has('split')) parts = c.ints('split').map((d) => exprs.int(d));
  else if (c.optional(1)) parts = sizes(c, 1, 'split');
  else {
    const count = c.int('num_outputs', c.outputs);
    const scope = scopeOf(c);
    const over = exprs.valueOf(exprs.simplify(exprs.mod(dim, count), scope));
    // Before opset 18 the parts are equal; since then the last ones may be smaller.
    if (c.opset < 18 && over !== null && over !== 0) c.unsupported('onnx/invalid-shape', `an axis of ${exprs.valueOf(dim) ?? 'symbolic size'} cannot be split into ${count} equal parts`);
    const chunk = exprs.ceildiv(dim, count);
    parts = Array.from({ length: count }, (_, i) => exprs.simplify(
      c.opset < 18 || over === 0 ? exprs.floordiv(dim, count) : exprs.max(exprs.min(chunk, exprs.sub(dim, exprs.mul(chunk, i))), 0), scope,
    ));
  }
  if (parts.length < c.outputs) c.unsupported('onnx/invalid-shape', `${c.outputs} outputs for ${parts.length} parts`);
  const total = parts.reduce((sum, part) => exprs.add(sum, part), exprs.int(0));
  if (exprs.prove(exprs.eq(total, dim)) === 'no') c.unsupported('onnx/invalid-shape', `the parts have ${exprs.valueOf(total) ?? '?'} elements together, the axis has ${exprs.valueOf(dim) ?? '?'}`);
  let start: Expr = exprs.int(0);
  return parts.map((part) => {
    const value = c.b.call('shape.slice', [c.input(0)], { axes: [at], starts: [start], sizes: [part] });
    start = exprs.add(start, part);
    return value;
  });
}

function pad(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape, dtype } = c.tensor(0);
  const rank = shape.length;
  const mode = c.string('mode', 'constant');
  if (!['constant', 'reflect', 'edge', 'wrap'].includes(mode)) c.unsupported('onnx/unsupported-attribute', `the mode ${mode} is not known`);
  const given = c.opset < 11 ? c.ints(c.has('paddings') ? 'paddings' : 'pads').map((p) => exprs.int(p)) : sizes(c, 1, 'pads');
  const fill = c.opset < 11 ? (c.float('value', 0) === 0 ? null : c.b.constant([c.float('value', 0)], dtype, [])) : c.optional(2);
  const axes = c.opset >= 18 && c.optional(3) ? sizes(c, 3, 'axes') : shape.map((_, i) => exprs.int(i));
  if (given.length !== 2 * axes.length) c.unsupported('onnx/invalid-shape', `there are ${given.length} pads for ${axes.length} axes`);
  // An axis that is only known when the model is called may be any.
  const padOf = (a: number, side: number): Expr =>
    axes.reduce<Expr>((sum, at, i) => {
      const known = exprs.valueOf(at);
      const amount = given[i + side * axes.length]!;
      if (known !== null) return axis(c, known, rank) === a ? amount : sum;
      return exprs.select(exprs.or(exprs.eq(at, a), exprs.eq(at, a - rank)), amount, sum);
    }, exprs.int(0));
  const pads = [0, 1].flatMap((side) => shape.map((_, a) => padOf(a, side)));
  return [c.b.call('shape.pad', [c.input(0), fill], { pads, mode })];
}

/** ONNX Expand broadcasts both ways: a target size of 1 keeps the input's. */
function expand(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const from = c.tensor(0).shape;
  const target = sizes(c, 1, 'the shape');
  const scope = scopeOf(c);
  const rank = Math.max(from.length, target.length);
  const shape = Array.from({ length: rank }, (_, i) => {
    const d = from[i - rank + from.length] ?? exprs.int(1);
    const t = target[i - rank + target.length] ?? exprs.int(1);
    const [dv, tv] = [exprs.valueOf(d), exprs.valueOf(t)];
    if (dv === 1 || d === t) return t;
    if (tv === 1 || (dv !== null && dv !== 0)) return d;
    if (tv !== null || exprs.prove(exprs.eq(d, 1), scope) === 'yes') return t;
    return exprs.prove(exprs.eq(d, t), scope) === 'yes' ? d : exprs.select(exprs.eq(d, 1), t, d);
  });
  return [c.b.call('shape.expand', [c.input(0)], { shape })];
}

function tile(c: Conversion): readonly Value[] {
  return [c.b.call('shape.tile', [c.input(0)], { repeats: sizes(c, 1, 'repeats') })];
}

function flatten(c: Conversion): readonly Value[] {
  const { shape } = c.tensor(0);
  const given = c.int('axis', 1);
  const at = given < 0 ? given + shape.length : given;
  if (at < 0 || at > shape.length) c.unsupported('onnx/axis-out-of-range', `axis ${given} is outside a tensor of rank ${shape.length}`);
  return [c.b.call('shape.reshape', [c.input(0)], { shape: [c.exprs.product(shape.slice(0, at)), c.exprs.product(shape.slice(at))] })];
}

/** ceil((limit − start) / delta) numbers, none where that is negative. */
function range(c: Conversion): readonly Value[] {
  const { exprs } = c;
  let count: Expr;
  if (/^f|^bf/.test(c.tensor(0).dtype)) {
    const [start, limit, delta] = [0, 1, 2].map((i) => c.numbers(i)?.[0] ?? c.unsupported('onnx/dynamic-shape', `input ${i}, which decides a size, is computed while the model runs`));
    const steps = Math.max(Math.ceil((limit! - start!) / delta!), 0);
    if (!Number.isSafeInteger(steps)) c.unsupported('onnx/invalid-shape', `the range from ${start} to ${limit} in steps of ${delta} has no finite size`);
    count = exprs.int(steps);
  } else {
    const [start, limit, delta] = [size(c, 0, 'start'), size(c, 1, 'limit'), size(c, 2, 'delta')];
    if (exprs.valueOf(delta) === 0) c.unsupported('onnx/invalid-shape', 'delta is 0');
    count = exprs.simplify(exprs.max(exprs.neg(exprs.floordiv(exprs.sub(start, limit), delta)), 0), scopeOf(c));
  }
  return [c.b.call('shape.range', [c.input(0), c.input(2)], { size: count })];
}

function eyeLike(c: Conversion): readonly Value[] {
  const { shape, dtype } = c.tensor(0);
  if (shape.length !== 2) c.unsupported('onnx/invalid-shape', `the input has rank ${shape.length}, not 2`);
  return [c.b.call('shape.eye', [], { shape, k: c.int('k', 0), dtype: c.has('dtype') ? dtypeOf(c.int('dtype')) : dtype })];
}

function trilu(c: Conversion): readonly Value[] {
  return [c.b.call('shape.trilu', [c.input(0)], { upper: c.int('upper', 1) !== 0, k: c.optional(1) ? size(c, 1, 'k') : 0 })];
}

/** Crops and pads around the centre, the smaller half in front. */
function centerCropPad(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  const axes = c.has('axes') ? c.ints('axes').map((a) => axis(c, a, shape.length)) : shape.map((_, i) => i);
  const target = sizes(c, 1, 'the shape');
  if (target.length !== axes.length) c.unsupported('onnx/invalid-shape', `there are ${target.length} sizes for ${axes.length} axes`);
  const grow = shape.map((d, i) => (axes.includes(i) ? exprs.sub(target[axes.indexOf(i)]!, d) : exprs.int(0)));
  const before = grow.map((g) => exprs.truncdiv(g, 2));
  return [c.b.call('shape.pad', [c.input(0)], { pads: [...before, ...grow.map((g, i) => exprs.sub(g, before[i]!))] })];
}

function reverseSequence(c: Conversion): readonly Value[] {
  const rank = c.tensor(0).shape.length;
  return [c.b.call('shape.reverse_sequence', [c.input(0), c.input(1)], { time_axis: axis(c, 'time_axis', rank, 0), batch_axis: axis(c, 'batch_axis', rank, 1) })];
}

export const converters: ConverterTable = {
  Reshape: { since: 1, convert: reshape },
  Transpose: { since: 1, convert: transpose },
  Concat: { since: 1, convert: concat },
  Split: { since: 2, convert: split },
  Slice: { since: 1, convert: slice },
  Pad: { since: 1, convert: pad },
  Expand: { since: 8, convert: expand },
  Tile: { since: 6, convert: tile },
  Squeeze: { since: 1, convert: squeeze },
  Unsqueeze: { since: 1, convert: unsqueeze },
  Flatten: { since: 1, convert: flatten },
  Range: { since: 11, convert: range },
  EyeLike: { since: 9, convert: eyeLike },
  Trilu: { since: 14, convert: trilu },
  DepthToSpace: { since: 1, convert: (c) => [c.b.call('shape.depth_to_space', [c.input(0)], { block: c.int('blocksize'), mode: c.string('mode', 'DCR') })] },
  SpaceToDepth: { since: 1, convert: (c) => [c.b.call('shape.space_to_depth', [c.input(0)], { block: c.int('blocksize') })] },
  CenterCropPad: { since: 18, convert: centerCropPad },
  ReverseSequence: { since: 10, convert: reverseSequence },
};
