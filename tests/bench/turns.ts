/** Runs that warm up take at least so long: clocks and caches need it. */
const warmMilliseconds = 30;

/** Milliseconds of one run, warm, after everything else of this process has come to rest; the mean of `times`, one after the other. */
export async function turn(run: () => Promise<unknown>, times = 1): Promise<number> {
  await rest();
  for (const started = performance.now(); performance.now() - started < warmMilliseconds; ) await run();
  const begin = performance.now();
  for (let i = 0; i < times; i++) await run();
  return (performance.now() - begin) / times;
}

/**
 * Waits until this process hardly uses the processor any more, half a second at most: threads may go on waiting for work at
 * full speed for a while after a run, on the core that others need next.
 */
export async function rest(): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { user, system } = process.cpuUsage(before);
    if (user + system < 1000) return;
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Medians of both in turn: neither has the machine to itself for longer than the other. Two rounds more come first. */
export async function interleaved(ours: () => Promise<unknown>, theirs: () => Promise<unknown>, rounds: number, times = 1): Promise<{ readonly ms: number; readonly peerMs: number }> {
  const mine: number[] = [];
  const peers: number[] = [];
  for (let i = -2; i < rounds; i++) {
    const a = await turn(ours, times);
    const b = await turn(theirs, times);
    if (i < 0) continue;
    mine.push(a);
    peers.push(b);
  }
  return { ms: median(mine), peerMs: median(peers) };
}
