/** The machine's figures, in operations, bytes and seconds. The compiler estimates with them, the simulator keeps time by them. */

/** The array multiplies blocks of `side` × `side` weights. */
export const side = 8;
/** Weights have to fit into the array's own memory. */
export const weightBytes = 1 << 20;
/** Sums are kept in accumulators until they are written: so many elements. */
export const accumulators = 1 << 16;

/** Operations per second; a multiply-add counts two. */
export const peak = { f32: 2e12 } as const;
/** Bytes per second between the array and the device's memory. */
export const bandwidth = 64e9;
/** Seconds to start a region, and every instruction in it. */
export const launch = { region: 5e-6, kernel: 1e-6 } as const;
/** Between the device's memory and the host's. */
export const transfer = { latency: 5e-6, bandwidth: 16e9 } as const;
