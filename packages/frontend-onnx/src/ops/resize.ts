import type { Attrs, Expr, Value } from '@tenon/plugin';
import { axis, type Conversion, type ConverterTable } from '../convert.ts';

type Ratio = readonly [number, number];

/** A fraction, as simple as can be, that rounds to the given f32: models state scales such as 2/3 in f32 only. */
export function fraction(value: number): Ratio {
  const target = Math.fround(value);
  // Continued fraction: every step gives the best approximation with a denominator of its size.
  let [p0, q0, p1, q1] = [0, 1, 1, 0];
  let rest = Math.abs(target);
  for (let i = 0; i < 64; i++) {
    const whole = Math.floor(rest);
    [p0, q0, p1, q1] = [p1, q1, whole * p1 + p0, whole * q1 + q0];
    if (Math.fround(p1 / q1) === Math.abs(target)) break;
    rest = 1 / (rest - whole);
  }
  return [target < 0 ? -p1 : p1, q1];
}

/** Numbers that must be known when the model is compiled; null where the input is left out or empty. */
function constantList(c: Conversion, input: number, name: string): readonly number[] | null {
  if (!c.optional(input) || isEmpty(c, input)) return null;
  return c.numbers(input) ?? c.unsupported('onnx/dynamic-attribute', `${name} is not constant`, `only a constant ${name} is supported; export the model with fixed ${name} or with sizes`);
}

function isEmpty(c: Conversion, input: number): boolean {
  const { shape } = c.tensor(input);
  return shape.length === 1 && c.exprs.valueOf(shape[0]!) === 0;
}

/** A scale as dims where it follows from symbolic sizes. */
type Scale = readonly [number | Expr, number | Expr];

/** What decides the result's sizes. */
interface Target {
  readonly axes: readonly number[];
  readonly sizes: readonly Expr[];
  /** null: the sizes' own ratios. */
  readonly scales: readonly (Scale | null)[];
}

function byScales(c: Conversion, axes: readonly number[], given: readonly number[]): Target {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  if (given.length !== axes.length || given.some((s) => !(s > 0) || !Number.isFinite(s)))
    c.unsupported('onnx/invalid-attribute', `scales [${given.join(', ')}] must be ${axes.length} positive numbers`);
  const scales = given.map(fraction);
  const sizes = scales.map(([p, q], i) => exprs.floordiv(exprs.mul(shape[axes[i]!]!, p), q));
  return { axes, sizes, scales };
}

function bySizes(c: Conversion, axes: readonly number[], sizes: readonly Expr[], policy: string): Target {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  if (sizes.length !== axes.length) c.unsupported('onnx/invalid-attribute', `sizes has ${sizes.length} elements for ${axes.length} axes`);
  if (policy === 'stretch') return { axes, sizes, scales: axes.map(() => null) };
  if (policy !== 'not_larger' && policy !== 'not_smaller') c.unsupported('onnx/unsupported-attribute', `keep_aspect_ratio_policy ${JSON.stringify(policy)} is not known`);
  // The least (or greatest) of the ratios [wanted, present], compared by cross-multiplication.
  let [p, q] = [sizes[0]!, shape[axes[0]!]!];
  axes.slice(1).forEach((a, i) => {
    const [wanted, present] = [sizes[i + 1]!, shape[a]!];
    const [left, right] = [exprs.mul(wanted, q), exprs.mul(p, present)];
    const better = policy === 'not_larger' ? exprs.lt(left, right) : exprs.gt(left, right);
    [p, q] = [exprs.select(better, wanted, p), exprs.select(better, present, q)];
  });
  // Rounded half up.
  const rounded = axes.map((a) => exprs.floordiv(exprs.add(exprs.mul(exprs.mul(shape[a]!, p), 2), q), exprs.mul(q, 2)));
  return { axes, sizes: rounded, scales: axes.map(() => [exprs.valueOf(p) ?? p, exprs.valueOf(q) ?? q]) };
}

/** The call, without axes that stay as they are; integers are interpolated in f32. */
function call(c: Conversion, input: Value, target: Target, attrs: Attrs, region: readonly (readonly [Ratio, Ratio])[] | null): Value {
  const { shape, dtype } = c.tensor(0);
  const kept = target.axes.map((_, i) => i).filter((i) => {
    const scale = target.scales[i] ?? null;
    return region !== null || target.sizes[i] !== shape[target.axes[i]!] || (scale !== null && scale[0] !== scale[1]);
  });
  if (kept.length === 0) return input;
  const pick = <T>(list: readonly T[]): T[] => kept.map((i) => list[i]!);
  const all: Attrs = {
    ...attrs, axes: pick(target.axes), sizes: pick(target.sizes), scales: pick(target.scales), ...(region && { region: pick(region) }),
  };
  const float = attrs['mode'] === 'nearest' || /^(f|bf)\d/.test(dtype);
  const x = float ? input : c.b.call('math.cast', [input], { to: 'f32' });
  const y = c.b.call('nn.resize', [x], all);
  return float ? y : c.b.call('math.cast', [y], { to: dtype });
}

