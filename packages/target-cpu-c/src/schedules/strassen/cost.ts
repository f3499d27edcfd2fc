import type { TargetContext } from '@tenon/plugin';
import { machineOf } from '../machine.ts';
import { tileSize, type TileSize } from '../contraction/tile-size.ts';
import { products } from './algorithm.ts';
import type { Halves } from './plan.ts';

/** An estimate, and the tile in registers that it is for. */
export interface Estimate {
  readonly tile: TileSize;
  readonly seconds: number;
}

/** Bytes of sums that a core writes and another reads, or reads again from the caches behind its own, per cycle. */
const passed = 16;

/** Seconds of the product as it is written. Weights come from memory: those of a whole network do not stay in caches. */
export function directSeconds({ rows, columns, depth, points }: Halves, ctx: TargetContext): number {
  const machine = machineOf(ctx);
  const { cycles } = tileSize(machine.core, rows, columns, depth);
  return Math.max((cycles * depth * points) / (machine.cyclesPerSecond * machine.threads), (4 * columns * depth) / machine.bytesPerSecond);
}

/** Seconds with seven products of halves. */
export function halved({ rows, columns, depth, points }: Halves, ctx: TargetContext): Estimate {
  const machine = machineOf(ctx);
  const { width } = machine.core;
  const [pairs, half, inner] = [Math.ceil(rows / 2), columns / 2, depth / 2];
  const { cycles, ...tile } = tileSize(machine.core, pairs, half, inner);
  const count = products.length;
  const multiply = count * cycles * inner;
  // Four loads, eight operations and seven stores make the left operands of one vector; those pass to other threads.
  const left = pairs * Math.ceil(inner / width) * 16 + (4 * count * pairs * inner) / passed;
  // A sum is read and written by every product, and four of them are finished.
  const sums = pairs * Math.ceil(half / width) * (2 * count + 12);
  const busy = ((multiply + left + sums) * points) / (machine.threads * machine.cyclesPerSecond);
  return { tile, seconds: Math.max(busy, (4 * count * half * inner) / machine.bytesPerSecond) + machine.launch };
}
