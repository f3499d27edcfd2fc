import { definePlugin, type Plugin } from '@tenon/plugin';
import { importModel } from './import.ts';
import { converters } from './ops/index.ts';
import { impostor } from './read.ts';

export { importModel } from './import.ts';
export { readModel, type ModelFile } from './read.ts';
export { locationOf } from './opset.ts';
export { readNamedTensor, readTensor } from './proto/tensor.ts';
export { readOptional, readSequence, type OnnxValue } from './proto/value.ts';
export { writeTensor } from './proto/writer.ts';
export { converters } from './ops/index.ts';
export type { Conversion, Converter, ConverterEntry, ConverterTable } from './convert.ts';
export type * from './model.ts';

/** Reads ONNX models (`.onnx`), opsets 7 to 26. */
export const onnx: () => Plugin = definePlugin({ name: '@tenon/frontend-onnx', namespace: 'onnx' }, () => ({
  frontends: [
    {
      name: 'onnx',
      extensions: ['.onnx'],
      // A ModelProto begins with its ir_version, or, legal but unusual, with its graph or opsets.
      detect: (head) => head.length > 2 && (head[0] === 0x08 || head[0] === 0x3a || head[0] === 0x42) && impostor(head) === null,
      import: (source, ctx, options) => importModel(source, ctx, options, converters),
    },
  ],
}));
