import type { Attrs, Binding, BindingKind, Effects, Expr, GraphFunction, Type, Value } from '@tenon/plugin';
import { diffTypes } from '../structure/diff.ts';
import type { Cursor } from './cursor.ts';
import { parseExpression } from './parse-expr.ts';
import { parseAttrs, parseType } from './parse-types.ts';
import { typeText } from './print-types.ts';
import { noTypes } from './syntax.ts';

/** A graph function, after the word `graph`. `constants` are the module's, by name. */
export function parseGraph(cursor: Cursor, name: string, constants: ReadonlyMap<string, Value>): GraphFunction {
  return new GraphParser(cursor, constants).function(name);
}

class GraphParser {
  readonly #cursor: Cursor;
  readonly #constants: ReadonlyMap<string, Value>;
  readonly #values = new Map<string, Value>();

  constructor(cursor: Cursor, constants: ReadonlyMap<string, Value>) {
    this.#cursor = cursor;
    this.#constants = constants;
  }

  function(name: string): GraphFunction {
    const cursor = this.#cursor;
    const params: Value[] = [];
    cursor.expect('(');
    cursor.list(')', () => params.push(this.#definition()));
    cursor.expect('->');
    const signature = this.#signature();
    const attrs = cursor.accept('attrs') ? parseAttrs(cursor, noTypes) : {};
    cursor.expect('{');
    const bindings: Binding[] = [];
    while (!cursor.at('return')) {
      if (cursor.at('}') || cursor.peek().kind === 'end') throw cursor.expected('a binding or `return`');
      bindings.push(this.#binding());
    }
    const results = this.#results(signature);
    cursor.expect('}');
    return { kind: 'graph', name, params, bindings, results, resultNames: signature.flatMap((r) => (r.name === null ? [] : [r.name])), attrs };
  }

  /** `f32[n]` or `(logits: f32[n], f32[2])`. */
  #signature(): { readonly name: string | null; readonly type: Type }[] {
    const cursor = this.#cursor;
    if (!cursor.accept('(')) return [{ name: null, type: parseType(cursor, noTypes) }];
    const results: { readonly name: string | null; readonly type: Type }[] = [];
    cursor.list(')', () => {
      const named = cursor.at(':', 1);
      if (named && results.some((r) => r.name === null)) throw cursor.error('expected', 'results with a name come before those without', cursor.peek());
      const name = named ? cursor.key('the name of a result') : null;
      if (named) cursor.expect(':');
      results.push({ name, type: parseType(cursor, noTypes) });
    });
    return results;
  }

  #results(signature: readonly { readonly type: Type }[]): Value[] {
    const cursor = this.#cursor;
    const start = cursor.expect('return');
    const results: Value[] = [];
    while (cursor.peek().kind === 'value' || cursor.peek().kind === 'global') {
      const token = cursor.peek();
      const value = this.#use();
      const declared = signature[results.length]?.type;
      if (declared !== undefined && diffTypes(declared, value.type) !== null) {
        throw cursor.error('result-type', `the signature says ${typeText(declared, noTypes)} and this value is ${typeText(value.type, noTypes)}`, token);
      }
      results.push(value);
      if (!cursor.accept(',')) break;
    }
    if (results.length !== signature.length) {
      throw cursor.error('result-count', `the signature has ${signature.length} result${signature.length === 1 ? '' : 's'}, and ${results.length} are returned`, start);
    }
    return results;
  }

  /** `%x: f32[n]`. */
  #definition(): Value {
    const cursor = this.#cursor;
    const token = cursor.peek();
    if (token.kind !== 'value') throw cursor.expected('a value such as `%x`');
    cursor.next();
    if (this.#values.has(token.text)) throw cursor.error('duplicate-name', `the value \`%${token.text}\` is already defined`, token);
    cursor.expect(':', ' and the type');
    const value: Value = { name: token.text, type: parseType(cursor, noTypes), constant: false };
    this.#values.set(token.text, value);
    return value;
  }

  #use(): Value {
    const cursor = this.#cursor;
    const token = cursor.next();
    const found = (token.kind === 'global' ? this.#constants : this.#values).get(token.text);
    if (found !== undefined) return found;
    if (token.kind === 'global') throw cursor.error('undefined-constant', `no constant named \`@${token.text}\``, token);
    throw cursor.error('undefined-value', `the value \`%${token.text}\` is not defined before this use`, token);
  }

  #binding(): Binding {
    const cursor = this.#cursor;
    // Results are defined after the arguments: a binding cannot use its own.
    const start = cursor.position;
    const hasResults = cursor.peek().kind === 'value';
    if (hasResults) this.#skipResults();
    const call = this.#call();
    const end = cursor.position;
    const results: Value[] = [];
    if (hasResults) {
      cursor.seek(start);
      do results.push(this.#definition());
      while (cursor.accept(','));
      cursor.expect('=');
      cursor.seek(end);
    }
    return { ...call, results };
  }

  #skipResults(): void {
    const cursor = this.#cursor;
    do {
      const token = cursor.next();
      if (token.kind !== 'value') {
        cursor.seek(cursor.position - 1);
        throw cursor.expected('a value such as `%x`');
      }
      cursor.expect(':', ' and the type');
      parseType(cursor, noTypes);
    } while (cursor.accept(','));
    cursor.expect('=');
  }

