import type { Context, Expr, ExprBuilder, HostTensor, ModuleBuilder, TensorType, Value } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import type { Conversion } from './convert.ts';
import type { FoldingBuilder } from './fold.ts';
import { attributeType, type OnnxAttribute, type OnnxNode, type OnnxSparseTensor, type OnnxTensor } from './model.ts';
import { elements } from './proto/numeric.ts';
import type { Tensors } from './tensors.ts';

/** What the conversions of one model share. */
export interface ImportState {
  readonly b: FoldingBuilder;
  readonly module: ModuleBuilder;
  readonly ctx: Context;
  readonly tensors: Tensors;
}

/** {@link Conversion} of one node. `attributes`: the node's, with references to a local function's attributes resolved. */
export class NodeConversion implements Conversion {
  readonly node: OnnxNode;
  readonly domain: string;
  readonly opset: number;
  readonly inputs: readonly (Value | null)[];
  readonly b: FoldingBuilder;
  readonly module: ModuleBuilder;
  readonly exprs: ExprBuilder;
  readonly ctx: Context;
  private readonly attributes: ReadonlyMap<string, OnnxAttribute>;
  private readonly tensors: Tensors;
  private readonly read = new Set<string>();

  constructor(state: ImportState, node: OnnxNode, domain: string, opset: number, inputs: readonly (Value | null)[], attributes: ReadonlyMap<string, OnnxAttribute>) {
    this.node = node;
    this.domain = domain;
    this.opset = opset;
    this.inputs = inputs;
    this.b = state.b;
    this.module = state.module;
    this.exprs = state.ctx.exprs;
    this.ctx = state.ctx;
    this.attributes = attributes;
    this.tensors = state.tensors;
  }

  get opType(): string {
    return this.node.opType;
  }
  get outputs(): number {
    return this.node.outputs.length;
  }
  used(i: number): boolean {
    return (this.node.outputs[i] ?? '') !== '';
  }

  optional(i: number): Value | null {
    return this.inputs[i] ?? null;
  }
  input(i: number): Value {
    return this.optional(i) ?? this.unsupported('onnx/missing-input', `input ${i} is missing`);
  }
  tensor(i: number): TensorType {
    const { type } = this.input(i);
    return type.kind === 'tensor' ? type : this.unsupported('onnx/unsupported-type', `input ${i} is no tensor but a value of the kind ${type.kind}`);
  }

  contents(i: number): readonly Expr[] | null {
    const value = this.optional(i);
    if (!value) return null;
    const known = this.b.contents(value);
    if (known) return known;
    const tensor = this.b.evaluate(value);
    return tensor && /^([iu]\d+|bool)$/.test(tensor.dtype) ? elements(tensor).map((v) => this.exprs.int(v)) : null;
  }
  integers(i: number): readonly number[] | null {
    const contents = this.contents(i);
    if (!contents || contents.some((e) => e.op !== 'const')) return null;
    return contents.map((e) => Number(e.value));
  }
  constantOf(i: number): HostTensor | null {
    const value = this.optional(i);
    return value && this.b.evaluate(value);
  }
  numbers(i: number): readonly number[] | null {
    const tensor = this.constantOf(i);
    return tensor && tensor.dtype !== 'string' ? elements(tensor).map(Number) : null;
  }

  has(name: string): boolean {
    this.read.add(name);
    return this.attributes.has(name);
  }
  attribute(name: string): OnnxAttribute | null {
    this.read.add(name);
    return this.attributes.get(name) ?? null;
  }

  /** Attributes of the node that nobody has asked for: an option that the conversion does not know. */
  unread(): readonly string[] {
    return [...this.attributes.keys()].filter((name) => !this.read.has(name));
  }

  /** The attribute if it is there and of this type, where the model states a type (IR version 1 need not). */
  private typed(name: string, type: keyof typeof attributeType): OnnxAttribute | null {
    const attribute = this.attribute(name);
    if (attribute && attribute.type !== attributeType.undefined && attribute.type !== attributeType[type])
      this.unsupported('onnx/attribute-type', `the attribute ${name} must be of the type ${type}`);
    return attribute;
  }
  private missing(name: string): never {
    return this.unsupported('onnx/missing-attribute', `the attribute ${name} is missing`);
  }
  int(name: string, byDefault?: number): number {
    const attribute = this.typed(name, 'int');
    return attribute ? Number(attribute.i) : (byDefault ?? this.missing(name));
  }
  float(name: string, byDefault?: number): number {
    const attribute = this.typed(name, 'float');
    return attribute ? attribute.f : (byDefault ?? this.missing(name));
  }
  string(name: string, byDefault?: string): string {
    const attribute = this.typed(name, 'string');
    return attribute ? attribute.s : (byDefault ?? this.missing(name));
  }
  ints(name: string): readonly number[];
  ints<D>(name: string, byDefault: D): readonly number[] | D;
  ints<D>(name: string, ...byDefault: [] | [D]): readonly number[] | D {
    const attribute = this.typed(name, 'ints');
    if (attribute) return attribute.ints.map(Number);
    return byDefault.length ? byDefault[0] : this.missing(name);
  }
  floats(name: string): readonly number[];
  floats<D>(name: string, byDefault: D): readonly number[] | D;
  floats<D>(name: string, ...byDefault: [] | [D]): readonly number[] | D {
    const attribute = this.typed(name, 'floats');
    if (attribute) return attribute.floats;
    return byDefault.length ? byDefault[0] : this.missing(name);
  }
  strings(name: string): readonly string[];
  strings<D>(name: string, byDefault: D): readonly string[] | D;
  strings<D>(name: string, ...byDefault: [] | [D]): readonly string[] | D {
    const attribute = this.typed(name, 'strings');
    if (attribute) return attribute.strings;
    return byDefault.length ? byDefault[0] : this.missing(name);
  }
  tensorAttr(name: string): HostTensor | null {
    const tensor = this.typed(name, 'tensor')?.t;
    return tensor ? this.tensors.host(tensor) : null;
  }

  constant(tensor: OnnxTensor | OnnxSparseTensor, name: string): Value {
    const { value, host } = this.tensors.constant(tensor, name, this.module);
    if (host) this.b.know(value, host);
    return value;
  }

  unsupported(code: string, message: string, hint?: string): never {
    throw new TenonError({ code, message, hint: hint ?? null });
  }
}
