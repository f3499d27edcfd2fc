import type { Block, Buffer, BufferRegion, Expr, For, Stmt, TensorFunction } from '@tenon/plugin';
import type { Verification } from './env.ts';
import { verifyExpr, type ExprScope } from './expr.ts';

export function verifyTensor(v: Verification, fn: TensorFunction): void {
  new TensorVerifier(v, fn).run();
}

interface Variable {
  readonly dtype: string;
  /** A loop's variable cannot be used inside a block, which sees the loops through its iteration variables alone. */
  readonly loop: boolean;
}

/** A block around the current place. */
interface BlockFrame {
  readonly block: Block;
  readonly reads: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
  /** Buffers allocated inside. */
  readonly own: Set<string>;
}

class TensorVerifier {
  readonly #v: Verification;
  readonly #fn: TensorFunction;
  #variables = new Map<string, Variable>();
  readonly #hiddenLoops = new Set<string>();
  readonly #buffers = new Map<string, Buffer>();
  readonly #bufferNames = new Set<string>();
  readonly #blocks: BlockFrame[] = [];
  readonly #loops: For[] = [];
  readonly #scope: ExprScope = {
    variable: (name) => this.#variables.get(name)?.dtype,
    buffer: (name) => {
      const buffer = this.#buffers.get(name);
      return buffer && { dtype: buffer.dtype, rank: buffer.shape.length };
    },
    onLoad: (buffer) => this.#accessed(buffer, 'read'),
  };

  constructor(v: Verification, fn: TensorFunction) {
    this.#v = v;
    this.#fn = fn;
  }

  run(): void {
    const { fn, v } = { fn: this.#fn, v: this.#v };
    for (const name of fn.scalars) this.#declareParameter(name);
    for (const buffer of [...fn.inputs, ...fn.outputs]) {
      for (const dim of buffer.shape) {
        for (const name of v.env.exprs.variables(dim)) if (!this.#variables.has(name)) this.#variables.set(name, { dtype: 'i64', loop: false });
      }
    }
    for (const buffer of [...fn.inputs, ...fn.outputs]) this.#declareBuffer(buffer);
    this.#stmt(fn.body);
  }

  #report(code: string, message: string): void {
    const block = this.#blocks.at(-1)?.block.name;
    this.#v.report(code, `@${this.#fn.name}${block === undefined ? '' : `: block ${block}`}: ${message}`);
  }

  #declareParameter(name: string): void {
    if (this.#variables.has(name)) this.#report('duplicate-variable', `the scalar ${name} is declared twice`);
    this.#variables.set(name, { dtype: 'i64', loop: false });
  }

  #declareBuffer(buffer: Buffer): void {
    if (this.#bufferNames.has(buffer.name)) this.#report('duplicate-buffer', `the buffer ${buffer.name} is declared twice`);
    this.#bufferNames.add(buffer.name);
    this.#buffers.set(buffer.name, buffer);
    if (this.#v.dtype(buffer.dtype) === null) this.#report('unknown-dtype', `the buffer ${buffer.name}: nobody declares the dtype ${buffer.dtype}`);
    for (const dim of buffer.shape) this.#integer(dim, `a size of the buffer ${buffer.name}`);
  }

  #expr(e: Expr, effect = false): void {
    verifyExpr(this.#v, e, this.#scope, (code, message) => {
      const hidden = code === 'undefined-variable' && this.#v.env.exprs.variables(e).find((name) => !this.#variables.has(name) && this.#hiddenLoops.has(name));
      if (hidden) this.#report('block-captures-loop', `it uses the loop variable ${hidden}; a block sees loops through its iteration variables only`);
      else this.#report(code, message);
    }, effect);
  }
  #integer(e: Expr, what: string): void {
    this.#expr(e);
    if (e.dtype !== 'i64') this.#report('index-dtype', `${what} has dtype ${e.dtype}, expected i64`);
  }
  #condition(e: Expr, what: string): void {
    this.#expr(e);
    if (e.dtype !== 'bool') this.#report('condition', `${what} has dtype ${e.dtype}, expected bool`);
  }

  #bind(name: string, variable: Variable, body: () => void): void {
    const old = this.#variables.get(name);
    if (old !== undefined) this.#report('shadowed-variable', `the variable ${name} hides another of that name`);
    this.#variables.set(name, variable);
    body();
    if (old === undefined) this.#variables.delete(name);
    else this.#variables.set(name, old);
  }

  /** A buffer is read or written: every block around says so, unless the buffer is its own. */
  #accessed(buffer: string, how: 'read' | 'write'): void {
    for (let i = this.#blocks.length - 1; i >= 0; i--) {
      const { block, reads, writes, own } = this.#blocks[i]!;
      if (own.has(buffer)) return;
      // A reduction reads its accumulator, which it declares as written.
      const accumulates = block.iters.some((iter) => iter.type === 'reduce') && writes.has(buffer);
      if (how === 'read' ? !reads.has(buffer) && !accumulates : !writes.has(buffer)) {
        return this.#report(how === 'read' ? 'undeclared-read' : 'undeclared-write', `block ${block.name} ${how === 'read' ? 'reads' : 'writes'} ${buffer} and does not declare it`);
      }
    }
  }

  #stmt(s: Stmt): void {
    switch (s.kind) {
      case 'store': {
        const buffer = this.#buffers.get(s.buffer);
        for (const index of s.indices) this.#integer(index, `an index of ${s.buffer}`);
        this.#expr(s.value);
        if (buffer === undefined) return this.#report('undefined-buffer', `the buffer ${s.buffer} is not in scope`);
        if (this.#fn.inputs.includes(buffer)) this.#report('store-to-input', `it stores to the input ${s.buffer}`);
        if (buffer.shape.length !== s.indices.length) this.#report('index-count', `a store with ${s.indices.length} indices to ${s.buffer}, which has rank ${buffer.shape.length}`);
        if (buffer.dtype !== s.value.dtype) this.#report('store-dtype', `a store of ${s.value.dtype} to ${s.buffer}, which holds ${buffer.dtype}`);
        return this.#accessed(s.buffer, 'write');
      }
      case 'evaluate':
        return this.#expr(s.value, true);
      case 'seq':
        return s.body.forEach((item) => this.#stmt(item));
      case 'let':
        this.#expr(s.value);
        return this.#bind(s.variable, { dtype: s.value.dtype, loop: false }, () => this.#stmt(s.body));
      case 'alloc':
        this.#declareBuffer(s.buffer);
        this.#blocks.at(-1)?.own.add(s.buffer.name);
        this.#stmt(s.body);
        this.#buffers.delete(s.buffer.name);
        return;
      case 'if':
        this.#condition(s.condition, 'the condition of an `if`');
        this.#stmt(s.then);
        if (s.otherwise !== null) this.#stmt(s.otherwise);
        return;
      case 'while':
        this.#condition(s.condition, 'the condition of a `while`');
        if (this.#loops.some((loop) => loop.loop === 'vectorized')) this.#report('vectorized-body', 'a `while` inside a vectorized loop');
        return this.#stmt(s.body);
      case 'for':
        return this.#for(s);
      case 'block':
        return this.#block(s);
    }
  }

  #for(loop: For): void {
    const { variable, extent } = loop;
    const kind = typeof loop.loop === 'string' ? loop.loop : 'thread';
    this.#integer(extent, `the extent of the loop ${variable}`);
    if ((kind === 'vectorized' || kind === 'unrolled') && this.#v.env.exprs.valueOf(extent) === null) {
      this.#report(`${kind}-extent`, `the ${kind} loop ${variable} has an extent that is no constant`);
    }
    if (kind === 'parallel' && this.#loops.some((outer) => outer.loop === 'parallel')) this.#report('nested-parallel', `the parallel loop ${variable} is inside another`);
    if (kind !== 'serial' && kind !== 'unrolled' && this.#loops.some((outer) => outer.loop === 'vectorized')) {
      this.#report('vectorized-body', `the ${kind} loop ${variable} is inside a vectorized loop`);
    }
    if (typeof loop.loop !== 'string') {
      const { thread } = loop.loop;
      if (this.#loops.some((outer) => typeof outer.loop !== 'string' && outer.loop.thread === thread)) this.#report('nested-thread', `two loops around each other are bound to ${thread}`);
    }
    this.#loops.push(loop);
    this.#bind(variable, { dtype: 'i64', loop: true }, () => this.#stmt(loop.body));
    this.#loops.pop();
  }

  #block(block: Block): void {
    const names = new Set<string>();
    for (const iter of block.iters) {
      this.#integer(iter.extent, `the domain of ${iter.name}`);
      this.#integer(iter.binding, `the binding of ${iter.name}`);
      if (names.has(iter.name)) this.#report('duplicate-variable', `block ${block.name} has two iteration variables ${iter.name}`);
      names.add(iter.name);
    }
    if (block.predicate !== null) this.#condition(block.predicate, `the predicate of block ${block.name}`);

    const outer = this.#variables;
    const hidden = [...outer].filter(([name, variable]) => variable.loop && !this.#hiddenLoops.has(name)).map(([name]) => name);
    for (const name of hidden) this.#hiddenLoops.add(name);
    for (const name of names) if (outer.has(name)) this.#report('shadowed-variable', `the iteration variable ${name} of block ${block.name} hides another variable of that name`);
    this.#variables = new Map([...outer].filter(([, variable]) => !variable.loop));
    for (const name of names) this.#variables.set(name, { dtype: 'i64', loop: false });
    for (const region of [...block.reads, ...block.writes]) this.#region(block, region);
    this.#blocks.push({
      block, own: new Set(),
      reads: new Set(block.reads.map((r) => r.buffer)),
      writes: new Set(block.writes.map((r) => r.buffer)),
    });
    if (block.init !== null) this.#stmt(block.init);
    this.#stmt(block.body);
    this.#blocks.pop();
    this.#variables = outer;
    for (const name of hidden) this.#hiddenLoops.delete(name);
  }

  #region(block: Block, region: BufferRegion): void {
    const buffer = this.#buffers.get(region.buffer);
    if (buffer === undefined) return this.#report('undefined-buffer', `block ${block.name} declares a region of ${region.buffer}, which is not in scope`);
    if (region.start.length !== buffer.shape.length || region.extent.length !== buffer.shape.length) {
      this.#report('region-rank', `block ${block.name} declares a region of ${region.buffer} with ${region.start.length} axes, and the buffer has ${buffer.shape.length}`);
    }
    for (const e of [...region.start, ...region.extent]) this.#integer(e, `the region of ${region.buffer}`);
  }
}
