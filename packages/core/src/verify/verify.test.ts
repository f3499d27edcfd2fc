import { TenonError } from '@tenon/plugin';
import type { Attrs, Binding, Expr, GraphFunction, IRModule, Operator, Type } from '@tenon/plugin';
import { describe, expect, it } from 'vitest';
import { createExprs } from '../expr/index.ts';
import { parseModule } from '../text/index.ts';
import { verifyModule, type VerifyEnv } from './index.ts';

const exprs = createExprs();
const operator = (name: string, params: readonly string[]): Operator => ({ name, doc: '', signature: { params, attrs: {}, results: ['y'] }, facets: {} });
const operators = new Map([operator('nn.relu', ['x']), operator('nn.gemm', ['a', 'b', 'c?']), operator('concat', ['first', 'rest*']), operator('reshape', ['x', 'shape']), operator('shape', ['x'])].map((o) => [o.name, o]));

/** relu keeps its type, concat too; reshape needs the contents of its second argument; shape gives them. */
function infer(op: string, args: readonly (Type | null)[], _attrs: Attrs, contents?: (i: number) => readonly Expr[] | null): readonly Type[] {
  const x = args[0];
  if (x?.kind !== 'tensor') throw new TenonError({ code: 'op/no-tensor', message: `${op}: no tensor` });
  if (op === 'shape') return [{ kind: 'tensor', dtype: 'i64', shape: [exprs.int(x.shape.length)], annotations: {} }];
  if (op !== 'reshape') return [x];
  const shape = contents?.(1);
  if (!shape) throw new TenonError({ code: 'op/shape-unknown', message: 'reshape: the shape is not known' });
  return [{ ...x, shape }];
}
const env: VerifyEnv = {
  exprs, infer,
  operator: (name) => operators.get(name),
  shapeValue: (op, args) => [op === 'shape' && args[0]?.kind === 'tensor' ? args[0].shape : null],
};

function codes(text: string, change: (module: IRModule) => IRModule = (m) => m): string[] {
  return verifyModule(change(parseModule(text, exprs)), env).map((d) => d.code.replace('verify/', ''));
}
const graph = (body: string, attrs = '') => `dims n in 1.., m in 1..\nconst @c: f32[4] = [1, 2, 3, 4]
graph @g(%x: f32[n, 4], %b: bool[], %t: token) -> () ${attrs} {\n${body}\nreturn\n}`;
const callees = `
graph @inner(%x: f32[n, 4]) -> f32[n, 4] attrs {target = "t"} { return %x }
graph @untargeted(%x: f32[n, 4]) -> f32[n, 4] { return %x }
tensor @k(A: f32[p, q], B: f32[q], out C: f32[p, q]) { }
tensor @s(A: f32[p], out C: f32[2 * p + k], scalar k) { }
tensor @free(A: f32[2 * z], out C: f32[2 * z]) { }`;
const tensor = (body: string) => `tensor @f(A: f32[n, 4], I: i64[n], out B: f32[n, 4], scalar k) {\n${body}\n}`;

