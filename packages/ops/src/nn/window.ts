import type { Attrs, Buffer, Expr, ExprBuilder, InferCall, TensorBuilder } from '@tenon/plugin';
import { dimsOf } from '../shape/attributes.ts';

/**
 * How a window slides over the spatial axes of a tensor [N, C, spatial…]. Output position o and tap k of an axis read
 * position `o · stride − begin + k · dilation`; positions outside the tensor are padding.
 */
export interface Window<Size> {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begin: readonly Size[];
  readonly end: readonly Size[];
}

const filled = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value);

/** The window of a call that inference accepted; padding as dims. */
export function windowOf(exprs: ExprBuilder, attrs: Attrs, spatial: number): Window<Expr> {
  const pads = dimsOf(exprs, attrs['pads'] ?? filled(2 * spatial, 0));
  return { ...steps(attrs, spatial), begin: pads.slice(0, spatial), end: pads.slice(spatial) };
}

/** The window of a call with concrete attributes. */
export function concreteWindow(attrs: Attrs, spatial: number): Window<number> {
  const pads = (attrs['pads'] ?? filled(2 * spatial, 0)) as readonly number[];
  return { ...steps(attrs, spatial), begin: pads.slice(0, spatial), end: pads.slice(spatial) };
}

function steps(attrs: Attrs, spatial: number): Pick<Window<never>, 'strides' | 'dilations'> {
  return {
    strides: (attrs['strides'] ?? filled(spatial, 1)) as readonly number[],
    dilations: (attrs['dilations'] ?? filled(spatial, 1)) as readonly number[],
  };
}

/** Refuses a list attribute that is no list of `count` positive integers. null stands for the default. */
export function checkPositiveInts(call: InferCall, name: string, count: number): void {
  const list = call.attrs[name] ?? null;
  if (list === null) return;
  const ok = Array.isArray(list) && list.length === count && list.every((v) => typeof v === 'number' && Number.isInteger(v) && v > 0);
  if (!ok) call.fail('window', `${name} must be ${count} positive integers`);
}

/** Refuses wrong strides, dilations and pads. `negative`: whether padding may crop instead. */
export function checkWindow(call: InferCall, spatial: number, negative = false): void {
  checkPositiveInts(call, 'strides', spatial);
  checkPositiveInts(call, 'dilations', spatial);
  const pads = call.attrs['pads'] ?? null;
  if (pads === null) return;
  if (!Array.isArray(pads) || pads.length !== 2 * spatial) call.fail('window', `pads must be ${2 * spatial} sizes: the beginnings, then the ends`);
  for (const pad of dimsOf(call.exprs, pads)) {
    if (!negative && call.exprs.prove(call.exprs.lt(pad, 0)) === 'yes') call.fail('window', `pads must not be negative`);
  }
}

/** What a window of `kernel` taps covers on an axis: `(kernel − 1) · dilation + 1`. */
export function reach(exprs: ExprBuilder, kernel: Expr, dilation: number): Expr {
  return exprs.add(exprs.mul(exprs.sub(kernel, 1), dilation), 1);
}

/**
 * The spatial sizes of a window's output: `floor((size + begin + end − reach) / stride) + 1`. With `ceil` the division
 * rounds up, but the last window still begins inside the tensor or the padding before it. Refuses windows that do not fit.
 */
export function windowSizes(call: InferCall, sizes: readonly Expr[], kernel: readonly Expr[], ceil = false): Expr[] {
  const { exprs } = call;
  const window = windowOf(exprs, call.attrs, sizes.length);
  return sizes.map((size, i) => {
    const begin = window.begin[i]!;
    const stride = window.strides[i]!;
    const room = exprs.sub(exprs.add(exprs.add(size, begin), window.end[i]!), reach(exprs, kernel[i]!, window.dilations[i]!));
    if (exprs.prove(exprs.lt(room, 0)) === 'yes' && exprs.valueOf(size) !== 0) {
      call.fail('window', `on spatial axis ${i} the window covers more than the padded input`, 'Check kernel, dilations and pads against the size of the input.');
    }
    if (!ceil) return exprs.add(exprs.floordiv(room, stride), 1);
    return exprs.min(exprs.add(exprs.ceildiv(room, stride), 1), exprs.ceildiv(exprs.add(size, begin), stride));
  });
}

/** The extent that all windows of an axis together read, from the first position of the padding. */
export function readExtent(exprs: ExprBuilder, output: Expr, kernel: Expr, stride: number, dilation: number): Expr {
  return exprs.add(exprs.mul(exprs.sub(output, 1), stride), reach(exprs, kernel, dilation));
}

/**
 * A tensor [N, C, spatial…] with `fill` around it: position p of spatial axis i is position `p − begin[i]` of x, and the
 * axis has `extents[i]` positions. x itself where that changes nothing.
 */
export function padded(b: TensorBuilder, x: Buffer, begin: readonly Expr[], extents: readonly Expr[], fill: Expr): Buffer {
  const { exprs } = b;
  const sizes = x.shape.slice(2);
  const same = sizes.every((size, i) => exprs.valueOf(begin[i]!) === 0 && extents[i] === size);
  if (same) return x;
  const out = b.alloc(`${x.name}_padded`, x.dtype, [...x.shape.slice(0, 2), ...extents]);
  b.compute(out, (indices) => {
    let inside = exprs.constant(true, 'bool');
    const at = indices.slice(2).map((p, i) => {
      const before = begin[i]!;
      const size = sizes[i]!;
      const position = exprs.sub(p, before);
      if (exprs.valueOf(before) !== 0) inside = exprs.and(inside, exprs.ge(position, 0));
      if (exprs.prove(exprs.le(extents[i]!, exprs.add(before, size))) !== 'yes') inside = exprs.and(inside, exprs.lt(position, size));
      return position;
    });
    return exprs.select(inside, b.load(x, [...indices.slice(0, 2), ...at]), fill);
  });
  return out;
}

/** The extents of a tensor's spatial axes with their padding. */
export function paddedSizes(exprs: ExprBuilder, sizes: readonly Expr[], window: Window<Expr>): Expr[] {
  return sizes.map((size, i) => exprs.add(exprs.add(size, window.begin[i]!), window.end[i]!));
}

/**
 * The taps of a window that lie inside an axis: for the output position o, calls `fn` with the flat position of each
 * tap among `kernel` taps and its flat position in an input of spatial shape `sizes`. All row-major.
 */
export function forEachTap(
  window: Window<number>, kernel: readonly number[], sizes: readonly number[], output: readonly number[],
  fn: (tap: number, position: number) => void,
): void {
  const visit = (axis: number, tap: number, position: number): void => {
    if (axis === kernel.length) return fn(tap, position);
    const start = output[axis]! * window.strides[axis]! - window.begin[axis]!;
    for (let k = 0; k < kernel[axis]!; k++) {
      const p = start + k * window.dilations[axis]!;
      if (p >= 0 && p < sizes[axis]!) visit(axis + 1, tap * kernel[axis]! + k, position * sizes[axis]! + p);
    }
  };
  visit(0, 0, 0);
}
