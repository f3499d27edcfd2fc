import type { Expr, ExprOp } from '@tenon/plugin';
import type { Cursor } from './cursor.ts';
import { describe } from './cursor.ts';
import type { Token } from './lexer.ts';
import { numberOf } from './numbers.ts';
import { binaryBySymbol, functionOps, inferredDType, literalKinds, reserved, type NameTypes } from './syntax.ts';

/**
 * A node before it is made: its dtype may still be replaced by one written after it, `(x: f32)`. null where it is known
 * only if one is written (a load of a buffer that is not in scope).
 */
interface Draft {
  readonly op: ExprOp;
  dtype: string | null;
  readonly args: readonly Expr[];
  readonly value: number | bigint | string | null;
  readonly token: Token;
}

const maxDepth = 1000;

export function parseExpression(cursor: Cursor, types: NameTypes): Expr {
  const parser = new ExprParser(cursor, types);
  return parser.finish(parser.binary(0));
}

class ExprParser {
  readonly #cursor: Cursor;
  readonly #types: NameTypes;
  #depth = 0;

  constructor(cursor: Cursor, types: NameTypes) {
    this.#cursor = cursor;
    this.#types = types;
  }

  finish(draft: Draft): Expr {
    if (draft.dtype === null) {
      throw this.#cursor.error('undefined-buffer', `no buffer named \`${draft.value}\` is in scope`, draft.token, 'Declare it as a parameter or with `alloc`, or write the element type: `(A[i]: f32)`.');
    }
    return this.#cursor.exprs.make(draft.op, draft.dtype, draft.args, draft.value);
  }

  #draft(op: ExprOp, dtype: string | null, args: readonly Expr[], value: number | bigint | string | null, token: Token): Draft {
    return { op, dtype, args, value, token };
  }

  /** Precedence climbing: operators of `level` and above. */
  binary(level: number): Draft {
    const cursor = this.#cursor;
    if (++this.#depth > maxDepth) throw cursor.error('too-deep', `the expression is nested more than ${maxDepth} levels deep`, cursor.peek());
    let left = this.#unary();
    for (;;) {
      const token = cursor.peek();
      const swapped = token.text === '>' || token.text === '>=';
      const syntax = token.kind === 'punctuation' ? binaryBySymbol.get(swapped ? token.text.replace('>', '<') : token.text) : undefined;
      if (syntax === undefined || syntax.level < level) break;
      cursor.next();
      const a = this.finish(left);
      const b = this.finish(this.binary(syntax.level + 1));
      const args = swapped ? [b, a] : [a, b];
      left = this.#draft(syntax.op, inferredDType(syntax.op, null, args), args, null, token);
      if (!syntax.associative) {
        const after = cursor.peek();
        const again = after.kind === 'punctuation' ? binaryBySymbol.get(after.text.replace('>', '<')) : undefined;
        if (again?.level === syntax.level) throw cursor.error('ambiguous', 'comparisons do not chain', after, 'Put one of them in parentheses.');
      }
    }
    this.#depth--;
    return left;
  }

  #unary(): Draft {
    const token = this.#cursor.peek();
    if (!this.#cursor.accept('!')) return this.#primary();
    if (++this.#depth > maxDepth) throw this.#cursor.error('too-deep', `the expression is nested more than ${maxDepth} levels deep`, token);
    const operand = this.finish(this.#unary());
    this.#depth--;
    return this.#draft('not', 'bool', [operand], null, token);
  }

  #primary(): Draft {
    const cursor = this.#cursor;
    const token = cursor.peek();
    if (cursor.accept('(')) {
      const inner = this.binary(0);
      if (cursor.accept(':')) inner.dtype = cursor.name('a dtype');
      cursor.expect(')');
      return inner;
    }
    if (cursor.at('-')) {
      const after = cursor.peek(1);
      if (after.kind !== 'number' && !cursor.at('inf', 1)) {
        cursor.next();
        throw cursor.expected('a number after the minus sign', 'There is no negation: write `0 - x`.');
      }
      cursor.next();
      return this.#literal('-', token);
    }
    if (token.kind === 'number' || cursor.at('nan') || cursor.at('inf')) return this.#literal('', token);
    if (token.kind !== 'name') throw cursor.expected('an expression');
    cursor.next();
    if (!token.quoted) {
      if (token.text === 'true' || token.text === 'false') return this.#draft('const', 'bool', [], token.text === 'true' ? 1 : 0, token);
      if (reserved.has(token.text)) throw cursor.error('expected', `expected an expression, found ${describe(token)}`, token, 'A name that is a word of the language is quoted with backticks.');
    }
    if (cursor.accept('(')) return this.#call(token);
    if (cursor.accept('[')) {
      const indices: Expr[] = [];
      cursor.list(']', () => indices.push(parseNested(this)));
      return this.#draft('load', this.#types.buffers.get(token.text) ?? null, indices, token.text, token);
    }
    return this.#draft('var', this.#types.variables.get(token.text) ?? 'i64', [], token.text, token);
  }

  #literal(sign: string, start: Token): Draft {
    const cursor = this.#cursor;
    const token = cursor.next();
    if (token.kind === 'name') return this.#draft('const', 'f32', [], token.text === 'nan' ? NaN : sign === '-' ? -Infinity : Infinity, start);
    const dtype = token.suffix === '' ? 'i64' : token.suffix === 'f' ? 'f32' : token.suffix;
    if (!literalKinds.has(dtype)) throw cursor.error('bad-number', `\`${token.suffix}\` is no suffix of a number`, token, 'Suffixes are `f` for f32 and the names of the standard dtypes: `1f`, `2i32`, `0.5f64`.');
    const value = numberOf(sign + token.text, dtype);
    if (value === null) throw cursor.error('bad-number', `${sign}${token.text} is no ${dtype}`, token, 'A number with a fraction or exponent needs the suffix of a float, as in `1.5f`.');
    return this.#draft('const', dtype, [], value, start);
  }

  #call(callee: Token): Draft {
    const cursor = this.#cursor;
    const name = callee.text;
    if (!callee.quoted && name === 'cast') {
      const operand = parseNested(this);
      cursor.expect(',');
      const dtype = cursor.name('a dtype');
      cursor.expect(')');
      return this.#draft('cast', dtype, [operand], null, callee);
    }
    const args: Expr[] = [];
    cursor.list(')', () => args.push(parseNested(this)));
    const arity = callee.quoted ? undefined : literalKinds.has(name) ? 1 : functionOps.get(name);
    if (arity === undefined) return this.#draft('call', inferredDType('call', name, args), args, name, callee);
    if (args.length !== arity) throw cursor.error('arity', `\`${name}\` takes ${arity} argument${arity === 1 ? '' : 's'}, found ${args.length}`, callee);
    if (literalKinds.has(name)) return this.#draft('cast', name, args, null, callee);
    const op = name as ExprOp;
    return this.#draft(op, inferredDType(op, null, args), args, null, callee);
  }
}

function parseNested(parser: ExprParser): Expr {
  return parser.finish(parser.binary(0));
}

