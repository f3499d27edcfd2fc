import type { Attrs, Buffer, Expr, ExprBuilder, InferCall, Operator, TensorBuilder, TensorType } from '@tenon/plugin';
import { normalizeAxes } from '../common/axes.ts';
import { tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex, numbers, strides, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { choiceAttr, dimsAttr } from '../shape/attributes.ts';
import {
  concreteCoordinate, coordinate, coordinateModes, floorRatio, modeOf, nearestIndex, resizedAxes, roundings, roundRatio, symbolicAxes,
  type Ratio, type ResizedAxis, type Rounding,
} from './resize-coordinates.ts';

type Mode = 'linear' | 'cubic';

function resultType(call: InferCall): TensorType {
  const { exprs, attrs } = call;
  const mode = choiceAttr(call, 'mode', ['nearest', 'linear', 'cubic']);
  const { dtype, shape } = tensorOf(call, 0, mode === 'nearest' ? 'any' : 'float');
  const coordinates = choiceAttr(call, 'coordinates', coordinateModes);
  choiceAttr(call, 'rounding', roundings);
  if (!Array.isArray(attrs['axes'])) call.fail('attribute', 'axes is required');
  const axes = normalizeAxes(call, attrs['axes'], shape.length);
  const sizes = dimsAttr(call, 'sizes', axes.length);
  checkRatios(call, 'scales', axes.length, isScale);
  const isRegion = (v: unknown): boolean => Array.isArray(v) && v.length === 2 && v.every((r) => isRatio(r, true));
  checkRatios(call, 'region', axes.length, isRegion);
  if (coordinates === 'tf_crop_and_resize' && attrs['region'] === null) call.fail('attribute', 'tf_crop_and_resize needs a region');
  const result = [...shape];
  axes.forEach((axis, i) => {
    if (exprs.valueOf(shape[axis]!) === 0 && exprs.valueOf(sizes[i]!) !== 0) call.fail('size', `axis ${axis} is empty and cannot be enlarged`);
    result[axis] = sizes[i]!;
  });
  return { kind: 'tensor', dtype, shape: result, annotations: {} };
}

function isRatio(v: unknown, zero = false): boolean {
  return Array.isArray(v) && v.length === 2 && v.every((n) => Number.isSafeInteger(n)) && v[1] > 0 && (zero || v[0] > 0);
}

/** A scale: a positive ratio of integers or dims. */
function isScale(v: unknown): boolean {
  return Array.isArray(v) && v.length === 2 && v.every((n) => (typeof n === 'number' ? Number.isSafeInteger(n) && n > 0 : n?.tag === 'expr'));
}

function checkRatios(call: InferCall, name: string, count: number, ok: (v: unknown) => boolean): void {
  const list = call.attrs[name] ?? null;
  if (list !== null && !(Array.isArray(list) && list.length === count && list.every((v) => v === null || ok(v)))) {
    call.fail('attribute', `${name} must have one ratio [numerator, denominator] per axis`);
  }
}

/** Taps of an interpolation kernel along one axis. With `antialias` the kernel widens as the axis shrinks. */
interface Taps<Size> {
  /** The first tap, relative to the coordinate rounded down. */
  readonly first: Size;
  readonly count: Size;
  /** What distances are multiplied by, a ratio of at most 1. */
  readonly shrink: Ratio<Size>;
}

function taps(exprs: ExprBuilder, mode: Mode, antialias: boolean, [p, q]: Ratio<Expr>): Taps<Expr> {
  const support = mode === 'linear' ? 1 : 2;
  if (!antialias) return { first: exprs.int(1 - support), count: exprs.int(2 * support), shrink: [exprs.int(1), exprs.int(1)] };
  // min(p / q, 1) = p / max(p, q)
  const least = exprs.prove(exprs.le(q, p)) === 'yes' ? p : exprs.prove(exprs.le(p, q)) === 'yes' ? q : exprs.max(p, q);
  const first = exprs.add(exprs.floordiv(exprs.mul(least, -support), p), 1);
  return { first, count: exprs.sub(2, exprs.mul(first, 2)), shrink: [p, least] };
}

function concreteTaps(mode: Mode, antialias: boolean, [p, q]: Ratio<number>): Taps<number> {
  const support = mode === 'linear' ? 1 : 2;
  const least = antialias ? Math.max(p, q) : p;
  const first = floorRatio([-support * least, p]) + 1;
  return { first, count: 2 - 2 * first, shrink: [p, least] };
}

/** Keys' cubic interpolation kernel with parameter a at a distance from 0 on. */
export function keysCubic(x: number, a: number): number {
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/** The weight of a tap at a distance: a triangle, or Keys' cubic with parameter a. */
function kernelAt(mode: Mode, a: number, distance: number): number {
  const x = Math.abs(distance);
  return mode === 'linear' ? Math.max(0, 1 - x) : keysCubic(x, a);
}

function kernelExpr(exprs: ExprBuilder, mode: Mode, a: number, distance: Expr): Expr {
  const c = (value: number): Expr => exprs.constant(value, distance.dtype);
  const x = exprs.call('abs', [distance]);
  if (mode === 'linear') return exprs.max(exprs.sub(c(1), x), c(0));
  const near = exprs.add(exprs.mul(exprs.mul(exprs.sub(exprs.mul(c(a + 2), x), c(a + 3)), x), x), c(1));
  const far = exprs.sub(exprs.mul(exprs.add(exprs.mul(exprs.sub(exprs.mul(c(a), x), c(5 * a)), x), c(8 * a)), x), c(4 * a));
  return exprs.select(exprs.le(x, c(1)), near, exprs.select(exprs.lt(x, c(2)), far, c(0)));
}

/** Interpolates along one axis: `y[…, o, …] = Σ_t weights[o, t] · x[…, start[o] + t kept inside, …]`. */
function interpolateAxis(b: TensorBuilder, attrs: Attrs, x: Buffer, y: Buffer, a: ResizedAxis<Expr>, extrapolated: (index: readonly Expr[], value: Expr) => Expr): void {
  const { exprs } = b;
  const mode = attrs['mode'] as Mode;
  const { dtype } = y;
  const t = taps(exprs, mode, attrs['antialias'] === true, a.ratio);
  const start = b.alloc(`start_${a.axis}`, 'i64', [a.after]);
  b.compute(start, ([o]) => {
    const [n, d] = coordinate(exprs, modeOf(attrs), a, o!);
    return exprs.add(exprs.floordiv(n, d), t.first);
  });
  const weightShape = [a.after, t.count];
  const normalize = attrs['antialias'] === true || attrs['exclude_outside'] === true;
  let weights = b.alloc(`weights_${a.axis}`, dtype, weightShape);
  b.compute(weights, ([o, k]) => {
    const [n, d] = coordinate(exprs, modeOf(attrs), a, o!);
    // Integers as long as possible: the fraction is exact before its one division.
    const fraction = exprs.div(exprs.cast(exprs.mod(n, d), dtype), exprs.cast(d, dtype));
    const offset = exprs.sub(exprs.cast(exprs.add(t.first, k!), dtype), fraction);
    const [p, least] = t.shrink;
    const distance = p === least ? offset : exprs.div(exprs.mul(offset, exprs.cast(p, dtype)), exprs.cast(least, dtype));
    const weight = kernelExpr(exprs, mode, attrs['cubic_a'] as number, distance);
    if (attrs['exclude_outside'] !== true) return weight;
    const position = exprs.add(b.load(start, [o!]), k!);
    return exprs.select(exprs.and(exprs.ge(position, 0), exprs.lt(position, a.before)), weight, exprs.constant(0, dtype));
  });
  if (normalize) {
    const sum = b.alloc(`sum_${a.axis}`, dtype, [a.after]);
    b.reduce(sum, [t.count], exprs.constant(0, dtype), (acc, [o], [k]) => exprs.add(acc, b.load(weights, [o!, k!])));
    const normal = b.alloc(`normal_${a.axis}`, dtype, weightShape);
    b.compute(normal, ([o, k]) => exprs.div(b.load(weights, [o!, k!]), b.load(sum, [o!])));
    weights = normal;
  }
  const term = (index: readonly Expr[], k: Expr): Expr => {
    const o = index[a.axis]!;
    const position = exprs.min(exprs.max(exprs.add(b.load(start, [o]), k), 0), exprs.sub(a.before, 1));
    return exprs.mul(b.load(weights, [o, k]), b.load(x, index.map((i, axis) => (axis === a.axis ? position : i))));
  };
  const count = exprs.valueOf(t.count);
  if (count !== null && count <= 4) {
    b.compute(y, (index) => {
      let sum = term(index, exprs.int(0));
      for (let k = 1; k < count; k++) sum = exprs.add(sum, term(index, exprs.int(k)));
      return extrapolated(index, sum);
    });
    return;
  }
  const sum = b.alloc(`sum_of_${a.axis}`, dtype, y.shape);
  b.reduce(sum, [t.count], exprs.constant(0, dtype), (acc, index, [k]) => exprs.add(acc, term(index, k!)));
  b.compute(y, (index) => extrapolated(index, b.load(sum, index)));
}

export const resize: Operator = {
  name: 'nn.resize',
  doc:
    'Resamples `axes` to `sizes` (dims). Output position x of an axis with n positions before and m after looks at the '
    + 'coordinate c, computed exactly with the axis\'s scale s (an exact ratio [numerator, denominator] of integers or dims in '
    + '`scales`; m/n where null). `coordinates`: half_pixel c = (x+½)/s − ½; half_pixel_symmetric the same + n/2 − m/(2s); pytorch_half_pixel as '
    + 'half_pixel, 0 where m ≤ 1; asymmetric c = x/s; align_corners c = x·(n−1)/(m−1), 0 where m ≤ 1; tf_crop_and_resize with '
    + '`region` [[start], [end]] per axis as ratios: c = (n−1)·(start + x·(end−start)/(m−1)), the middle where m ≤ 1. Mode '
    + '`nearest` takes the element at c rounded by `rounding` and kept inside the input (any dtype). `linear` and `cubic` (Keys, '
    + 'parameter `cubic_a`) are separable weighted means (floats) of the 2 or 4 elements around c, positions kept inside; with '
    + '`antialias` kernels stretch by 1/s where s < 1 and weights are normalised; with `exclude_outside` positions outside have '
    + 'weight 0 and the others are normalised. tf_crop_and_resize gives `extrapolation` where c of any axis is outside '
    + '[0, n−1]. Source: ONNX Resize-19.',
  signature: {
    params: ['x'],
    attrs: {
      axes: null, sizes: null, scales: null, mode: 'nearest', coordinates: 'half_pixel', rounding: 'round_prefer_floor',
      cubic_a: -0.75, exclude_outside: false, antialias: false, extrapolation: 0, region: null,
    },
    results: ['out'],
  },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const x = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const axes = resizedAxes(attrs, x.shape, attrs['sizes'] as readonly number[], (v) => v as number);
      const mode = modeOf(attrs);
      const inside = (a: ResizedAxis<number>, i: number): boolean => {
        const [n, d] = concreteCoordinate(mode, a, i);
        return n >= 0 && n <= (a.before - 1) * d;
      };
      const outside = (index: readonly number[]): boolean => mode === 'tf_crop_and_resize' && axes.some((a) => !inside(a, index[a.axis]!));
      const write = writer(out);
      const clamp = (i: number, size: number): number => Math.min(Math.max(i, 0), size - 1);
      if (attrs['mode'] === 'nearest') {
        const steps = strides(x.shape);
        const maps = out.shape.map((size) => Array.from({ length: size }, (_, i) => i));
        for (const a of axes) {
          if (!a.identity) maps[a.axis] = maps[a.axis]!.map((i) => clamp(roundRatio(attrs['rounding'] as Rounding, concreteCoordinate(mode, a, i)), a.before));
        }
        forEachIndex(out.shape, (index, position) => {
          if (outside(index)) write(position, attrs['extrapolation'] as number);
          else out.data[position] = x.data[index.reduce((at, i, axis) => at + maps[axis]![i]! * steps[axis]!, 0)] as number;
        });
        return [out];
      }
      let data = numbers(x);
      const shape = [...x.shape];
      for (const a of axes.filter((r) => !r.identity)) {
        const rows = Array.from({ length: a.after }, (_, i) => tapsAt(attrs, a, i));
        const before = shape.slice(0, a.axis).reduce((n, d) => n * d, 1);
        const after = shape.slice(a.axis + 1).reduce((n, d) => n * d, 1);
        const next = new Float64Array(before * a.after * after);
        for (let i = 0; i < before; i++) {
          rows.forEach(({ start, weights }, o) => {
            for (let k = 0; k < after; k++) {
              let sum = 0;
              weights.forEach((w, t) => {
                sum += w * data[(i * a.before + clamp(start + t, a.before)) * after + k]!;
              });
              next[(i * a.after + o) * after + k] = sum;
            }
          });
        }
        data = next;
        shape[a.axis] = a.after;
      }
      forEachIndex(out.shape, (index, position) => write(position, outside(index) ? (attrs['extrapolation'] as number) : data[position]!));
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const x = args[0]!;
      const out = results[0]!;
      const axes = symbolicAxes(exprs, attrs, x.shape);
      const mode = modeOf(attrs);
      const extrapolated = (index: readonly Expr[], value: Expr): Expr => {
        if (mode !== 'tf_crop_and_resize') return value;
        let inside = exprs.constant(true, 'bool');
        for (const a of axes) {
          const [n, d] = coordinate(exprs, mode, a, index[a.axis]!);
          inside = exprs.and(exprs.and(inside, exprs.ge(n, 0)), exprs.le(n, exprs.mul(exprs.sub(a.before, 1), d)));
        }
        return exprs.select(inside, value, exprs.constant(attrs['extrapolation'] as number, out.dtype));
      };
      if (attrs['mode'] === 'nearest') {
        b.compute(out, (index) => {
          const at = [...index];
          for (const a of axes) at[a.axis] = nearestIndex(exprs, mode, attrs['rounding'] as Rounding, a, index[a.axis]!);
          return extrapolated(index, b.load(x, at));
        });
        return;
      }
      // The last axis first: the pass that gathers along rows is then the smaller one where the tensor grows.
      const passes = axes.filter((a) => !a.identity).sort((p, q) => q.axis - p.axis);
      if (passes.length === 0) return b.compute(out, (index) => b.load(x, index));
      let source = x;
      passes.forEach((a, i) => {
        const last = i === passes.length - 1;
        const shape = source.shape.map((size, axis) => (axis === a.axis ? a.after : size));
        const target = last ? out : b.alloc(`resized_${a.axis}`, out.dtype, shape);
        interpolateAxis(b, attrs, source, target, a, last ? extrapolated : (_, value) => value);
        source = target;
      });
    },
    cost(call) {
      const { exprs, attrs } = call;
      const type = resultType(call);
      if (attrs['mode'] === 'nearest') return { flops: exprs.int(0) };
      const x = call.tensor(0);
      let perElement = exprs.int(0);
      for (const a of symbolicAxes(exprs, attrs, x.shape)) {
        if (!a.identity) perElement = exprs.add(perElement, exprs.mul(taps(exprs, attrs['mode'] as Mode, attrs['antialias'] === true, a.ratio).count, 2));
      }
      return { flops: exprs.mul(exprs.product(type.shape), perElement) };
    },
    samples: () => resizeSamples(),
  },
};

