import type { ConstantData, ConstantDecl, DimDecl, Expr, ExprBuilder, IRFunction, IRModule, SourceDecl, Type, Value } from '@tenon/plugin';
import { Cursor } from './cursor.ts';
import type { Token } from './lexer.ts';
import { numberOf } from './numbers.ts';
import { parseExpression } from './parse-expr.ts';
import { parseGraph } from './parse-graph.ts';
import { parseTensor } from './parse-tensor.ts';
import { parseAttrs, parseDims, parseTensorType, parseType } from './parse-types.ts';
import { noTypes } from './syntax.ts';

export interface ParseOptions {
  /** The name that error messages give the text. */
  readonly file?: string;
}

/**
 * Reads a module from its text form. Expressions are made by `exprs.make`, as they stand. Throws a diagnostic
 * `text/…` with line, column and an excerpt. Functions and constants may be used before their declaration.
 */
export function parseModule(text: string, exprs: ExprBuilder, options: ParseOptions = {}): IRModule {
  return parse(text, exprs, options, (cursor) => new ModuleParser(cursor).module());
}

/** Reads an expression. `types` gives the dtypes of buffers, and of variables that are not i64, by name. */
export function parseExpr(text: string, exprs: ExprBuilder, types?: ReadonlyMap<string, string>, options: ParseOptions = {}): Expr {
  return parse(text, exprs, options, (cursor) => parseExpression(cursor, types === undefined ? noTypes : { variables: types, buffers: types }));
}

/** Reads a type. */
export function parseTypeText(text: string, exprs: ExprBuilder, options: ParseOptions = {}): Type {
  return parse(text, exprs, options, (cursor) => parseType(cursor, noTypes));
}

function parse<T>(text: string, exprs: ExprBuilder, options: ParseOptions, read: (cursor: Cursor) => T): T {
  const cursor = new Cursor({ text, file: options.file ?? null }, exprs);
  try {
    const result = read(cursor);
    if (cursor.peek().kind !== 'end') throw cursor.expected('the end of the text');
    return result;
  } catch (error) {
    // The stack has run out: statements, types or attributes inside one another.
    if (error instanceof RangeError) throw cursor.error('too-deep', 'the text is nested too deep', cursor.peek());
    throw error;
  }
}

class ModuleParser {
  readonly #cursor: Cursor;
  readonly #dims = new Map<string, DimDecl>();
  readonly #sources = new Map<string, SourceDecl>();
  readonly #constants = new Map<string, ConstantDecl>();
  readonly #functions = new Map<string, IRFunction>();

  /** Constants by the position of their declaration. */
  readonly #found = new Map<number, { readonly decl: ConstantDecl; readonly end: number }>();
  readonly #values = new Map<string, Value>();

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  module(): IRModule {
    const cursor = this.#cursor;
    this.#findConstants();
    while (cursor.peek().kind !== 'end') {
      if (cursor.accept('dims')) parseDims(cursor, this.#dims);
      else if (cursor.accept('source')) this.#source();
      else if (cursor.accept('const')) this.#constant();
      else if (cursor.accept('graph')) this.#function('graph');
      else if (cursor.accept('tensor')) this.#function('tensor');
      else throw cursor.expected('`dims`, `source`, `const`, `graph` or `tensor`');
    }
    return { dims: this.#dims, sources: this.#sources, constants: this.#constants, functions: this.#functions };
  }

  /** Functions refer to constants, which may stand below them: these are read first. */
  #findConstants(): void {
    const cursor = this.#cursor;
    while (cursor.peek().kind !== 'end') {
      if (!cursor.at('const') || cursor.peek(1).kind !== 'global') {
        cursor.next();
        continue;
      }
      cursor.next();
      const at = cursor.position;
      const decl = this.#constantDecl();
      this.#found.set(at, { decl, end: cursor.position });
      this.#values.set(decl.name, { name: decl.name, type: decl.type, constant: true });
    }
    cursor.seek(0);
  }

  #declare<T>(map: Map<string, T>, name: string, what: string, token: Token): void {
    if (map.has(name)) throw this.#cursor.error('duplicate-name', `the ${what} is declared twice`, token);
  }

