import type { HostTensor } from '@tenon/plugin';
import { onnxDataTypeOf } from '../src/convert.ts';
import { ProtoWriter, tensorProto } from '../src/proto/writer.ts';

/** Writes ONNX models for tests: protobuf messages as nested calls. */

export type Dimension = number | string | null;
export type AttributeValue =
  | { readonly f: number } | { readonly i: number | bigint } | { readonly s: string } | { readonly t: ProtoWriter } | { readonly g: ProtoWriter }
  | { readonly floats: readonly number[] } | { readonly ints: readonly (number | bigint)[] } | { readonly strings: readonly string[] }
  | { readonly sparse: ProtoWriter } | { readonly ref: string; readonly type: number };

export function raw(name: string, dtype: string, shape: readonly number[], data: HostTensor['data']): ProtoWriter {
  return tensorProto({ dtype, shape, data }, name);
}

/** A tensor whose data are in a typed field: 4 float_data, 5 int32_data, 7 int64_data, 10 double_data, 11 uint64_data. */
export function typed(name: string, dtype: string, shape: readonly number[], field: 4 | 5 | 7 | 10 | 11, values: readonly (number | bigint)[], packed = true): ProtoWriter {
  const w = new ProtoWriter().packed(1, shape).int(2, onnxDataTypeOf(dtype)).string(8, name);
  if (field === 4 && packed) w.bytes(4, new Uint8Array(Float32Array.from(values, Number).buffer));
  else if (field === 4) for (const v of values) w.float(4, Number(v));
  else if (field === 10) w.bytes(10, new Uint8Array(Float64Array.from(values, Number).buffer));
  else if (packed) w.packed(field, values);
  else for (const v of values) w.int(field, v);
  return w;
}

export function external(name: string, dtype: string, shape: readonly number[], entries: { readonly [key: string]: string }): ProtoWriter {
  const w = new ProtoWriter().packed(1, shape).int(2, onnxDataTypeOf(dtype)).string(8, name).int(14, 1);
  for (const [key, value] of Object.entries(entries)) w.message(13, new ProtoWriter().string(1, key).string(2, value));
  return w;
}

export function sparse(values: ProtoWriter, indices: ProtoWriter, shape: readonly number[]): ProtoWriter {
  return new ProtoWriter().message(1, values).message(2, indices).packed(3, shape);
}

export function info(name: string, dtype: string, shape: readonly Dimension[] | null): ProtoWriter {
  const tensor = new ProtoWriter().int(1, onnxDataTypeOf(dtype));
  if (shape) {
    const dims = new ProtoWriter();
    for (const d of shape) dims.message(1, d === null ? new ProtoWriter() : typeof d === 'number' ? new ProtoWriter().int(1, d) : new ProtoWriter().string(2, d));
    tensor.message(2, dims);
  }
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, tensor));
}

/** A value info without a type. */
export function untyped(name: string): ProtoWriter {
  return new ProtoWriter().string(1, name);
}

export function sequenceInfo(name: string, dtype: string): ProtoWriter {
  const element = new ProtoWriter().message(1, new ProtoWriter().int(1, onnxDataTypeOf(dtype)));
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(4, new ProtoWriter().message(1, element)));
}

function attribute(name: string, value: AttributeValue): ProtoWriter {
  const w = new ProtoWriter().string(1, name);
  if ('f' in value) return w.float(2, value.f).int(20, 1);
  if ('i' in value) return w.int(3, value.i).int(20, 2);
  if ('s' in value) return w.string(4, value.s).int(20, 3);
  if ('t' in value) return w.message(5, value.t).int(20, 4);
  if ('g' in value) return w.message(6, value.g).int(20, 5);
  if ('sparse' in value) return w.message(22, value.sparse).int(20, 11);
  if ('ref' in value) return w.string(21, value.ref).int(20, value.type);
  if ('floats' in value) for (const f of value.floats) w.float(7, f);
  if ('ints' in value) for (const i of value.ints) w.int(8, i);
  if ('strings' in value) for (const s of value.strings) w.string(9, s);
  return w.int(20, 'floats' in value ? 6 : 'ints' in value ? 7 : 8);
}

export interface NodeOptions {
  readonly name?: string;
  readonly domain?: string;
  readonly attrs?: { readonly [name: string]: AttributeValue };
}
export function node(opType: string, inputs: readonly string[], outputs: readonly string[], options: NodeOptions = {}): ProtoWriter {
  const w = new ProtoWriter();
  for (const i of inputs) w.string(1, i);
  for (const o of outputs) w.string(2, o);
  if (options.name) w.string(3, options.name);
  w.string(4, opType);
  for (const [name, value] of Object.entries(options.attrs ?? {})) w.message(5, attribute(name, value));
  if (options.domain) w.string(7, options.domain);
  return w;
}

export interface GraphParts {
  readonly nodes?: readonly ProtoWriter[];
  readonly inputs?: readonly ProtoWriter[];
  readonly outputs?: readonly ProtoWriter[];
  readonly initializers?: readonly ProtoWriter[];
  readonly sparseInitializers?: readonly ProtoWriter[];
}
export function graph(parts: GraphParts): ProtoWriter {
  const w = new ProtoWriter();
  for (const n of parts.nodes ?? []) w.message(1, n);
  w.string(2, 'g');
  for (const t of parts.initializers ?? []) w.message(5, t);
  for (const i of parts.inputs ?? []) w.message(11, i);
  for (const o of parts.outputs ?? []) w.message(12, o);
  for (const s of parts.sparseInitializers ?? []) w.message(15, s);
  return w;
}

export function localFunction(
  domain: string, name: string, inputs: readonly string[], outputs: readonly string[], nodes: readonly ProtoWriter[], attributes: readonly string[] = [],
): ProtoWriter {
  const w = new ProtoWriter().string(1, name);
  for (const i of inputs) w.string(4, i);
  for (const o of outputs) w.string(5, o);
  for (const a of attributes) w.string(6, a);
  for (const n of nodes) w.message(7, n);
  return w.message(9, new ProtoWriter().string(1, '').int(2, 18)).string(10, domain);
}

export interface ModelParts extends GraphParts {
  readonly opset?: number;
  readonly domains?: { readonly [domain: string]: number };
  readonly functions?: readonly ProtoWriter[];
}
/** A ModelProto. */
export function model(parts: ModelParts): Uint8Array {
  const w = new ProtoWriter().int(1, 8).string(2, 'test').message(7, graph(parts)).message(8, new ProtoWriter().string(1, '').int(2, parts.opset ?? 18));
  for (const [domain, version] of Object.entries(parts.domains ?? {})) w.message(8, new ProtoWriter().string(1, domain).int(2, version));
  for (const f of parts.functions ?? []) w.message(25, f);
  return w.finish();
}
