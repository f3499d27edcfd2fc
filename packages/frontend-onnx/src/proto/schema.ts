/**
 * The part of onnx.proto that Tenon reads, as tables: field number → name in the protobuf, property of the model types in
 * `model.ts`, and kind. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
export type FieldKind =
  | 'int' // a varint as a number (rounded beyond 2^53)
  | 'int64' // a varint, exact
  | 'float'
  | 'string'
  | 'span' // bytes that are left where they are
  | 'data' // elements of a typed data field, left where they are
  | 'message';

export interface Field {
  /** The name in onnx.proto. */
  readonly proto: string;
  readonly property: string;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  /** The value where the field is absent. */
  readonly absent: unknown;
  readonly message: (() => Schema) | null;
}
export interface Schema {
  readonly name: string;
  readonly fields: ReadonlyMap<number, Field>;
}

function one(proto: string, property: string, kind: 'int' | 'int64' | 'float' | 'string' | 'span', absent?: unknown): Field {
  const byDefault = kind === 'span' ? null : kind === 'string' ? '' : 0;
  return { proto, property, kind, repeated: false, absent: absent === undefined ? byDefault : absent, message: null };
}
function many(proto: string, property: string, kind: 'int' | 'int64' | 'float' | 'string' | 'data'): Field {
  return { proto, property, kind, repeated: true, absent: [], message: null };
}
function child(proto: string, property: string, message: () => Schema): Field {
  return { proto, property, kind: 'message', repeated: false, absent: null, message };
}
function children(proto: string, property: string, message: () => Schema): Field {
  return { proto, property, kind: 'message', repeated: true, absent: [], message };
}
function schema(name: string, fields: { readonly [number: number]: Field }): Schema {
  return { name, fields: new Map(Object.entries(fields).map(([number, field]) => [Number(number), field])) };
}

const stringPair = schema('StringStringEntryProto', { 1: one('key', 'key', 'string'), 2: one('value', 'value', 'string') });
const opset = schema('OperatorSetIdProto', { 1: one('domain', 'domain', 'string'), 2: one('version', 'version', 'int') });

export const tensor: Schema = schema('TensorProto', {
  1: many('dims', 'dims', 'int'),
  2: one('data_type', 'dataType', 'int'),
  3: one('segment', 'segment', 'span'),
  4: many('float_data', 'floatData', 'data'),
  5: many('int32_data', 'int32Data', 'data'),
  6: many('string_data', 'stringData', 'string'),
  7: many('int64_data', 'int64Data', 'data'),
  8: one('name', 'name', 'string'),
  9: one('raw_data', 'rawData', 'span'),
  10: many('double_data', 'doubleData', 'data'),
  11: many('uint64_data', 'uint64Data', 'data'),
  13: children('external_data', 'externalData', () => stringPair),
  14: one('data_location', 'dataLocation', 'int'),
});
const sparseTensor = schema('SparseTensorProto', {
  1: child('values', 'values', () => tensor),
  2: child('indices', 'indices', () => tensor),
  3: many('dims', 'dims', 'int'),
});

const dimension = schema('Dimension', { 1: one('dim_value', 'dimValue', 'int', null), 2: one('dim_param', 'dimParam', 'string', null) });
const shape = schema('TensorShapeProto', { 1: children('dim', 'dims', () => dimension) });
const tensorType = schema('TypeProto.Tensor', { 1: one('elem_type', 'elemType', 'int'), 2: child('shape', 'shape', () => shape) });
const elementType = schema('TypeProto.Sequence', { 1: child('elem_type', 'element', () => type) });
const type: Schema = schema('TypeProto', {
  1: child('tensor_type', 'tensor', () => tensorType),
  4: child('sequence_type', 'sequence', () => elementType),
  5: one('map_type', 'map', 'span'),
  8: child('sparse_tensor_type', 'sparseTensor', () => tensorType),
  9: child('optional_type', 'optional', () => elementType),
});
const valueInfo = schema('ValueInfoProto', { 1: one('name', 'name', 'string'), 2: child('type', 'type', () => type) });

const attribute: Schema = schema('AttributeProto', {
  1: one('name', 'name', 'string'),
  2: one('f', 'f', 'float'),
  3: one('i', 'i', 'int64'),
  4: one('s', 's', 'string'),
  5: child('t', 't', () => tensor),
  6: child('g', 'g', () => graph),
  7: many('floats', 'floats', 'float'),
  8: many('ints', 'ints', 'int64'),
  9: many('strings', 'strings', 'string'),
  10: children('tensors', 'tensors', () => tensor),
  11: children('graphs', 'graphs', () => graph),
  20: one('type', 'type', 'int'),
  21: one('ref_attr_name', 'refAttrName', 'string'),
  22: child('sparse_tensor', 'sparseTensor', () => sparseTensor),
});
const node: Schema = schema('NodeProto', {
  1: many('input', 'inputs', 'string'),
  2: many('output', 'outputs', 'string'),
  3: one('name', 'name', 'string'),
  4: one('op_type', 'opType', 'string'),
  5: children('attribute', 'attributes', () => attribute),
  7: one('domain', 'domain', 'string'),
  8: one('overload', 'overload', 'string'),
});
const graph: Schema = schema('GraphProto', {
  1: children('node', 'nodes', () => node),
  2: one('name', 'name', 'string'),
  5: children('initializer', 'initializers', () => tensor),
  11: children('input', 'inputs', () => valueInfo),
  12: children('output', 'outputs', () => valueInfo),
  13: children('value_info', 'valueInfos', () => valueInfo),
  15: children('sparse_initializer', 'sparseInitializers', () => sparseTensor),
});
const modelFunction = schema('FunctionProto', {
  1: one('name', 'name', 'string'),
  4: many('input', 'inputs', 'string'),
  5: many('output', 'outputs', 'string'),
  6: many('attribute', 'attributes', 'string'),
  7: children('node', 'nodes', () => node),
  9: children('opset_import', 'opsets', () => opset),
  10: one('domain', 'domain', 'string'),
  11: children('attribute_proto', 'attributeDefaults', () => attribute),
  13: one('overload', 'overload', 'string'),
});
export const model: Schema = schema('ModelProto', {
  1: one('ir_version', 'irVersion', 'int'),
  2: one('producer_name', 'producerName', 'string'),
  3: one('producer_version', 'producerVersion', 'string'),
  7: child('graph', 'graph', () => graph),
  8: children('opset_import', 'opsets', () => opset),
  25: children('functions', 'functions', () => modelFunction),
});

/** Sequences and optionals in `.pb` files. */
export const sequence: Schema = schema('SequenceProto', {
  1: one('name', 'name', 'string'),
  2: one('elem_type', 'elemType', 'int'),
  3: children('tensor_values', 'tensors', () => tensor),
  5: children('sequence_values', 'sequences', () => sequence),
  7: children('optional_values', 'optionals', () => optional),
});
export const optional: Schema = schema('OptionalProto', {
  1: one('name', 'name', 'string'),
  2: one('elem_type', 'elemType', 'int'),
  3: child('tensor_value', 'tensor', () => tensor),
  5: child('sequence_value', 'sequence', () => sequence),
  7: child('optional_value', 'optional', () => optional),
});
