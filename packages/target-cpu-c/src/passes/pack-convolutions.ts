import { op, type Attrs, type AttrValue, type Expr, type Pass, type TensorType } from '@tenon/plugin';
import { rewriteModule, type RewriteRule } from '@tenon/core';

/** Fewer output channels than this do not fill a vector. */
const leastChannels = 8;

/**
 * Lays the constant weights of convolutions out with output channels last, so that a register tile reads them
 * contiguously whatever the stride. Pointwise convolutions read their input contiguously instead and stay.
 */
const packWeights: RewriteRule = {
  name: 'pack-convolution-weights',
  pattern: op('nn.conv', null, { name: 'conv' }),
  doc: 'nn.conv with constant OI weights → IO weights, transposed at compile time',
  apply(match, b, ctx) {
    const [binding] = match.bindings;
    const [x, weight, bias] = binding!.args;
    const attrs: Attrs = { ...ctx.operator('nn.conv')?.signature.attrs, ...binding!.attrs };
    if (!x || !weight?.constant || attrs['kernel_layout'] !== 'OI' || attrs['groups'] !== 1) return null;
    const shape = (weight.type as TensorType).shape.map((d) => ctx.exprs.valueOf(d));
    const [out, , ...kernel] = shape;
    if (out === null || out === undefined || out < leastChannels) return null;
    const isAll = (value: AttrValue | undefined, wanted: number): boolean =>
      value === null || value === undefined || (Array.isArray(value) && value.every((v: AttrValue) => (typeof v === 'number' ? v : ctx.exprs.valueOf(v as Expr)) === wanted));
    if (kernel.every((k) => k === 1) && isAll(attrs['strides'], 1) && isAll(attrs['pads'], 0)) return null;
    const packed = b.call('shape.transpose', [weight], { perm: [...shape.keys()].slice(1).concat(0) });
    return [b.call('nn.conv', bias ? [x, packed, bias] : [x, packed], { ...binding!.attrs, kernel_layout: 'IO' })];
  },
};

export const packConvolutions: Pass = {
  name: 'pack-convolutions',
  phase: 'legalize',
  after: ['legalize-operators'],
  before: ['fold-legalized'],
  targets: ['cpu-c'],
  doc: 'Lays convolution weights out for the C target.',
  run: (module, ctx) => rewriteModule(module, [packWeights], ctx, (fn) => fn.attrs['target'] === ctx.target?.name),
};

