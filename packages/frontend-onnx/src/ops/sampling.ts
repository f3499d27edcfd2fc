import type { Value } from '@tenon/plugin';
import type { Conversion, ConverterTable } from '../convert.ts';

/** Opset 20 renamed the modes. */
const gridModes: { readonly [mode: string]: string } = {
  nearest: 'nearest', linear: 'linear', bilinear: 'linear', cubic: 'cubic', bicubic: 'cubic',
};

function gridSample(c: Conversion): readonly Value[] {
  const given = c.string('mode', 'linear');
  const mode = Object.hasOwn(gridModes, given) ? gridModes[given]! : c.unsupported('onnx/unsupported-attribute', `mode ${JSON.stringify(given)} is not known`);
  const padding = c.string('padding_mode', 'zeros');
  if (!['zeros', 'border', 'reflection'].includes(padding)) c.unsupported('onnx/unsupported-attribute', `padding_mode ${JSON.stringify(padding)} is not known`);
  return [c.b.call('nn.grid_sample', [c.input(0), c.input(1)], { mode, padding, align_corners: c.int('align_corners', 0) !== 0 })];
}

function affineGrid(c: Conversion): readonly Value[] {
  const size = c.contents(1) ?? c.unsupported('onnx/dynamic-shape', 'the size is computed at run time from data');
  // Batch size and channels follow from theta and from what the grid is used for.
  return [c.b.call('nn.affine_grid', [c.input(0)], { sizes: size.slice(2), align_corners: c.int('align_corners', 0) !== 0 })];
}

function lrn(c: Conversion): readonly Value[] {
  return [
    c.b.call('nn.local_response_norm', [c.input(0)], {
      size: c.int('size'), alpha: c.float('alpha', 1e-4), beta: c.float('beta', 0.75), bias: c.float('bias', 1),
    }),
  ];
}

export const converters: ConverterTable = {
  GridSample: { since: 16, convert: gridSample },
  AffineGrid: { since: 20, convert: affineGrid },
  LRN: { since: 1, convert: lrn },
};
