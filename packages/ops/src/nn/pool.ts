import type { Attrs, Buffer, Expr, ExprBuilder, InferCall, TensorBuilder, TensorType } from '@tenon/plugin';
import { rankBetween, tensorOf, type DTypeKind } from '../common/errors.ts';
import { forEachIndex } from '../common/host-tensor.ts';
import {
  checkPositiveInts, checkWindow, concreteWindow, forEachTap, padded, paddedSizes, readExtent, windowOf, windowSizes,
} from './window.ts';

/** Attributes that all pools have. */
export const poolAttrs: Attrs = { kernel: null, strides: null, pads: null, dilations: null, ceil_mode: false };

/** What the documentation of all pools has in common. */
export const poolDoc =
  'Input [N, C, spatial…]; `kernel` (required) has one size per spatial axis. `pads`: beginnings, then ends, as dims. '
  + 'Strides, dilations and pads of null are 1, 1 and 0. Output size per axis: '
  + '⌊(size + begin + end − (k−1)·dilation − 1) / stride⌋ + 1; with `ceil_mode` the division rounds up, less windows that '
  + 'would begin after the input.';

export const kernelOf = (attrs: Attrs): readonly number[] => attrs['kernel'] as readonly number[];

/** The result type of a pool. */
export function poolType(call: InferCall, kind: DTypeKind): TensorType {
  const { dtype, shape } = tensorOf(call, 0, kind);
  rankBetween(call, 0, 3, Infinity);
  const spatial = shape.length - 2;
  if (!Array.isArray(call.attrs['kernel'])) call.fail('attribute', 'kernel is required');
  checkPositiveInts(call, 'kernel', spatial);
  checkWindow(call, spatial);
  const kernel = kernelOf(call.attrs).map((k) => call.exprs.int(k));
  const sizes = windowSizes(call, shape.slice(2), kernel, call.attrs['ceil_mode'] === true);
  return { kind: 'tensor', dtype, shape: [...shape.slice(0, 2), ...sizes], annotations: {} };
}

/** One operation per tap of every window. */
export function poolFlops(call: InferCall, type: TensorType): Expr {
  const { exprs } = call;
  return exprs.mul(exprs.product(type.shape), exprs.product(kernelOf(call.attrs)));
}

/** Folds every window of x into `out`; `fill` stands where a window leaves x. */
export function reduceWindows(
  b: TensorBuilder, attrs: Attrs, x: Buffer, out: Buffer, fill: Expr, step: (accumulator: Expr, element: Expr) => Expr,
): void {
  const { exprs } = b;
  const kernel = kernelOf(attrs);
  const window = windowOf(exprs, attrs, kernel.length);
  let extents = paddedSizes(exprs, x.shape.slice(2), window);
  if (attrs['ceil_mode'] === true) {
    extents = extents.map((extent, i) => {
      const read = readExtent(exprs, out.shape[i + 2]!, exprs.int(kernel[i]!), window.strides[i]!, window.dilations[i]!);
      return exprs.prove(exprs.le(read, extent)) === 'yes' ? extent : read;
    });
  }
  const source = padded(b, x, window.begin, extents, fill);
  b.reduce(out, kernel, fill, (accumulator, [n, c, ...p], k) => {
    const at = p.map((index, i) => exprs.add(exprs.mul(index, window.strides[i]!), exprs.mul(k[i]!, window.dilations[i]!)));
    return step(accumulator, b.load(source, [n!, c!, ...at]));
  });
}

/** For every output position, row-major: calls `begin`, `tap` with the position in x of each tap inside x, then `end`. */
export function forEachWindow(
  attrs: Attrs, x: { readonly shape: readonly number[] }, out: { readonly shape: readonly number[] },
  begin: () => void, tap: (position: number) => void, end: (position: number, index: readonly number[]) => void,
): void {
  const kernel = kernelOf(attrs);
  const window = concreteWindow(attrs, kernel.length);
  const sizes = x.shape.slice(2);
  const area = sizes.reduce((n, d) => n * d, 1);
  forEachIndex(out.shape, (index, position) => {
    const plane = (index[0]! * x.shape[1]! + index[1]!) * area;
    begin();
    forEachTap(window, kernel, sizes, index.slice(2), (_, p) => tap(plane + p));
    end(position, index);
  });
}

/**
 * The number of taps of a window that count on one axis: those inside the input, or inside the input with its padding
 * (`includePad`).
 */
export function tapCount(
  exprs: ExprBuilder, attrs: Attrs, axis: number, size: Expr, output: Expr, includePad: boolean,
): Expr {
  const kernel = kernelOf(attrs);
  const window = windowOf(exprs, attrs, kernel.length);
  const begin = window.begin[axis]!;
  const taps = exprs.int(kernel[axis]!);
  const dilation = window.dilations[axis]!;
  const start = exprs.mul(output, window.strides[axis]!);
  const ceil = attrs['ceil_mode'] === true;
  const end = includePad ? exprs.add(exprs.add(begin, size), window.end[axis]!) : exprs.add(begin, size);
  const mayPass = ceil || (!includePad && exprs.valueOf(window.end[axis]!) !== 0);
  const high = mayPass ? exprs.min(taps, exprs.ceildiv(exprs.sub(end, start), dilation)) : taps;
  if (includePad || exprs.valueOf(begin) === 0) return high;
  return exprs.sub(high, exprs.max(exprs.ceildiv(exprs.sub(begin, start), dilation), 0));
}
