import type { Attrs, AttrValue, BindingTime, DimDecl, Expr, TensorType, Type } from '@tenon/plugin';
import type { Cursor } from './cursor.ts';
import type { Token } from './lexer.ts';
import { parseExpression } from './parse-expr.ts';
import type { NameTypes } from './syntax.ts';

export function parseType(cursor: Cursor, types: NameTypes): Type {
  const word = cursor.peek();
  if (word.kind !== 'name') throw cursor.expected('a type');
  if (!word.quoted && cursor.at('<', 1) && (word.text === 'sequence' || word.text === 'optional' || word.text === 'state')) {
    cursor.next();
    cursor.next();
    const content = cursor.peek();
    const element = parseType(cursor, types);
    cursor.expect('>');
    if (word.text !== 'state') return { kind: word.text, element };
    if (element.kind !== 'tensor') throw cursor.error('expected', `expected a tensor type in a state, found ${element.kind}`, content);
    return { kind: 'state', content: element };
  }
  if (cursor.at('token') && !cursor.at('[', 1)) {
    cursor.next();
    return { kind: 'token' };
  }
  return parseTensorType(cursor, types);
}

export function parseTensorType(cursor: Cursor, types: NameTypes): TensorType {
  const dtype = cursor.name('a dtype');
  cursor.expect('[', ' and the shape');
  const shape: Expr[] = [];
  while (!cursor.at(']') && !cursor.at(';')) {
    shape.push(parseExpression(cursor, types));
    if (!cursor.accept(',') && !cursor.at(']') && !cursor.at(';')) throw cursor.expected('`,`, `;` or `]`');
  }
  if (cursor.accept(';')) return { kind: 'tensor', dtype, shape, annotations: parseFields(cursor, types, ']') };
  cursor.expect(']');
  return { kind: 'tensor', dtype, shape, annotations: {} };
}

/** `{a = 1, b = "x"}`. */
export function parseAttrs(cursor: Cursor, types: NameTypes): Attrs {
  cursor.expect('{');
  return parseFields(cursor, types, '}');
}

function parseFields(cursor: Cursor, types: NameTypes, close: string): Attrs {
  const fields = new Map<string, AttrValue>();
  cursor.list(close, () => {
    const token = cursor.peek();
    const key = cursor.key('the name of an attribute');
    if (fields.has(key)) throw cursor.error('duplicate-name', `the attribute \`${key}\` is given twice`, token);
    cursor.expect('=');
    fields.set(key, parseAttr(cursor, types));
  });
  return Object.fromEntries(fields);
}

function parseAttr(cursor: Cursor, types: NameTypes): AttrValue {
  const token = cursor.peek();
  if (token.kind === 'string') return cursor.next().text;
  if (cursor.accept('(')) {
    const value = parseExpression(cursor, types);
    cursor.expect(')');
    return value;
  }
  if (cursor.at('{')) return parseAttrs(cursor, types);
  if (cursor.accept('[')) {
    const items: AttrValue[] = [];
    cursor.list(']', () => items.push(parseAttr(cursor, types)));
    return items;
  }
  for (const [word, value] of words) if (cursor.accept(word)) return value;
  const sign = cursor.accept('-') ? '-' : '';
  if (cursor.accept('inf')) return sign === '-' ? -Infinity : Infinity;
  const number = cursor.peek();
  if (number.kind !== 'number') throw cursor.expected('an attribute: a number, string, list, `{…}` or an expression in parentheses');
  cursor.next();
  return attrNumber(cursor, sign, number);
}

const words: readonly (readonly [string, AttrValue])[] = [['null', null], ['true', true], ['false', false], ['nan', NaN]];

function attrNumber(cursor: Cursor, sign: string, token: Token): number | bigint {
  if (token.suffix === '') return Number(sign + token.text);
  if (token.suffix === 'n' && /^\d+$/.test(token.text)) return BigInt(sign + token.text);
  throw cursor.error('bad-number', `expected a plain number or an integer with the suffix \`n\`, found ${sign}${token.text}${token.suffix}`, token, 'An expression as an attribute stands in parentheses.');
}

const bindingTimes: readonly BindingTime[] = ['compile', 'load', 'call', 'run'];

/** `n in 1..4096, n % 8 == 0, n at load, n hint 128, m in 0..`, after the word `dims`. */
export function parseDims(cursor: Cursor, dims: Map<string, DimDecl>): void {
  const here = new Map<string, DimDecl>();
  do {
    const token = cursor.peek();
    const name = cursor.name('the name of a dim');
    if (dims.has(name)) throw cursor.error('duplicate-name', `the dim \`${name}\` is declared twice`, token);
    const dim = here.get(name) ?? { name, min: 0, max: null, multipleOf: 1, binding: 'call', hint: null };
    here.set(name, { ...dim, ...parseDimClause(cursor) });
  } while (cursor.accept(','));
  for (const [name, dim] of here) dims.set(name, dim);
}

function parseDimClause(cursor: Cursor): Partial<DimDecl> {
  if (cursor.accept('in')) {
    const min = cursor.integer('the least value', true);
    cursor.expect('..');
    const bounded = cursor.peek().kind === 'number' || cursor.at('-');
    return { min, max: bounded ? cursor.integer('the largest value', true) : null };
  }
  if (cursor.accept('%')) {
    const multipleOf = cursor.integer('a divisor');
    cursor.expect('==');
    const token = cursor.peek();
    if (cursor.integer('0') !== 0) throw cursor.error('expected', 'only multiples can be declared: `n % 8 == 0`', token);
    return { multipleOf };
  }
  if (cursor.accept('at')) {
    for (const binding of bindingTimes) if (cursor.accept(binding)) return { binding };
    throw cursor.expected('`compile`, `load`, `call` or `run`');
  }
  if (cursor.accept('hint')) return { hint: cursor.integer('a typical value', true) };
  if (cursor.at(',') || cursor.peek().kind !== 'punctuation') return {};
  throw cursor.expected('`in`, `%`, `at` or `hint`');
}
