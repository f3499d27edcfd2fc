import type { Expr } from '@tenon/plugin';
import { doubleText, singleText } from './numbers.ts';
import { binaryByOp, functionOps, inferredDType, intrinsicText, literalKinds, nameText, primaryLevel, type NameTypes } from './syntax.ts';

/**
 * An expression with as few parentheses and dtypes as parsing it in the same scope needs. A dtype that does not follow
 * from the operands is written after the expression: `(x: f32)`.
 */
export function exprText(e: Expr, types: NameTypes): string {
  return print(e, types, 0);
}

function print(e: Expr, types: NameTypes, level: number): string {
  const annotate = (text: string, inferred: string | undefined) => (inferred === e.dtype ? text : `(${text}: ${nameText(e.dtype)})`);
  const args = () => e.args.map((arg) => print(arg, types, 0)).join(', ');
  switch (e.op) {
    case 'const':
      return constText(e);
    case 'var': {
      const name = String(e.value);
      return annotate(nameText(name), types.variables.get(name) ?? 'i64');
    }
    case 'load': {
      const name = String(e.value);
      return annotate(`${nameText(name)}[${args()}]`, types.buffers.get(name));
    }
    case 'cast':
      return literalKinds.has(e.dtype) ? `${e.dtype}(${args()})` : `cast(${args()}, ${nameText(e.dtype)})`;
    case 'call':
      return annotate(`${intrinsicText(String(e.value))}(${args()})`, inferredDType(e.op, e.value, e.args));
    case 'not':
      if (e.args.length === 1) return annotate(`!${print(e.args[0]!, types, primaryLevel)}`, 'bool');
      break;
    default: {
      const binary = binaryByOp.get(e.op);
      if (binary !== undefined && e.args.length === 2) {
        const own = binary.level;
        const inferred = inferredDType(e.op, null, e.args);
        const inner = inferred === e.dtype ? level : 0;
        const left = print(e.args[0]!, types, binary.associative ? own : own + 1);
        const text = `${left} ${binary.symbol} ${print(e.args[1]!, types, own + 1)}`;
        return annotate(own < inner ? `(${text})` : text, inferred);
      }
      if (functionOps.get(e.op) === e.args.length) return annotate(`${e.op}(${args()})`, inferredDType(e.op, null, e.args));
    }
  }
  // A wrong number of operands is the verifier's to report; this form is for reading only.
  return `${e.op}!(${args()})`;
}

function constText(e: Expr): string {
  const { value, dtype } = e;
  if (typeof value === 'string' || value === null) return `const!(${value})`;
  const kind = literalKinds.get(dtype);
  const integer = typeof value === 'bigint' || Number.isInteger(value);
  if (kind === 'bool' && (value === 0 || value === 1)) return value === 1 ? 'true' : 'false';
  if ((kind === 'int' || kind === 'uint') && integer) return `${BigInt(value)}${dtype === 'i64' ? '' : dtype}`;
  if (typeof value === 'number' && kind === 'float') {
    if (dtype === 'f32' && (Number.isNaN(value) || Math.fround(value) === value)) return Number.isFinite(value) ? `${singleText(value)}f` : doubleText(value);
    if (dtype !== 'f32' && Number.isFinite(value)) return `${doubleText(value)}${dtype}`;
  }
  const plain = typeof value === 'bigint' || !Number.isFinite(value) || (Number.isSafeInteger(value) && !Object.is(value, -0));
  const literal = plain ? String(typeof value === 'bigint' ? value : doubleText(value)) : `${doubleText(value)}f64`;
  return `(${literal}: ${nameText(dtype)})`;
}
