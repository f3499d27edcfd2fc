import type { Expr, Value } from '@tenon/plugin';
import type { Conversion, ConverterTable } from '../convert.ts';
import { withoutZeroPoint } from './matmul.ts';
import { intList, spatialRank, windowAttrs } from './sliding-window.ts';

/** The spatial sizes of the weights; compared with `kernel_shape` where the node states it. */
function kernelSizes(c: Conversion, weight: number): readonly Expr[] {
  const { shape } = c.tensor(weight);
  const kernel = shape.slice(2);
  if (shape.length !== c.tensor(0).shape.length)
    c.unsupported('onnx/unsupported-rank', `the weights have rank ${shape.length}, the input has rank ${c.tensor(0).shape.length}`);
  const stated = c.ints('kernel_shape', null);
  if (stated && (stated.length !== kernel.length || stated.some((k, i) => (c.exprs.valueOf(kernel[i]!) ?? k) !== k)))
    c.unsupported('onnx/invalid-attribute', `kernel_shape [${stated.join(', ')}] differs from the weights`);
  return kernel;
}

function convAttrs(c: Conversion) {
  spatialRank(c);
  return { ...windowAttrs(c, kernelSizes(c, 1)), groups: c.int('group', 1) };
}

function convInteger(c: Conversion): readonly Value[] {
  const x = withoutZeroPoint(c, 0, 2, () => c.unsupported('onnx/unsupported-shape', 'the zero point of x must be a scalar'));
  const w = withoutZeroPoint(c, 1, 3, (rank, size) => [size, ...new Array<number>(rank - 1).fill(1)]);
  return [c.b.call('nn.conv', [x, w], convAttrs(c))];
}

function convTranspose(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const spatial = spatialRank(c);
  const kernel = kernelSizes(c, 1);
  const strides = intList(c, 'strides', spatial, 1, 1);
  const dilations = intList(c, 'dilations', spatial, 1, 1);
  const outputPadding = intList(c, 'output_padding', spatial, 0, 0);
  const outputShape = c.ints('output_shape', null);
  const mode = c.string('auto_pad', 'NOTSET');
  let pads: readonly (number | Expr)[];
  if (outputShape !== null || mode.startsWith('SAME')) {
    // Some exporters write batch and channels as well.
    const wanted = outputShape?.slice(-spatial) ?? null;
    if (wanted && wanted.length !== spatial) c.unsupported('onnx/invalid-attribute', `output_shape must have ${spatial} sizes`);
    const begin: Expr[] = [];
    const end: Expr[] = [];
    c.tensor(0).shape.slice(2).forEach((size, i) => {
      const stride = strides[i]!;
      const reach = exprs.add(exprs.mul(exprs.sub(kernel[i]!, 1), dilations[i]!), 1);
      const full = exprs.add(exprs.add(exprs.mul(exprs.sub(size, 1), stride), outputPadding[i]!), reach);
      const total = exprs.sub(full, wanted ? wanted[i]! : exprs.mul(size, stride));
      const less = exprs.floordiv(total, 2);
      // The odd one goes to the end for SAME_UPPER, else to the beginning.
      begin.push(mode === 'SAME_UPPER' ? less : exprs.sub(total, less));
      end.push(mode === 'SAME_UPPER' ? exprs.sub(total, less) : less);
    });
    pads = [...begin, ...end];
  } else if (mode === 'NOTSET' || mode === '') pads = intList(c, 'pads', 2 * spatial, 0, 0);
  else if (mode === 'VALID') pads = new Array<number>(2 * spatial).fill(0);
  else return c.unsupported('onnx/unsupported-attribute', `auto_pad ${JSON.stringify(mode)} is not known`);
  return [
    c.b.call('nn.conv_transpose', [c.input(0), c.input(1), c.optional(2)], {
      strides, dilations, pads, output_padding: outputPadding, groups: c.int('group', 1),
    }),
  ];
}

function deformConv(c: Conversion): readonly Value[] {
  const kernel = kernelSizes(c, 1);
  return [
    c.b.call('nn.deform_conv', [c.input(0), c.input(1), c.input(2), c.optional(3), c.optional(4)], {
      ...windowAttrs(c, kernel), groups: c.int('group', 1), offset_groups: c.int('offset_group', 1),
    }),
  ];
}

/** Columns back into images; image and block sizes are inputs. */
function col2Im(c: Conversion): readonly Value[] {
  const image = c.contents(1) ?? c.unsupported('onnx/dynamic-rank', 'the image shape is computed at run time from data');
  const block = c.contents(2) ?? c.unsupported('onnx/dynamic-rank', 'the block shape is computed at run time from data');
  return [
    c.b.call('nn.col2im', [c.input(0)], {
      image_shape: image, block_shape: block,
      strides: intList(c, 'strides', block.length, 1, 1), dilations: intList(c, 'dilations', block.length, 1, 1),
      pads: intList(c, 'pads', 2 * block.length, 0, 0),
    }),
  ];
}

export const converters: ConverterTable = {
  Conv: { since: 1, convert: (c) => [c.b.call('nn.conv', [c.input(0), c.input(1), c.optional(2)], convAttrs(c))] },
  ConvInteger: { since: 10, convert: convInteger },
  ConvTranspose: { since: 1, convert: convTranspose },
  DeformConv: { since: 19, convert: deformConv },
  Col2Im: { since: 18, convert: col2Im },
};
