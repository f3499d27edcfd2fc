import type { HostTensor } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { dtypeOf } from '../convert.ts';
import type { DataSpan, OnnxTensor, Span } from '../model.ts';
import { Cursor } from './cursor.ts';
import { decode } from './decode.ts';
import { byteLength, typedArray } from './numeric.ts';
import { tensor as tensorSchema } from './schema.ts';

/** What a TensorProto claims to be, checked: dims are not negative and the size is a safe integer. */
export interface TensorLayout {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elements: number;
  /** 0 for strings. */
  readonly bytes: number;
}

export function tensorError(tensor: OnnxTensor, message: string, hint: string | null = null): TenonError {
  return new TenonError({ code: 'onnx/tensor-data', message: tensor.name ? `tensor ${JSON.stringify(tensor.name.slice(0, 100))}: ${message}` : message, hint });
}

export function layoutOf(tensor: OnnxTensor): TensorLayout {
  let elements = 1;
  let empty = false;
  for (const dim of tensor.dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw tensorError(tensor, `${dim} is no dimension`);
    if (dim === 0) empty = true;
    else elements *= dim;
    if (elements > 2 ** 50) throw tensorError(tensor, `the shape [${tensor.dims.join(', ')}] has more elements than any tensor can have`);
  }
  if (empty) elements = 0;
  const dtype = dtypeOf(tensor.dataType);
  return { dtype, shape: tensor.dims, elements, bytes: dtype === 'string' ? 0 : byteLength(dtype, elements) };
}

type DataField = 'floatData' | 'int32Data' | 'int64Data' | 'uint64Data' | 'doubleData';
const dataFields: readonly DataField[] = ['floatData', 'int32Data', 'int64Data', 'uint64Data', 'doubleData'];

/** The typed field that onnx.proto prescribes for a dtype. */
function fieldOf(dtype: string): DataField {
  switch (dtype) {
    case 'f32': return 'floatData';
    case 'f64': return 'doubleData';
    case 'i64': return 'int64Data';
    case 'u32':
    case 'u64': return 'uint64Data';
    default: return 'int32Data';
  }
}

/** Where the data of a tensor are that is not external and holds no strings. */
export type TensorPlace =
  | { readonly kind: 'dense'; readonly span: Span } // row-major, little-endian: may be used in place
  | { readonly kind: 'coded'; readonly spans: readonly DataSpan[] }; // to be decoded

/** Checks sizes and finds the data. */
export function placeOf(tensor: OnnxTensor, layout: TensorLayout): TensorPlace {
  if (tensor.segment) throw tensorError(tensor, 'segmented tensors are not supported');
  const filled = dataFields.filter((f) => tensor[f].length > 0);
  const raw = tensor.rawData;
  if (raw && (raw.bytes > 0 || filled.length === 0)) {
    if (layout.dtype === 'string') throw tensorError(tensor, 'strings cannot be in raw_data');
    if (filled.length) throw tensorError(tensor, 'it has both raw_data and typed data');
    if (raw.bytes !== layout.bytes)
      throw tensorError(tensor, `raw_data has ${raw.bytes} bytes, but ${layout.dtype}[${layout.shape.join(', ')}] takes ${layout.bytes}`);
    return { kind: 'dense', span: raw };
  }
  const field = fieldOf(layout.dtype);
  const other = filled.find((f) => f !== field);
  if (other) throw tensorError(tensor, `data of the type ${layout.dtype} cannot be in ${protoNames[other]}`);
  const spans = tensor[field];
  const span = spans[0];
  if (spans.length === 1 && span!.packed && (field === 'floatData' || field === 'doubleData')) {
    if (span!.bytes !== layout.bytes)
      throw tensorError(tensor, `${protoNames[field]} has ${span!.bytes} bytes, but ${layout.dtype}[${layout.shape.join(', ')}] takes ${layout.bytes}`);
    return { kind: 'dense', span: span! };
  }
  if (spans.length === 0 && layout.elements > 0) throw tensorError(tensor, `it has no data, but its shape [${layout.shape.join(', ')}] has ${layout.elements} elements`);
  return { kind: 'coded', spans };
}