const good = `
dims n in 1.., m in 0..8, m % 4 == 0, m at run
source s = file("w", id "1", 100 bytes)
const @w: f32[4, 4] = s[0..64]
const @packed: i4[3] = s[98..100]
const @strided: f32[4] = s[0..52] view {strides = [4]}
const @shape: i64[2] = [-1, 4]
graph @main(%x: f32[n, 4], %i: i64[2; contents = ["n", "m"]], %b: bool[], %st: state<f32[n]>) -> (y: f32[n, 4], z: f32[n, 4]) {
  %0: f32[n, 4] = nn.relu(%x)
  %1: f32[n, 4] = nn.gemm(%0, @w, _)
  %2: f32[n, 4] = concat(%1, %0, %0)
  %3: f32[n, m] = reshape(%2, %i)
  %sh: i64[2] = shape(%3)
  %4: f32[n, m] = reshape(%2, %sh)
  %5: f32[2 * n + 3] = kernel @twice(%st; 3)
  %6: f32[n, 4] = region @part(%x)
  %7: f32[n, 4] = if(%b, %x) {then = "part", else = "part"}
  %8: f32[n, 4] = loop(_, %b, %x) {body = "part"}
  extern "sym"(%x; n) effects(mutates 0)
  %9: f32[n, 4] = extern "sym"(%x) effects(aliases 0 = 0)
  %unknown: i64[2] = shape(%9)
  return %6, %7
}
graph @part(%x: f32[n, 4]) -> f32[n, 4] attrs {target = "t"} { return %x }
tensor @twice(A: f32[p], out C: f32[2 * p + k], scalar k) {
  for i: parallel in 0..2 * p + k {
    block b(v: spatial = i) { C[v] = select(v < p, A[min(v, p - 1)], 0f) }
  }
}
tensor @all(A: f32[n, 16], I: i64[n], out B: f32[n], out M: i32[n]) {
  for i: thread("x") in 0..n, j: unrolled in 0..4 {
    for q: vectorized in 0..4 {
      block sum(v: spatial = i, r: reduce in 0..16 = j * 4 + q) where i < n reads(A[I[v], 0 +: 16], I[v]) {
        init { B[v] = 0f }
        B[v] = B[v] + A[I[v], r]
      }
    }
  }
  for i in 0..n {
    block outer(v: spatial = i) {
      alloc t: f32[4] in local
      for l in 0..4 { block inner(w: spatial = l) { t[w] = exp(A[v, w]) } }
      let x = t[0] + t[1]
      if isnan(x) && !(x < 0f) { evaluate barrier() }
      while M[v] < 3i32 { M[v] = M[v] + bitand(i32(x), 7i32) }
      B[v] = pow(x, 2f) / (bitcast(1i32): f32) * acme.magic(x)
    }
  }
}
`;

it('finds nothing wrong where nothing is', () => {
  expect(verifyModule(parseModule(good, exprs), env)).toEqual([]);
});

it('names function, binding, operator and location', () => {
  const [d] = verifyModule(parseModule('graph @main(%x: f32[4]) -> () {\n%y: f32[4] = nope(%x) loc("enc/0")\nreturn\n}', exprs), env);
  expect(d).toMatchObject({ severity: 'error', code: 'verify/unknown-operator', op: 'nope', loc: 'enc/0' });
  expect(d!.message).toMatch(/@main: %y = nope: /);
});

it('does not take a refusal for want of run-time contents for an error', () => {
  const text = (arg: string) => `dims n in 1..\nconst @s: i64[1] = [4]\ngraph @g(%x: f32[n], %i: i64[1]) -> () {\n%y: f32[n] = reshape(%x, ${arg})\nreturn\n}`;
  expect(codes(text('%i'))).toEqual([]);
  expect(codes(text('@s'))).toEqual([]);
  expect(codes(text('@s').replace('n in 1..', 'n in 5..'))).toEqual(['result-type']);
});

describe('declarations', () => {
  it.each([
    ['dim-range', 'dims n in 4..2'],
    ['dim-range', 'dims n in 9..15, n % 8 == 0'],
    ['dim-range', 'dims n % 0 == 0'],
    ['unknown-dtype', 'const @c: q3[1] = [1]'],
    ['constant-shape', 'dims n\nconst @c: f32[n] = [1]'],
    ['constant-size', 'const @c: f32[2] = [1]'],
    ['constant-value', 'const @c: i8[2] = [127, 128]'],
    ['constant-value', 'const @c: bool[1] = [2]'],
    ['constant-value', 'const @c: u4[1] = [-1]'],
    ['unknown-source', 'const @c: f32[1] = s[0..4]'],
    ['constant-range', 'source s = file("a", id "", 7 bytes)\nconst @c: f32[1] = s[4..8]'],
    ['constant-size', 'source s = file("a", id "", 8 bytes)\nconst @c: f32[1] = s[0..8]'],
  ])('%s: %s', (code, text) => expect(codes(text)).toEqual([code]));

  it('name-mismatch and source-size', () => {
    const source = 'source s = file("a", id "", 8 bytes)';
    const rename = (m: IRModule, bytes: number, key: string): IRModule => ({ ...m, sources: new Map([[key, { ...m.sources.get('s')!, bytes }]]) });
    expect(codes(source, (m) => rename(m, 8, 'other'))).toEqual(['name-mismatch']);
    expect(codes(source, (m) => rename(m, -1, 's'))).toEqual(['source-size']);
  });
});

