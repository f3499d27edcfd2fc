import type {
  Attrs, AttrValue, Binding, Block, Buffer, BufferRegion, ConstantDecl, DimDecl, Expr, GraphFunction, IRFunction, IRModule, IterVar, SourceDecl, Stmt,
  TensorFunction, Type, Value,
} from '@tenon/plugin';

/** A comparison's answer: null for equal, else the path to the first difference and what differs there. */
export type Difference = string | null;

/** Structural equality of expressions, of one session or of two. */
export function equalExprs(a: Expr, b: Expr): boolean {
  return exprsEqual(a, b, null);
}

/** Shared subexpressions are compared once: an expression is a graph, and as a tree it may be exponentially large. */
function exprsEqual(a: Expr, b: Expr, known: Map<Expr, Expr> | null): boolean {
  if (a === b) return true;
  if (a.op !== b.op || a.dtype !== b.dtype || a.args.length !== b.args.length || !equalNumbers(a.value, b.value)) return false;
  if (a.args.length === 0) return true;
  if (known?.get(a) === b) return true;
  const memo = known ?? new Map<Expr, Expr>();
  for (let i = 0; i < a.args.length; i++) if (!exprsEqual(a.args[i]!, b.args[i]!, memo)) return false;
  memo.set(a, b);
  return true;
}

/** −0 differs from 0, NaN equals NaN, and an integer is the same as number and as bigint. */
function equalNumbers(a: number | bigint | string | null, b: number | bigint | string | null): boolean {
  return typeof a === typeof b ? Object.is(a, b) : (typeof a === 'bigint' || typeof b === 'bigint') && a == b;
}

export function equalAttrs(a: Attrs, b: Attrs): boolean {
  return diffAttrs(a, b) === null;
}
export function equalTypes(a: Type, b: Type): boolean {
  return diffTypes(a, b) === null;
}

/** Structural equality. Locations do not count; names do. */
export function equalFunctions(a: IRFunction, b: IRFunction): boolean {
  return diffFunctions(a, b) === null;
}
export function equalModules(a: IRModule, b: IRModule): boolean {
  return diffModules(a, b) === null;
}

/** The first difference between two modules, as a path such as `@main.bindings[3].attrs.axis: 1, 2`, or null. */
export function diffModules(a: IRModule, b: IRModule): Difference {
  if (a === b) return null;
  return (
    within('dims', diffMaps(a.dims, b.dims, diffDims)) ??
    within('sources', diffMaps(a.sources, b.sources, diffSources)) ??
    within('constants', diffMaps(a.constants, b.constants, diffConstants)) ??
    diffMaps(a.functions, b.functions, diffFunctions, '@')
  );
}

export function diffFunctions(a: IRFunction, b: IRFunction): Difference {
  if (a === b) return null;
  if (a.kind === 'graph' && b.kind === 'graph') return diffGraphs(a, b);
  if (a.kind === 'tensor' && b.kind === 'tensor') return diffTensors(a, b);
  return `.kind: ${a.kind}, ${b.kind}`;
}

function within(path: string, difference: Difference): Difference {
  return difference === null ? null : path + difference;
}
function atom(path: string, a: unknown, b: unknown): Difference {
  return Object.is(a, b) ? null : `${path}: ${show(a)}, ${show(b)}`;
}
function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : Object.is(value, -0) ? '-0' : typeof value === 'bigint' ? `${value}n` : String(value);
}

/** Order counts: it is the order in which a module prints and its functions are compiled. */
function diffMaps<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>, each: (a: T, b: T) => Difference, sigil = '.'): Difference {
  const names = [...b.keys()];
  let i = 0;
  for (const [key, item] of a) {
    const other = b.get(key);
    if (other === undefined) return `${sigil}${key}: only in the first`;
    const difference = each(item, other);
    if (difference !== null) return `${sigil}${key}${difference}`;
    if (names[i] !== key && names.every((name) => a.has(name))) return `${sigil}${key}: in another order`;
    i++;
  }
  const extra = names.find((name) => !a.has(name));
  return extra === undefined ? null : `${sigil}${extra}: only in the second`;
}

function diffLists<T>(path: string, a: readonly T[], b: readonly T[], each: (a: T, b: T) => Difference): Difference {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = each(a[i]!, b[i]!);
    if (difference !== null) return `${path}[${i}]${difference}`;
  }
  return atom(`${path}.length`, a.length, b.length);
}

function diffExprs(a: Expr, b: Expr): Difference {
  if (a === b || equalExprs(a, b)) return null;
  // The path leads to the first node that differs.
  return (
    atom('.op', a.op, b.op) ?? atom('.dtype', a.dtype, b.dtype) ??
    (equalNumbers(a.value, b.value) ? null : `.value: ${show(a.value)}, ${show(b.value)}`) ??
    diffLists('.args', a.args, b.args, diffExprs)
  );
}
function diffOptionalExprs(a: Expr | null, b: Expr | null): Difference {
  return a === null || b === null ? atom('', a && 'expression', b && 'expression') : diffExprs(a, b);
}

