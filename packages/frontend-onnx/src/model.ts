/**
 * An ONNX model as plain data, as the protobuf reader makes it. Field names follow onnx.proto in camel case; repeated
 * fields have plural names. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */

/** Bytes of the model's source that were not read yet. */
export interface Span {
  readonly offset: number;
  readonly bytes: number;
}

/** Elements of a typed data field. `packed`: one run of elements; otherwise a single element without its tag. */
export interface DataSpan extends Span {
  readonly packed: boolean;
}

export interface StringPair {
  readonly key: string;
  readonly value: string;
}

/** A TensorProto. Element data stay where they are: in the model's source, or in an external file. */
export interface OnnxTensor {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly rawData: Span | null;
  readonly floatData: readonly DataSpan[];
  readonly int32Data: readonly DataSpan[];
  readonly int64Data: readonly DataSpan[];
  readonly uint64Data: readonly DataSpan[];
  readonly doubleData: readonly DataSpan[];
  readonly stringData: readonly string[];
  /** 1: the data are in the file that `externalData` names. */
  readonly dataLocation: number;
  readonly externalData: readonly StringPair[];
  readonly segment: Span | null;
}

export interface OnnxSparseTensor {
  readonly values: OnnxTensor | null;
  readonly indices: OnnxTensor | null;
  readonly dims: readonly number[];
}

export interface OnnxDimension {
  /** null where the dimension is named or unknown. */
  readonly dimValue: number | null;
  readonly dimParam: string | null;
}
export interface OnnxTensorType {
  readonly elemType: number;
  /** null: the rank is unknown. */
  readonly shape: { readonly dims: readonly OnnxDimension[] } | null;
}
/** A TypeProto: at most one of these is set. */
export interface OnnxType {
  readonly tensor: OnnxTensorType | null;
  readonly sequence: { readonly element: OnnxType | null } | null;
  readonly map: Span | null;
  readonly optional: { readonly element: OnnxType | null } | null;
  readonly sparseTensor: OnnxTensorType | null;
}
export interface OnnxValueInfo {
  readonly name: string;
  readonly type: OnnxType | null;
}

/** AttributeProto.AttributeType. */
export const attributeType = {
  undefined: 0, float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8, tensors: 9, graphs: 10,
  sparseTensor: 11, sparseTensors: 12, typeProto: 13, typeProtos: 14,
} as const;

export interface OnnxAttribute {
  readonly name: string;
  /** In the body of a local function: the function's attribute that this one takes its value from. */
  readonly refAttrName: string;
  readonly type: number;
  readonly f: number;
  /** A bigint where it is not a safe integer. */
  readonly i: number | bigint;
  readonly s: string;
  readonly t: OnnxTensor | null;
  readonly g: OnnxGraph | null;
  readonly sparseTensor: OnnxSparseTensor | null;
  readonly floats: readonly number[];
  readonly ints: readonly (number | bigint)[];
  readonly strings: readonly string[];
  readonly tensors: readonly OnnxTensor[];
  readonly graphs: readonly OnnxGraph[];
}

export interface OnnxNode {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly overload: string;
  readonly attributes: readonly OnnxAttribute[];
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly sparseInitializers: readonly OnnxSparseTensor[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly valueInfos: readonly OnnxValueInfo[];
}

export interface OnnxOpset {
  readonly domain: string;
  readonly version: number;
}

/** A FunctionProto: an operator that the model defines itself. */
export interface OnnxFunction {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Names of attributes without a default. */
  readonly attributes: readonly string[];
  /** Attributes with their defaults. */
  readonly attributeDefaults: readonly OnnxAttribute[];
  readonly nodes: readonly OnnxNode[];
  readonly opsets: readonly OnnxOpset[];
}

export interface OnnxModel {
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly opsets: readonly OnnxOpset[];
  readonly graph: OnnxGraph | null;
  readonly functions: readonly OnnxFunction[];
}
