import type { Expr } from '@tenon/plugin';
import type { Emitter, VectorContext } from './emitter.ts';
import { emit, emitMask, maskWidth, rounded } from './expressions.ts';
import { elementType, type ElementType } from './types.ts';

const floatFunctions = new Set([
  'exp', 'log', 'sqrt', 'rsqrt', 'tanh', 'erf', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan',
  'sinh', 'cosh', 'asinh', 'acosh', 'atanh', 'floor', 'ceil', 'round', 'trunc',
]);
const roundings = new Set(['floor', 'ceil', 'round', 'trunc']);
const bitOperators: { readonly [name: string]: string } = { bitand: '&', bitor: '|', bitxor: '^' };

/** The C text of a call of an intrinsic: a scalar, a vector, or (for vectors of bools) a mask of the argument's width. */
export function emitIntrinsic(em: Emitter, e: Expr, v: VectorContext | null): string {
  const name = e.value as string;
  const [a, b] = e.args as [Expr, Expr?];
  const type = elementType(a.dtype);
  const lanes = v === null ? 1 : v.lanes;
  const helper = (snippet: string): string => em.support.use(snippet, type.value, lanes);
  const arg = (x: Expr): string => emit(em, x, v);
  const unsupported = (): never => em.fail('unsupported-intrinsic', `intrinsic ${name} of ${a.dtype}`);

  if (type.kind === 'bool') return bitsOfBools(em, name, e, v) ?? unsupported();
  if (name === 'isnan' || name === 'isinf') {
    if (type.kind !== 'float') return unsupported();
    const x = em.define(v === null ? type.value : em.support.vector(type.value, lanes), arg(a));
    const inf = `${em.support.use('broadcast', type.value, lanes)}(__builtin_inf${type.value === 'f32' ? 'f' : ''}())`;
    const test = name === 'isnan' ? `${x} != ${x}` : `${helper('abs')}(${x}) == ${inf}`;
    return v === null ? `(${test})` : `((${em.support.vector(`i${type.valueBytes * 8}`, lanes)})(${test}))`;
  }
  if (name === 'bitcast') return bitcast(em, type, elementType(e.dtype), arg(a), v, e.dtype);
  if (roundings.has(name) && type.kind !== 'float') return arg(a);
  if (floatFunctions.has(name)) {
    if (type.kind !== 'float') return unsupported();
    return rounded(em, type, `${helper(name)}(${arg(a)})`, lanes);
  }
  if (name === 'pow') {
    if (b === undefined) return unsupported();
    const exponent = b.op === 'const' ? Number(b.value) : null;
    if (exponent === 2 || (exponent === 3 && !type.half)) {
      const x = em.define(v === null ? type.value : em.support.vector(type.value, lanes), arg(a));
      const text = exponent === 2 ? `(${x} * ${x})` : `(${x} * ${x} * ${x})`;
      return type.kind === 'float' ? rounded(em, type, text, lanes) : narrow(type, v, text);
    }
    return rounded(em, type, `${helper(type.kind === 'float' ? 'pow' : 'power')}(${arg(a)}, ${arg(b)})`, lanes);
  }
  if (name === 'abs' || name === 'sign') return `${helper(name)}(${arg(a)})`;
  if (type.kind === 'float') return unsupported();
  if (name in bitOperators && b !== undefined) return narrow(type, v, `(${arg(a)} ${bitOperators[name]!} ${arg(b)})`);
  if (name === 'bitnot') return narrow(type, v, `(~${arg(a)})`);
  if ((name === 'shl' || name === 'shr') && b !== undefined) return `${helper(name)}(${arg(a)}, ${arg(b)})`;
  if (name === 'popcount') return `${helper(name)}(${arg(a)})`;
  return unsupported();
}

/** C computes narrow integers as int. */
const narrow = (type: ElementType, v: VectorContext | null, text: string): string =>
  v === null && type.bytes < 4 ? `((${type.value})${text})` : text;

function bitsOfBools(em: Emitter, name: string, e: Expr, v: VectorContext | null): string | null {
  const width = v === null ? 1 : Math.max(1, ...e.args.map((a) => (maskWidth(a, v))));
  const arg = (i: number): string => (v === null ? emit(em, e.args[i]!, null) : emitMask(em, e.args[i]!, v, width));
  if (name in bitOperators) return `(${arg(0)} ${bitOperators[name]!} ${arg(1)})`;
  if (name === 'bitnot') return v === null ? `(!${arg(0)})` : `(~${arg(0)})`;
  return null;
}

function bitcast(em: Emitter, from: ElementType, to: ElementType, text: string, v: VectorContext | null, dtype: string): string {
  if (from.bytes !== to.bytes || to.kind === 'bool') return em.fail('unsupported-intrinsic', `bitcast from ${from.name} to ${dtype}`);
  const lanes = v === null ? 1 : v.lanes;
  if (from.name === to.name) return text;
  const bits = from.half ? `${em.support.use(`to_${from.name}`, 'f32', lanes)}(${text})` : text;
  if (to.half) return `${em.support.use(`from_${to.name}`, 'u16', lanes)}((${em.support.vector('u16', lanes)})${bits})`;
  if (v !== null || (from.kind !== 'float' && to.kind !== 'float') || from.half) return `((${em.support.vector(to.value, lanes)})${bits})`;
  if (from.kind === 'float') return `((${to.value})${em.support.use('bits', from.value, 1)}(${bits}))`;
  return `${em.support.use('from_bits', to.value, 1)}((i${to.bytes * 8})${bits})`;
}
