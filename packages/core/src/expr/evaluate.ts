import type { Expr } from '@tenon/plugin';
import { addInts, floordivInts, modInts, mulInts, truncdivInts, truncmodInts, type Int } from './integers.ts';

/** The value of an integer or boolean expression over named dims. Throws where a name has no value. */
export function evaluateDim(e: Expr, dims: ReadonlyMap<string, number>): number {
  return Number(evaluateInt(e, dims));
}

function evaluateInt(e: Expr, dims: ReadonlyMap<string, number>): Int {
  const arg = (i: number): Int => evaluateInt(e.args[i]!, dims);
  switch (e.op) {
    case 'const':
      return e.value as Int;
    case 'var': {
      const value = dims.get(e.value as string);
      if (value === undefined) throw new RangeError(`dim ${String(e.value)} has no value`);
      return value;
    }
    case 'add': return addInts(arg(0), arg(1));
    case 'sub': return addInts(arg(0), mulInts(arg(1), -1));
    case 'mul': return mulInts(arg(0), arg(1));
    case 'floordiv': return floordivInts(arg(0), arg(1));
    case 'mod': return modInts(arg(0), arg(1));
    case 'truncdiv': return truncdivInts(arg(0), arg(1));
    case 'truncmod': return truncmodInts(arg(0), arg(1));
    case 'min': {
      const a = arg(0);
      const b = arg(1);
      return a < b ? a : b;
    }
    case 'max': {
      const a = arg(0);
      const b = arg(1);
      return a > b ? a : b;
    }
    case 'eq': return arg(0) == arg(1) ? 1 : 0;
    case 'ne': return arg(0) != arg(1) ? 1 : 0;
    case 'lt': return arg(0) < arg(1) ? 1 : 0;
    case 'le': return arg(0) <= arg(1) ? 1 : 0;
    case 'and': return arg(0) && arg(1) ? 1 : 0;
    case 'or': return arg(0) || arg(1) ? 1 : 0;
    case 'not': return arg(0) ? 0 : 1;
    case 'select': return arg(0) ? arg(1) : arg(2);
    case 'cast': return arg(0);
    default:
      throw new RangeError(`${e.op} is not a dim expression`);
  }
}
