import { diagnosticOf, type Expr, type ExprLike, type FunctionBuilder, type IRModule, type TensorType, type Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { generator } from './generator.ts';
import { integer, pick } from './random.ts';

export interface RandomNetworkOptions {
  /** Layers. */
  readonly layers: number;
  /** Whether the batch is a dim `n`. */
  readonly symbolic: boolean;
  /** Axes of the input besides batch and channels. */
  readonly spatial: 1 | 2 | 3;
  /** Whether two of three layers divide a value and concatenate its parts. */
  readonly halves?: boolean;
}

type Layer = (net: Network) => Value | null;

interface Network {
  readonly b: FunctionBuilder;
  readonly random: () => number;
  readonly spatial: number;
  /** A recent value of the form [batch, channels, spatial…]. */
  image(): Value;
  /** A value of the same shape as another one, or null. */
  partner(of: Value): Value | null;
  weights(shape: readonly number[]): Value;
}

const shapeOf = (v: Value): readonly Expr[] => (v.type as TensorType).shape;
const channelsOf = ({ b }: Network, v: Value): number => b.exprs.valueOf(shapeOf(v)[1]!)!;
const each = (net: Network, value: () => number): number[] => Array.from({ length: net.spatial }, value);
const channels = (random: () => number): number => pick(random, [1, 3, 4, 8, 16, 17, 20]);

function convolution(net: Network, x: Value, options: { readonly kernel: number; readonly out: number; readonly groups: number; readonly stride: number; readonly dilation: number }): Value {
  const { b, random } = net;
  const { kernel, out, groups, stride, dilation } = options;
  const before = random() < 0.8 ? Math.floor((dilation * (kernel - 1)) / 2) : 0;
  const weight = net.weights([out, channelsOf(net, x) / groups, ...each(net, () => kernel)]);
  const args = random() < 0.7 ? [x, weight, net.weights([out])] : [x, weight];
  const pads = [...each(net, () => before), ...each(net, () => before + Number(random() < 0.2))];
  return b.call('nn.conv', args, { pads, strides: each(net, () => stride), dilations: each(net, () => dilation), groups });
}

const layers: readonly Layer[] = [
  (net) => convolution(net, net.image(), { kernel: 1, out: channels(net.random), groups: 1, stride: pick(net.random, [1, 1, 2]), dilation: 1 }),
  (net) => convolution(net, net.image(), { kernel: 3, out: channels(net.random), groups: 1, stride: pick(net.random, [1, 2]), dilation: pick(net.random, [1, 1, 2]) }),
  (net) => convolution(net, net.image(), { kernel: pick(net.random, [2, 3]), out: channels(net.random), groups: 1, stride: 1, dilation: 1 }),
  (net) => {
    const x = net.image();
    const groups = channelsOf(net, x);
    return convolution(net, x, { kernel: 3, out: groups * pick(net.random, [1, 1, 2]), groups, stride: pick(net.random, [1, 2]), dilation: 1 });
  },
  (net) => {
    const x = net.image();
    return channelsOf(net, x) % 4 === 0 ? convolution(net, x, { kernel: 3, out: 8, groups: 4, stride: 1, dilation: 1 }) : null;
  },
  (net) => net.b.call(pick(net.random, ['nn.relu', 'math.tanh', 'math.sigmoid']), [net.image()]),
  (net) => {
    // A residual sum.
    const x = net.image();
    const y = net.partner(x);
    return y === null ? null : net.b.call(pick(net.random, ['math.add', 'math.mul']), [x, y]);
  },
  (net) => {
    const x = net.image();
    return net.b.call('math.mul', [x, net.weights([channelsOf(net, x), ...each(net, () => 1)])]);
  },
  (net) => {
    const pads = [...each(net, () => 0), ...each(net, () => 1)];
    return net.b.call(pick(net.random, ['nn.max_pool', 'nn.avg_pool']), [net.image()], { kernel: each(net, () => 2), strides: each(net, () => 2), pads });
  },
  (net) => {
    const x = net.image();
    return net.b.call('shape.concat', [x, net.partner(x) ?? x], { axis: 1 });
  },
  (net) => {
    const x = net.image();
    const c = channelsOf(net, x);
    if (c < 2) return null;
    return net.b.call('shape.slice', [x], { starts: [integer(net.random, 0, 1)], sizes: [Math.floor(c / 2)], axes: [1], steps: [1] });
  },
  (net) => {
    // Squeeze and excite.
    const x = net.image();
    const mean = net.b.call('reduce.mean', [x], { axes: each(net, () => 0).map((_, i) => i + 2), keepdims: true });
    return net.b.call('math.mul', [x, net.b.call('math.sigmoid', [mean])]);
  },
  (net) => {
    const x = net.image();
    return net.b.call('reduce.max', [x], { axes: [integer(net.random, 1, net.spatial + 1)], keepdims: true });
  },
  (net) => {
    // Spatial axes among one another, or channels and one of them.
    const x = net.image();
    const i = integer(net.random, 1, net.spatial + 1);
    const j = integer(net.random, 1, net.spatial + 1);
    const perm = shapeOf(x).map((_, axis) => (axis === i ? j : axis === j ? i : axis));
    return net.b.call('shape.transpose', [x], { perm });
  },
  (net) => {
    const x = net.image();
    const sizes = shapeOf(x).slice(2).map((d) => net.b.exprs.mul(d, 2));
    return net.b.call('nn.resize', [x], { axes: sizes.map((_, i) => i + 2), sizes, scales: sizes.map(() => 2), mode: pick(net.random, ['nearest', 'linear']) });
  },
  (net) => {
    // Through a view, which pins what it views.
    const x = net.image();
    const [n, c, ...rest] = shapeOf(x);
    const flat = net.b.call('shape.reshape', [x], { shape: [n!, c!, net.b.exprs.product(rest)] });
    return net.b.call('shape.reshape', [net.b.call('nn.softmax', [flat], { axis: -1 })], { shape: [n!, c!, ...rest] });
  },
];

/** A value in halves, one of which goes on; all are concatenated for another convolution. */
const halves: Layer = (net) => {
  const half = pick(net.random, [16, 16, 20, 5]);
  const whole = convolution(net, net.image(), { kernel: 1, out: 2 * half, groups: 1, stride: 1, dilation: 1 });
  const part = (start: number): Value => net.b.call('shape.slice', [whole], { starts: [start], sizes: [half], axes: [1], steps: [1] });
  const kernel = pick(net.random, [1, 3]);
  const weight = net.weights([half, half, ...each(net, () => kernel)]);
  const pads = [...each(net, () => (kernel - 1) / 2), ...each(net, () => (kernel - 1) / 2)];
  const ones = each(net, () => 1);
  const onwards = net.b.call('nn.relu', [net.b.call('nn.conv', [part(half), weight], { pads, strides: ones, dilations: ones, groups: 1 })]);
  const parts = pick(net.random, [[part(0), part(half), onwards], [onwards, part(half)], [part(half), onwards, part(half)], [onwards, onwards]]);
  return convolution(net, net.b.call('shape.concat', parts, { axis: 1 }), { kernel: pick(net.random, [1, 3]), out: channels(net.random), groups: 1, stride: 1, dilation: 1 });
};

/** A module whose entry is a random convolution network with constant weights. The same seed gives the same network. */
export function randomNetwork(session: Session, seed: number, { layers: count, symbolic, spatial, halves: divided = false }: RandomNetworkOptions): IRModule {
  const random = generator(seed);
  const module = session.module();
  const batch: ExprLike = symbolic ? module.dim({ name: 'n', min: 1, max: 8 }) : integer(random, 1, 2);
  const shape = [batch, channels(random), ...Array.from({ length: spatial }, () => integer(random, 5, 11))];
  const b = module.graph('main', ['x', 'z'].map((name) => ({ name, type: session.types.tensor('f32', shape) })));
  const values: Value[] = [...b.params];
  const same = (v: Value, w: Value): boolean => shapeOf(v).every((d, i) => d === shapeOf(w)[i]);
  const net: Network = {
    b, random, spatial,
    image: () => (random() < 0.7 ? values.at(-integer(random, 1, Math.min(2, values.length)))! : pick(random, values)),
    partner(of) {
      const fitting = values.filter((v) => v !== of && same(v, of));
      return fitting.length === 0 ? null : pick(random, fitting);
    },
    weights: (of) => {
      const size = of.reduce((p, d) => p * d, 1);
      // Sums stay of the size of what is summed.
      const limit = Math.sqrt(3 / Math.max(1, size / of[0]!));
      return b.constant(Array.from({ length: size }, () => Math.fround(limit * (2 * random() - 1))), 'f32', of);
    },
  };
  for (let made = 0, tries = 0; made < count && tries < 20 * count; tries++) {
    try {
      const value = (divided && made % 3 !== 0 ? halves : pick(random, layers))(net);
      const [, ...rest] = value === null ? [] : shapeOf(value).map((d) => b.exprs.valueOf(d));
      if (value === null || rest.reduce<number>((p, d) => p * (d ?? 1), 1) > 20_000) continue;
      values.push(value);
      made++;
    } catch (error) {
      if (diagnosticOf(error) === null) throw error;
    }
  }
  const results = [values.at(-1)!, ...(random() < 0.5 ? [pick(random, values)] : [])];
  b.finish(results, results.map((_, i) => `y${i}`));
  return module.finish();
}