describe('graph functions', () => {
  it.each([
    ['unknown-dtype', '%y: q3[n] = extern "s"(%x)'],
    ['dim-dtype', '%y: f32[(n: i32)] = extern "s"(%x)'],
    ['undeclared-dim', '%y: f32[p] = extern "s"(%x)'],
    ['undeclared-dim', '%y: f32[n] = extern "s"(%x; p)'],
    ['undeclared-dim', '%y: f32[n] = extern "s"(%x) {a = [{b = (p)}]}'],
    ['unknown-operator', '%y: f32[n, 4] = nn.gelu(%x)'],
    ['operand-count', '%y: f32[n, 4] = nn.relu(%x, %x)'],
    ['operand-count', '%y: f32[n, 4] = nn.gemm(%x)'],
    ['operand-missing', '%y: f32[n, 4] = nn.gemm(%x, _)'],
    ['inference', '%y: token = nn.relu(%t)'],
    ['result-count', '%y: f32[n, 4], %z: f32[n, 4] = nn.relu(%x)'],
    ['result-type', '%y: f64[n, 4] = nn.relu(%x)'],
    ['result-type', '%y: f32[n] = nn.relu(%x)'],
    ['result-type', '%y: f32[n + 1, 4] = nn.relu(%x)'],
    ['result-type', '%y: sequence<f32[n, 4]> = nn.relu(%x)'],
    ['no-result', 'extern "s"(%x)'],
    ['effect-index', '%y: f32[n] = extern "s"(%x) effects(mutates 1)'],
    ['effect-index', '%y: f32[n] = extern "s"(%x) effects(aliases 1 = 0)'],
    ['extern-symbol', '%y: f32[n] = extern ""(%x)'],
    ['source', '%y: f32[n, 4] = extern "s"(%x) {source = 3}'],
    ['unknown-function', '%y: f32[n, 4] = extern "s"(%x) {source = "nope"}'],
    ['function-kind', '%y: f32[n, 4] = extern "s"(%x) {source = "k"}'],
    ['operand-count', '%y: f32[n, 4] = extern "s"(%x, %x) {source = "inner"}'],
    ['result-type', '%y: f32[n, 5] = extern "s"(%x) {source = "inner"}'],
    ['unknown-function', '%y: f32[n, 4] = kernel @nope(%x)'],
    ['function-kind', '%y: f32[n, 4] = kernel @inner(%x)'],
    ['function-kind', '%y: f32[n, 4] = region @k(%x)'],
    ['region-target', '%y: f32[n, 4] = region @untargeted(%x)'],
    ['operand-count', '%y: f32[n, 4] = region @inner(%x, %x)'],
    ['operand-type', '%y: f32[n, 4] = region @inner(@c)'],
    ['result-count', '%y: f32[n, 4], %z: f32[n] = region @inner(%x)'],
    ['result-type', '%y: f32[n, 5] = region @inner(%x)'],
    ['condition', '%y: f32[n, 4] = if(%x, %x) {then = "inner", else = "inner"}'],
    ['branch', '%y: f32[n, 4] = if(%b, %x) {then = "inner"}'],
    ['unknown-function', '%y: f32[n, 4] = if(%b, %x) {then = "inner", else = "nope"}'],
    ['branch', '%y: f32[n, 4] = loop(_, %b, %x)'],
    ['function-kind', '%y: f32[n, 4] = loop(_, %b, %x) {body = "k"}'],
    ['operand-count', '%y: f32[n, 4] = kernel @k(%x)'],
    ['operand-missing', '%y: f32[n, 4] = kernel @k(%x, _)'],
    ['operand-type', '%y: f32[n, 4] = kernel @k(%x, %t)'],
    ['operand-type', '%y: f32[n, 4] = kernel @k(%x, %x)'],
    ['result-count', '%y: f32[n, 4], %z: f32[n] = kernel @k(%x, @c)'],
    ['result-type', '%y: i32[n, 4] = kernel @k(%x, @c)'],
    ['kernel-shape', '%y: f32[n, 5] = kernel @k(%x, @c)'],
    ['kernel-shape', '%y: f32[11] = kernel @s(@c; 4)'],
    ['kernel-scalars', '%y: f32[12] = kernel @s(@c)'],
    ['unbound-dim', '%y: f32[4] = kernel @free(@c)'],
  ])('%s: %s', (code, body) => expect(codes(graph(body) + callees)).toEqual([code]));

  const rebuild = (module: IRModule, change: (fn: GraphFunction) => Partial<GraphFunction>): IRModule => {
    const fn = module.functions.get('g') as GraphFunction;
    return { ...module, functions: new Map([...module.functions, ['g', { ...fn, ...change(fn) }]]) };
  };
  const text = graph('%y: f32[n, 4] = nn.relu(%x)\n%z: f32[n, 4] = nn.relu(%y)');
  const firstArg = (b: Binding, change: Partial<Binding['results'][number]>): Binding => ({ ...b, args: [{ ...b.args[0]!, ...change }] });

  it('values are defined once and before their use', () => {
    expect(codes(text, (m) => rebuild(m, (fn) => ({ bindings: [...fn.bindings].reverse() })))).toEqual(['undefined-value']);
    // An equal value that is another object is another value.
    expect(codes(text, (m) => rebuild(m, (fn) => ({ bindings: [fn.bindings[0]!, firstArg(fn.bindings[1]!, {})] })))).toEqual(['undefined-value']);
    expect(codes(text, (m) => rebuild(m, (fn) => ({ bindings: [...fn.bindings, fn.bindings[1]!] })))).toEqual(['duplicate-value']);
    expect(codes(text, (m) => rebuild(m, (fn) => ({ params: fn.params.map((p) => ({ ...p, constant: p.name === 't' })) })))).toContain('constant-defined');
  });
  it('constants exist with the type they are used with', () => {
    expect(codes(text, (m) => rebuild(m, (fn) => ({ bindings: [firstArg(fn.bindings[0]!, { constant: true, name: 'nope' })] })))).toEqual(['unknown-constant']);
    expect(codes(text, (m) => rebuild(m, (fn) => ({ bindings: [firstArg(fn.bindings[0]!, { constant: true, name: 'c' })] })))).toEqual(['constant-type']);
  });
  it('result names fit the results', () => {
    expect(codes(text, (m) => rebuild(m, (fn) => ({ resultNames: ['a'], results: [fn.params[0]!, fn.params[0]!] })))).toEqual(['result-names']);
    expect(codes(text, (m) => rebuild(m, (fn) => ({ resultNames: ['a', 'a'], results: [fn.params[0]!, fn.params[0]!] })))).toEqual(['result-names']);
  });
});

