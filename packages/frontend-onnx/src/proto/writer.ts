import type { HostTensor, TypedArray } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { onnxDataTypeOf } from '../convert.ts';

/** Writes protobuf's wire format. Every method returns the writer. */
export class ProtoWriter {
  private readonly parts: Uint8Array[] = [];

  private varint(value: number | bigint): void {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
    this.parts.push(Uint8Array.from(bytes));
  }
  private tag(field: number, wire: number): void {
    this.varint(field * 8 + wire);
  }
  int(field: number, value: number | bigint): this {
    this.tag(field, 0);
    this.varint(value);
    return this;
  }
  float(field: number, value: number): this {
    this.tag(field, 5);
    this.parts.push(new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }
  bytes(field: number, value: Uint8Array): this {
    this.tag(field, 2);
    this.varint(value.length);
    this.parts.push(value);
    return this;
  }
  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }
  message(field: number, value: ProtoWriter): this {
    return this.bytes(field, value.finish());
  }
  packed(field: number, values: readonly (number | bigint)[]): this {
    const inner = new ProtoWriter();
    for (const value of values) inner.varint(value);
    return this.bytes(field, inner.finish());
  }
  finish(): Uint8Array {
    const out = new Uint8Array(this.parts.reduce((sum, p) => sum + p.length, 0));
    let at = 0;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

/** The dense little-endian bytes of a host tensor's elements; not for strings. */
export function bytesOfTensor(tensor: HostTensor): Uint8Array {
  if (tensor.dtype === 'string') throw new TenonError({ code: 'onnx/unsupported-dtype', message: 'strings have no dense bytes' });
  const data = tensor.data as TypedArray;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** A host tensor as a TensorProto under construction, with its data in `raw_data` (strings in `string_data`). */
export function tensorProto(tensor: HostTensor, name = ''): ProtoWriter {
  const writer = new ProtoWriter();
  if (tensor.shape.length) writer.packed(1, tensor.shape);
  writer.int(2, onnxDataTypeOf(tensor.dtype));
  if (tensor.dtype === 'string') for (const s of tensor.data as readonly string[]) writer.string(6, s);
  if (name) writer.string(8, name);
  if (tensor.dtype !== 'string') writer.bytes(9, bytesOfTensor(tensor));
  return writer;
}

/** A host tensor as a serialised TensorProto, as in `.pb` files. */
export function writeTensor(tensor: HostTensor, name = ''): Uint8Array {
  return tensorProto(tensor, name).finish();
}