const protoNames: { readonly [F in DataField]: string } = {
  floatData: 'float_data', int32Data: 'int32_data', int64Data: 'int64_data', uint64Data: 'uint64_data', doubleData: 'double_data',
};

/** Decodes the elements of typed data fields to dense little-endian bytes. `at` gives the bytes of a span. */
export function decodeData(tensor: OnnxTensor, layout: TensorLayout, spans: readonly DataSpan[], at: (span: Span) => Uint8Array): Uint8Array {
  const field = fieldOf(layout.dtype);
  // Every element takes at least a byte of the source, so what is allocated here was read.
  const coded = spans.reduce((sum, s) => sum + s.bytes, 0);
  // 4-bit elements come two to a number.
  const width = layout.elements === 0 ? 1 : Math.max(1, byteLength(layout.dtype, 2) / 2);
  const numbers = layout.bytes / width;
  if (coded < numbers) throw tensorError(tensor, `${protoNames[field]} has ${coded} bytes for ${layout.elements} elements`);
  const out = new Uint8Array(layout.bytes);
  const view = new DataView(out.buffer);
  let count = 0;
  for (const span of spans) {
    const cursor = new Cursor(at(span), span.offset, [protoNames[field]]);
    while (cursor.at < cursor.end) {
      if (count >= numbers) throw tensorError(tensor, `${protoNames[field]} has more than the ${layout.elements} elements of its shape`);
      const to = count++ * width;
      if (field === 'floatData') view.setFloat32(to, cursor.float(), true);
      else if (field === 'doubleData') {
        cursor.need(8);
        view.setFloat64(to, cursor.view.getFloat64(cursor.at, true), true);
        cursor.at += 8;
      } else {
        const value = cursor.int64();
        if (width === 8) view.setBigInt64(to, BigInt(value), true);
        else if (width === 4) view.setInt32(to, Number(value), true);
        else if (width === 2) view.setInt16(to, Number(value), true);
        else view.setInt8(to, layout.dtype === 'bool' ? (value ? 1 : 0) : Number(value));
      }
    }
  }
  if (count !== numbers) throw tensorError(tensor, `${protoNames[field]} has ${count} elements, its shape [${layout.shape.join(', ')}] needs ${numbers}`);
  return out;
}

/** A tensor whose data are all at hand, as a host tensor. */
export function hostTensor(tensor: OnnxTensor, at: (span: Span) => Uint8Array): HostTensor {
  const layout = layoutOf(tensor);
  const { dtype, shape } = layout;
  if (tensor.dataLocation === 1) throw tensorError(tensor, 'its data are in another file');
  if (dtype === 'string') {
    if (tensor.rawData) throw tensorError(tensor, 'strings cannot be in raw_data');
    if (tensor.stringData.length !== layout.elements)
      throw tensorError(tensor, `string_data has ${tensor.stringData.length} elements, its shape [${shape.join(', ')}] needs ${layout.elements}`);
    return { dtype, shape, data: tensor.stringData };
  }
  const place = placeOf(tensor, layout);
  const bytes = place.kind === 'dense' ? at(place.span) : decodeData(tensor, layout, place.spans, at);
  return { dtype, shape, data: typedArray(dtype, bytes) };
}

/** A serialised TensorProto, e.g. of a `.pb` file. Fails with `onnx/malformed` or `onnx/tensor-data`. */
export function readTensor(bytes: Uint8Array): HostTensor {
  return readNamedTensor(bytes).tensor;
}

/** Like {@link readTensor}, with the tensor's name. */
export function readNamedTensor(bytes: Uint8Array): { readonly name: string; readonly tensor: HostTensor } {
  const message = decode(tensorSchema, new Cursor(bytes, 0, [])) as unknown as OnnxTensor;
  return { name: message.name, tensor: hostTensor(message, (s) => bytes.subarray(s.offset, s.offset + s.bytes)) };
}
