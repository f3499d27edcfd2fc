// Small ONNX models (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), written field by field.

type Field = readonly [number: number, value: number | string | Uint8Array];

function message(...fields: readonly Field[]): Uint8Array {
  const bytes: number[] = [];
  const varint = (value: number): void => {
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
    bytes.push(value);
  };
  for (const [number, value] of fields) {
    if (typeof value === 'number') {
      varint(number * 8);
      varint(value);
      continue;
    }
    const content = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    varint(number * 8 + 2);
    varint(content.length);
    for (const byte of content) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
}
/** f32 weights: all of a file of their own, or in the model. */
export interface Weights {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: { readonly file: string } | Float32Array<ArrayBuffer>;
}

const f32 = 1;

/** A model whose inputs and outputs are f32 of one shape; strings are symbolic dims. */
export function onnxModel(nodes: readonly Node[], inputs: readonly string[], outputs: readonly string[], shape: readonly (number | string)[], constants: readonly Weights[] = []): Uint8Array {
  const dims = shape.map((d): Field => [1, message(typeof d === 'number' ? [1, d] : [2, d])]);
  const value = (name: string): Uint8Array => message([1, name], [2, message([1, message([1, f32], [2, message(...dims)])])]);
  const weights = constants.map(({ name, shape: axes, data }): Field => [5, message(
    ...axes.map((d): Field => [1, d]), [2, f32], [8, name],
    ...(data instanceof Float32Array ? [[9, new Uint8Array(data.buffer)] as Field] : [[13, message([1, 'location'], [2, data.file])] as Field, [14, 1] as Field]),
  )]);
  const graph = message(
    ...nodes.map((n): Field => [1, message(...n.inputs.map((i): Field => [1, i]), [2, n.output], [3, `${n.op}_${n.output}`], [4, n.op])]),
    [2, 'graph'], ...weights, ...inputs.map((i): Field => [11, value(i)]), ...outputs.map((o): Field => [12, value(o)]),
  );
  return message([1, 8], [8, message([2, 17])], [7, graph]);
}

/** y = relu(x + x) over f32[n, 3]. */
export const doubledRelu = (): Uint8Array => onnxModel([{ op: 'Add', inputs: ['x', 'x'], output: 's' }, { op: 'Relu', inputs: ['s'], output: 'y' }], ['x'], ['y'], ['n', 3]);
