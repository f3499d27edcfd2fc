/** The machine's figures. Both halves use them: the compiler estimates with them, the simulator keeps time by them. */

/** Cells per side of the array. */
export const side = 16;
/** Weights must fit into the array's memory. */
export const weightBytes = 1 << 20;

/** Operations per second: every cell does one f32 multiply-add per nanosecond, or four in 8 bits. */
export const peak = { f32: 2 * side * side * 1e9, i8: 8 * side * side * 1e9, i32: 2 * side * 1e9 } as const;
/** Bytes per second. */
export const bandwidth = 32e9;
/** Seconds. */
export const launch = { region: 5e-6, kernel: 1e-6 } as const;
export const transfer = { latency: 10e-6, bandwidth: 8e9 } as const;

export type Mode = 'f32' | 'int8';

/** Operations per second of the array, and of the vector unit behind it, which does one element per lane and cycle. */
export const arrayRate: { readonly [mode in Mode]: number } = { f32: peak.f32, int8: peak.i8 };
export const vectorRate = side * 1e9;
