import { expect } from 'vitest';
import { TenonError, type DeviceModel, type HostTensor, type SampleArgument, type ScheduleChoices, type ScheduleRule, type TargetContext, type TensorFunction } from '@tenon/plugin';
import { contextFor, Session } from '@tenon/core';
import { arrayFor, evaluateTensorFunction } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { lower, verdictOf } from '@tenon/schedule';
import { schedules } from '../src/schedules/index.ts';

export const session = new Session({
  config: { plugins: [standardOps()] },
  host: { name: 'test', now: () => 0, resolve: (_, p) => p, cache: null, open: () => Promise.reject(new TenonError({ code: 'host/not-found', message: 'no files' })) },
});
export const { exprs } = session;
export const target = (vectorBytes: number): TargetContext => {
  const device: DeviceModel = {
    name: 'test', peak: {}, bandwidth: 1e9, launch: { region: 0, kernel: 0 }, transfer: null, memory: [], features: { vectorBytes, threads: 2 },
  };
  return contextFor(session, { name: 'cpu-c', form: 'kernels', options: {}, device }) as TargetContext;
};
/** Choices at their defaults, or drawn where `random` gives a number. */
export const choices = (random: () => number | null): ScheduleChoices => ({
  choose: (_name, values, byDefault) => {
    const r = random();
    return r === null ? byDefault : values[Math.floor(r * values.length)]!;
  },
});

export function filled(dtype: string, shape: readonly number[], random: () => number, { values, range }: Partial<SampleArgument> = {}): HostTensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const array = arrayFor(dtype);
  const data = new array(new ArrayBuffer(count * array.BYTES_PER_ELEMENT), 0, count);
  const real = dtype.startsWith('f');
  const [lo, hi] = range ?? (real ? [-2, 2] : dtype === 'bool' ? [0, 1] : dtype.startsWith('u') ? [0, 4] : [-4, 4]);
  for (let i = 0; i < count; i++) {
    const v = values?.[i] ?? (real ? lo + (hi - lo) * random() : lo + Math.floor((hi - lo + 1) * random()));
    data[i] = (/^[iu]64$/.test(dtype) ? BigInt(v) : Number(v)) as never;
  }
  return { dtype, shape, data };
}

/** What a schedule asks a constant to be packed as. */
interface Packing {
  readonly axis: number;
  readonly tile: number;
  readonly order: readonly number[];
  readonly maps?: readonly ({ readonly axis: number; readonly matrix: Matrix } | { readonly axes: readonly number[]; readonly matrix: Matrix })[];
}
type Matrix = readonly (readonly number[])[];

/** The tensor with a matrix applied along an axis. */
function mapped(t: HostTensor, axis: number, matrix: Matrix): HostTensor {
  const shape = t.shape.map((d, a) => (a === axis ? matrix.length : d));
  const inner = t.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const from = t.data as Float32Array;
  const data = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => {
    const [o, i, n] = [Math.floor(at / (inner * matrix.length)), Math.floor(at / inner) % matrix.length, at % inner];
    return matrix[i]!.reduce((sum, factor, k) => sum + factor * from[(o * t.shape[axis]! + k) * inner + n]!, 0);
  });
  return { dtype: t.dtype, shape, data };
}

/** Sums of the blocks that halves of some axes are, along a new first axis. */
function blockMapped(t: HostTensor, axes: readonly number[], matrix: Matrix): HostTensor {
  const half = t.shape.map((d, a) => (axes.includes(a) ? d / 2 : d));
  const shape = [matrix.length, ...half];
  const data = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => {
    const index = shape.map((_d, a) => Math.floor(at / shape.slice(a + 1).reduce((x, y) => x * y, 1)) % shape[a]!);
    return matrix[index[0]!]!.reduce((sum, factor, block) => {
      const source = half.map((d, a) => index[a + 1]! + (axes.includes(a) ? ((block >> (axes.length - 1 - axes.indexOf(a))) & 1) * d : 0));
      return sum + factor * (t.data as Float32Array)[source.reduce((flat, i, a) => flat * t.shape[a]! + i, 0)]!;
    }, 0);
  });
  return { dtype: t.dtype, shape, data };
}

/** `[ceil(size / tile), the other axes in order, tile]` of the tensor after `maps`, filled up with zeros. */
function packed(original: HostTensor, { axis, tile, order, maps = [] }: Packing): HostTensor {
  const t = maps.reduce((x, map) => ('axes' in map ? blockMapped(x, map.axes, map.matrix) : mapped(x, map.axis, map.matrix)), original);
  const shape = [Math.ceil(t.shape[axis]! / tile), ...order.map((a) => t.shape[a]!), tile];
  const out = filled(t.dtype, shape, () => 0, { range: [0, 0] });
  (out.data as Float32Array).fill(0);
  const visit = (at: number, index: number[]): void => {
    if (at < shape.length) {
      for (let i = 0; i < shape[at]!; i++) visit(at + 1, [...index, i]);
      return;
    }
    const position = index[0]! * tile + index.at(-1)!;
    if (position >= t.shape[axis]!) return;
    const source = t.shape.map(() => 0);
    source[axis] = position;
    order.forEach((a, i) => { source[a] = index[1 + i]!; });
    const flat = (s: readonly number[], i: readonly number[]): number => i.reduce((sum, v, k) => sum * s[k]! + v, 0);
    (out.data as Float32Array)[flat(shape, index)] = (t.data as Float32Array)[flat(t.shape, source)]!;
  };
  visit(0, []);
  return out;
}

/** Applies every rule that fits on a target with vectors of so many bytes, and compares what comes out with what went in. Returns the rules that applied. */
export function check(fn: TensorFunction, inputs: readonly HostTensor[], vectorBytes: number, random: () => number | null, dims: ReadonlyMap<string, number> = new Map()): string[] {
  const ctx = target(vectorBytes);
  const rules = schedules.filter((rule) => verdictOf(rule, fn, ctx).ok);
  for (const rule of rules) compare(rule, fn, inputs, ctx, random, dims);
  return rules.map((rule) => rule.id);
}

/** Compares a function as a rule schedules it with what it was. */
export function compare(rule: ScheduleRule, fn: TensorFunction, inputs: readonly HostTensor[], ctx: TargetContext, random: () => number | null, dims: ReadonlyMap<string, number> = new Map()): void {
  const want = evaluateTensorFunction(fn, inputs, dims);
  const scheduled = rule.apply(fn, ctx, choices(random));
  const pack = (scheduled.attrs['pack'] ?? {}) as unknown as { readonly [input: string]: Packing };
  const given = inputs.map((t, i) => (pack[fn.inputs[i]!.name] === undefined ? t : packed(t, pack[fn.inputs[i]!.name]!)));
  const got = evaluateTensorFunction(lower(scheduled, exprs, new Map()), given, dims);
  want.forEach((w, r) => {
    const x = got[r]!.data as Float32Array;
    const y = w.data as Float32Array;
    const largest = Array.from(y as ArrayLike<number>, Number).reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
    for (let i = 0; i < y.length; i++) {
      const same = Object.is(x[i], y[i]) || x[i] === y[i] || Math.abs(Number(x[i]) - Number(y[i])) <= (w.dtype.startsWith('f') ? 1e-5 * largest : 0);
      if (!same) expect.fail(`${rule.id} with ${String(ctx.target.device.features['vectorBytes'])}-byte vectors: element ${i} of ${fn.outputs[r]!.name} is ${x[i]}, not ${y[i]}`);
    }
  });
}
