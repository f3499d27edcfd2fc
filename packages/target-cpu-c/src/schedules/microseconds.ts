/** Seconds, as microseconds with three digits. */
export const microseconds = (seconds: number): string => `${Number((1e6 * seconds).toPrecision(3))} µs`;
