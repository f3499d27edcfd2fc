import type { TargetContext } from '@tenon/plugin';

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
