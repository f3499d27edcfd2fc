import type { TargetContext } from '@tenon/plugin';
import { tileSize, type TileSize } from '../contraction/tile-size.ts';
import { machineOf, type Machine } from '../machine.ts';
import { strided } from './cook-toom.ts';
import { linearMap, operationsOf } from '../linear-map.ts';
import type { Convolution } from './plan.ts';
import type { AxisTiles } from './transform.ts';

/** One way to do a convolution by Winograd's algorithm, with its estimated seconds. */
export interface Strategy {
  /** Results of a tile along each axis with more than one tap. */
  readonly step: number;
  readonly axes: readonly AxisTiles[];
  readonly tiles: number;
  /** Rows (tiles) and columns (output channels) of the products in registers. */
  readonly register: TileSize;
  /** Tiles that go through all steps together; null: every step over all tiles before the next. */
  readonly block: number | null;
  readonly seconds: number;
}

/** Results of a tile along an axis: 6 would save a fifth of the products of 4, for an error ten times as large. */
export const steps = [2, 3, 4] as const;

/** Larger blocks read weights less often, but are fewer to share among threads. */
const mostBlock = 64;
/** Bytes of weights that a core reads ahead from the caches behind its own, per cycle. */
const streamed = 16;

export const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1);

/** Seconds of the convolution as it is written. Weights come from memory: those of a whole network do not stay in caches. */
export function directSeconds(conv: Convolution, ctx: TargetContext): number {
  const machine = machineOf(ctx);
  const { inputs, outputs } = conv.channels;
  const taps = product(conv.window.map((axis) => axis.taps));
  const extents = [...conv.batch, ...conv.window].map((axis) => axis.extent);
  const row = Math.max(...extents);
  const cycles = tileSize(machine.core, row, outputs, inputs * taps).cycles * inputs * taps * (product(extents) / row);
  return Math.max(cycles / (machine.cyclesPerSecond * machine.threads), (4 * inputs * outputs * taps) / machine.bytesPerSecond);
}

/** The ways to do it with tiles of `step` results along an axis; none where there are no transforms of sufficient accuracy. */
export function strategies(conv: Convolution, step: number, ctx: TargetContext): readonly Strategy[] {
  const shape = shapeOf(conv, step);
  if (shape === null) return [];
  const machine = machineOf(ctx);
  const blocks = [...new Set(Array.from({ length: shape.tiles }, (_, n) => Math.ceil(shape.tiles / (n + 1))))].filter((b) => b <= mostBlock);
  return [null, ...blocks].flatMap((block) => estimate(conv, shape, block, machine) ?? []);
}

export const fastest = (all: readonly Strategy[]): Strategy => all.reduce((a, b) => (b.seconds < a.seconds ? b : a));

type Shape = Pick<Strategy, 'step' | 'axes' | 'tiles'>;

/** null where there are no transforms. */
function shapeOf(conv: Convolution, step: number): Shape | null {
  const axes = conv.window.flatMap((axis): readonly AxisTiles[] => {
    const m = axis.taps === 1 ? 1 : step;
    const transforms = strided(m, axis.taps, axis.stride);
    return transforms === null ? [] : [{ step: m, products: transforms.input.length, positions: transforms.input[0]!.length, count: Math.ceil(axis.extent / m), transforms }];
  });
  if (axes.length < conv.window.length) return null;
  return { step, axes, tiles: product([...conv.batch.map((a) => a.extent), ...axes.map((a) => a.count)]) };
}

/** null where a block does not fit. */
function estimate(conv: Convolution, shape: Shape, block: number | null, machine: Machine): Strategy | null {
  const { core, threads, cyclesPerSecond, bytesPerSecond, l2, launch } = machine;
  const { axes, tiles } = shape;
  const { inputs, outputs } = conv.channels;
  const products = product(axes.map((axis) => axis.products));
  const register = tileSize(core, block ?? tiles, outputs, inputs);
  const weightBytes = 4 * products * inputs * outputs;
  const fromMemory = weightBytes / bytesPerSecond;
  const { input, output } = transformCycles(axes);
  const vectors = (channels: number): number => Math.ceil(channels / core.width);
  const transforms = (count: number): number => count * (input * vectors(inputs) + output * vectors(outputs));
  const multiply = products * inputs * register.cycles;
  if (block === null) {
    // What passes between the steps is written and read again, by other threads, a line at a time in both directions.
    const passed = 4 * products * tiles * (inputs + outputs);
    const passing = passed <= (l2 * threads) / 2 ? 0 : passed / streamed;
    const busy = (multiply + transforms(tiles) + passing) / (threads * cyclesPerSecond);
    return { ...shape, register, block, seconds: Math.max(busy, fromMemory) + 2 * launch };
  }
  if (4 * products * block * (inputs + Math.min(register.columns, outputs)) > l2 / 2) return null;
  // What is read ahead still takes a tenth of its time, as measured on one machine.
  const reading = weightBytes / streamed;
  const each = Math.max(multiply, reading) + reading / 10 + transforms(block);
  const rounds = Math.ceil(Math.ceil(tiles / block) / threads);
  return { ...shape, register, block, seconds: Math.max((each * rounds) / cyclesPerSecond, fromMemory) };
}

/** Cycles of the transforms of one tile and one vector of channels: half of one for an operation, one for a load or store. */
function transformCycles(axes: readonly AxisTiles[]): { readonly input: number; readonly output: number } {
  let [input, output] = [0, 0];
  axes.forEach((axis, k) => {
    // Axes before this one are transformed already.
    const others = axes.slice(k + 1);
    input += (operationsOf(linearMap(axis.transforms.input)) * product(others.map((a) => a.positions)) * product(axes.slice(0, k).map((a) => a.products))) / 2;
    output += (operationsOf(linearMap(axis.transforms.output)) * product(others.map((a) => a.products)) * product(axes.slice(0, k).map((a) => a.step))) / 2;
  });
  const all = product(axes.map((a) => a.products));
  return { input: input + product(axes.map((a) => a.positions)) + all, output: output + all + product(axes.map((a) => a.step)) };
}