function oneOf(c: Conversion, name: string, byDefault: string, choices: readonly string[]): string {
  const value = c.string(name, byDefault);
  if (!choices.includes(value)) c.unsupported('onnx/unsupported-attribute', `${name} ${JSON.stringify(value)} is not known`);
  return value;
}

/** Upsample, and Resize before opset 11: coordinates are divided by the scale. */
function upsample(c: Conversion, scales: readonly number[]): readonly Value[] {
  const given = c.string('mode', 'nearest');
  const mode = given === 'bilinear' || given === 'trilinear' ? 'linear' : given;
  if (mode !== 'nearest' && mode !== 'linear') c.unsupported('onnx/unsupported-attribute', `mode ${JSON.stringify(given)} is not known`);
  const { shape } = c.tensor(0);
  if (scales.length !== shape.length) c.unsupported('onnx/invalid-attribute', `scales must be ${shape.length} numbers`);
  let value = c.input(0);
  // Axes that grow take the previous position; those that shrink the next one, as onnxruntime has it.
  for (const rounding of ['floor', 'ceil']) {
    const axes = shape.map((_, i) => i).filter((i) => (rounding === 'floor' ? !(scales[i]! < 1) : scales[i]! < 1));
    const target = byScales(c, axes, axes.map((i) => scales[i]!));
    value = call(c, value, target, { mode, coordinates: 'asymmetric', rounding }, null);
  }
  return [value];
}

function resize(c: Conversion): readonly Value[] {
  if (c.opset < 11) return upsample(c, constantList(c, 1, 'scales') ?? c.unsupported('onnx/missing-input', 'scales are missing'));
  const rank = c.tensor(0).shape.length;
  const axes = c.ints('axes', null)?.map((a) => axis(c, a, rank)) ?? Array.from({ length: rank }, (_, i) => i);
  const mode = oneOf(c, 'mode', 'nearest', ['nearest', 'linear', 'cubic']);
  let coordinates = oneOf(c, 'coordinate_transformation_mode', 'half_pixel', [
    'half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'tf_crop_and_resize', 'tf_half_pixel_for_nn',
  ]);
  let rounding = oneOf(c, 'nearest_mode', 'round_prefer_floor', ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil']);
  if (coordinates === 'tf_half_pixel_for_nn') {
    // Half a position more than half_pixel, which two of the roundings can express.
    const shifted = ({ floor: 'round_prefer_ceil', round_prefer_floor: 'ceil' } as const)[rounding];
    if (mode !== 'nearest' || !shifted) c.unsupported('onnx/unsupported-attribute', `tf_half_pixel_for_nn with mode ${mode} and nearest_mode ${rounding} is not supported`);
    coordinates = 'half_pixel';
    rounding = shifted;
  }
  const scales = constantList(c, 2, 'scales');
  const hasSizes = c.optional(3) !== null && !isEmpty(c, 3);
  let target: Target;
  if (scales) target = byScales(c, axes, scales);
  else if (hasSizes) {
    const sizes = c.contents(3) ?? c.unsupported('onnx/dynamic-shape', 'the sizes are computed at run time from data');
    target = bySizes(c, axes, sizes, c.string('keep_aspect_ratio_policy', 'stretch'));
  } else return c.unsupported('onnx/missing-input', 'neither scales nor sizes are given');
  let region: (readonly [Ratio, Ratio])[] | null = null;
  if (coordinates === 'tf_crop_and_resize') {
    const roi = constantList(c, 1, 'roi') ?? c.unsupported('onnx/missing-input', 'tf_crop_and_resize needs roi');
    if (roi.length !== 2 * axes.length) c.unsupported('onnx/invalid-attribute', `roi must have ${2 * axes.length} elements`);
    region = axes.map((_, i) => [fraction(roi[i]!), fraction(roi[i + axes.length]!)]);
  }
  const attrs = {
    mode, coordinates, rounding, cubic_a: c.float('cubic_coeff_a', -0.75), exclude_outside: c.int('exclude_outside', 0) !== 0,
    antialias: c.int('antialias', 0) !== 0, extrapolation: c.float('extrapolation_value', 0),
  };
  return [call(c, c.input(0), target, attrs, region)];
}

export const converters: ConverterTable = {
  Resize: { since: 10, convert: resize },
  Upsample: {
    since: 7,
    convert: (c) => upsample(c, c.opset >= 9 ? (constantList(c, 1, 'scales') ?? c.unsupported('onnx/missing-input', 'scales are missing')) : c.floats('scales')),
  },
};
