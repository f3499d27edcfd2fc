import type { Attrs, Block, Buffer, BufferRegion, Expr, IterVar, LoopKind, Stmt, TensorFunction } from '@tenon/plugin';
import { accessedRegions, regionsOf } from '../structure/accesses.ts';
import { describe, type Cursor } from './cursor.ts';
import type { Token } from './lexer.ts';
import { parseExpression } from './parse-expr.ts';
import { parseAttrs, parseTensorType } from './parse-types.ts';
import { reserved } from './syntax.ts';
import { TensorScope } from './tensor-scope.ts';

/** A tensor function, after the word `tensor` and its name. */
export function parseTensor(cursor: Cursor, name: string): TensorFunction {
  return new TensorParser(cursor).function(name);
}

/** A loop whose body is not parsed yet. */
interface LoopHead {
  readonly variable: string;
  readonly extent: Expr;
  readonly loop: LoopKind;
  readonly annotations: Attrs;
}

class TensorParser {
  readonly #cursor: Cursor;
  readonly #scope = new TensorScope();

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  function(name: string): TensorFunction {
    const cursor = this.#cursor;
    const inputs: Buffer[] = [];
    const outputs: Buffer[] = [];
    const scalars: string[] = [];
    cursor.expect('(');
    cursor.list(')', () => {
      // `out: f32[n]` is a buffer of that name, `out y: f32[n]` an output.
      const modifier = cursor.peek(1).kind === 'name';
      if (modifier && cursor.accept('scalar')) {
        scalars.push(this.#name('the name of a scalar'));
        return;
      }
      const list = modifier && cursor.accept('out') ? outputs : inputs;
      const token = cursor.peek();
      const buffer = this.#buffer();
      if (this.#scope.buffers.has(buffer.name)) throw cursor.error('duplicate-name', `the buffer \`${buffer.name}\` is already declared`, token);
      this.#scope.declareBuffer(buffer);
      list.push(buffer);
    });
    const attrs = this.#attrs();
    const body = this.#braces();
    return { kind: 'tensor', name, inputs, outputs, scalars, body, attrs };
  }

  #name(what: string): string {
    const token = this.#cursor.peek();
    if (token.kind === 'name' && !token.quoted && reserved.has(token.text)) throw this.#cursor.expected(what, 'A name that is a word of the language is quoted with backticks.');
    return this.#cursor.name(what);
  }
  #expr(): Expr {
    return parseExpression(this.#cursor, this.#scope);
  }
  #attrs(): Attrs {
    return this.#cursor.accept('attrs') ? parseAttrs(this.#cursor, this.#scope) : {};
  }

  /** `A: f32[n, 4] in local`. */
  #buffer(): Buffer {
    const cursor = this.#cursor;
    const name = this.#name('the name of a buffer');
    cursor.expect(':', ' and the type');
    const token = cursor.peek();
    const type = parseTensorType(cursor, this.#scope);
    if (Object.keys(type.annotations).length > 0) throw cursor.error('expected', 'a buffer has no annotations', token);
    return { name, dtype: type.dtype, shape: type.shape, scope: cursor.accept('in') ? cursor.name('a memory scope') : 'global' };
  }

