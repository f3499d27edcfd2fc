import type { Context, Expr, ExprBuilder, FunctionBuilder, HostTensor, ModuleBuilder, TensorType, Value } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import type { OnnxAttribute, OnnxNode, OnnxSparseTensor, OnnxTensor } from './model.ts';

/**
 * One ONNX node as its converter sees it. Bindings are made through `b`; their location is the node's. Everything that
 * a converter throws is reported with the node's location and operator.
 */
export interface Conversion {
  readonly node: OnnxNode;
  readonly opType: string;
  /** '' for the standard domain (`ai.onnx`). */
  readonly domain: string;
  /** The version of the node's domain that the model (or local function) imports. */
  readonly opset: number;
  /** null: an optional input that is left out. Trailing ones may be missing altogether. */
  readonly inputs: readonly (Value | null)[];
  /** How many outputs the node names. A converter returns at least this many values. */
  readonly outputs: number;
  /** Whether output i is named: an output '' (or beyond the last) is wanted by nobody. */
  used(i: number): boolean;

  /** Input i; fails with `onnx/missing-input` where it is left out. */
  input(i: number): Value;
  /** The tensor type of input i; fails where it is left out or no tensor. */
  tensor(i: number): TensorType;
  optional(i: number): Value | null;

  /** The integer elements of input i as dims, flattened; null where they are unknown (or the input left out). */
  contents(i: number): readonly Expr[] | null;
  /** The integer elements of input i where all are constant. */
  integers(i: number): readonly number[] | null;
  /** The elements of input i as numbers where it is a small constant of any dtype but string. */
  numbers(i: number): readonly number[] | null;
  /** The elements of input i where it is a small constant. */
  constantOf(i: number): HostTensor | null;

  has(name: string): boolean;
  /** Attributes. Without a default an absent one fails with `onnx/missing-attribute`; another type with `onnx/attribute-type`. */
  int(name: string, byDefault?: number): number;
  ints(name: string): readonly number[];
  ints<D>(name: string, byDefault: D): readonly number[] | D;
  float(name: string, byDefault?: number): number;
  floats(name: string): readonly number[];
  floats<D>(name: string, byDefault: D): readonly number[] | D;
  string(name: string, byDefault?: string): string;
  strings(name: string): readonly string[];
  strings<D>(name: string, byDefault: D): readonly string[] | D;
  /** A tensor attribute; null where absent. */
  tensorAttr(name: string): HostTensor | null;

  /** The attribute as the model has it; null where absent. */
  attribute(name: string): OnnxAttribute | null;

  /** A module constant from a tensor of this node's attributes: in place by range, or inline where it is small. */
  constant(tensor: OnnxTensor | OnnxSparseTensor, name: string): Value;

  readonly b: FunctionBuilder;
  readonly module: ModuleBuilder;
  readonly exprs: ExprBuilder;
  readonly ctx: Context;

  /** Refuses the node. `code` as in `onnx/unsupported-attribute`. */
  unsupported(code: string, message: string, hint?: string): never;
}

/** Makes the bindings of one node and returns the values of its outputs. */
export type Converter = (c: Conversion) => readonly Value[];

export interface ConverterEntry {
  /** The lowest opset of the operator's domain that `convert` handles. */
  readonly since: number;
  readonly convert: Converter;
}
/** By operator type; `DOMAIN::OpType` outside the standard domain, e.g. `com.microsoft::Gelu`. */
export interface ConverterTable {
  readonly [opType: string]: ConverterEntry;
}

/** An axis of a tensor of this rank, counted from the front. `at` is the axis itself or the name of an int attribute. */
export function axis(c: Conversion, at: number | string, rank: number, byDefault?: number): number {
  const given = typeof at === 'number' ? at : c.int(at, byDefault);
  if (!Number.isInteger(given) || given < -rank || given >= rank)
    c.unsupported('onnx/axis-out-of-range', `axis ${given} is outside a tensor of rank ${rank}`);
  return given < 0 ? given + rank : given;
}

/**
 * Axes that older opsets give as attribute `attrName` and newer ones as input `inputIndex`, normalised to a tensor of
 * `rank` axes (default: the rank of input 0), in the order given. null: not given at all. Fails where they are not
 * constant, or where one occurs twice.
 */
export function axesOf(c: Conversion, inputIndex: number, attrName: string, rank: number = c.tensor(0).shape.length): readonly number[] | null {
  let given: readonly number[] | null = null;
  if (c.has(attrName)) given = c.ints(attrName);
  else if (c.optional(inputIndex)) {
    given = c.integers(inputIndex);
    if (!given) c.unsupported('onnx/dynamic-axes', `input ${inputIndex} (${attrName}) is not constant`, 'axes decide ranks and must be known when the model is compiled');
  }
  if (!given) return null;
  const axes = given.map((a) => axis(c, a, rank));
  if (new Set(axes).size !== axes.length) c.unsupported('onnx/repeated-axis', `an axis occurs twice in ${attrName} [${given.join(', ')}]`);
  return axes;
}

/** A constant of shape []. */
export function scalarConstant(c: Conversion, value: number | bigint, dtype: string): Value {
  return c.b.constant([value], dtype, []);
}

/** TensorProto.DataType by number; null: a type that this frontend does not read. */
const dataTypes: readonly (readonly [onnx: string, dtype: string | null])[] = [
  ['UNDEFINED', null], ['FLOAT', 'f32'], ['UINT8', 'u8'], ['INT8', 'i8'], ['UINT16', 'u16'], ['INT16', 'i16'], ['INT32', 'i32'],
  ['INT64', 'i64'], ['STRING', 'string'], ['BOOL', 'bool'], ['FLOAT16', 'f16'], ['DOUBLE', 'f64'], ['UINT32', 'u32'], ['UINT64', 'u64'],
  ['COMPLEX64', null], ['COMPLEX128', null], ['BFLOAT16', 'bf16'], ['FLOAT8E4M3FN', 'f8e4m3fn'], ['FLOAT8E4M3FNUZ', null],
  ['FLOAT8E5M2', 'f8e5m2'], ['FLOAT8E5M2FNUZ', null], ['UINT4', 'u4'], ['INT4', 'i4'], ['FLOAT4E2M1', null], ['FLOAT8E8M0', null],
  ['UINT2', null], ['INT2', null],
];

/** The dtype of a TensorProto.DataType; fails with `onnx/unsupported-dtype`. */
export function dtypeOf(onnxDataType: number): string {
  const [name, dtype] = dataTypes[onnxDataType] ?? [`number ${onnxDataType}`, null];
  if (dtype === null)
    throw new TenonError({ code: 'onnx/unsupported-dtype', message: `the element type ${name} is not supported` });
  return dtype;
}

/** The TensorProto.DataType of a dtype; fails with `onnx/unsupported-dtype`. */
export function onnxDataTypeOf(dtype: string): number {
  const index = dataTypes.findIndex((d) => d[1] === dtype);
  if (index < 0) throw new TenonError({ code: 'onnx/unsupported-dtype', message: `ONNX has no element type for ${dtype}` });
  return index;
}
