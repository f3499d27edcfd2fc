import type { Expr, Scope } from '@tenon/plugin';
import { atLane, forLanes, scalarLoad, vectorLoad } from './access.ts';
import type { Emitter, VectorContext } from './emitter.ts';
import { emitIntrinsic } from './intrinsics.ts';
import { literal } from './literals.ts';
import { elementType, type ElementType } from './types.ts';

/**
 * The C text of a value: a scalar where `v` is null, else a vector of `v.lanes` lanes (f16 and bf16 as f32). Statements
 * that the value needs are written first. Vectors of bools are asked for with {@link emitMask}.
 */
export function emit(em: Emitter, e: Expr, v: VectorContext | null): string {
  if (v === null) return emitScalar(em, e);
  const type = elementType(e.dtype);
  if (!v.varies(e)) return `${em.support.use('broadcast', type.value, v.lanes)}(${emitScalar(em, e)})`;
  const known = em.vectorName(e);
  if (known !== undefined) return known.name;
  const text = vectorNode(em, e, v, type);
  return em.isShared(e) ? em.nameVector(e, em.support.vector(type.value, v.lanes), text, type.valueBytes) : text;
}

function emitScalar(em: Emitter, e: Expr): string {
  const known = em.scalarName(e);
  if (known !== undefined) return known;
  const text = scalarNode(em, e);
  return em.isShared(e) ? em.nameScalar(e, elementType(e.dtype).value, text) : text;
}

function scalarNode(em: Emitter, e: Expr): string {
  const type = elementType(e.dtype);
  const arg = (i: number): string => emitScalar(em, e.args[i]!);
  switch (e.op) {
    case 'const': {
      const text = literal(e.value as number | bigint, type);
      return type.half ? `${em.support.use(`round_${type.name}`, 'f32', 1)}(${text})` : text;
    }
    case 'var':
      return e.value as string;
    case 'load':
      return scalarLoad(em, e);
    case 'eq': case 'ne': case 'lt': case 'le':
      return `(${arg(0)} ${comparison[e.op]} ${arg(1)})`;
    case 'and':
      return `(${arg(0)} && ${arg(1)})`;
    case 'or':
      return `(${arg(0)} || ${arg(1)})`;
    case 'not':
      return `(!${arg(0)})`;
    case 'select':
      return choose(em, e, null, type.value, arg(0));
    case 'cast':
      if (type.kind === 'bool') return `(${arg(0)} != 0)`;
      return emitCast(em, elementType(e.args[0]!.dtype), type, arg(0), 1);
    case 'call':
      return emitIntrinsic(em, e, null);
    default:
      return arithmetic(em, e, null, type);
  }
}

const comparison = { eq: '==', ne: '!=', lt: '<', le: '<=' } as const;

function vectorNode(em: Emitter, e: Expr, v: VectorContext, type: ElementType): string {
  switch (e.op) {
    case 'var':
      return e.value === v.variable ? `${em.support.use('iota', 'i64', v.lanes)}(${emitScalar(em, v.base)})` : (e.value as string);
    case 'load':
      return vectorLoad(em, e, v);
    case 'select':
      return vectorSelect(em, e, v, em.support.vector(type.value, v.lanes), (side) => emit(em, side, v), (condition, then, otherwise) =>
        `${em.support.use('select', type.value, v.lanes)}(${emitMask(em, condition, v, type.valueBytes)}, ${emit(em, then, v)}, ${emit(em, otherwise, v)})`);
    case 'cast': {
      const [source] = e.args as [Expr];
      if (source.dtype === 'bool') {
        const ones = `(${emitMask(em, source, v, type.valueBytes)} & 1)`;
        return type.kind === 'float'
          ? `__builtin_convertvector(${ones}, ${em.support.vector(type.value, v.lanes)})`
          : `((${em.support.vector(type.value, v.lanes)})${ones})`;
      }
      return emitCast(em, elementType(source.dtype), type, emit(em, source, v), v.lanes);
    }
    case 'call':
      return emitIntrinsic(em, e, v);
    default:
      return arithmetic(em, e, v, type);
  }
}