  #call(): Omit<Binding, 'results'> {
    const cursor = this.#cursor;
    const { kind, callee } = this.#callee();
    cursor.expect('(', ' and the arguments');
    const args: (Value | null)[] = [];
    const scalars: Expr[] = [];
    while (!cursor.at(')') && !cursor.at(';')) {
      const token = cursor.peek();
      if (cursor.accept('_')) args.push(null);
      else if (token.kind === 'value' || token.kind === 'global') args.push(this.#use());
      else throw cursor.expected('a value, a constant or `_`');
      if (!cursor.accept(',') && !cursor.at(')') && !cursor.at(';')) throw cursor.expected('`,` or `)`');
    }
    if (cursor.accept(';')) cursor.list(')', () => scalars.push(parseExpression(cursor, noTypes)));
    else cursor.expect(')');
    const attrs: Attrs = cursor.at('{') ? parseAttrs(cursor, noTypes) : {};
    const effects = cursor.accept('effects') ? this.#effects() : null;
    let loc: string | null = null;
    if (cursor.accept('loc')) {
      cursor.expect('(');
      loc = cursor.string('a location in quotes');
      cursor.expect(')');
    }
    return { kind, callee, args, scalars, attrs, effects, loc };
  }

  #callee(): { readonly kind: BindingKind; readonly callee: string } {
    const cursor = this.#cursor;
    if (cursor.accept('kernel')) return { kind: 'kernel', callee: cursor.global('a tensor function such as `@f`') };
    if (cursor.accept('region')) return { kind: 'region', callee: cursor.global('a graph function such as `@f`') };
    if (cursor.accept('extern')) return { kind: 'extern', callee: cursor.string('a symbol in quotes') };
    for (const kind of ['if', 'loop'] as const) {
      if (cursor.accept(kind)) return { kind, callee: cursor.peek().kind === 'string' ? cursor.next().text : '' };
    }
    return { kind: 'op', callee: cursor.name('an operator, `kernel`, `region`, `extern`, `if` or `loop`') };
  }

  /** `effects(mutates 0, 1; aliases 0 = 1)`. */
  #effects(): Effects {
    const cursor = this.#cursor;
    const mutates: number[] = [];
    const aliases: [number, number][] = [];
    cursor.expect('(');
    if (cursor.accept('mutates')) {
      do mutates.push(cursor.integer('the index of an argument'));
      while (cursor.accept(','));
      if (!cursor.accept(';') && !cursor.at(')')) throw cursor.expected('`;` or `)`');
    }
    if (cursor.accept('aliases')) {
      do {
        const result = cursor.integer('the index of a result');
        cursor.expect('=');
        aliases.push([result, cursor.integer('the index of an argument')]);
      } while (cursor.accept(','));
    }
    cursor.expect(')');
    return { mutates, aliases };
  }
}