export function diffAttrs(a: Attrs, b: Attrs): Difference {
  if (a === b) return null;
  for (const key of Object.keys(a)) {
    if (!Object.hasOwn(b, key)) return `.${key}: only in the first`;
    const difference = diffAttr(a[key]!, b[key]!);
    if (difference !== null) return `.${key}${difference}`;
  }
  const extra = Object.keys(b).find((key) => !Object.hasOwn(a, key));
  return extra === undefined ? null : `.${extra}: only in the second`;
}
function diffAttr(a: AttrValue, b: AttrValue): Difference {
  if (Object.is(a, b)) return null;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return atom('', a, b);
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) ? diffLists('', a as readonly AttrValue[], b as readonly AttrValue[], diffAttr) : ': a list, no list';
  }
  const x = (a as Partial<Expr>).tag === 'expr';
  const y = (b as Partial<Expr>).tag === 'expr';
  if (x !== y) return ': an expression, no expression';
  return x ? diffExprs(a as Expr, b as Expr) : diffAttrs(a as Attrs, b as Attrs);
}

export function diffTypes(a: Type, b: Type): Difference {
  if (a === b) return null;
  if (a.kind === 'tensor' && b.kind === 'tensor') {
    return atom('.dtype', a.dtype, b.dtype) ?? diffLists('.shape', a.shape, b.shape, diffExprs) ?? within('.annotations', diffAttrs(a.annotations, b.annotations));
  }
  if (a.kind === 'state' && b.kind === 'state') return within('.content', diffTypes(a.content, b.content));
  if ((a.kind === 'sequence' && b.kind === 'sequence') || (a.kind === 'optional' && b.kind === 'optional')) return within('.element', diffTypes(a.element, b.element));
  return atom('.kind', a.kind, b.kind);
}

function diffDims(a: DimDecl, b: DimDecl): Difference {
  return (
    atom('.name', a.name, b.name) ?? atom('.min', a.min, b.min) ?? atom('.max', a.max, b.max) ?? atom('.multipleOf', a.multipleOf, b.multipleOf) ??
    atom('.binding', a.binding, b.binding) ?? atom('.hint', a.hint, b.hint)
  );
}
function diffSources(a: SourceDecl, b: SourceDecl): Difference {
  return atom('.name', a.name, b.name) ?? atom('.uri', a.uri, b.uri) ?? atom('.id', a.id, b.id) ?? atom('.bytes', a.bytes, b.bytes);
}
function diffConstants(a: ConstantDecl, b: ConstantDecl): Difference {
  const head = atom('.name', a.name, b.name) ?? within('.type', diffTypes(a.type, b.type));
  if (head !== null) return head;
  const view = a.view === null || b.view === null ? atom('.view', a.view && 'attributes', b.view && 'attributes') : within('.view', diffAttrs(a.view, b.view));
  if (view !== null) return view;
  const [x, y] = [a.data, b.data];
  if (x.kind === 'range' && y.kind === 'range') return atom('.source', x.source, y.source) ?? atom('.offset', x.offset, y.offset) ?? atom('.bytes', x.bytes, y.bytes);
  if (x.kind !== 'inline' || y.kind !== 'inline') return atom('.data.kind', x.kind, y.kind);
  // An f32 element is what its four bytes hold, however the number was written.
  const single = a.type.dtype === 'f32';
  const element = (value: number | bigint) => (single ? Math.fround(Number(value)) : value);
  return diffLists('.values', x.values, y.values, (v, w) => (equalNumbers(element(v), element(w)) ? null : `: ${show(v)}, ${show(w)}`));
}

function diffGraphs(a: GraphFunction, b: GraphFunction): Difference {
  const pairs = new Map<Value, Value>();
  const define = (v: Value, w: Value): Difference => {
    pairs.set(v, w);
    return atom('.name', v.name, w.name) ?? atom('.constant', v.constant, w.constant) ?? within('.type', diffTypes(v.type, w.type));
  };
  const use = (v: Value | null, w: Value | null): Difference => {
    if (v === null || w === null) return atom('', v && v.name, w && w.name);
    if (!v.constant && pairs.has(v)) return pairs.get(v) === w ? null : `: ${show(v.name)}, ${show(w.name)}`;
    return atom('.name', v.name, w.name) ?? atom('.constant', v.constant, w.constant) ?? within('.type', diffTypes(v.type, w.type));
  };
  const binding = (x: Binding, y: Binding): Difference =>
    atom('.kind', x.kind, y.kind) ?? atom('.callee', x.callee, y.callee) ?? diffLists('.args', x.args, y.args, use) ??
    diffLists('.scalars', x.scalars, y.scalars, diffExprs) ?? within('.attrs', diffAttrs(x.attrs, y.attrs)) ?? diffEffects(x, y) ??
    diffLists('.results', x.results, y.results, define);
  return (
    atom('.name', a.name, b.name) ?? diffLists('.params', a.params, b.params, define) ?? diffLists('.bindings', a.bindings, b.bindings, binding) ??
    diffLists('.results', a.results, b.results, use) ?? diffLists('.resultNames', a.resultNames, b.resultNames, (x, y) => atom('', x, y)) ??
    within('.attrs', diffAttrs(a.attrs, b.attrs))
  );
}
function diffEffects(a: Binding, b: Binding): Difference {
  if (a.effects === null || b.effects === null) return atom('.effects', a.effects && 'effects', b.effects && 'effects');
  return (
    diffLists('.effects.mutates', a.effects.mutates, b.effects.mutates, (x, y) => atom('', x, y)) ??
    diffLists('.effects.aliases', a.effects.aliases, b.effects.aliases, (x, y) => atom('[0]', x[0], y[0]) ?? atom('[1]', x[1], y[1]))
  );
}