/** Rounds a float result to half precision where that is its type. */
export const rounded = (em: Emitter, type: ElementType, text: string, lanes: number): string =>
  type.half ? `${em.support.use(`round_${type.name}`, 'f32', lanes)}(${text})` : text;

function arithmetic(em: Emitter, e: Expr, v: VectorContext | null, type: ElementType): string {
  const lanes = v === null ? 1 : v.lanes;
  const helper = (name: string): string => em.support.use(name, type.value, lanes);
  const [a, b] = e.args as [Expr, Expr];
  const operands = (): string => `${emit(em, a, v)}, ${emit(em, b, v)}`;
  const infix = (operator: string): string => {
    const text = `(${emit(em, a, v)} ${operator} ${emit(em, b, v)})`;
    // C computes narrow integers as int.
    return v === null && type.kind !== 'float' && type.bytes < 4 ? `((${type.value})${text})` : rounded(em, type, text, lanes);
  };
  switch (e.op) {
    case 'add':
      return infix('+');
    case 'sub':
      return infix('-');
    case 'mul':
      return infix('*');
    case 'div': {
      const reciprocal = reciprocalOf(e, type);
      if (reciprocal !== null) return `${helper('divide')}(${emit(em, a, v)}, ${literal(b.value as number, type)}, ${literal(reciprocal, type)})`;
      return v !== null && e.dtype === 'f32' && v.varies(a) && !v.varies(b) ? `${helper('divide_by')}(${emit(em, a, v)}, ${emitScalar(em, b)})` : infix('/');
    }
    case 'min':
    case 'max':
      if (type.kind === 'float') {
        const number = [a, b].find((x) => x.op === 'const' && !Number.isNaN(Number(x.value)));
        if (number !== undefined) return `${helper(`${e.op}_number`)}(${emit(em, number, v)}, ${emit(em, number === a ? b : a, v)})`;
      }
      return `${helper(e.op)}(${operands()})`;
    case 'floordiv': case 'mod': case 'truncdiv': case 'truncmod': {
      if (type.kind === 'float') {
        if (e.op !== 'truncmod') return em.fail('unsupported-expression', `${e.op} of ${e.dtype}`);
        return rounded(em, type, `${helper('fmod')}(${operands()})`, lanes);
      }
      if (v === null && dividesPlainly(em, e)) return infix(e.op === 'floordiv' || e.op === 'truncdiv' ? '/' : '%');
      return `${helper(e.op)}(${operands()})`;
    }
    default:
      return em.fail('unsupported-expression', `expression ${e.op} of ${e.dtype}`);
  }
}

/**
 * 1 / b where a division by the constant b may be a product with it that is then corrected: an order of magnitude faster
 * in vectors. The magnitudes leave the correction's own products exact.
 */
function reciprocalOf(e: Expr, type: ElementType): number | null {
  const b = e.args[1]!;
  if (e.dtype !== 'f32' || type.half || b.op !== 'const') return null;
  const value = Math.abs(Number(b.value));
  return value >= 2 ** -40 && value <= 2 ** 40 ? Math.fround(1 / Math.fround(Number(b.value))) : null;
}

/** Whether C's own division is right and cannot trap. */
function dividesPlainly(em: Emitter, e: Expr): boolean {
  const [a, b] = e.args as [Expr, Expr];
  const scope: Scope = em.facts;
  const divisor = em.exprs.bounds(b, scope).min;
  if (divisor === null || divisor < 1) return false;
  if (e.op === 'truncdiv' || e.op === 'truncmod') return true;
  const dividend = em.exprs.bounds(a, scope).min;
  return dividend !== null && dividend >= 0;
}

