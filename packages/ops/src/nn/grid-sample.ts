import type { Attrs, Expr, ExprBuilder, InferCall, Operator, TensorType } from '@tenon/plugin';
import { rankBetween, tensorOf } from '../common/errors.ts';
import { allocate, forEachIndex, reader, strides, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { roundHalfEven } from '../common/small-floats.ts';
import { choiceAttr, dimsAttr, dimsOf } from '../shape/attributes.ts';
import { interpolate, interpolateNumbers, zeroOutside, type Tap } from './interpolate.ts';
import { keysCubic } from './resize.ts';

const modes = ['nearest', 'linear', 'cubic'] as const;
const paddings = ['zeros', 'border', 'reflection'] as const;
/** Keys' parameter, as PyTorch and ONNX have it. */
const cubicA = -0.75;

function resultType(call: InferCall): TensorType {
  const { exprs } = call;
  const { dtype } = tensorOf(call, 0, 'float');
  tensorOf(call, 1, 'float');
  const x = rankBetween(call, 0, 3, Infinity);
  const grid = rankBetween(call, 1, x.length);
  choiceAttr(call, 'mode', modes);
  choiceAttr(call, 'padding', paddings);
  if (exprs.prove(exprs.eq(x[0]!, grid[0]!)) !== 'yes') call.fail('shape', 'x and grid must have one batch size');
  if (exprs.valueOf(grid.at(-1)!) !== x.length - 2) call.fail('shape', `the last axis of grid must have ${x.length - 2} coordinates`);
  return { kind: 'tensor', dtype, shape: [x[0]!, x[1]!, ...grid.slice(1, -1)], annotations: {} };
}

/** The position that a grid coordinate stands for on an axis, which may be outside. */
function place(attrs: Attrs, g: number, size: number): number {
  const x = attrs['align_corners'] === true ? ((g + 1) / 2) * (size - 1) : ((g + 1) * size - 1) / 2;
  return attrs['mode'] === 'nearest' ? roundHalfEven(x) : x;
}

function placeExpr(exprs: ExprBuilder, attrs: Attrs, g: Expr, size: Expr): Expr {
  const c = (value: number): Expr => exprs.constant(value, g.dtype);
  const n = exprs.cast(size, g.dtype);
  const plus = exprs.add(g, c(1));
  const x = attrs['align_corners'] === true
    ? exprs.mul(exprs.mul(plus, c(0.5)), exprs.sub(n, c(1)))
    : exprs.mul(exprs.sub(exprs.mul(plus, n), c(1)), c(0.5));
  return attrs['mode'] === 'nearest' ? exprs.call('round', [x]) : x;
}

/** Where an integer position reads; −1: nowhere. */
function pad(attrs: Attrs, i: number, size: number): number {
  switch (attrs['padding']) {
    case 'border': return Math.min(Math.max(i, 0), size - 1);
    case 'reflection': {
      const period = attrs['align_corners'] === true ? 2 * (size - 1) : 2 * size;
      if (period === 0) return 0;
      const m = ((i % period) + period) % period;
      return Math.min(m, (attrs['align_corners'] === true ? period : period - 1) - m);
    }
    default: return i >= 0 && i < size ? i : -1;
  }
}

function padExpr(exprs: ExprBuilder, attrs: Attrs, i: Expr, size: Expr): Pick<Tap, 'position' | 'present'> {
  switch (attrs['padding']) {
    case 'border': return { position: exprs.min(exprs.max(i, 0), exprs.sub(size, 1)), present: null };
    case 'reflection': {
      const align = attrs['align_corners'] === true;
      const period = align ? exprs.mul(exprs.sub(size, 1), 2) : exprs.mul(size, 2);
      const m = exprs.mod(i, align ? exprs.max(period, 1) : period);
      return { position: exprs.min(m, exprs.sub(align ? period : exprs.sub(period, 1), m)), present: null };
    }
    default: return zeroOutside(exprs, i, size);
  }
}

const offsets = (mode: unknown): readonly number[] => (mode === 'nearest' ? [0] : mode === 'linear' ? [0, 1] : [-1, 0, 1, 2]);

export const gridSample: Operator = {
  name: 'nn.grid_sample',
  doc:
    'Samples x [N, C, spatial…] at the positions that grid [N, out…, rank] names, giving [N, C, out…]. Coordinates are in −1 … 1, '
    + 'the innermost axis first; g stands for position (g+1)/2·(size−1) with `align_corners`, else ((g+1)·size − 1)/2. Mode `nearest` '
    + '(half to even), `linear`, or `cubic` (Keys, a = −0.75) over the positions around it. A position outside reads by `padding`: '
    + '`zeros`; `border`: the nearest element; `reflection`: mirrored at the outer elements with `align_corners`, else at the outer '
    + 'edges. Source: ONNX GridSample-22, PyTorch grid_sample.',
  signature: { params: ['x', 'grid'], attrs: { mode: 'linear', padding: 'zeros', align_corners: false }, results: ['out'] },
  facets: {
    infer: (call) => [resultType(call)],
    reference({ args, attrs, results }) {
      const [x, grid] = [args[0]!, args[1]!];
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [read, coordinate, write] = [reader(x), reader(grid), writer(out)];
      const sizes = x.shape.slice(2);
      const rank = sizes.length;
      const [steps, gridSteps] = [strides(x.shape), strides(grid.shape)];
      forEachIndex(out.shape, (index, position) => {
        const base = index[0]! * gridSteps[0]! + index.slice(2).reduce((at, i, axis) => at + i * gridSteps[axis + 1]!, 0);
        const axes = sizes.map((size, axis) => {
          const p = place(attrs, coordinate(base + rank - 1 - axis), size);
          // NaN reads position 0, as a cast to an integer does; its weights are NaN.
          const floor = Number.isNaN(p) ? 0 : Math.floor(p);
          return offsets(attrs['mode']).map((k) => {
            const distance = Math.abs(p - floor - k);
            const weight = attrs['mode'] === 'nearest' ? 1 : attrs['mode'] === 'linear' ? 1 - distance : keysCubic(distance, cubicA);
            return { position: pad(attrs, floor + k, size), weight };
          });
        });
        const plane = index[0]! * steps[0]! + index[1]! * steps[1]!;
        const value = interpolateNumbers(axes, (at) => (at.includes(-1) ? 0 : read(at.reduce((sum, i, axis) => sum + i * steps[axis + 2]!, plane))));
        write(position, value);
      });
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const [x, grid] = [args[0]!, args[1]!];
      const sizes = x.shape.slice(2);
      const places = b.alloc('places', grid.dtype, grid.shape);
      // The channels of an image share its positions.
      b.compute(places, (index) => {
        const g = b.load(grid, index);
        let place = placeExpr(exprs, attrs, g, sizes.at(-1)!);
        for (let k = 1; k < sizes.length; k++) {
          place = exprs.select(exprs.eq(index.at(-1)!, k), placeExpr(exprs, attrs, g, sizes.at(-1 - k)!), place);
        }
        return place;
      });
      b.compute(results[0]!, ([n, c, ...at]) => {
        const axes = sizes.map((size, axis): Tap[] => {
          const p = b.load(places, [n!, ...at, sizes.length - 1 - axis]);
          const floor = exprs.call('floor', [p]);
          const first = exprs.cast(floor, 'i64');
          const fraction = exprs.sub(p, floor);
          const one = exprs.constant(1, p.dtype);
          return offsets(attrs['mode']).map((k) => {
            const padded = padExpr(exprs, attrs, exprs.add(first, k), size);
            if (attrs['mode'] === 'nearest') return { ...padded, weight: null };
            if (attrs['mode'] === 'linear') return { ...padded, weight: k === 0 ? exprs.sub(one, fraction) : fraction };
            return { ...padded, weight: cubicWeight(exprs, k, fraction) };
          });
        });
        return interpolate(exprs, axes, x.dtype, (positions) => b.load(x, [n!, c!, ...positions]));
      });
    },
    cost(call) {
      const { exprs } = call;
      const type = resultType(call);
      const taps = offsets(call.attrs['mode']).length ** (type.shape.length - 2);
      return { flops: exprs.mul(exprs.product(type.shape), 2 * taps) };
    },
    samples: () => [
      ...modes.flatMap((mode) => paddings.flatMap((padding) => [true, false].map((align_corners) =>
        sample([arg([2, 2, 4, 5]), arg([2, 3, 3, 2])], { mode, padding, align_corners }, 1e-4)))),
      ...modes.map((mode) => sample([arg([1, 2, 7]), arg([1, 5, 1])], { mode }, 1e-4)),
      ...paddings.map((padding) => sample([arg([1, 2, 3, 4, 5]), arg([1, 2, 3, 2, 3])], { padding }, 1e-4)),
      sample([arg([1, 1, 1, 1]), arg([1, 2, 2, 2])], { padding: 'reflection', align_corners: true }, 1e-4),
      sample([arg([1, 0, 3, 3]), arg([1, 2, 2, 2])]),
      sample([arg([1, 2, 3, 3], 'f64'), arg([1, 2, 2, 2], 'f64')], { mode: 'cubic' }, 1e-4),
    ],
  },
};

/** Keys' kernel at the tap k of −1, 0, 1, 2, for a fraction in 0 … 1. */
function cubicWeight(exprs: ExprBuilder, k: number, fraction: Expr): Expr {
  const c = (value: number): Expr => exprs.constant(value, fraction.dtype);
  const distance = k <= 0 ? exprs.add(fraction, c(-k)) : exprs.sub(c(k), fraction);
  const x = distance;
  if (k === 0 || k === 1) {
    return exprs.add(exprs.mul(exprs.mul(exprs.sub(exprs.mul(c(cubicA + 2), x), c(cubicA + 3)), x), x), c(1));
  }
  return exprs.sub(exprs.mul(exprs.add(exprs.mul(exprs.sub(exprs.mul(c(cubicA), x), c(5 * cubicA)), x), c(8 * cubicA)), x), c(4 * cubicA));
}

function affineGridType(call: InferCall): TensorType {
  const { exprs } = call;
  const { dtype } = tensorOf(call, 0, 'float');
  const theta = rankBetween(call, 0, 3);
  const sizes = dimsAttr(call, 'sizes');
  const rank = sizes.length;
  if (rank < 1 || exprs.valueOf(theta[1]!) !== rank || exprs.valueOf(theta[2]!) !== rank + 1) {
    call.fail('shape', `theta must be [N, ${rank}, ${rank + 1}] for ${rank} sizes`);
  }
  return { kind: 'tensor', dtype, shape: [theta[0]!, ...sizes, exprs.int(rank)], annotations: {} };
}

export const affineGrid: Operator = {
  name: 'nn.affine_grid',
  doc:
    'The grid (for nn.grid_sample) of affine maps theta [N, rank, rank + 1] over images of these spatial `sizes` (dims): '
    + '`out[n, p…, j] = Σ_k theta[n, j, k] · c_k(p) + theta[n, j, rank]`, where c_k is the normalised coordinate of p on the k-th '
    + 'innermost spatial axis: −1 + 2i/(size−1) with `align_corners` (−1 where size is 1), else −1 + (2i+1)/size. '
    + 'Source: ONNX AffineGrid-20.',
  signature: { params: ['theta'], attrs: { sizes: null, align_corners: false }, results: ['grid'] },
  facets: {
    infer: (call) => [affineGridType(call)],
    reference({ args, attrs, results }) {
      const theta = args[0]!;
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const [read, write] = [reader(theta), writer(out)];
      const sizes = out.shape.slice(1, -1);
      const rank = sizes.length;
      forEachIndex(out.shape, (index, position) => {
        const row = (index[0]! * rank + index[rank + 1]!) * (rank + 1);
        let sum = read(row + rank);
        for (let k = 0; k < rank; k++) {
          const size = sizes[rank - 1 - k]!;
          const i = index[rank - k]!;
          sum += read(row + k) * (attrs['align_corners'] === true ? (2 * i) / Math.max(size - 1, 1) - 1 : (2 * i + 1) / size - 1);
        }
        write(position, sum);
      });
      return [out];
    },
    define({ args, attrs, results }, b) {
      const { exprs } = b;
      const theta = args[0]!;
      const out = results[0]!;
      const sizes = dimsOf(exprs, attrs['sizes']!);
      const rank = sizes.length;
      b.compute(out, (index) => {
        const [n, j] = [index[0]!, index[rank + 1]!];
        let sum = b.load(theta, [n, j, rank]);
        for (let k = 0; k < rank; k++) {
          const size = sizes[rank - 1 - k]!;
          const i = index[rank - k]!;
          const [up, down] = attrs['align_corners'] === true
            ? [exprs.mul(i, 2), exprs.max(exprs.sub(size, 1), 1)]
            : [exprs.add(exprs.mul(i, 2), 1), size];
          const c = exprs.sub(exprs.div(exprs.cast(up, out.dtype), exprs.cast(down, out.dtype)), exprs.constant(1, out.dtype));
          sum = exprs.add(sum, exprs.mul(b.load(theta, [n, j, k]), c));
        }
        return sum;
      });
    },
    cost(call) {
      const type = affineGridType(call);
      return { flops: call.exprs.mul(call.exprs.product(type.shape), 4 * (type.shape.length - 2)) };
    },
    samples: () => [
      ...[true, false].flatMap((align_corners) => [
        sample([arg([2, 2, 3])], { sizes: [4, 5], align_corners }),
        sample([arg([1, 3, 4])], { sizes: [2, 3, 4], align_corners }),
        sample([arg([1, 1, 2])], { sizes: [1], align_corners }),
      ]),
      sample([arg([0, 2, 3])], { sizes: [2, 2] }),
    ],
  },
};
