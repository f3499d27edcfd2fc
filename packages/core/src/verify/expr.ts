import { intrinsics } from '@tenon/plugin';
import type { Expr } from '@tenon/plugin';
import { printExpr } from '../text/index.ts';
import type { Verification } from './env.ts';

/** What a scalar expression may refer to. */
export interface ExprScope {
  /** The dtype of a variable in scope. */
  variable(name: string): string | undefined;
  /** dtype and rank of a buffer in scope. */
  buffer(name: string): { readonly dtype: string; readonly rank: number } | undefined;
  /** Called for every load. */
  onLoad(buffer: string): void;
}

const twoArguments = new Set(['pow', 'bitand', 'bitor', 'bitxor', 'shl', 'shr']);
const known: ReadonlySet<string> = new Set(intrinsics);
const operands: { readonly [op in Expr['op']]?: number } = {
  const: 0, var: 0, not: 1, cast: 1, select: 3, add: 2, sub: 2, mul: 2, div: 2, floordiv: 2, mod: 2, truncdiv: 2, truncmod: 2, min: 2, max: 2,
  eq: 2, ne: 2, lt: 2, le: 2, and: 2, or: 2,
};

/** Operand counts and dtypes; variables and buffers in scope. `effect`: the root may be a call that only a target knows. */
export function verifyExpr(v: Verification, e: Expr, scope: ExprScope, report: (code: string, message: string) => void, effect = false): void {
  const visit = (x: Expr, root: boolean): void => {
    for (const arg of x.args) visit(arg, false);
    const bad = (code: string, message: string) => report(code, `${message} in ${printExpr(x)}`);
    const expected = operands[x.op];
    if (expected !== undefined && x.args.length !== expected) return bad('expr-arity', `${x.op} takes ${expected} operands, found ${x.args.length}`);
    const dtype = v.dtype(x.dtype);
    const opaque = root && effect && x.op === 'call';
    if (dtype === null && !opaque) return bad('unknown-dtype', `nobody declares the dtype ${x.dtype}`);
    const kind = dtype?.kind;
    const integer = kind === 'int' || kind === 'uint';
    const all = (type: string, from = 0) => x.args.slice(from).every((arg) => arg.dtype === type);
    switch (x.op) {
      case 'const':
        if (kind === 'bool' ? x.value !== 0 && x.value !== 1 : integer ? !Number.isInteger(Number(x.value)) || x.value === null : typeof x.value !== 'number') {
          bad('expr-constant', `${String(x.value)} is no ${x.dtype}`);
        }
        break;
      case 'var': {
        const declared = scope.variable(String(x.value));
        if (declared === undefined) bad('undefined-variable', `the variable ${String(x.value)} is not in scope`);
        else if (declared !== x.dtype) bad('expr-dtype', `the variable has dtype ${declared}, used as ${x.dtype}`);
        break;
      }
      case 'load': {
        const buffer = scope.buffer(String(x.value));
        if (buffer === undefined) return bad('undefined-buffer', `the buffer ${String(x.value)} is not in scope`);
        scope.onLoad(String(x.value));
        if (buffer.dtype !== x.dtype) bad('load-dtype', `the buffer has dtype ${buffer.dtype}, loaded as ${x.dtype}`);
        if (buffer.rank !== x.args.length) bad('index-count', `${x.args.length} indices for a buffer of rank ${buffer.rank}`);
        if (!all('i64')) bad('index-dtype', 'an index is not i64');
        break;
      }
      case 'eq': case 'ne': case 'lt': case 'le':
        if (x.dtype !== 'bool' || !all(x.args[0]!.dtype)) bad('expr-dtype', 'a comparison takes two operands of one dtype and gives bool');
        break;
      case 'and': case 'or': case 'not':
        if (x.dtype !== 'bool' || !all('bool')) bad('expr-dtype', `${x.op} takes and gives bool`);
        break;
      case 'select':
        if (x.args[0]!.dtype !== 'bool') bad('condition', 'the condition is not bool');
        if (!all(x.dtype, 1)) bad('expr-dtype', 'both sides of a select have its dtype');
        break;
      case 'div':
        if (kind !== 'float' || !all(x.dtype)) bad('expr-dtype', 'div takes and gives one floating-point dtype');
        break;
      case 'floordiv': case 'mod': case 'truncdiv':
        if (!integer || !all(x.dtype)) bad('expr-dtype', `${x.op} takes and gives one integer dtype`);
        break;
      case 'add': case 'sub': case 'mul': case 'min': case 'max': case 'truncmod':
        if (!all(x.dtype)) bad('expr-dtype', `${x.op} takes operands of its dtype`);
        break;
      case 'call': {
        const name = String(x.value);
        // Names with a dot are a target's own.
        if (opaque || name.includes('.')) break;
        if (!known.has(name)) return bad('unknown-intrinsic', `there is no intrinsic ${name}`);
        const count = twoArguments.has(name) ? 2 : 1;
        if (x.args.length !== count) return bad('expr-arity', `${name} takes ${count} operand${count === 1 ? '' : 's'}, found ${x.args.length}`);
        const wrong = name === 'isnan' || name === 'isinf' ? x.dtype !== 'bool' : name !== 'bitcast' && !all(x.dtype);
        if (wrong) bad('expr-dtype', `${name} does not give ${x.dtype} for these operands`);
        break;
      }
      case 'cast':
    }
  };
  visit(e, true);
}