/** A conversion between number types; bools are handled where they are masks or not. */
export function emitCast(em: Emitter, from: ElementType, to: ElementType, text: string, lanes: number): string {
  const convert = (x: string, type: string): string =>
    lanes === 1 ? `((${type})${x})` : `__builtin_convertvector(${x}, ${em.support.vector(type, lanes)})`;
  if (to.half) {
    // One rounding only: types that f32 does not hold exactly go through f64, rounded to odd.
    const exact = from.value === 'f32' || from.kind === 'bool' || (from.kind !== 'float' && from.bytes <= 2);
    const single = exact
      ? from.value === 'f32' ? text : convert(text, 'f32')
      : `${em.support.use('odd_f32', 'f64', lanes)}(${from.value === 'f64' ? text : convert(text, 'f64')})`;
    return from.name === to.name ? text : rounded(em, to, single, lanes);
  }
  if (from.value === to.value) return text;
  if (from.kind === 'float' && to.kind !== 'float') return `${em.support.use(`to_${to.value}`, from.value, lanes)}(${text})`;
  return convert(text, to.value);
}

/** Evaluates one side of a select only: `condition` is a scalar, the sides are scalars or vectors. */
function choose(em: Emitter, e: Expr, v: VectorContext | null, type: string, condition: string, side: (e: Expr) => string = (s) => emit(em, s, v)): string {
  const values = ['', ''];
  const lines = [1, 2].map((i) => em.capture(() => em.nested(() => void (values[i - 1] = side(e.args[i]!)))));
  if (v === null && lines.every((l) => l.length === 0)) return `(${condition} ? ${values[0]} : ${values[1]})`;
  const name = em.fresh('t');
  em.push(`${type} ${name};`);
  em.push(`if (${condition}) {`);
  em.lines.push(...lines[0]!, `${name} = ${values[0]};`, '} else {', ...lines[1]!, `${name} = ${values[1]};`, '}');
  return name;
}

/** A select with lanes: blends where both sides may be computed, else looks at the lanes first. */
function vectorSelect(
  em: Emitter, e: Expr, v: VectorContext, type: string,
  side: (e: Expr) => string,
  blend: (condition: Expr, then: Expr, otherwise: Expr) => string,
): string {
  const [condition, then, otherwise] = e.args as [Expr, Expr, Expr];
  if (!v.varies(condition)) return choose(em, e, v, type, emitScalar(em, condition), side);
  if (isSafe(em, then, v) && isSafe(em, otherwise, v)) return blend(condition, then, otherwise);
  const width = maskWidth(condition, v) || 4;
  const element = `i${width * 8}`;
  const mask = em.define(em.support.vector(element, v.lanes), emitMask(em, condition, v, width));
  const name = em.fresh('t');
  em.push(`${type} ${name};`);
  const assign = (value: Expr) => (): void => em.nested(() => em.push(`${name} = ${side(value)};`));
  em.block(`if (${em.support.use('all', element, v.lanes)}(${mask}))`, assign(then));
  em.block(`else if (!${em.support.use('any', element, v.lanes)}(${mask}))`, assign(otherwise));
  em.block('else', () => forLanes(em, v, (lane) => {
    const value = emitScalar(em, atLane(em, e, v, lane));
    em.push(`${name}[${lane}] = ${e.dtype === 'bool' ? `-${value}` : value};`);
  }));
  return name;
}

/** Whether a value may be computed in lanes that do not want it: no access outside a buffer. */
function isSafe(em: Emitter, e: Expr, v: VectorContext, seen: Set<Expr> = new Set()): boolean {
  if (seen.has(e)) return true;
  seen.add(e);
  if (em.vectorName(e) !== undefined || em.scalarName(e) !== undefined) return true;
  if (e.op === 'load') {
    const place = em.place(e.value as string);
    if (place.kind === 'registers') return true;
    const scope: Scope = new Map([...em.facts, [v.variable, { min: 0, max: v.last }]]);
    const inside = e.args.every((index, axis) => {
      const { exprs } = em;
      return exprs.prove(exprs.ge(index, 0), scope) === 'yes' && exprs.prove(exprs.lt(index, place.shape[axis]!), scope) === 'yes';
    });
    if (!inside) return false;
  }
  return e.args.every((arg) => isSafe(em, arg, v, seen));
}

