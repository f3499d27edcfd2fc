import { any, op, type Attrs, type AttrValue, type Expr, type ExprBuilder, type Match, type TensorType, type Value } from '@tenon/plugin';
import type { RewriteRule } from '@tenon/core';
import { axesOf, axisOf } from '../common/axes.ts';
import { dimsOf } from '../shape/attributes.ts';
import { permutationOf } from '../shape/transpose.ts';

const tensor = (value: Value): TensorType => value.type as TensorType;
const attrsAt = (match: Match, depth: number): Attrs => match.bindings[depth]!.attrs;
const valueAt = (match: Match, name: string): Value => match.values.get(name)!;
const sameShape = (a: readonly Expr[], b: readonly Expr[]): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

interface SlicedAxis {
  readonly axis: number;
  readonly start: Expr;
  readonly size: Expr;
  readonly step: Expr;
}
/** The axes that a slice names, with its defaults filled in. */
function slicedAxes(exprs: ExprBuilder, attrs: Attrs, rank: number): SlicedAxis[] {
  const [starts, sizes] = [dimsOf(exprs, attrs['starts']!), dimsOf(exprs, attrs['sizes']!)];
  const steps = attrs['steps'] == null ? starts.map(() => exprs.int(1)) : dimsOf(exprs, attrs['steps']);
  return axesOf(attrs['axes'] ?? starts.map((_, i) => i), rank).map((axis, i) => ({ axis, start: starts[i]!, size: sizes[i]!, step: steps[i]! }));
}
function sliceAttrs(axes: readonly SlicedAxis[]): Attrs {
  return { axes: axes.map((a) => a.axis), starts: axes.map((a) => a.start), sizes: axes.map((a) => a.size), steps: axes.map((a) => a.step) };
}

/** Whether a call with one data argument gives back that argument. */
function isIdentity(exprs: ExprBuilder, callee: string, attrs: Attrs, from: TensorType, to: TensorType): boolean {
  if (!sameShape(from.shape, to.shape)) return false;
  const all = (list: AttrValue | undefined, value: number): boolean => dimsOf(exprs, list ?? []).every((e) => exprs.valueOf(e) === value);
  switch (callee) {
    case 'shape.reshape':
    case 'shape.expand':
      return true;
    case 'shape.tile':
      return all(attrs['repeats'], 1);
    case 'shape.pad':
      return all(attrs['pads'], 0);
    case 'shape.transpose':
      return permutationOf(attrs['perm'] ?? null, from.shape.length).every((a, i) => a === i);
    case 'shape.slice':
      return slicedAxes(exprs, attrs, from.shape.length).every((s) => exprs.valueOf(s.start) === 0 && exprs.valueOf(s.step) === 1);
    case 'shape.reverse':
      return axesOf(attrs['axes']!, from.shape.length).every((a) => exprs.valueOf(from.shape[a]!) === 1);
    default:
      return false;
  }
}

const identity: RewriteRule = {
  name: 'shape-identity',
  doc: 'Movement that changes nothing: a reshape or expand to the same shape, padding by 0, tiling by 1, the identity permutation, a slice of everything.',
  pattern: op(['shape.reshape', 'shape.expand', 'shape.tile', 'shape.pad', 'shape.transpose', 'shape.slice', 'shape.reverse']),
  apply: ({ bindings: [root] }, b) => {
    const [x] = root!.args;
    return x && isIdentity(b.exprs, root!.callee, root!.attrs, tensor(x), tensor(root!.results[0]!)) ? [x] : null;
  },
};

const shortConcat: RewriteRule = {
  name: 'concat-of-little',
  doc: 'A concat without its empty parts; with one part left, that part.',
  pattern: op('shape.concat'),
  apply: ({ bindings: [root] }, b) => {
    const { args, attrs } = root!;
    const axis = axisOf(attrs['axis']!, tensor(root!.results[0]!).shape.length);
    const parts = args.filter((x) => x !== null).filter((x) => b.exprs.valueOf(tensor(x).shape[axis]!) !== 0);
    if (parts.length === 1 && sameShape(tensor(parts[0]!).shape, tensor(root!.results[0]!).shape)) return [parts[0]!];
    return parts.length > 0 && parts.length < args.length ? [b.call('shape.concat', parts, attrs)] : null;
  },
};