function diffBuffers(a: Buffer, b: Buffer): Difference {
  if (a === b) return null;
  return atom('.name', a.name, b.name) ?? atom('.dtype', a.dtype, b.dtype) ?? diffLists('.shape', a.shape, b.shape, diffExprs) ?? atom('.scope', a.scope, b.scope);
}
function diffTensors(a: TensorFunction, b: TensorFunction): Difference {
  return (
    atom('.name', a.name, b.name) ?? diffLists('.inputs', a.inputs, b.inputs, diffBuffers) ?? diffLists('.outputs', a.outputs, b.outputs, diffBuffers) ??
    diffLists('.scalars', a.scalars, b.scalars, (x, y) => atom('', x, y)) ?? within('.attrs', diffAttrs(a.attrs, b.attrs)) ?? within('.body', diffStmts(a.body, b.body))
  );
}

function diffStmts(a: Stmt, b: Stmt): Difference {
  if (a === b) return null;
  const body = (x: { readonly body: Stmt }, y: { readonly body: Stmt }) => within('.body', diffStmts(x.body, y.body));
  if (a.kind === 'store' && b.kind === 'store') {
    return atom('.buffer', a.buffer, b.buffer) ?? diffLists('.indices', a.indices, b.indices, diffExprs) ?? within('.value', diffExprs(a.value, b.value));
  }
  if (a.kind === 'evaluate' && b.kind === 'evaluate') return within('.value', diffExprs(a.value, b.value));
  if (a.kind === 'seq' && b.kind === 'seq') return diffLists('.body', a.body, b.body, diffStmts);
  if (a.kind === 'let' && b.kind === 'let') return atom('.variable', a.variable, b.variable) ?? within('.value', diffExprs(a.value, b.value)) ?? body(a, b);
  if (a.kind === 'alloc' && b.kind === 'alloc') return within('.buffer', diffBuffers(a.buffer, b.buffer)) ?? body(a, b);
  if (a.kind === 'while' && b.kind === 'while') return within('.condition', diffExprs(a.condition, b.condition)) ?? body(a, b);
  if (a.kind === 'if' && b.kind === 'if') {
    return within('.condition', diffExprs(a.condition, b.condition)) ?? within('.then', diffStmts(a.then, b.then)) ?? within('.otherwise', diffOptionalStmts(a.otherwise, b.otherwise));
  }
  if (a.kind === 'for' && b.kind === 'for') {
    const [x, y] = [a.loop, b.loop];
    return (
      atom('.variable', a.variable, b.variable) ?? within('.extent', diffExprs(a.extent, b.extent)) ??
      atom('.loop', typeof x === 'string' ? x : 'thread', typeof y === 'string' ? y : 'thread') ??
      (typeof x === 'string' || typeof y === 'string' ? null : atom('.loop.thread', x.thread, y.thread)) ??
      within('.annotations', diffAttrs(a.annotations, b.annotations)) ?? body(a, b)
    );
  }
  if (a.kind === 'block' && b.kind === 'block') return diffBlocks(a, b);
  return atom('.kind', a.kind, b.kind);
}
function diffOptionalStmts(a: Stmt | null, b: Stmt | null): Difference {
  return a === null || b === null ? atom('', a && 'statement', b && 'statement') : diffStmts(a, b);
}
function diffBlocks(a: Block, b: Block): Difference {
  const iter = (x: IterVar, y: IterVar) =>
    atom('.name', x.name, y.name) ?? atom('.type', x.type, y.type) ?? within('.extent', diffExprs(x.extent, y.extent)) ?? within('.binding', diffExprs(x.binding, y.binding));
  const region = (x: BufferRegion, y: BufferRegion) =>
    atom('.buffer', x.buffer, y.buffer) ?? diffLists('.start', x.start, y.start, diffExprs) ?? diffLists('.extent', x.extent, y.extent, diffExprs);
  return (
    atom('.name', a.name, b.name) ?? diffLists('.iters', a.iters, b.iters, iter) ?? diffLists('.reads', a.reads, b.reads, region) ??
    diffLists('.writes', a.writes, b.writes, region) ?? within('.predicate', diffOptionalExprs(a.predicate, b.predicate)) ??
    within('.init', diffOptionalStmts(a.init, b.init)) ?? within('.annotations', diffAttrs(a.annotations, b.annotations)) ?? within('.body', diffStmts(a.body, b.body))
  );
}