  /** `weights = file("weights.bin", id "3fa9", 31360 bytes)`. */
  #source(): void {
    const cursor = this.#cursor;
    const token = cursor.peek();
    const name = cursor.name('the name of a source');
    this.#declare(this.#sources, name, `source \`${name}\``, token);
    cursor.expect('=');
    cursor.expect('file');
    cursor.expect('(');
    const uri = cursor.string('a path or URL in quotes');
    cursor.expect(',');
    cursor.expect('id');
    const id = cursor.string('the identity of the contents in quotes');
    cursor.expect(',');
    const bytes = cursor.integer('the size in bytes');
    cursor.expect('bytes');
    cursor.expect(')');
    this.#sources.set(name, { name, uri, id, bytes });
  }

  #constant(): void {
    const cursor = this.#cursor;
    const token = cursor.peek();
    const found = this.#found.get(cursor.position);
    const decl = found?.decl ?? this.#constantDecl();
    if (found !== undefined) cursor.seek(found.end);
    this.#declare(this.#constants, decl.name, `constant \`@${decl.name}\``, token);
    this.#constants.set(decl.name, decl);
  }

  /** `@w: f32[784, 10] = weights[0..31360] view {…}` or `@b: f32[2] = [1, 2]`. */
  #constantDecl(): ConstantDecl {
    const cursor = this.#cursor;
    const name = cursor.global('the name of a constant such as `@w`');
    cursor.expect(':', ' and the type');
    const type = parseTensorType(cursor, noTypes);
    cursor.expect('=');
    const data = cursor.accept('[') ? this.#elements(type.dtype) : this.#range();
    const view = cursor.accept('view') ? parseAttrs(cursor, noTypes) : null;
    return { name, type, data, view };
  }

  #range(): ConstantData {
    const cursor = this.#cursor;
    const source = cursor.name('`[` and the elements, or the name of a source');
    cursor.expect('[');
    const offset = cursor.integer('the first byte');
    cursor.expect('..');
    const token = cursor.peek();
    const end = cursor.integer('the byte behind the last');
    if (end < offset) throw cursor.error('bad-range', `the range ends (${end}) before it begins (${offset})`, token);
    cursor.expect(']');
    return { kind: 'range', source, offset, bytes: end - offset };
  }

  #elements(dtype: string): ConstantData {
    const cursor = this.#cursor;
    const values: (number | bigint)[] = [];
    cursor.list(']', () => {
      const sign = cursor.accept('-') ? '-' : '';
      const token = cursor.next();
      const special = token.kind === 'name' && !token.quoted && (token.text === 'inf' || (token.text === 'nan' && sign === ''));
      if (special) {
        values.push(token.text === 'nan' ? NaN : sign === '-' ? -Infinity : Infinity);
        return;
      }
      if (token.kind !== 'number') {
        cursor.seek(cursor.position - (token.kind === 'end' ? 0 : 1));
        throw cursor.expected('a number');
      }
      const digits = sign + token.text;
      const value = token.suffix !== '' ? null : numberOf(digits, dtype);
      if (value === null) throw cursor.error('bad-number', `${digits}${token.suffix} is no element of ${dtype}`, token);
      values.push(value);
    });
    return { kind: 'inline', values };
  }

  #function(level: 'graph' | 'tensor'): void {
    const cursor = this.#cursor;
    const token = cursor.peek();
    const name = cursor.global('the name of a function such as `@f`');
    this.#declare(this.#functions, name, `function \`@${name}\``, token);
    this.#functions.set(name, level === 'graph' ? parseGraph(cursor, name, this.#values) : parseTensor(cursor, name));
  }
}