const reshapeTwice: RewriteRule = {
  name: 'reshape-of-reshape',
  doc: 'Only the last of two reshapes counts.',
  pattern: op('shape.reshape', [op('shape.reshape', [any('x')])]),
  apply: (match, b) => [b.call('shape.reshape', [valueAt(match, 'x')], attrsAt(match, 0))],
};

const expandTwice: RewriteRule = {
  name: 'expand-of-expand',
  doc: 'Only the last of two expands counts.',
  pattern: op('shape.expand', [op('shape.expand', [any('x')])]),
  apply: (match, b) => [b.call('shape.expand', [valueAt(match, 'x')], attrsAt(match, 0))],
};

const transposeTwice: RewriteRule = {
  name: 'transpose-of-transpose',
  doc: 'Two permutations are one.',
  pattern: op('shape.transpose', [op('shape.transpose', [any('x')])]),
  apply: (match, b) => {
    const x = valueAt(match, 'x');
    const rank = tensor(x).shape.length;
    const inner = permutationOf(attrsAt(match, 1)['perm'] ?? null, rank);
    return [b.call('shape.transpose', [x], { perm: permutationOf(attrsAt(match, 0)['perm'] ?? null, rank).map((a) => inner[a]!) })];
  },
};

const transposeOfOnes: RewriteRule = {
  name: 'transpose-of-ones',
  doc: 'A permutation that only moves axes of size 1 is a reshape.',
  pattern: op('shape.transpose', [any('x')]),
  apply: (match, b) => {
    const x = valueAt(match, 'x');
    const { shape } = tensor(x);
    const moved = permutationOf(attrsAt(match, 0)['perm'] ?? null, shape.length).filter((a) => b.exprs.valueOf(shape[a]!) !== 1);
    return moved.every((a, i) => i === 0 || a > moved[i - 1]!) ? [b.call('shape.reshape', [x], { shape: tensor(match.root).shape })] : null;
  },
};

const sliceTwice: RewriteRule = {
  name: 'slice-of-slice',
  doc: 'Two slices are one: y[j] = x[s₁ + (s₂ + j·d₂)·d₁].',
  pattern: op('shape.slice', [op('shape.slice', [any('x')])]),
  apply: (match, b) => {
    const { exprs } = b;
    const x = valueAt(match, 'x');
    const rank = tensor(x).shape.length;
    const axes = new Map(slicedAxes(exprs, attrsAt(match, 1), rank).map((s) => [s.axis, s]));
    for (const outer of slicedAxes(exprs, attrsAt(match, 0), rank)) {
      const inner = axes.get(outer.axis);
      axes.set(outer.axis, inner === undefined ? outer : {
        axis: outer.axis, size: outer.size, step: exprs.mul(inner.step, outer.step), start: exprs.add(inner.start, exprs.mul(outer.start, inner.step)),
      });
    }
    return [b.call('shape.slice', [x], sliceAttrs([...axes.values()].sort((p, q) => p.axis - q.axis)))];
  },
};

const sliceOfConcat: RewriteRule = {
  name: 'slice-of-concat',
  doc: 'A slice that lies within one part of a concat is a slice of that part.',
  pattern: op('shape.slice', [op('shape.concat')]),
  apply: (match, b) => {
    const { exprs } = b;
    const [root, inner] = match.bindings;
    const rank = tensor(match.root).shape.length;
    const axis = axisOf(inner!.attrs['axis']!, rank);
    const axes = slicedAxes(exprs, root!.attrs, rank);
    const along = axes.find((s) => s.axis === axis);
    if (along === undefined || exprs.valueOf(along.step) !== 1) return null;
    let offset: Expr = exprs.int(0);
    for (const part of inner!.args) {
      const size = tensor(part!).shape[axis]!;
      const start = exprs.sub(along.start, offset);
      if (exprs.prove(exprs.le(exprs.int(0), start)) === 'yes' && exprs.prove(exprs.le(exprs.add(start, along.size), size)) === 'yes') {
        return [b.call('shape.slice', [part!], sliceAttrs(axes.map((s) => (s === along ? { ...s, start } : s))))];
      }
      offset = exprs.add(offset, size);
    }
    return null;
  },
};

