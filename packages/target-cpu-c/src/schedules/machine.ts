import type { TargetContext } from '@tenon/plugin';
import type { Core } from './contraction/tile-size.ts';

/** Bytes of an element. */
export const bytesOf: { readonly [dtype: string]: number } = { f64: 8, i64: 8, u64: 8, f32: 4, i32: 4, u32: 4, i16: 2, u16: 2, i8: 1, u8: 1, bool: 1, f16: 2, bf16: 2 };

/** Elements of a dtype in one vector of the machine. */
export function lanes(ctx: TargetContext, dtype: string): number {
  const vectorBytes = ctx.target.device.features['vectorBytes'];
  return Math.max(1, (typeof vectorBytes === 'number' ? vectorBytes : 16) / (bytesOf[dtype] ?? 4));
}

/** Vector registers: 32 with AVX-512 and on AArch64, 16 otherwise. */
export function vectorRegisters(ctx: TargetContext): number {
  const registers = ctx.target.device.features['vectorRegisters'];
  return typeof registers === 'number' ? registers : lanes(ctx, 'f32') >= 16 ? 32 : 16;
}

/** Bytes of a level of data cache of one core. */
export function cacheBytes(ctx: TargetContext, level: 1 | 2): number {
  const bytes = ctx.target.device.features[`l${level}`];
  return typeof bytes === 'number' ? bytes : level === 1 ? 32 << 10 : 256 << 10;
}

/** What estimates of schedules take from the device: the core, and what its threads do in a second. */
export interface Machine {
  readonly core: Core;
  readonly threads: number;
  /** Cycles of one core, where two vector multiply-adds are done in each. */
  readonly cyclesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly l2: number;
  readonly launch: number;
}

export function machineOf(ctx: TargetContext): Machine {
  const { device } = ctx.target;
  const width = lanes(ctx, 'f32');
  const threads = typeof device.features['threads'] === 'number' ? Math.max(1, device.features['threads']) : 1;
  const peak = device.peak['f32'] ?? 2.5e9 * threads * 4 * width;
  return {
    core: { width, registers: vectorRegisters(ctx), vectorBytes: 4 * width, l1: cacheBytes(ctx, 1) },
    threads, cyclesPerSecond: peak / (threads * 4 * width), bytesPerSecond: device.bandwidth, l2: cacheBytes(ctx, 2), launch: device.launch.kernel,
  };
}

/** How many times as large as in the model constants may become for the sake of speed. */
export function weightGrowth(ctx: TargetContext): number {
  const growth = ctx.target.device.features['weightGrowth'];
  return typeof growth === 'number' ? growth : Infinity;
}
