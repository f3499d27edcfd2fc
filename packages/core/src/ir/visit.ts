import type { Buffer, BufferRegion, Expr, Stmt, TensorFunction } from '@tenon/plugin';

/** The statements directly inside a statement. */
export function childrenOf(stmt: Stmt): readonly Stmt[] {
  switch (stmt.kind) {
    case 'for':
    case 'alloc':
    case 'let':
    case 'while':
      return [stmt.body];
    case 'block':
      return stmt.init === null ? [stmt.body] : [stmt.init, stmt.body];
    case 'seq':
      return stmt.body;
    case 'if':
      return stmt.otherwise === null ? [stmt.then] : [stmt.then, stmt.otherwise];
    case 'store':
    case 'evaluate':
      return [];
  }
}

/** The scalar expressions that a statement itself holds, without those of statements inside it. */
export function expressionsOf(stmt: Stmt): readonly Expr[] {
  switch (stmt.kind) {
    case 'for':
      return [stmt.extent];
    case 'alloc':
      return stmt.buffer.shape;
    case 'let':
    case 'evaluate':
      return [stmt.value];
    case 'while':
    case 'if':
      return [stmt.condition];
    case 'block': {
      const all: Expr[] = [];
      for (const iter of stmt.iters) all.push(iter.extent, iter.binding);
      if (stmt.predicate !== null) all.push(stmt.predicate);
      return all;
    }
    case 'store':
      return [...stmt.indices, stmt.value];
    case 'seq':
      return [];
  }
}

/** Calls `fn` for the statement and all inside it, outermost first. Return false to stay out of a statement. */
export function visitStmts(stmt: Stmt, fn: (s: Stmt) => boolean | void): void {
  if (fn(stmt) === false) return;
  for (const child of childrenOf(stmt)) visitStmts(child, fn);
}

/** Calls `fn` for every node of an expression, arguments last, each shared node once. */
export function visitExprs(e: Expr, fn: (e: Expr) => void, seen: Set<Expr> = new Set()): void {
  if (seen.has(e)) return;
  seen.add(e);
  fn(e);
  for (const arg of e.args) visitExprs(arg, fn, seen);
}

/** All loads in a statement and the statements inside it. */
export function loadsOf(stmt: Stmt): Expr[] {
  const loads: Expr[] = [];
  const seen = new Set<Expr>();
  visitStmts(stmt, (s) => {
    for (const e of expressionsOf(s)) visitExprs(e, (x) => void (x.op === 'load' && loads.push(x)), seen);
  });
  return loads;
}

/** Rebuilds a statement with `fn` applied to the statements directly inside; identical where nothing changed. */
export function mapChildren(stmt: Stmt, fn: (s: Stmt) => Stmt): Stmt {
  switch (stmt.kind) {
    case 'for':
    case 'alloc':
    case 'let':
    case 'while': {
      const body = fn(stmt.body);
      return body === stmt.body ? stmt : { ...stmt, body };
    }
    case 'block': {
      const init = stmt.init === null ? null : fn(stmt.init);
      const body = fn(stmt.body);
      return init === stmt.init && body === stmt.body ? stmt : { ...stmt, init, body };
    }
    case 'seq': {
      const body = stmt.body.map(fn);
      return body.every((s, i) => s === stmt.body[i]) ? stmt : seq(body);
    }
    case 'if': {
      const then = fn(stmt.then);
      const otherwise = stmt.otherwise === null ? null : fn(stmt.otherwise);
      return then === stmt.then && otherwise === stmt.otherwise ? stmt : { ...stmt, then, otherwise };
    }
    case 'store':
    case 'evaluate':
      return stmt;
  }
}

/** Rebuilds a statement with `fn` applied to every expression in it and in the statements inside. */
export function mapExpressions(stmt: Stmt, fn: (e: Expr) => Expr): Stmt {
  const all = (es: readonly Expr[]): readonly Expr[] => {
    const mapped = es.map(fn);
    return mapped.every((e, i) => e === es[i]) ? es : mapped;
  };
  const inside = mapChildren(stmt, (s) => mapExpressions(s, fn));
  switch (inside.kind) {
    case 'for':
      return { ...inside, extent: fn(inside.extent) };
    case 'alloc':
      return { ...inside, buffer: { ...inside.buffer, shape: all(inside.buffer.shape) } };
    case 'let':
    case 'evaluate':
      return { ...inside, value: fn(inside.value) };
    case 'while':
    case 'if':
      return { ...inside, condition: fn(inside.condition) };
    case 'block': {
      const region = (r: BufferRegion): BufferRegion => ({ buffer: r.buffer, start: all(r.start), extent: all(r.extent) });
      return {
        ...inside,
        iters: inside.iters.map((iter) => ({ ...iter, extent: fn(iter.extent), binding: fn(iter.binding) })),
        predicate: inside.predicate === null ? null : fn(inside.predicate),
        reads: inside.reads.map(region),
        writes: inside.writes.map(region),
      };
    }
    case 'store':
      return { ...inside, indices: all(inside.indices), value: fn(inside.value) };
    case 'seq':
      return inside;
  }
}

/** A sequence; nested sequences are spliced, and a single statement stands for itself. */
export function seq(body: readonly Stmt[]): Stmt {
  const flat = body.flatMap((s) => (s.kind === 'seq' ? s.body : [s]));
  return flat.length === 1 ? flat[0]! : { kind: 'seq', body: flat };
}

/** Every buffer of a function by name: inputs, outputs and those allocated inside. */
export function buffersOf(fn: TensorFunction): ReadonlyMap<string, Buffer> {
  const buffers = new Map<string, Buffer>();
  for (const b of [...fn.inputs, ...fn.outputs]) buffers.set(b.name, b);
  visitStmts(fn.body, (s) => {
    if (s.kind === 'alloc') buffers.set(s.buffer.name, s.buffer);
  });
  return buffers;
}