  #braces(): Stmt {
    this.#cursor.expect('{');
    const body = this.#body();
    this.#cursor.expect('}');
    return body;
  }
  /** Statements up to the closing brace: one stands for itself, others are a sequence. */
  #body(): Stmt {
    const list = this.#statements();
    return list.length === 1 ? list[0]! : { kind: 'seq', body: list };
  }
  #statements(): Stmt[] {
    const list: Stmt[] = [];
    while (!this.#cursor.at('}') && this.#cursor.peek().kind !== 'end') list.push(this.#statement());
    return list;
  }

  #statement(): Stmt {
    const cursor = this.#cursor;
    const token = cursor.peek();
    if (token.kind !== 'name') throw cursor.expected('a statement');
    if (token.quoted || !reserved.has(token.text)) return this.#store();
    cursor.next();
    switch (token.text) {
      case 'for':
        return this.#for();
      case 'block':
        return this.#block();
      case 'if':
        return this.#if();
      case 'while': {
        const condition = this.#expr();
        return { kind: 'while', condition, body: this.#braces() };
      }
      case 'let': {
        const variable = this.#name('the name of a variable');
        cursor.expect('=');
        const value = this.#expr();
        return { kind: 'let', variable, value, body: this.#scope.withVariable(variable, value.dtype, null, () => this.#rest()) };
      }
      case 'alloc': {
        const buffer = this.#buffer();
        return { kind: 'alloc', buffer, body: this.#scope.withBuffer(buffer, () => this.#rest()) };
      }
      case 'seq': {
        cursor.expect('{');
        const body = this.#statements();
        cursor.expect('}');
        return { kind: 'seq', body };
      }
      case 'evaluate':
        return { kind: 'evaluate', value: this.#expr() };
      default:
        throw cursor.error('expected', `expected a statement, found ${describe(token)}`, token);
    }
  }

  /** What a `let` or `alloc` is for: its own braces, or all that follows it. */
  #rest(): Stmt {
    return this.#cursor.at('{') ? this.#braces() : this.#body();
  }

  #store(): Stmt {
    const cursor = this.#cursor;
    const buffer = this.#declared();
    const indices: Expr[] = [];
    cursor.expect('[', ' and the indices of a store');
    cursor.list(']', () => indices.push(this.#expr()));
    cursor.expect('=');
    return { kind: 'store', buffer, indices, value: this.#expr() };
  }

  /** The name of a buffer in scope. */
  #declared(): string {
    const token = this.#cursor.peek();
    const name = this.#name('the name of a buffer');
    if (!this.#scope.buffers.has(name)) throw this.#cursor.error('undefined-buffer', `no buffer named \`${name}\` is in scope`, token);
    return name;
  }

  #if(): Stmt {
    const cursor = this.#cursor;
    const condition = this.#expr();
    const then = this.#braces();
    let otherwise: Stmt | null = null;
    if (cursor.accept('else')) otherwise = cursor.accept('if') ? this.#if() : this.#braces();
    return { kind: 'if', condition, then, otherwise };
  }

  /** `i: parallel in 0..n, j in 0..4 { … }`, after the word `for`. */
  #for(): Stmt {
    const cursor = this.#cursor;
    const head = this.#loopHead();
    const body = this.#scope.withVariable(head.variable, 'i64', head.extent, () => {
      if (cursor.accept(',')) return this.#for();
      if (!cursor.at('{')) throw cursor.expected('`,` and another loop, or `{`');
      return this.#braces();
    });
    return { kind: 'for', ...head, body };
  }

  #loopHead(): LoopHead {
    const cursor = this.#cursor;
    const variable = this.#name('a loop variable');
    const loop = cursor.accept(':') ? this.#loopKind() : 'serial';
    cursor.expect('in');
    const extent = this.#range();
    return { variable, extent, loop, annotations: this.#attrs() };
  }

  #loopKind(): LoopKind {
    const cursor = this.#cursor;
    for (const kind of ['serial', 'parallel', 'vectorized', 'unrolled'] as const) if (cursor.accept(kind)) return kind;
    if (!cursor.accept('thread')) throw cursor.expected('`serial`, `parallel`, `vectorized`, `unrolled` or `thread("…")`');
    cursor.expect('(');
    const thread = cursor.string('the name of a thread axis in quotes');
    cursor.expect(')');
    return { thread };
  }

  /** `0..n`. */
  #range(): Expr {
    const token: Token = this.#cursor.peek();
    if (this.#cursor.integer('a range that begins with 0') !== 0) throw this.#cursor.error('expected', 'ranges begin with 0', token);
    this.#cursor.expect('..');
    return this.#expr();
  }

  /** `name(vi: spatial = i, vk: reduce in 0..8 = k) where … reads(…) writes(…) attrs {…} { init { … } … }`. */
  #block(): Block {
    const cursor = this.#cursor;
    const name = cursor.name('the name of a block');
    const iters: IterVar[] = [];
    cursor.expect('(', ' and the iteration variables of the block');
    cursor.list(')', () => iters.push(this.#iter()));
    const predicate = cursor.accept('where') ? this.#expr() : null;
    return this.#scope.withIters(iters, () => {
      const reads = cursor.accept('reads') ? this.#regions() : null;
      const writes = cursor.accept('writes') ? this.#regions() : null;
      const annotations = this.#attrs();
      cursor.expect('{');
      const init = cursor.accept('init') ? this.#braces() : null;
      const body = this.#body();
      cursor.expect('}');
      const found = reads === null || writes === null ? accessedRegions(init, body) : null;
      return {
        kind: 'block', name, iters, predicate, init, body, annotations,
        reads: reads ?? regionsOf(found!.reads, this.#scope.shapes, cursor.exprs),
        writes: writes ?? regionsOf(found!.writes, this.#scope.shapes, cursor.exprs),
      };
    });
  }

  #iter(): IterVar {
    const cursor = this.#cursor;
    const token = cursor.peek();
    const name = this.#name('an iteration variable');
    cursor.expect(':', ' and `spatial` or `reduce`');
    const type = cursor.accept('spatial') ? 'spatial' : cursor.accept('reduce') ? 'reduce' : null;
    if (type === null) throw cursor.expected('`spatial` or `reduce`');
    const domain = cursor.accept('in') ? this.#range() : null;
    cursor.expect('=');
    const binding = this.#expr();
    const extent = domain ?? this.#scope.loopExtent(binding);
    if (extent === null) {
      throw cursor.error('domain', `the domain of \`${name}\` cannot be told from its binding, which is no loop variable`, token, `Write it: \`${name}: ${type} in 0..n = …\`.`);
    }
    return { name, type, extent, binding };
  }

  /** `(A[vi, vk], B[vk * 4 +: 4, 0 +: n])`. */
  #regions(): BufferRegion[] {
    const cursor = this.#cursor;
    const regions: BufferRegion[] = [];
    cursor.expect('(');
    cursor.list(')', () => {
      const buffer = this.#name('the name of a buffer');
      const start: Expr[] = [];
      const extent: Expr[] = [];
      cursor.expect('[');
      cursor.list(']', () => {
        start.push(this.#expr());
        extent.push(cursor.accept('+:') ? this.#expr() : cursor.exprs.make('const', 'i64', [], 1));
      });
      regions.push({ buffer, start, extent });
    });
    return regions;
  }
}
