import type { Attrs, AttrValue, Context, Expr, ExprLike, FunctionBuilder, GraphFunction, HostTensor, Location, TypedArray, Value } from '@tenon/plugin';
import { diagnosticOf } from '@tenon/plugin';
import { byteLength, typedArray } from './proto/numeric.ts';

/** The most elements that a constant subgraph may have anywhere on the way to a value asked for while importing. */
const elementLimit = 1024;
/** How far back a constant subgraph is followed. */
const depthLimit = 100;

interface Producer {
  readonly op: string;
  readonly args: readonly (Value | null)[];
  readonly attrs: Attrs;
  readonly index: number;
}

/**
 * A function builder that remembers how values came about, so that small constants behind a few operators (a Cast of a
 * Constant, say) are known to converters that need them as numbers.
 */
export class FoldingBuilder implements FunctionBuilder {
  private readonly inner: FunctionBuilder;
  private readonly ctx: Context;
  private readonly producers = new Map<Value, Producer>();
  private readonly known = new Map<Value, HostTensor | null>();

  constructor(inner: FunctionBuilder, ctx: Context) {
    this.inner = inner;
    this.ctx = ctx;
  }

  get exprs() {
    return this.inner.exprs;
  }
  get params() {
    return this.inner.params;
  }
  get loc(): Location | null {
    return this.inner.loc;
  }
  set loc(loc: Location | null) {
    this.inner.loc = loc;
  }

  op(name: string, args: readonly (Value | null)[], attrs: Attrs = {}): readonly Value[] {
    const results = this.inner.op(name, args, attrs);
    results.forEach((value, index) => this.producers.set(value, { op: name, args, attrs, index }));
    return results;
  }
  call(name: string, args: readonly (Value | null)[], attrs: Attrs = {}): Value {
    const value = this.inner.call(name, args, attrs);
    this.producers.set(value, { op: name, args, attrs, index: 0 });
    return value;
  }
  constant(values: readonly (number | bigint)[], dtype: string, shape: readonly number[]): Value {
    const value = this.inner.constant(values, dtype, shape);
    const numbers = values.map(Number);
    if (dtype === 'f32') this.know(value, { dtype, shape, data: Float32Array.from(numbers) });
    if (dtype === 'f64') this.know(value, { dtype, shape, data: Float64Array.from(numbers) });
    return value;
  }
  contents(value: Value): readonly Expr[] | null {
    return this.inner.contents(value);
  }
  dims(values: readonly ExprLike[], shape?: readonly number[]): Value {
    return shape ? this.inner.dims(values, shape) : this.inner.dims(values);
  }
  finish(results: readonly Value[], resultNames?: readonly string[]): GraphFunction {
    return resultNames ? this.inner.finish(results, resultNames) : this.inner.finish(results);
  }

  /** States the elements of a constant. */
  know(value: Value, tensor: HostTensor): void {
    this.known.set(value, tensor);
  }

  /** The elements of a value that is a small constant, or computed from small constants only; else null. */
  evaluate(value: Value, depth = 0): HostTensor | null {
    let tensor = this.known.get(value);
    if (tensor === undefined) {
      tensor = this.fromContents(value) ?? (depth < depthLimit ? this.fromProducer(value, depth) : null);
      this.known.set(value, tensor);
    }
    return tensor;
  }

  private fromContents(value: Value): HostTensor | null {
    const { type } = value;
    if (type.kind !== 'tensor' || !/^([iu](8|16|32|64)|bool)$/.test(type.dtype)) return null;
    const contents = this.inner.contents(value);
    const shape = this.staticShape(value);
    if (!contents || !shape || contents.some((e) => e.op !== 'const')) return null;
    const bytes = new Uint8Array(byteLength(type.dtype, contents.length));
    const data = typedArray(type.dtype, bytes);
    contents.forEach((e, i) => {
      const element = e.value as number | bigint;
      if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(element);
      else (data as Int32Array)[i] = Number(element);
    });
    return { dtype: type.dtype, shape, data };
  }

  private fromProducer(value: Value, depth: number): HostTensor | null {
    const producer = this.producers.get(value);
    if (!producer || !this.staticShape(value) || this.ctx.facet(producer.op, 'impure')) return null;
    const attrs = concrete(producer.attrs);
    if (!attrs) return null;
    const args: (HostTensor | null)[] = [];
    for (const arg of producer.args) {
      const tensor = arg && this.evaluate(arg, depth + 1);
      if (arg && !tensor) return null;
      args.push(tensor);
    }
    let result: HostTensor | undefined;
    try {
      result = this.ctx.evaluate(producer.op, args, attrs as Attrs)?.[producer.index];
    } catch (error) {
      // What has no value (a division by zero, say) is no constant; compiling on will tell what is wrong, if anything is.
      if (diagnosticOf(error)) return null;
      throw error;
    }
    return result && (result.data as TypedArray | readonly string[]).length <= elementLimit ? result : null;
  }

  private staticShape(value: Value): number[] | null {
    if (value.type.kind !== 'tensor') return null;
    const shape: number[] = [];
    let elements = 1;
    for (const dim of value.type.shape) {
      const size = this.exprs.valueOf(dim);
      if (size === null) return null;
      shape.push(size);
      elements *= size;
    }
    return elements <= elementLimit ? shape : null;
  }
}

/** Attributes with their constant dims as numbers; null where a dim is not constant. */
function concrete(value: AttrValue): AttrValue | undefined {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = (value as readonly AttrValue[]).map(concrete);
    return items.includes(undefined) ? undefined : (items as AttrValue[]);
  }
  const expr = value as Expr;
  if (expr.tag === 'expr') return expr.op === 'const' ? (expr.value as number | bigint) : undefined;
  const out: { [name: string]: AttrValue } = {};
  for (const [name, inner] of Object.entries(value as Attrs)) {
    const item = concrete(inner);
    if (item === undefined) return undefined;
    out[name] = item;
  }
  return out;
}
