import type {
  Attrs, AttrValue, Cost, DefineCall, EvaluateCall, Expr, ExprBuilder, HostTensor, InferCall, Operator, OperatorSample, TensorBuilder, Type,
} from '@tenon/plugin';
import { broadcastIndex, broadcastOffsets, broadcastShapes } from '../common/broadcast.ts';
import { bitsOf, isFloat, isInteger } from '../common/dtypes.ts';
import { allocate, bigReader, bigWriter, elementCount, reader, writer, type NumericTensor } from '../common/host-tensor.ts';

/** An operator that computes each element of its result from the elements of its arguments at that place, broadcast. */
export interface Pointwise {
  readonly name: string;
  readonly doc: string;
  /** One to three. */
  readonly params: readonly string[];
  readonly attrs?: { readonly [name: string]: AttrValue };
  /** Checks dtypes and attributes; the result's dtype. */
  readonly dtype: (call: InferCall) => string;
  /** The value in float64 (bools as 0 and 1), where `exact` does not apply. Left-out arguments are undefined. */
  readonly real?: (attrs: Attrs) => (...x: number[]) => number;
  /** The value where arguments and result are integers or bools, not all bools: it wraps to the result's dtype. `dtype`: of argument 0. */
  readonly exact?: (attrs: Attrs, dtype: string) => (...x: bigint[]) => bigint;
  /** The value as a scalar expression; left-out arguments are undefined. Floats are f32 or f64. */
  readonly scalar: (e: ExprBuilder, args: readonly Expr[], attrs: Attrs) => Expr;
  /** Scalar operations per element. */
  readonly flops?: number;
  /** The value of integer elements that are known as dims (bools are 0 and 1); null where it cannot be told. */
  readonly dim?: (e: ExprBuilder, args: readonly Expr[], attrs: Attrs) => Expr | null;
  readonly view?: true;
  readonly samples: () => readonly OperatorSample[];
}

/** Contents beyond this many elements are not tracked. */
const contentsLimit = 1024;

export function pointwise(spec: Pointwise): Operator {
  const { name, doc, params, attrs = {}, flops = 1 } = spec;
  return {
    name, doc,
    signature: { params, attrs, results: ['out'] },
    facets: {
      infer: (call) => infer(spec, call),
      reference: (call) => [evaluate(spec, call)],
      define: (call, b) => define(spec, call, b),
      cost: (call): Cost => ({ flops: call.exprs.mul(call.exprs.product(resultShape(call)), flops) }),
      ...(spec.dim && { shapeValue: (call: InferCall) => [contents(spec, call)] }),
      ...(spec.view && { view: true }),
      samples: spec.samples,
    },
  };
}

const isArgument = (type: Type | null | undefined): type is Type => type != null;

function resultShape(call: InferCall): Expr[] {
  return broadcastShapes(call, call.args.flatMap((type, i) => (isArgument(type) ? [call.tensor(i).shape] : [])));
}

function infer(spec: Pointwise, call: InferCall): readonly Type[] {
  const dtype = spec.dtype(call);
  return [{ kind: 'tensor', dtype, shape: resultShape(call), annotations: {} }];
}

/** What a spec's functions get for an argument that is left out; those with optional arguments ask for undefined. */
const leftOut = <T>(): T => undefined as T;

function evaluate(spec: Pointwise, call: EvaluateCall): HostTensor {
  const [result] = call.results as [EvaluateCall['results'][number]];
  const out = allocate(result.dtype, result.shape);
  const isExact = (dtype: string): boolean => isInteger(dtype) || dtype === 'bool';
  const given = call.args.filter((a) => a !== null);
  if (spec.exact && isExact(result.dtype) && given.every((a) => isExact(a.dtype)) && given.some((a) => isInteger(a.dtype))) {
    fill(out, call, spec.exact(call.attrs, call.args[0]!.dtype), bigReader, bigWriter(out));
  } else {
    fill(out, call, spec.real!(call.attrs), reader, writer(out));
  }
  return out;
}

