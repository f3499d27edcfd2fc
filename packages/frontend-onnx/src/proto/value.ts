import type { HostTensor } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import type { OnnxTensor } from '../model.ts';
import { Cursor } from './cursor.ts';
import { decode } from './decode.ts';
import { optional as optionalSchema, sequence as sequenceSchema } from './schema.ts';
import { hostTensor } from './tensor.ts';

/** A value of a test case or data file: a tensor, a sequence of values, or an optional that may be empty. */
export type OnnxValue =
  | { readonly kind: 'tensor'; readonly tensor: HostTensor }
  | { readonly kind: 'sequence'; readonly values: readonly OnnxValue[] }
  | { readonly kind: 'optional'; readonly value: OnnxValue | null };

interface Sequence {
  readonly elemType: number;
  readonly tensors: readonly OnnxTensor[];
  readonly sequences: readonly Sequence[];
  readonly optionals: readonly Optional[];
}
interface Optional {
  readonly elemType: number;
  readonly tensor: OnnxTensor | null;
  readonly sequence: Sequence | null;
  readonly optional: Optional | null;
}

/** SequenceProto.DataType and OptionalProto.DataType: kinds of elements that have no reading here. */
function refuse(elemType: number): void {
  if (elemType === 2 || elemType === 4)
    throw new TenonError({ code: 'onnx/unsupported-type', message: `${elemType === 2 ? 'sparse tensors' : 'maps'} in sequences and optionals are not supported` });
}

function sequenceOf(proto: Sequence, bytes: Uint8Array): OnnxValue {
  refuse(proto.elemType);
  const values: OnnxValue[] = [
    ...proto.tensors.map((t): OnnxValue => ({ kind: 'tensor', tensor: tensorOf(t, bytes) })),
    ...proto.sequences.map((s) => sequenceOf(s, bytes)),
    ...proto.optionals.map((o) => optionalOf(o, bytes)),
  ];
  return { kind: 'sequence', values };
}

function optionalOf(proto: Optional, bytes: Uint8Array): OnnxValue {
  refuse(proto.elemType);
  let value: OnnxValue | null = null;
  if (proto.tensor) value = { kind: 'tensor', tensor: tensorOf(proto.tensor, bytes) };
  else if (proto.sequence) value = sequenceOf(proto.sequence, bytes);
  else if (proto.optional) value = optionalOf(proto.optional, bytes);
  return { kind: 'optional', value };
}

function tensorOf(proto: OnnxTensor, bytes: Uint8Array): HostTensor {
  return hostTensor(proto, (s) => bytes.subarray(s.offset, s.offset + s.bytes));
}

/** A serialised SequenceProto. */
export function readSequence(bytes: Uint8Array): OnnxValue {
  return sequenceOf(decode(sequenceSchema, new Cursor(bytes, 0, [])) as unknown as Sequence, bytes);
}

/** A serialised OptionalProto. */
export function readOptional(bytes: Uint8Array): OnnxValue {
  return optionalOf(decode(optionalSchema, new Cursor(bytes, 0, [])) as unknown as Optional, bytes);
}
