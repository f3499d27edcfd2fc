import { TenonError, type Expr } from '@tenon/plugin';
import { floordivInts, isFloat, modInts, truncdivInts, truncmodInts, wrapInt } from '@tenon/core';
import { floatIntrinsics } from './intrinsics.ts';

/** A scalar: floats and bools are numbers; integers are numbers where safe and bigints otherwise. */
export type Scalar = number | bigint;

/** Variables by slot, filled in as loops and lets run. */
export interface Frame {
  readonly slots: Scalar[];
}
export type Evaluator = (frame: Frame) => Scalar;

/** What an expression needs of its surroundings: slots of variables and access to buffers. */
export interface ScalarScope {
  slotOf(name: string): number;
  loader(buffer: string, indices: readonly Evaluator[]): Evaluator;
}

type Int = number | bigint;
const safe = (v: bigint): Int => (v >= -9007199254740991n && v <= 9007199254740991n ? Number(v) : v);

function integer(dtype: string, fast: (a: number, b: number) => number, exact: (a: bigint, b: bigint) => bigint): (a: Int, b: Int) => Int {
  return (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') {
      const r = fast(a, b);
      if (Number.isSafeInteger(r)) return wrapInt(r + 0, dtype);
    }
    return wrapInt(safe(exact(BigInt(a), BigInt(b))), dtype);
  };
}

/** Rounds a float64 result to a float dtype. */
export function rounder(dtype: string): (x: number) => number {
  if (dtype === 'f64') return (x) => x;
  if (dtype === 'f32') return Math.fround;
  throw new TenonError({ code: 'interp/dtype', message: `arithmetic in ${dtype} cannot be evaluated` });
}

/** float → integer: truncates and saturates, NaN gives 0. */
export function toInteger(x: number, dtype: string): Int {
  const match = /^([iu])(\d+)$/.exec(dtype)!;
  const bits = BigInt(match[2]!);
  const [lo, hi] = match[1] === 'i' ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
  if (Number.isNaN(x)) return 0;
  if (x <= Number(lo)) return safe(lo);
  if (x >= Number(hi)) return safe(hi);
  const t = Math.trunc(x) + 0;
  return Number.isSafeInteger(t) ? t : BigInt(t);
}

/** Compiles an expression to a closure. */
export function compileScalar(e: Expr, scope: ScalarScope): Evaluator {
  const args = e.op === 'load' ? [] : e.args.map((a) => compileScalar(a, scope));
  const [a, b, c] = args as [Evaluator, Evaluator, Evaluator];
  const operand = e.args[0]?.dtype ?? e.dtype;
  const real = isFloat(operand);
  switch (e.op) {
    case 'const': {
      const value = e.value as Scalar;
      return () => value;
    }
    case 'var': {
      const slot = scope.slotOf(e.value as string);
      return (f) => f.slots[slot]!;
    }
    case 'load':
      return scope.loader(e.value as string, e.args.map((x) => compileScalar(x, scope)));
    case 'add': return real ? floats(e.dtype, a, b, (x, y) => x + y) : ints(a, b, integer(e.dtype, (x, y) => x + y, (x, y) => x + y));
    case 'sub': return real ? floats(e.dtype, a, b, (x, y) => x - y) : ints(a, b, integer(e.dtype, (x, y) => x - y, (x, y) => x - y));
    case 'mul': return real ? floats(e.dtype, a, b, (x, y) => x * y) : ints(a, b, integer(e.dtype, (x, y) => x * y, (x, y) => x * y));
    case 'div': return floats(e.dtype, a, b, (x, y) => x / y);
    case 'floordiv': return ints(a, b, (x, y) => wrapInt(floordivInts(x, y), e.dtype));
    case 'mod': return ints(a, b, (x, y) => wrapInt(modInts(x, y), e.dtype));
    case 'truncdiv': return ints(a, b, (x, y) => wrapInt(truncdivInts(x, y), e.dtype));
    case 'truncmod': return real ? floats(e.dtype, a, b, (x, y) => x % y) : ints(a, b, (x, y) => wrapInt(truncmodInts(x, y), e.dtype));
    case 'min': return real ? floats(e.dtype, a, b, Math.min) : ints(a, b, (x, y) => (x < y ? x : y));
    case 'max': return real ? floats(e.dtype, a, b, Math.max) : ints(a, b, (x, y) => (x > y ? x : y));
    case 'eq': return (f) => (a(f) == b(f) ? 1 : 0);
    case 'ne': return (f) => (a(f) != b(f) ? 1 : 0);
    case 'lt': return (f) => (a(f) < b(f) ? 1 : 0);
    case 'le': return (f) => (a(f) <= b(f) ? 1 : 0);
    case 'and': return (f) => (a(f) && b(f) ? 1 : 0);
    case 'or': return (f) => (a(f) || b(f) ? 1 : 0);
    case 'not': return (f) => (a(f) ? 0 : 1);
    case 'select': return (f) => (a(f) ? b(f) : c(f));
    case 'cast': return compileCast(operand, e.dtype, a);
    case 'call': return compileCall(e, args);
  }
}