/** The first input position of an output position and the weights of it and those after it. */
function tapsAt(attrs: Attrs, a: ResizedAxis<number>, i: number): { readonly start: number; readonly weights: readonly number[] } {
  const mode = attrs['mode'] as Mode;
  const t = concreteTaps(mode, attrs['antialias'] === true, a.ratio);
  const [n, d] = concreteCoordinate(modeOf(attrs), a, i);
  const floor = floorRatio([n, d]);
  const fraction = (n - floor * d) / d;
  const start = floor + t.first;
  let weights = Array.from({ length: t.count }, (_, k) =>
    kernelAt(mode, attrs['cubic_a'] as number, ((t.first + k - fraction) * t.shrink[0]) / t.shrink[1]));
  if (attrs['exclude_outside'] === true) weights = weights.map((w, k) => (start + k >= 0 && start + k < a.before ? w : 0));
  if (attrs['exclude_outside'] === true || attrs['antialias'] === true) {
    const sum = weights.reduce((s, w) => s + w, 0);
    weights = weights.map((w) => w / sum);
  }
  return { start, weights };
}

function resizeSamples() {
  const modes = coordinateModes.filter((m) => m !== 'tf_crop_and_resize');
  const image = (dtype = 'f32') => arg([1, 2, 4, 5], dtype);
  const axes = [2, 3];
  return [
    ...modes.flatMap((coordinates) => [
      ...roundings.map((rounding) => sample([image()], { axes, sizes: [7, 3], coordinates, rounding })),
      sample([image()], { axes, sizes: [8, 10], scales: [[2, 1], [2, 1]], coordinates }),
      sample([image()], { axes, sizes: [2, 13], scales: [[3, 5], [8, 3]], coordinates }),
      ...['linear', 'cubic'].flatMap((mode) => [
        sample([image()], { axes, sizes: [7, 3], coordinates, mode }),
        sample([image()], { axes, sizes: [2, 13], scales: [[3, 5], [8, 3]], coordinates, mode }),
        sample([image()], { axes: [-1], sizes: [1], coordinates, mode, antialias: true }),
        sample([image()], { axes, sizes: [2, 9], coordinates, mode, antialias: true }),
        sample([image()], { axes, sizes: [3, 8], coordinates, mode, exclude_outside: true, cubic_a: -0.5 }),
      ]),
    ]),
    ...['nearest', 'linear', 'cubic'].map((mode) =>
      sample([image()], {
        axes, sizes: [3, 1], coordinates: 'tf_crop_and_resize', mode, extrapolation: 10, region: [[[2, 5], [6, 5]], [[-1, 4], [3, 4]]],
      })),
    sample([image('i64')], { axes, sizes: [8, 15] }),
    sample([image('bool')], { axes, sizes: [2, 2], coordinates: 'asymmetric', rounding: 'floor' }),
    sample([image('f64')], { axes, sizes: [9, 6], mode: 'cubic' }),
    sample([image()], { axes, sizes: [4, 5], mode: 'linear' }),
    sample([arg([0, 3])], { axes: [1], sizes: [5], mode: 'linear' }),
    sample([arg([2, 3])], { axes: [1], sizes: [0], mode: 'cubic' }),
  ];
}
