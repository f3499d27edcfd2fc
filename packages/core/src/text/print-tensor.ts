import type { Attrs, Block, Buffer, BufferRegion, Expr, For, If, IterVar, Stmt, TensorFunction } from '@tenon/plugin';
import { accessedRegions, isOne, matchesAccesses } from '../structure/accesses.ts';
import { equalExprs } from '../structure/diff.ts';
import { exprText } from './print-expr.ts';
import { attrsText, typeText } from './print-types.ts';
import { globalText, nameText } from './syntax.ts';
import { TensorScope } from './tensor-scope.ts';

const lineWidth = 120;

export function tensorText(fn: TensorFunction): string {
  const printer = new TensorPrinter();
  printer.function(fn);
  return printer.lines.join('\n');
}

class TensorPrinter {
  readonly lines: string[] = [];
  readonly #scope = new TensorScope();
  #indent = '';

  function(fn: TensorFunction): void {
    const declared = (b: Buffer) => {
      const text = this.#buffer(b);
      this.#scope.declareBuffer(b);
      return text;
    };
    const params = [
      ...fn.inputs.map(declared),
      ...fn.outputs.map((b) => `out ${declared(b)}`),
      ...fn.scalars.map((name) => `scalar ${nameText(name)}`),
    ];
    this.#line(`tensor ${globalText(fn.name)}(${params.join(', ')})${this.#attrs(fn.attrs)} {`);
    this.#braced(() => this.#body(fn.body));
  }

  #line(text: string): void {
    this.lines.push(this.#indent + text);
  }
  #braced(body: () => void): void {
    this.#indent += '  ';
    body();
    this.#indent = this.#indent.slice(2);
    this.#line('}');
  }
  #expr(e: Expr): string {
    return exprText(e, this.#scope);
  }
  #attrs(attrs: Attrs): string {
    return Object.keys(attrs).length === 0 ? '' : ` attrs ${attrsText(attrs, this.#scope)}`;
  }
  #buffer(b: Buffer): string {
    const type = typeText({ kind: 'tensor', dtype: b.dtype, shape: b.shape, annotations: {} }, this.#scope);
    return `${nameText(b.name)}: ${type}${b.scope === 'global' ? '' : ` in ${nameText(b.scope)}`}`;
  }

  /** The contents of braces: a sequence's statements, or one statement. */
  #body(stmt: Stmt): void {
    this.#statements(stmt.kind === 'seq' && stmt.body.length !== 1 ? stmt.body : [stmt]);
  }
  #statements(list: readonly Stmt[]): void {
    list.forEach((s, i) => this.#statement(s, i === list.length - 1));
  }

  /** A `let` or `alloc` that stands last has the rest of the braces as its body, and needs none of its own. */
  #statement(s: Stmt, last: boolean): void {
    switch (s.kind) {
      case 'store':
        this.#line(`${nameText(s.buffer)}[${s.indices.map((i) => this.#expr(i)).join(', ')}] = ${this.#expr(s.value)}`);
        break;
      case 'evaluate':
        this.#line(`evaluate ${this.#expr(s.value)}`);
        break;
      case 'seq':
        this.#line('seq {');
        this.#braced(() => this.#statements(s.body));
        break;
      case 'let':
        this.#scoped(`let ${nameText(s.variable)} = ${this.#expr(s.value)}`, s.body, last, (body) =>
          this.#scope.withVariable(s.variable, s.value.dtype, null, body));
        break;
      case 'alloc':
        this.#scoped(`alloc ${this.#buffer(s.buffer)}`, s.body, last, (body) => this.#scope.withBuffer(s.buffer, body));
        break;
      case 'if':
        this.#if(s, false);
        break;
      case 'while':
        this.#line(`while ${this.#expr(s.condition)} {`);
        this.#braced(() => this.#body(s.body));
        break;
      case 'for':
        this.#for(s);
        break;
      case 'block':
        this.#block(s);
    }
  }

  #scoped(head: string, body: Stmt, last: boolean, enter: (body: () => void) => void): void {
    this.#line(last ? head : `${head} {`);
    if (last) enter(() => this.#body(body));
    else this.#braced(() => enter(() => this.#body(body)));
  }

  /** `chained`: after an `else` on the line before. */
  #if(s: If, chained: boolean): void {
    const head = `if ${this.#expr(s.condition)} {`;
    if (chained) this.#append(head);
    else this.#line(head);
    this.#braced(() => this.#body(s.then));
    const { otherwise } = s;
    if (otherwise === null) return;
    this.#append(' else ');
    if (otherwise.kind === 'if') return this.#if(otherwise, true);
    this.#append('{');
    this.#braced(() => this.#body(otherwise));
  }
  #append(text: string): void {
    this.lines[this.lines.length - 1] += text;
  }

  /** Loops nested without anything between them share a line. */
  #for(outer: For): void {
    const clauses: string[] = [];
    const enter = (loop: For): void => {
      const kind = typeof loop.loop === 'string' ? (loop.loop === 'serial' ? '' : `: ${loop.loop}`) : `: thread(${JSON.stringify(loop.loop.thread)})`;
      clauses.push(`${nameText(loop.variable)}${kind} in 0..${this.#expr(loop.extent)}${this.#attrs(loop.annotations)}`);
      this.#scope.withVariable(loop.variable, 'i64', loop.extent, () => {
        if (loop.body.kind === 'for') return enter(loop.body);
        this.#list('for ', clauses, ' {');
        this.#braced(() => this.#body(loop.body));
      });
    };
    enter(outer);
  }

  /** Items on one line, or one a line where that would be long. */
  #list(before: string, items: readonly string[], after: string, comma = ','): void {
    const line = before + items.join(`${comma} `) + after;
    this.#line(line.length + this.#indent.length <= lineWidth ? line : before + items.join(`${comma}\n${this.#indent}    `) + after);
  }

  #block(b: Block): void {
    const iters = b.iters.map((iter) => this.#iter(iter)).join(', ');
    const clauses = b.predicate === null ? [] : [`where ${this.#expr(b.predicate)}`];
    this.#scope.withIters(b.iters, () => {
      const found = accessedRegions(b.init, b.body);
      const { shapes } = this.#scope;
      if (!matchesAccesses(b.reads, found.reads, shapes)) clauses.push(`reads(${b.reads.map((r) => this.#region(r)).join(', ')})`);
      if (!matchesAccesses(b.writes, found.writes, shapes)) clauses.push(`writes(${b.writes.map((r) => this.#region(r)).join(', ')})`);
      if (Object.keys(b.annotations).length > 0) clauses.push(this.#attrs(b.annotations).trimStart());
      this.#list('', [`block ${nameText(b.name)}(${iters})`, ...clauses], ' {', '');
      this.#braced(() => {
        if (b.init !== null) {
          this.#line('init {');
          this.#braced(() => this.#body(b.init!));
        }
        this.#body(b.body);
      });
    });
  }

  /** The domain is left out where the variable stands for a loop around the block that has the same. */
  #iter(iter: IterVar): string {
    const extent = this.#scope.loopExtent(iter.binding);
    const domain = extent !== null && equalExprs(extent, iter.extent) ? '' : ` in 0..${this.#expr(iter.extent)}`;
    return `${nameText(iter.name)}: ${iter.type}${domain} = ${this.#expr(iter.binding)}`;
  }

  #region(r: BufferRegion): string {
    const axes = r.start.map((start, i) => {
      const extent = r.extent[i];
      return this.#expr(start) + (extent === undefined || isOne(extent) ? '' : ` +: ${this.#expr(extent)}`);
    });
    return `${nameText(r.buffer)}[${axes.join(', ')}]`;
  }
}