function floats(dtype: string, a: Evaluator, b: Evaluator, fn: (x: number, y: number) => number): Evaluator {
  const round = rounder(dtype);
  return (f) => round(fn(a(f) as number, b(f) as number));
}
function ints(a: Evaluator, b: Evaluator, fn: (x: Int, y: Int) => Int): Evaluator {
  return (f) => fn(a(f), b(f));
}

function compileCast(from: string, to: string, a: Evaluator): Evaluator {
  if (to === 'bool') return (f) => (a(f) != 0 ? 1 : 0);
  if (isFloat(to)) {
    const round = rounder(to);
    return (f) => round(Number(a(f)));
  }
  if (isFloat(from)) return (f) => toInteger(a(f) as number, to);
  return (f) => wrapInt(a(f), to);
}

function compileCall(e: Expr, args: readonly Evaluator[]): Evaluator {
  const name = e.value as string;
  const operand = e.args[0]!.dtype;
  const [a, b] = args as [Evaluator, Evaluator];
  if (name === 'isnan') return (f) => (Number.isNaN(a(f)) ? 1 : 0);
  if (name === 'isinf') return (f) => (Math.abs(a(f) as number) === Infinity ? 1 : 0);
  if (name === 'bitcast') return bitcast(operand, e.dtype, a);
  if (isFloat(operand)) {
    const fn = floatIntrinsics[name];
    if (fn === undefined) throw new TenonError({ code: 'interp/intrinsic', message: `${name} is not defined on ${operand}` });
    const round = rounder(e.dtype);
    return b === undefined ? (f) => round(fn(a(f) as number, 0)) : (f) => round(fn(a(f) as number, b(f) as number));
  }
  const wrap = (v: bigint): Int => wrapInt(safe(v), e.dtype);
  switch (name) {
    case 'abs': return (f) => { const v = a(f); return wrap(v < 0 ? -BigInt(v) : BigInt(v)); };
    case 'sign': return (f) => { const v = a(f); return v > 0 ? 1 : v < 0 ? -1 : 0; };
    case 'floor': case 'ceil': case 'round': case 'trunc': return a;
    case 'pow': return (f) => {
      const y = BigInt(b(f));
      const x = BigInt(a(f));
      return y < 0n ? (x === 1n ? 1 : x === -1n ? (y % 2n === 0n ? 1 : -1) : 0) : wrap(powWrapped(x, y));
    };
    case 'bitand': return (f) => wrap(BigInt(a(f)) & BigInt(b(f)));
    case 'bitor': return (f) => wrap(BigInt(a(f)) | BigInt(b(f)));
    case 'bitxor': return (f) => wrap(BigInt(a(f)) ^ BigInt(b(f)));
    case 'bitnot': return operand === 'bool' ? (f) => (a(f) ? 0 : 1) : (f) => wrap(~BigInt(a(f)));
    case 'shl': return (f) => wrap(BigInt(a(f)) << BigInt(b(f)));
    case 'shr': return (f) => wrap(BigInt(a(f)) >> BigInt(b(f)));
    case 'popcount': return (f) => {
      let v = BigInt.asUintN(8 * (widths[operand] ?? 8), BigInt(a(f)));
      let n = 0;
      for (; v !== 0n; v &= v - 1n) n++;
      return n;
    };
    default:
      throw new TenonError({ code: 'interp/intrinsic', message: `${name} is not defined on ${operand}` });
  }
}

function powWrapped(x: bigint, y: bigint): bigint {
  let result = 1n;
  let base = BigInt.asIntN(64, x);
  for (let n = y; n > 0n; n >>= 1n) {
    if (n & 1n) result = BigInt.asIntN(64, result * base);
    base = BigInt.asIntN(64, base * base);
  }
  return result;
}

/** Bytes. */
const widths: { readonly [dtype: string]: number } = { f64: 8, f32: 4, i64: 8, i32: 4, i16: 2, i8: 1, u64: 8, u32: 4, u16: 2, u8: 1 };

function bitcast(from: string, to: string, a: Evaluator): Evaluator {
  const view = new DataView(new ArrayBuffer(8));
  if (widths[from] === undefined || widths[from] !== widths[to]) {
    throw new TenonError({ code: 'interp/intrinsic', message: `bitcast from ${from} to ${to}: the widths differ` });
  }
  return (f) => {
    writeScalar(view, from, a(f));
    return readScalar(view, to);
  };
}

function writeScalar(view: DataView, dtype: string, v: Scalar): void {
  if (dtype === 'f64') view.setFloat64(0, v as number, true);
  else if (dtype === 'f32') view.setFloat32(0, v as number, true);
  else view.setBigInt64(0, BigInt.asIntN(64, BigInt(v)), true);
}

function readScalar(view: DataView, dtype: string): Scalar {
  switch (dtype) {
    case 'f64': return view.getFloat64(0, true);
    case 'f32': return view.getFloat32(0, true);
    case 'u64': return safe(view.getBigUint64(0, true));
    default: return wrapInt(safe(view.getBigInt64(0, true)), dtype);
  }
}