describe('tensor functions', () => {
  const scalar = (value: string) => `B[0, 0] = ${value}`;
  it.each([
    ['unknown-dtype', 'alloc t: q3[4]'],
    ['index-dtype', 'alloc t: f32[3i32]'],
    ['duplicate-buffer', 'alloc A: f32[4]'],
    ['store-to-input', 'A[0, 0] = 1f'],
    ['index-count', 'B[0] = 1f'],
    ['store-dtype', 'B[0, 0] = 1'],
    ['index-dtype', 'B[0i32, 0] = 1f'],
    ['undefined-variable', scalar('A[i, 0]')],
    ['undefined-variable', 'for i in 0..4 { } ' + scalar('A[i, 0]')],
    ['undefined-buffer', scalar('(C[0]: f32)')],
    ['undefined-buffer', 'alloc t: f32[4] { } ' + scalar('(t[0]: f32)')],
    ['load-dtype', scalar('f32((A[0, 0]: i32))')],
    ['index-count', scalar('A[0]')],
    ['index-dtype', scalar('A[0, 1f]')],
    ['expr-dtype', scalar('A[0, 0] + 1')],
    ['expr-dtype', scalar('f32(k / 2)')],
    ['expr-dtype', scalar('f32(floordiv(1f, 2f))')],
    ['expr-dtype', scalar('f32(k < 1f)')],
    ['expr-dtype', scalar('f32(true && k)')],
    ['expr-dtype', scalar('select(true, 1f, 2)')],
    ['expr-dtype', scalar('(k: f32)')],
    ['expr-dtype', scalar('pow(1f, 2)')],
    ['expr-dtype', scalar('(isnan(1f): f32)')],
    ['condition', scalar('select(k, 1f, 2f)')],
    ['expr-arity', scalar('exp(1f, 2f)')],
    ['unknown-intrinsic', scalar('gelu(1f)')],
    ['unknown-dtype', scalar('f32((1: q3))')],
    ['expr-constant', scalar('f32((2: bool))')],
    ['expr-constant', scalar('f32((1.5f64: i32))')],
    ['condition', 'if k { }'],
    ['condition', 'while k { }'],
    ['shadowed-variable', 'for k in 0..4 { }'],
    ['shadowed-variable', 'for i in 0..4 { let i = 3 }'],
    ['shadowed-variable', 'for i in 0..4 { block b(i: spatial = i) { } }'],
    ['duplicate-variable', 'block b(v: spatial in 0..4 = 0, v: spatial in 0..4 = 0) { }'],
    ['vectorized-extent', 'for i: vectorized in 0..n { }'],
    ['unrolled-extent', 'for i: unrolled in 0..n { }'],
    ['vectorized-body', 'for i: vectorized in 0..4, j: vectorized in 0..4 { }'],
    ['vectorized-body', 'for i: vectorized in 0..4, j: parallel in 0..4 { }'],
    ['vectorized-body', 'for i: vectorized in 0..4 { while true { } }'],
    ['nested-parallel', 'for i: parallel in 0..4, l in 0..4, j: parallel in 0..4 { }'],
    ['nested-thread', 'for i: thread("x") in 0..4, j: thread("x") in 0..4 { }'],
    ['condition', 'block b() where 3 { }'],
    ['block-captures-loop', 'for i in 0..4 { block b() writes(B[0, 0]) { B[i, 0] = 1f } }'],
    ['undeclared-read', 'block b() reads() { B[0, 0] = A[0, 0] }'],
    ['undeclared-read', 'block o() reads() { block b() { B[0, 0] = A[0, 0] } }'],
    ['undeclared-write', 'block b() writes() { B[0, 0] = 1f }'],
    ['undefined-buffer', 'block b() reads(C[0]) { }'],
    ['region-rank', 'block b() reads(A[0]) { }'],
    ['index-dtype', 'block b(v: spatial in 0..4i32 = 0) { }'],
    ['undefined-variable', 'block b(v: spatial in 0..4 = i) { }'],
  ])('%s: %s', (code, body) => expect(codes(tensor(body))).toEqual([code]));

  it('operand counts and duplicate scalars', () => {
    expect(codes('tensor @f(out B: f32[], scalar k, scalar k) { B[] = 1f }')).toEqual(['duplicate-variable']);
    const module = parseModule('tensor @f(out B: f32[]) { B[] = 1f }', exprs);
    const fn = module.functions.get('f')!;
    if (fn.kind !== 'tensor') throw new Error('no tensor function');
    const value = exprs.make('add', 'f32', [exprs.constant(1, 'f32')], null);
    const changed = { ...fn, body: { kind: 'store', buffer: 'B', indices: [], value } as const };
    expect(verifyModule({ ...module, functions: new Map([['f', changed]]) }, env).map((d) => d.code)).toEqual(['verify/expr-arity']);
  });
});