/** Bytes per lane of the mask that a condition comes as; 0 where it is the same in all lanes. */
export function maskWidth(e: Expr, v: VectorContext): number {
  if (!v.varies(e)) return 0;
  switch (e.op) {
    case 'var':
      return v.lets.get(e.value as string)!.width;
    case 'eq': case 'ne': case 'lt': case 'le': case 'cast':
      return e.args[0]!.dtype === 'bool' ? Math.max(...e.args.map((a) => maskWidth(a, v))) : elementType(e.args[0]!.dtype).valueBytes;
    case 'and': case 'or': case 'not': case 'select':
      return Math.max(...e.args.map((a) => maskWidth(a, v)));
    case 'call':
      return e.args[0]!.dtype === 'bool' ? Math.max(...e.args.map((a) => maskWidth(a, v))) : elementType(e.args[0]!.dtype).valueBytes;
    default:
      return 1;
  }
}

/** A vector of bools as a mask: −1 or 0 in lanes of `width` bytes. */
export function emitMask(em: Emitter, e: Expr, v: VectorContext, width: number): string {
  const element = `i${width * 8}`;
  if (!v.varies(e)) return `${em.support.use('broadcast', element, v.lanes)}((${element})-${emitScalar(em, e)})`;
  const known = em.vectorName(e);
  const own = known?.width ?? maskWidth(e, v);
  const type = em.support.vector(`i${own * 8}`, v.lanes);
  let text = known?.name;
  if (text === undefined) {
    text = maskNode(em, e, v, own);
    if (em.isShared(e)) text = em.nameVector(e, type, text, own);
  }
  return own === width ? text : `__builtin_convertvector(${text}, ${em.support.vector(element, v.lanes)})`;
}

function maskNode(em: Emitter, e: Expr, v: VectorContext, width: number): string {
  const mask = (i: number): string => emitMask(em, e.args[i]!, v, width);
  const type = em.support.vector(`i${width * 8}`, v.lanes);
  const ofBools = e.args[0]?.dtype === 'bool';
  switch (e.op) {
    case 'var':
      return e.value as string;
    case 'load':
      return vectorLoad(em, e, v);
    case 'and':
      return `(${mask(0)} & ${mask(1)})`;
    case 'or':
      return `(${mask(0)} | ${mask(1)})`;
    case 'not':
      return `(~${mask(0)})`;
    case 'eq': case 'ne':
      if (ofBools) return e.op === 'ne' ? `(${mask(0)} ^ ${mask(1)})` : `(~(${mask(0)} ^ ${mask(1)}))`;
      break;
    case 'lt':
      if (ofBools) return `(~${mask(0)} & ${mask(1)})`;
      break;
    case 'le':
      if (ofBools) return `(~${mask(0)} | ${mask(1)})`;
      break;
    case 'select':
      return vectorSelect(em, e, v, type, (side) => emitMask(em, side, v, width), (condition, then, otherwise) => {
        const m = em.define(type, emitMask(em, condition, v, width));
        return `((${m} & ${emitMask(em, then, v, width)}) | (~${m} & ${emitMask(em, otherwise, v, width)}))`;
      });
    case 'cast': {
      if (ofBools) return mask(0);
      const from = elementType(e.args[0]!.dtype);
      return `((${type})(${emit(em, e.args[0]!, v)} != ${em.support.use('broadcast', from.value, v.lanes)}(0)))`;
    }
    case 'call':
      return emitIntrinsic(em, e, v);
    default:
      return em.fail('unsupported-expression', `expression ${e.op} of bool`);
  }
  return `((${type})(${emit(em, e.args[0]!, v)} ${comparison[e.op]} ${emit(em, e.args[1]!, v)}))`;
}
