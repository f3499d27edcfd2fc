/** Values of scalar expressions, floating-point ones included. */
import type { Expr } from '@tenon/plugin';

/** Throws where the expression mentions something that has no value. */
export function evaluate(e: Expr, sizes: ReadonlyMap<string, number> = new Map()): number {
  const at = (i: number): number => evaluate(e.args[i]!, sizes);
  const integer = /^[iu]/.test(e.dtype);
  switch (e.op) {
    case 'const': return Number(e.value);
    case 'var': {
      const value = sizes.get(e.value as string);
      if (value === undefined) throw new Error(`it depends on ${String(e.value)}`);
      return value;
    }
    case 'add': return at(0) + at(1);
    case 'sub': return at(0) - at(1);
    case 'mul': return at(0) * at(1);
    case 'div': return at(0) / at(1);
    case 'floordiv': return Math.floor(at(0) / at(1));
    case 'mod': return at(0) - at(1) * Math.floor(at(0) / at(1));
    case 'truncdiv': return Math.trunc(at(0) / at(1));
    case 'truncmod': return at(0) % at(1);
    case 'min': return Math.min(at(0), at(1));
    case 'max': return Math.max(at(0), at(1));
    case 'eq': return Number(at(0) === at(1));
    case 'ne': return Number(at(0) !== at(1));
    case 'lt': return Number(at(0) < at(1));
    case 'le': return Number(at(0) <= at(1));
    case 'and': return Number(at(0) !== 0 && at(1) !== 0);
    case 'or': return Number(at(0) !== 0 || at(1) !== 0);
    case 'not': return Number(at(0) === 0);
    case 'select': return at(0) !== 0 ? at(1) : at(2);
    case 'cast': return integer ? Math.trunc(at(0)) : at(0);
    case 'call': return call(String(e.value), e.args.map((_, i) => at(i)));
    case 'load': throw new Error('it reads memory');
  }
}

function call(name: string, args: readonly number[]): number {
  const known: { readonly [name: string]: (...args: number[]) => number } = {
    exp: Math.exp, log: Math.log, sqrt: Math.sqrt, rsqrt: (x) => 1 / Math.sqrt(x), pow: Math.pow, abs: Math.abs, floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, sign: Math.sign, tanh: Math.tanh,
  };
  const f = known[name];
  if (f === undefined) throw new Error(`it calls ${name}`);
  return f(...args);
}