/** Writes `fn` of the arguments' elements for every element of the result. */
function fill<T>(
  out: NumericTensor, call: EvaluateCall, fn: (...x: T[]) => T, readerOf: (t: HostTensor) => (i: number) => T, write: (i: number, value: T) => void,
): void {
  const count = elementCount(out.shape);
  const reads = call.args.map((a) => {
    if (a === null) return leftOut<T>;
    const read = readerOf(a);
    if (elementCount(a.shape) === count) return read;
    const offsets = broadcastOffsets(a.shape, out.shape);
    return (i: number): T => read(offsets[i]!);
  });
  const [a, b, c] = reads as [(i: number) => T, (i: number) => T, (i: number) => T];
  // Spelled out by arity: folding evaluates large constants, and spreading an array per element is slow.
  if (reads.length === 1) for (let i = 0; i < count; i++) write(i, fn(a(i)));
  else if (reads.length === 2) for (let i = 0; i < count; i++) write(i, fn(a(i), b(i)));
  else for (let i = 0; i < count; i++) write(i, fn(a(i), b(i), c(i)));
}

/** The dtype that arithmetic on a dtype is carried out in: halves are computed in f32. */
export const arithmeticDType = (dtype: string): string => (isFloat(dtype) && bitsOf(dtype) < 32 ? 'f32' : dtype);

function define(spec: Pointwise, call: DefineCall, b: TensorBuilder): void {
  const { exprs } = b;
  const [out] = call.results as [DefineCall['results'][number]];
  b.compute(out, (i) => {
    const args = call.args.map((a) => {
      if (a === null) return leftOut<Expr>();
      const element = b.load(a, broadcastIndex(exprs, i, a.shape));
      return exprs.cast(element, arithmeticDType(a.dtype));
    });
    return exprs.cast(spec.scalar(exprs, args, call.attrs), out.dtype);
  });
}

function contents(spec: Pointwise, call: InferCall): readonly Expr[] | null {
  const { exprs } = call;
  const [type] = infer(spec, call);
  if (type?.kind !== 'tensor' || !(isInteger(type.dtype) || type.dtype === 'bool')) return null;
  // Dims are signed.
  if (type.dtype === 'u64' || call.args.some((a) => a?.kind === 'tensor' && a.dtype === 'u64')) return null;
  const shape = type.shape.map((d) => exprs.valueOf(d));
  if (!shape.every((d) => d !== null) || elementCount(shape) > contentsLimit) return null;
  const elements: (readonly Expr[] | null)[] = [];
  for (let i = 0; i < call.args.length; i++) {
    if (!isArgument(call.args[i])) {
      elements.push(null);
      continue;
    }
    const known = call.contents(i);
    if (known === null) return null;
    const own = call.tensor(i).shape.map((d) => exprs.valueOf(d)!);
    const offsets = broadcastOffsets(own, shape);
    elements.push(Array.from(offsets, (at) => known[at]!));
  }
  const result: Expr[] = [];
  for (let i = 0; i < elementCount(shape); i++) {
    const value = spec.dim!(exprs, elements.map((list) => list?.[i] ?? exprs.int(0)), call.attrs);
    if (value === null) return null;
    const wrapped = exprs.valueOf(value) === null || type.dtype === 'bool' ? value : exprs.int(exprs.constant(value.value as number | bigint, type.dtype).value as number | bigint);
    result.push(wrapped);
  }
  return result;
}

/** A condition as 0 or 1, and back. */
export const asDim = (e: ExprBuilder, condition: Expr): Expr => e.select(condition, e.int(1), e.int(0));
export function asCondition(e: ExprBuilder, dim: Expr): Expr {
  if (dim.op === 'select' && e.valueOf(dim.args[1]!) === 1 && e.valueOf(dim.args[2]!) === 0) return dim.args[0]!;
  return e.ne(dim, 0);
}