const movedFull: RewriteRule = {
  name: 'movement-of-full',
  doc: 'Moving the elements of a tensor of equal elements gives such a tensor.',
  pattern: op(['shape.reshape', 'shape.expand', 'shape.transpose', 'shape.slice', 'shape.tile', 'shape.reverse'], [op('shape.full')]),
  apply: (match, b) => [b.call('shape.full', [], { ...attrsAt(match, 1), shape: tensor(match.root).shape })],
};

const broadcasting = [
  'math.add', 'math.sub', 'math.mul', 'math.div', 'math.mod', 'math.fmod', 'math.min', 'math.max', 'math.pow', 'math.and', 'math.or', 'math.xor',
  'math.bitand', 'math.bitor', 'math.bitxor', 'math.equal', 'math.not_equal', 'math.less', 'math.less_equal', 'math.greater', 'math.greater_equal',
];

/** Whether x and the other operand broadcast to `result` without the expand of x: each size is x's own, or x has 1 there and the other operand has the size. */
function coveredWithout(exprs: ExprBuilder, x: readonly Expr[], other: readonly Expr[], result: readonly Expr[]): boolean {
  const own = (shape: readonly Expr[], i: number): Expr | undefined => shape[i - result.length + shape.length];
  return result.every((d, i) => {
    const mine = own(x, i);
    return mine === d || ((mine === undefined || exprs.valueOf(mine) === 1) && own(other, i) === d);
  });
}

const expandedOperands: readonly RewriteRule[] = [true, false].map((first): RewriteRule => ({
  name: `expanded-${first ? 'first' : 'second'}-operand`,
  doc: 'An operand need not be expanded to the shape that broadcasting gives it anyway.',
  pattern: op(broadcasting, first ? [op('shape.expand', [any('x')]), any('other')] : [any('other'), op('shape.expand', [any('x')])]),
  apply: (match, b) => {
    const [x, other] = [valueAt(match, 'x'), valueAt(match, 'other')];
    if (!coveredWithout(b.exprs, tensor(x).shape, tensor(other).shape, tensor(match.root).shape)) return null;
    return [b.call(match.bindings[0]!.callee, first ? [x, other] : [other, x], attrsAt(match, 0))];
  },
}));

const gatherOfOne: RewriteRule = {
  name: 'gather-of-one',
  doc: 'A gather with one known index is a slice.',
  pattern: op('index.gather', [any('x'), any('indices')]),
  apply: (match, b) => {
    const { exprs } = b;
    const x = valueAt(match, 'x');
    const { shape } = tensor(x);
    const known = b.contents(valueAt(match, 'indices'));
    const axis = axisOf(attrsAt(match, 0)['axis'] ?? 0, shape.length);
    const index = known?.length === 1 ? exprs.valueOf(known[0]!) : null;
    const size = exprs.valueOf(shape[axis]!);
    if (index === null || size === null || index < -size || index >= size) return null;
    const taken = b.call('shape.slice', [x], { axes: [axis], starts: [index < 0 ? index + size : index], sizes: [1] });
    return [b.call('shape.reshape', [taken], { shape: tensor(match.root).shape })];
  },
};

export const rules: readonly RewriteRule[] = [
  identity, shortConcat, reshapeTwice, expandTwice, transposeTwice, transposeOfOnes, sliceTwice, sliceOfConcat, movedFull, ...expandedOperands, gatherOfOne,
];
