import { info, model, node, raw, type AttributeValue } from '../../packages/frontend-onnx/test/onnx-writer.ts';
import { generator } from '../support/generator.ts';
import { randomTensor } from '../support/random.ts';

/** A part of a well-known kind of network, as it stands in it: sizes, batch 1. */
export interface BlockModel {
  readonly name: string;
  build(g: Graph): void;
}

type Shape = readonly number[];

/** Builds a graph of nodes on random weights, of sizes that keep values in range. */
export class Graph {
  readonly #nodes: ReturnType<typeof node>[] = [];
  readonly #initializers: ReturnType<typeof raw>[] = [];
  readonly #inputs: ReturnType<typeof info>[] = [];
  readonly #outputs: ReturnType<typeof info>[] = [];
  readonly #random = generator(5);
  #next = 0;

  input(shape: Shape, dtype = 'f32'): string {
    const name = `x${this.#inputs.length}`;
    this.#inputs.push(info(name, dtype, shape));
    return name;
  }
  output(value: string, shape: readonly (number | null)[], dtype = 'f32'): void {
    const name = `y${this.#outputs.length}`;
    this.#nodes.push(node('Identity', [value], [name], { name }));
    this.#outputs.push(info(name, dtype, shape));
  }
  weight(shape: Shape, range?: readonly [number, number]): string {
    const fan = shape.slice(1).reduce((a, b) => a * b, 1);
    const limit = Math.sqrt(3 / fan);
    return this.#constant('f32', shape, randomTensor(this.#random, 'f32', shape, range ?? [-limit, limit]).data);
  }
  integers(values: readonly number[]): string {
    return this.#constant('i64', [values.length], BigInt64Array.from(values, BigInt));
  }
  floats(values: readonly number[], shape: Shape = [values.length]): string {
    return this.#constant('f32', shape, Float32Array.from(values));
  }
  #constant(dtype: string, shape: Shape, data: Parameters<typeof raw>[3]): string {
    const name = `w${this.#initializers.length}`;
    this.#initializers.push(raw(name, dtype, shape, data));
    return name;
  }
  call(op: string, args: readonly string[], attrs: { readonly [name: string]: AttributeValue } = {}): string {
    return this.calls(op, args, 1, attrs)[0]!;
  }
  calls(op: string, args: readonly string[], results: number, attrs: { readonly [name: string]: AttributeValue } = {}): readonly string[] {
    const names = Array.from({ length: results }, () => `v${this.#next++}`);
    this.#nodes.push(node(op, args, names, { name: `${op}_${this.#next}`, attrs }));
    return names;
  }
  conv(x: string, inputs: number, outputs: number, kernel: Shape, o: { readonly stride?: number; readonly groups?: number; readonly dilation?: number; readonly pad?: number; readonly bias?: boolean } = {}): string {
    const { stride = 1, groups = 1, dilation = 1, pad, bias = true } = o;
    const pads = kernel.map((k) => pad ?? (dilation * (k - 1)) / 2);
    return this.call('Conv', [x, this.weight([outputs, inputs / groups, ...kernel]), ...(bias ? [this.weight([outputs], [-0.1, 0.1])] : [])], {
      kernel_shape: { ints: kernel }, strides: { ints: kernel.map(() => stride) }, dilations: { ints: kernel.map(() => dilation) }, group: { i: groups }, pads: { ints: [...pads, ...pads] },
    });
  }
  dense(x: string, inputs: number, outputs: number): string {
    const limit = Math.sqrt(3 / inputs);
    return this.call('Add', [this.call('MatMul', [x, this.weight([inputs, outputs], [-limit, limit])]), this.weight([outputs], [-0.1, 0.1])]);
  }
  batchNorm(x: string, channels: number): string {
    const positive = (): string => this.weight([channels], [0.5, 1.5]);
    return this.call('BatchNormalization', [x, positive(), this.weight([channels], [-0.1, 0.1]), this.weight([channels], [-0.1, 0.1]), positive()]);
  }
  layerNorm(x: string, width: number): string {
    return this.call('LayerNormalization', [x, this.weight([width], [0.5, 1.5]), this.weight([width], [-0.1, 0.1])], { axis: { i: -1 } });
  }
  silu(x: string): string {
    return this.call('Mul', [x, this.call('Sigmoid', [x])]);
  }
  gelu(x: string): string {
    const erf = this.call('Erf', [this.call('Div', [x, this.floats([Math.SQRT2], [])])]);
    return this.call('Mul', [this.call('Mul', [x, this.call('Add', [erf, this.floats([1], [])])]), this.floats([0.5], [])]);
  }
  reshape(x: string, shape: Shape): string {
    return this.call('Reshape', [x, this.integers(shape)]);
  }
  transpose(x: string, perm: Shape): string {
    return this.call('Transpose', [x], { perm: { ints: perm } });
  }
  bytes(): Uint8Array {
    return model({ inputs: this.#inputs, outputs: this.#outputs, initializers: this.#initializers, nodes: this.#nodes, opset: 18 });
  }
}

/** Softmax(q·kᵀ/√d)·v over heads, from and to [1, tokens, width]. */
function attention(g: Graph, x: string, tokens: number, width: number, heads: number): string {
  const d = width / heads;
  const head = (perm: Shape): string => g.transpose(g.reshape(g.dense(x, width, width), [1, tokens, heads, d]), perm);
  const [q, k, v] = [head([0, 2, 1, 3]), head([0, 2, 3, 1]), head([0, 2, 1, 3])];
  const scores = g.call('Softmax', [g.call('Mul', [g.call('MatMul', [q, k]), g.floats([1 / Math.sqrt(d)], [])])], { axis: { i: -1 } });
  return g.dense(g.reshape(g.transpose(g.call('MatMul', [scores, v]), [0, 2, 1, 3]), [1, tokens, width]), width, width);
}

export const blockModels: readonly BlockModel[] = [
  {
    name: 'vgg: 3x3 with 256 channels, 56x56, max pool',
    build(g) {
      let x = g.input([1, 128, 56, 56]);
      x = g.call('Relu', [g.conv(x, 128, 256, [3, 3])]);
      x = g.call('Relu', [g.conv(x, 256, 256, [3, 3])]);
      g.output(g.call('MaxPool', [x], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }), [1, 256, 28, 28]);
    },
  },
  {
    name: 'resnext: 32 groups of 8, 28x28',
    build(g) {
      const x = g.input([1, 512, 28, 28]);
      let y = g.call('Relu', [g.conv(x, 512, 256, [1, 1])]);
      y = g.call('Relu', [g.conv(y, 256, 256, [3, 3], { groups: 32 })]);
      g.output(g.call('Relu', [g.call('Add', [x, g.conv(y, 256, 512, [1, 1])])]), [1, 512, 28, 28]);
    },
  },
  {
    name: 'shufflenet: 3 groups, shuffled channels, 28x28',
    build(g) {
      const x = g.input([1, 240, 28, 28]);
      let y = g.call('Relu', [g.conv(x, 240, 60, [1, 1], { groups: 3 })]);
      y = g.reshape(g.transpose(g.reshape(y, [1, 3, 20, 28, 28]), [0, 2, 1, 3, 4]), [1, 60, 28, 28]);
      y = g.conv(g.conv(y, 60, 60, [3, 3], { groups: 60 }), 60, 240, [1, 1], { groups: 3 });
      g.output(g.call('Relu', [g.call('Add', [x, y])]), [1, 240, 28, 28]);
    },
  },
  {
    name: 'densenet: six layers, concatenated, batch norm before, 28x28',
    build(g) {
      let x = g.input([1, 128, 28, 28]);
      for (let i = 0; i < 6; i++) {
        const channels = 128 + 32 * i;
        const y = g.conv(g.call('Relu', [g.batchNorm(x, channels)]), channels, 128, [1, 1], { bias: false });
        x = g.call('Concat', [x, g.conv(g.call('Relu', [g.batchNorm(y, 128)]), 128, 32, [3, 3], { bias: false })], { axis: { i: 1 } });
      }
      g.output(x, [1, 320, 28, 28]);
    },
  },
  {
    name: 'efficientnet: expand, 5x5 depthwise, squeeze and excite, 28x28',
    build(g) {
      const x = g.input([1, 40, 28, 28]);
      const y = g.silu(g.conv(g.silu(g.conv(x, 40, 240, [1, 1])), 240, 240, [5, 5], { groups: 240 }));
      const s = g.call('Sigmoid', [g.conv(g.silu(g.conv(g.call('GlobalAveragePool', [y]), 240, 10, [1, 1])), 10, 240, [1, 1])]);
      g.output(g.call('Add', [x, g.conv(g.call('Mul', [y, s]), 240, 40, [1, 1])]), [1, 40, 28, 28]);
    },
  },
  {
    name: 'mobilenetv3: hard swish, 56x56',
    build(g) {
      const x = g.input([1, 24, 56, 56]);
      const y = g.call('HardSwish', [g.conv(g.call('HardSwish', [g.conv(x, 24, 72, [1, 1])]), 72, 72, [5, 5], { groups: 72 })]);
      g.output(g.call('Add', [x, g.conv(y, 72, 24, [1, 1])]), [1, 24, 56, 56]);
    },
  },
  {
    name: 'convnext: 7x7 depthwise, layer norm, 28x28',
    build(g) {
      const x = g.input([1, 192, 28, 28]);
      let y = g.transpose(g.conv(x, 192, 192, [7, 7], { groups: 192 }), [0, 2, 3, 1]);
      y = g.dense(g.gelu(g.dense(g.layerNorm(y, 192), 192, 768)), 768, 192);
      g.output(g.call('Add', [x, g.transpose(y, [0, 3, 1, 2])]), [1, 192, 28, 28]);
    },
  },
  {
    name: 'unet: transposed 2x2, concatenated, two 3x3, 64x64',
    build(g) {
      const [x, skip] = [g.input([1, 128, 32, 32]), g.input([1, 64, 64, 64])];
      const up = g.call('ConvTranspose', [x, g.weight([128, 64, 2, 2]), g.weight([64])], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } });
      const y = g.call('Relu', [g.conv(g.call('Concat', [skip, up], { axis: { i: 1 } }), 128, 64, [3, 3])]);
      g.output(g.call('Relu', [g.conv(y, 64, 64, [3, 3])]), [1, 64, 64, 64]);
    },
  },
  {
    name: 'gan: transposed 4x4 of stride 2, 32x32 to 64x64',
    build(g) {
      const x = g.input([1, 128, 32, 32]);
      g.output(g.call('Relu', [g.call('ConvTranspose', [x, g.weight([128, 64, 4, 4]), g.weight([64])], { kernel_shape: { ints: [4, 4] }, strides: { ints: [2, 2] }, pads: { ints: [1, 1, 1, 1] } })]), [1, 64, 64, 64]);
    },
  },
  {
    name: 'segmentation: dilated 3x3, bilinear resize, 64x64',
    build(g) {
      const x = g.input([1, 64, 64, 64]);
      const y = g.call('Relu', [g.conv(g.call('Relu', [g.conv(x, 64, 64, [3, 3], { dilation: 4 })]), 64, 21, [1, 1])]);
      g.output(g.call('Resize', [y, '', g.floats([1, 1, 4, 4])], { mode: { s: 'linear' }, coordinate_transformation_mode: { s: 'half_pixel' } }), [1, 21, 256, 256]);
    },
  },
  {
    name: 'pyramid: nearest resize, added, 3x3, 40x40',
    build(g) {
      const [x, skip] = [g.input([1, 256, 20, 20]), g.input([1, 256, 40, 40])];
      const up = g.call('Resize', [x, '', g.floats([1, 1, 2, 2])], { mode: { s: 'nearest' }, coordinate_transformation_mode: { s: 'asymmetric' }, nearest_mode: { s: 'floor' } });
      g.output(g.conv(g.call('Add', [up, g.conv(skip, 256, 256, [1, 1])]), 256, 256, [3, 3]), [1, 256, 40, 40]);
    },
  },
  {
    name: 'diffusion: group norm, SiLU, 3x3 with 320 channels, 32x32',
    build(g) {
      const x = g.input([1, 320, 32, 32]);
      let y = g.call('InstanceNormalization', [g.reshape(x, [1, 32, 10 * 1024]), g.floats(Array.from({ length: 32 }, () => 1)), g.floats(Array.from({ length: 32 }, () => 0))]);
      y = g.call('Add', [g.call('Mul', [g.reshape(y, [1, 320, 32, 32]), g.weight([320, 1, 1], [0.5, 1.5])]), g.weight([320, 1, 1], [-0.1, 0.1])]);
      g.output(g.call('Add', [x, g.conv(g.silu(y), 320, 320, [3, 3])]), [1, 320, 32, 32]);
    },
  },
  {
    name: 'super resolution: 3x3 with 64 channels, depth to space, 96x96',
    build(g) {
      const x = g.input([1, 3, 96, 96]);
      const y = g.call('LeakyRelu', [g.conv(g.call('LeakyRelu', [g.conv(x, 3, 64, [3, 3])]), 64, 64, [3, 3])]);
      g.output(g.call('DepthToSpace', [g.conv(y, 64, 12, [3, 3])], { blocksize: { i: 2 } }), [1, 3, 192, 192]);
    },
  },
  {
    name: 'speech: two 1-d convolutions, GELU, 80 x 3000',
    build(g) {
      const x = g.input([1, 80, 3000]);
      g.output(g.gelu(g.conv(g.gelu(g.conv(x, 80, 384, [3])), 384, 384, [3], { stride: 2, pad: 1 })), [1, 384, 1500]);
    },
  },
  {
    name: 'video: 3x3x3, 16 channels, 8x56x56',
    build(g) {
      const x = g.input([1, 16, 8, 56, 56]);
      g.output(g.call('Relu', [g.conv(x, 16, 32, [3, 3, 3])]), [1, 32, 8, 56, 56]);
    },
  },
  {
    name: 'batch of 8: 3x3 and 1x1, 28x28',
    build(g) {
      const x = g.input([8, 64, 28, 28]);
      g.output(g.call('Relu', [g.conv(g.call('Relu', [g.conv(x, 64, 64, [3, 3])]), 64, 128, [1, 1])]), [8, 128, 28, 28]);
    },
  },
  {
    name: 'average and max pools, 56x56',
    build(g) {
      const x = g.input([1, 192, 56, 56]);
      const pool = (op: string): string => g.call(op, [x], { kernel_shape: { ints: [3, 3] }, pads: { ints: [1, 1, 1, 1] }, strides: { ints: [1, 1] } });
      g.output(g.call('Concat', [pool('MaxPool'), pool('AveragePool'), g.conv(x, 192, 64, [1, 1])], { axis: { i: 1 } }), [1, 448, 56, 56]);
    },
  },
  {
    name: 'encoder: attention over 512 tokens, 8 heads of 64',
    build(g) {
      const x = g.input([1, 512, 512]);
      g.output(g.layerNorm(g.call('Add', [x, attention(g, x, 512, 512, 8)]), 512), [1, 512, 512]);
    },
  },
  {
    name: 'small encoder: 32 tokens of 384, 12 heads',
    build(g) {
      const x = g.input([1, 32, 384]);
      const y = g.layerNorm(g.call('Add', [x, attention(g, x, 32, 384, 12)]), 384);
      g.output(g.layerNorm(g.call('Add', [y, g.dense(g.gelu(g.dense(y, 384, 1536)), 1536, 384)]), 384), [1, 32, 384]);
    },
  },
  {
    name: 'swin: windows of 7x7, 56x56 with 96 channels',
    build(g) {
      const x = g.input([1, 3136, 96]);
      let w = g.transpose(g.reshape(g.layerNorm(x, 96), [8, 7, 8, 7, 96]), [0, 2, 1, 3, 4]);
      w = g.reshape(w, [64, 49, 96]);
      const qkv = g.transpose(g.reshape(g.dense(w, 96, 288), [64, 49, 3, 3, 32]), [2, 0, 3, 1, 4]);
      const [q, k, v] = g.calls('Split', [qkv], 3, { axis: { i: 0 }, num_outputs: { i: 3 } }).map((part) => g.reshape(part, [64, 3, 49, 32]));
      const scores = g.call('Softmax', [g.call('Add', [g.call('MatMul', [q!, g.transpose(k!, [0, 1, 3, 2])]), g.weight([1, 3, 49, 49], [-1, 1])])], { axis: { i: -1 } });
      const y = g.dense(g.reshape(g.transpose(g.call('MatMul', [scores, v!]), [0, 2, 1, 3]), [64, 49, 96]), 96, 96);
      g.output(g.call('Add', [x, g.reshape(g.transpose(g.reshape(y, [8, 8, 7, 7, 96]), [0, 2, 1, 3, 4]), [1, 3136, 96])]), [1, 3136, 96]);
    },
  },
  {
    name: 'normalization in single operators, 256 x 1024',
    build(g) {
      const x = g.input([1, 256, 1024]);
      const mean = g.call('ReduceMean', [x, g.integers([-1])]);
      const centred = g.call('Sub', [x, mean]);
      const variance = g.call('ReduceMean', [g.call('Pow', [centred, g.floats([2], [])]), g.integers([-1])]);
      const y = g.call('Div', [centred, g.call('Sqrt', [g.call('Add', [variance, g.floats([1e-5], [])])])]);
      g.output(g.call('Add', [g.call('Mul', [y, g.weight([1024], [0.5, 1.5])]), g.weight([1024], [-0.1, 0.1])]), [1, 256, 1024]);
    },
  },
  {
    name: 'feed-forward with tanh GELU, 64 x 768',
    build(g) {
      const x = g.input([1, 64, 768]);
      const h = g.dense(x, 768, 3072);
      const cube = g.call('Mul', [g.call('Mul', [h, h]), h]);
      const inner = g.call('Mul', [g.call('Add', [h, g.call('Mul', [cube, g.floats([0.044715], [])])]), g.floats([0.7978846], [])]);
      const gelu = g.call('Mul', [g.call('Mul', [h, g.floats([0.5], [])]), g.call('Add', [g.call('Tanh', [inner]), g.floats([1], [])])]);
      g.output(g.dense(gelu, 3072, 768), [1, 64, 768]);
    },
  },
  {
    name: 'inception: 1x7, 7x1 and average pool, 17x17',
    build(g) {
      const x = g.input([1, 768, 17, 17]);
      let y = g.call('Relu', [g.conv(x, 768, 128, [1, 1])]);
      for (const kernel of [[1, 7], [7, 1]]) y = g.call('Relu', [g.conv(y, 128, 128, kernel)]);
      const pooled = g.call('AveragePool', [x], { kernel_shape: { ints: [3, 3] }, pads: { ints: [1, 1, 1, 1] }, strides: { ints: [1, 1] } });
      g.output(g.call('Concat', [y, g.call('Relu', [g.conv(pooled, 768, 192, [1, 1])])], { axis: { i: 1 } }), [1, 320, 17, 17]);
    },
  },
  {
    name: 'decoder: one token, past of 512, 12 heads of 64',
    build(g) {
      const x = g.input([1, 1, 768]);
      const [pastK, pastV] = [g.input([1, 12, 512, 64]), g.input([1, 12, 512, 64])];
      const head = (): string => g.transpose(g.reshape(g.dense(g.layerNorm(x, 768), 768, 768), [1, 1, 12, 64]), [0, 2, 1, 3]);
      const [q, k, v] = [head(), g.call('Concat', [pastK, head()], { axis: { i: 2 } }), g.call('Concat', [pastV, head()], { axis: { i: 2 } })];
      const scores = g.call('Softmax', [g.call('Mul', [g.call('MatMul', [q, g.transpose(k, [0, 1, 3, 2])]), g.floats([0.125], [])])], { axis: { i: -1 } });
      const y = g.call('Add', [x, g.dense(g.reshape(g.transpose(g.call('MatMul', [scores, v]), [0, 2, 1, 3]), [1, 1, 768]), 768, 768)]);
      g.output(g.call('Add', [y, g.dense(g.gelu(g.dense(g.layerNorm(y, 768), 768, 3072)), 3072, 768)]), [1, 1, 768]);
      g.output(k, [1, 12, 513, 64]);
      g.output(v, [1, 12, 513, 64]);
    },
  },
  {
    name: 'gru: 64 steps of 128, batch 4',
    build(g) {
      const x = g.input([64, 4, 128]);
      const [y] = g.calls('GRU', [x, g.weight([1, 384, 128]), g.weight([1, 384, 128]), g.weight([1, 768], [-0.1, 0.1])], 1, { hidden_size: { i: 128 }, linear_before_reset: { i: 1 } });
      g.output(y!, [64, 1, 4, 128]);
    },
  },
  {
    name: 'recommendation: embeddings, concatenated, three layers, batch 64',
    build(g) {
      const ids = g.input([64, 8], 'i64');
      const x = g.reshape(g.call('Gather', [g.weight([2, 64], [-1, 1]), ids]), [64, 512]);
      let y = g.call('Relu', [g.dense(x, 512, 256)]);
      y = g.call('Relu', [g.dense(y, 256, 64)]);
      g.output(g.call('Sigmoid', [g.dense(y, 64, 1)]), [64, 1]);
    },
  },
  {
    name: 'lstm: 64 steps of 256, both directions',
    build(g) {
      const x = g.input([64, 1, 256]);
      const [y] = g.calls('LSTM', [x, g.weight([2, 1024, 256]), g.weight([2, 1024, 256]), g.weight([2, 2048], [-0.1, 0.1])], 1, { hidden_size: { i: 256 }, direction: { s: 'bidirectional' } });
      g.output(y!, [64, 2, 1, 256]);
    },
  },
  {
    name: 'classifier: softmax and top 5 of 32000, one row',
    build(g) {
      const x = g.input([1, 512]);
      const p = g.call('Softmax', [g.dense(x, 512, 32000)], { axis: { i: -1 } });
      const [values] = g.calls('TopK', [p, g.integers([5])], 2, { axis: { i: -1 } });
      g.output(values!, [1, 5]);
    },
  },
  {
    name: 'elementwise chain, 4 MB',
    build(g) {
      const x = g.input([1024, 1024]);
      g.output(g.call('Tanh', [g.call('Add', [g.call('Mul', [x, g.call('Sigmoid', [x])]), g.weight([1024], [-1, 1])])]), [1024, 1024]);
    },
  },
  {
    name: 'transposes: 4-d, 8 MB',
    build(g) {
      const x = g.input([16, 32, 64, 64]);
      g.output(g.call('Relu', [g.transpose(g.transpose(x, [0, 2, 3, 1]), [0, 3, 2, 1])]), [16, 32, 64, 64]);
      g.output(g.transpose(x, [3, 1, 0, 2]), [64, 32, 16, 64]);
    },
  },
];
