import { diagnosticOf } from '@tenon/plugin';
import { describe, expect, it } from 'vitest';
import { createExprs } from '../expr/index.ts';
import { diffModules } from '../structure/index.ts';
import { parseExpr, parseModule, printExpr, printModule } from './index.ts';

const everyGraphForm = `dims n in 1..4096, n % 8 == 0
dims \`batch size\` in 0.., \`batch size\` at load, \`batch size\` hint 16
dims k in 0.., k at run

source weights = file("dir/weights.bin", id "3fa9…", 5000000000 bytes)
source \`a "b"\` = file("memory:1", id "", 0 bytes)

const @w: f32[784, 10] = weights[4294967296..4294998656]
const @wt: f32[10, 784] = weights[0..31360] view {strides = [1, 784]}
const @"odd/name:0": i64[4] = [1, -2, 9223372036854775807, -9223372036854775808]
const @f: f32[6] = [0.1, -0, nan, inf, -inf, 3.4028235e+38]
const @d: f64[2] = [0.1, 5e-324]
const @flags: bool[2] = [0, 1]
const @empty: f32[0] = []
const @scalar: f16[] = [1.5]
const @long: i32[20] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  16, 17, 18, 19
]

graph @main(%x: f32[n, 784], %"in put": i64[; contents = ["k"]], %c: bool[], %s: state<f32[n, 16; layout = "NCHW16c"]>, %seq: sequence<f32[n]>, %o: optional<sequence<string[]>>, %t: token) -> (logits: f32[n, 10], "a/b:0": f32[2 * n + 1], f32[784, 10]) attrs {version = 3} {
  %0: f32[n, 10] = nn.matmul(%x, @w) loc("dense/MatMul \\"quoted\\"")
  %1: f32[n, 10] = nn.relu(%0) {axis = -1, else = null, "odd key" = [1, 2.5, -0, nan, inf, -inf, 5n, -5n, true, false, "s\\n"], nested = {a = {}, b = []}, dim = (2 * n + 1), three = (3), f = (0.5f)}
  %values: f32[n, 3], %indices: i64[n, 3] = nn.topk(%1, _, @"odd/name:0") {k = 3}
  %2: f32[2 * n + 1] = kernel @add(%0, @f; n + 1, floordiv(n, 8), 3)
  %"3 4": f32[n, 10] = extern "cublas.gemm"(%x; n) {alpha = 1} effects(mutates 0, 1; aliases 0 = 1, 1 = 0) loc("g")
  %4: f32[n, 10] = region @region_0(%x) effects(aliases 0 = 0)
  %5: f32[n, 10] = if(%c, %x) {else = "g", then = "f"} effects()
  %6: f32[n, 10] = loop "callee"(_, %c, %x) {body = "b"}
  %7: f32[n, 10] = \`strange operator\`(%x)
  extern "barrier"(%t) effects(mutates 0)
  return %1, %2, @w
}

graph @none() -> () {
  return
}

graph @one(%x: token) -> token {
  return %x
}
`;

const everyTensorForm = `tensor @add(A: f32[n, 784], \`B/0\`: f32[784, 10] in shared, T: i64[m], out C: f32[n, 10], out \`for\`: i32[], scalar k, scalar \`x y\`) attrs {schedule = "default", tile = (n)} {
  for i: parallel in 0..n, j: vectorized in 0..10, l in 0..784 {
    block matmul(vi: spatial = i, vj: spatial = j, vk: reduce = l) {
      init {
        C[vi, vj] = 0f
      }
      C[vi, vj] = C[vi, vj] + A[vi, vk] * \`B/0\`[vk, vj]
    }
  }
  for o: thread("blockIdx.x") in 0..floordiv(n + 7, 8) attrs {pragma = "x"}, q: unrolled in 0..8 {
    block rows(v: spatial in 0..n = o * 8 + q, w: spatial in 0..1 = 0)
        where o * 8 + q < n
        reads(A[v, 0 +: 784], T[v])
        writes(C[v * 2 +: 2, 0 +: 10])
        attrs {kind = "opaque", n = (n)} {
      alloc acc: f32[16] in local {
        acc[0] = 0f
      }
      let x = A[v, 0]
      let y = i32(x)
      alloc tmp: i32[y + 1i32, y]
      tmp[0, y] = y
      let flag = x < 1f
      if flag && !isnan(x) {
        \`for\`[] = y
      } else if flag {
        evaluate acme.barrier()
      } else {
        while \`for\`[] < 10i32 {
          \`for\`[] = \`for\`[] + 1i32
        }
      }
    }
    if n == 3 {
    } else {
    }
    seq {
    }
    seq {
      seq {
        evaluate n
      }
    }
  }
  let z = select(k < 3, floordiv(k, 2), truncdiv(k, 2))
  C[T[z], min(z, max(k, \`x y\`))] = f32(z) / 2f
}

tensor @tiny(scalar: f32[4], out out: f32[4], scalar loop) {
  seq {
    out[0] = scalar[loop]
  }
}
`;

function roundTrip(text: string): string {
  const exprs = createExprs();
  const module = parseModule(text, exprs);
  const printed = printModule(module);
  // In the same session and in another one.
  expect(diffModules(module, parseModule(printed, exprs))).toBeNull();
  expect(diffModules(module, parseModule(printed, createExprs()))).toBeNull();
  return printed;
}

describe('module text', () => {
  it('prints graph functions as they were written', () => {
    expect(roundTrip(everyGraphForm)).toBe(everyGraphForm);
  });

  it('prints tensor functions as they were written', () => {
    expect(roundTrip(everyTensorForm)).toBe(everyTensorForm);
  });

  it('reads the example of the design', () => {
    const exprs = createExprs();
    const module = parseModule(`
      dims n in 1..4096, n % 8 == 0
      source weights = file("weights.bin", id "3fa9", 31360 bytes)
      // Constants may stand below their use.
      graph @main(%x: f32[n, 784]) -> f32[n, 10] {
        %0: f32[n, 10] = nn.matmul(%x, @w) loc("dense/MatMul")
        %1: f32[n, 10] = nn.relu(%0)
        return %1
      }
      const @w: f32[784, 10] = weights[0..31360]
      tensor @matmul(A: f32[n, 784], B: f32[784, 10], out C: f32[n, 10]) {
        for i: parallel in 0..n, j: vectorized in 0..10, k in 0..784 {
          block matmul(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
            init { C[vi, vj] = 0f }
            C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
          }
        }
      }`, exprs);
    expect(module.dims.get('n')).toEqual({ name: 'n', min: 1, max: 4096, multipleOf: 8, binding: 'call', hint: null });
    const main = module.functions.get('main');
    if (main?.kind !== 'graph') throw new Error('no graph function');
    expect(main.bindings[0]).toMatchObject({ kind: 'op', callee: 'nn.matmul', loc: 'dense/MatMul', effects: null });
    expect(main.bindings[1]!.args[0]).toBe(main.bindings[0]!.results[0]);
    expect(main.bindings[0]!.args[1]).toMatchObject({ name: 'w', constant: true });
    const matmul = module.functions.get('matmul');
    if (matmul?.kind !== 'tensor' || matmul.body.kind !== 'for') throw new Error('no loop');
    expect(matmul.body.loop).toBe('parallel');
    let inner = matmul.body.body;
    while (inner.kind === 'for') inner = inner.body;
    if (inner.kind !== 'block') throw new Error('no block');
    expect(inner.iters.map((iter) => [iter.name, iter.type, printExpr(iter.extent)])).toEqual([['vi', 'spatial', 'n'], ['vj', 'spatial', '10'], ['vk', 'reduce', '784']]);
    expect(inner.reads.map((r) => r.buffer)).toEqual(['C', 'A', 'B']);
    expect(inner.writes.map((r) => r.buffer)).toEqual(['C']);
    roundTrip(printModule(module));
  });

  it('finds the regions of a block that does not state them', () => {
    const exprs = createExprs();
    const fn = parseModule(`
      tensor @f(A: f32[n, m], T: i64[n], out C: f32[n, m]) {
        for i in 0..n {
          block rows(v: spatial = i) {
            for j in 0..m {
              let x = A[T[v], j]
              C[v, j] = x
            }
          }
        }
      }`, exprs).functions.get('f');
    if (fn?.kind !== 'tensor' || fn.body.kind !== 'for' || fn.body.body.kind !== 'block') throw new Error('no block');
    const show = (regions: typeof fn.body.body.reads) => regions.map((r) => `${r.buffer} ${r.start.map((s, i) => `${printExpr(s)}+:${printExpr(r.extent[i]!)}`).join(' ')}`);
    expect(show(fn.body.body.reads)).toEqual(['A 0+:n 0+:m', 'T v+:1']);
    expect(show(fn.body.body.writes)).toEqual(['C v+:1 0+:m']);
  });

  it('leaves out locations and elements on request', () => {
    const module = parseModule(everyGraphForm, createExprs());
    const text = printModule(module, { locations: false, maxElements: 2 });
    expect(text).not.toContain('loc(');
    expect(text).toContain('const @f: f32[6] = [0.1, -0, … 6 elements]');
  });
});

describe('expression text', () => {
  const types = new Map([['A', 'f32'], ['B', 'i32'], ['x', 'f32']]);
  it.each([
    'n', '2 * n + 1', 'n + -1', 'n - -3', 'a - (b - c)', 'a - b - c', '(a + b) * c', 'a * b + c * d', 'a % b', 'a * (b % c)',
    'floordiv(n + 3, 4)', 'truncdiv(n, 2)', 'truncmod(n, 2)', 'min(n, max(m, 3))', 'select(n < 3, 1, 2)',
    'n < 3 && m <= 4 || !(n == m)', '(n < 3) == (m < 4)', 'a && (b || c)', '(a || b: bool)', '!(!(n < 3))',
    '9007199254740993', '-9223372036854775808', '18446744073709551615u64', '3i32', '-3i8', 'true', 'false',
    '0.1f', '-0f', '1e-45f', 'nan', 'inf', '-inf', '0.1f64', '-0f64', '1.5f16', '0.5bf16', '1e+300f64', '1.152921504606847e+18f64', '(nan: f64)', '(-inf: f16)',
    '(0.1f64: f32)', '(3: q8)', '(-0.5f64: acme.f6)', '1f8e4m3fn', '16777216f',
    'f32(n)', 'i32(0.5f)', 'bool(n)', 'cast(n, acme.f6)', 'exp(x)', 'pow(x, 2f)', 'isnan(x)', '(bitcast(x): i32)', '(isnan(x): i32)', '`min`(n, m)', '`f32`(n)', '`a b`(n)', 'acme.dot()',
    'A[n, 2 * m]', 'A[]', 'B[B[n]]', '(Z[n]: f64)', '(y: i32)', '(n: i32) + 1i32', '(x: f64)', '`for` + `a"b` + `true` + `back\\`tick`', '(a + b: f32) * c', '(x + n: i64)', '((y: i32) < 3i32: i8)',
    '(a < b: i32) + 1i32', 'A[n] / (x * 2f)', '-3 * n', 'n * -3', 'select(true, (nan: f16), 1f16)',
  ])('%s', (text) => {
    const exprs = createExprs();
    const e = parseExpr(text, exprs, types);
    const printed = printExpr(e, types);
    expect(parseExpr(printed, exprs, types)).toBe(e);
    // The forms above are the printed forms, but for parentheses that are never needed.
    expect(printed).toBe(text.replace('!(!(n < 3))', '!!(n < 3)').replace('(a || b: bool)', 'a || b'));
    // Without types, every dtype is in the text.
    expect(parseExpr(printExpr(e), exprs)).toBe(e);
  });

  it('turns > and >= round', () => {
    const exprs = createExprs();
    expect(printExpr(parseExpr('a > b', exprs))).toBe('b < a');
    expect(printExpr(parseExpr('a>=b', exprs))).toBe('b <= a');
  });

  it('tells a remainder from a value by the space before it', () => {
    const exprs = createExprs();
    expect(parseExpr('n%8', exprs)).toBe(parseExpr('n % 8', exprs));
    expect(parseExpr('(n)%m', exprs)).toBe(parseExpr('n % m', exprs));
  });

  it('rounds f32 literals', () => {
    expect(parseExpr('0.1f', createExprs()).value).toBe(Math.fround(0.1));
  });
});

describe('errors', () => {
  it('a text that is nested without end', () => {
    const code = (text: string) => {
      try {
        parseModule(text, createExprs());
      } catch (error) {
        return diagnosticOf(error)?.code;
      }
      return null;
    };
    expect(code(`tensor @f() { ${'if true { '.repeat(100_000)}`)).toBe('text/too-deep');
    expect(code(`const @c: f32[; a = ${'['.repeat(100_000)}`)).toBe('text/too-deep');
    expect(code(`graph @f(%x: ${'sequence<'.repeat(100_000)}`)).toBe('text/too-deep');
  });

  const graph = (body: string) => `graph @f(%x: f32[4]) -> f32[4] {\n${body}\n}`;
  const tensor = (body: string) => `tensor @f(A: f32[4], out B: f32[4]) {\n${body}\n}`;
  // [text, code, line, column, message]
  const bad: readonly (readonly [string, string, number, number, RegExp])[] = [
    ['dims n in 1..4 ~', 'text/unexpected-character', 1, 16, /"~" begins nothing/],
    ['const @"w', 'text/unterminated', 1, 7, /not closed/],
    ['source `w\n', 'text/unterminated', 1, 8, /not closed/],
    ['const @"\\q": f32[] = [1]', 'text/bad-escape', 1, 7, /escape/],
    ['const @ w', 'text/expected', 1, 7, /a name after `@`/],
    ['function @f', 'text/expected', 1, 1, /expected `dims`, `source`, `const`, `graph` or `tensor`, found `function`/],
    ['dims n in 1..4, n is 3', 'text/expected', 1, 19, /found `is`/],
    ['dims n % 8 == 1', 'text/expected', 1, 15, /multiples/],
    ['dims n at noon', 'text/expected', 1, 11, /`compile`, `load`, `call` or `run`, found `noon`/],
    ['dims n\ndims n', 'text/duplicate-name', 2, 6, /declared twice/],
    ['source s = file("a", id "b", 1.5 bytes)', 'text/bad-number', 1, 30, /size in bytes/],
    ['const @w: f32[2] = s[4..2]', 'text/bad-range', 1, 25, /ends \(2\) before it begins \(4\)/],
    ['const @w: i32[2] = [1, 2.5]', 'text/bad-number', 1, 24, /2.5 is no element of i32/],
    ['const @w: i32[2] = [1, true]', 'text/expected', 1, 24, /a number, found `true`/],
    ['const @w: i32[2] = [1, 2', 'text/expected', 1, 25, /`,` or `\]`, found the end of the text/],
    ['const @w: f32[] = [1]\nconst @w: f32[] = [1]', 'text/duplicate-name', 2, 7, /twice/],
    ['const @w: state<token> = [1]', 'text/expected', 1, 16, /`\[` and the shape, found `<`/],
    ['graph @f(%x: state<token>) -> () { return }', 'text/expected', 1, 20, /a tensor type in a state/],
    ['graph f() -> () { return }', 'text/expected', 1, 7, /the name of a function such as `@f`, found `f`/],
    ['graph @f(x: f32[]) -> () { return }', 'text/expected', 1, 10, /a value such as `%x`, found `x`/],
    ['graph @f(%x: f32[], %x: f32[]) -> () { return }', 'text/duplicate-name', 1, 21, /already defined/],
    ['graph @f(%x: f32[n; a = 1, a = 2]) -> () { return }', 'text/duplicate-name', 1, 28, /`a` is given twice/],
    ['graph @f(%x: f32[]) -> i32[] { return %x }', 'text/result-type', 1, 39, /signature says i32\[\] and this value is f32\[\]/],
    ['graph @f(%x: f32[]) -> () { return %x }', 'text/result-count', 1, 29, /0 results, and 1/],
    ['graph @f() -> (f32[], a: f32[]) { return }', 'text/expected', 1, 23, /with a name come before/],
    ['graph @f() -> () { return }\ngraph @f() -> () { return }', 'text/duplicate-name', 2, 7, /twice/],
    [graph('  %y: f32[4] = nn.relu(%z)\n  return %y'), 'text/undefined-value', 2, 24, /`%z` is not defined before/],
    [graph('  %y: f32[4] = nn.relu(%y)\n  return %y'), 'text/undefined-value', 2, 24, /`%y`/],
    [graph('  %y: f32[4] = nn.relu(@w)\n  return %y'), 'text/undefined-constant', 2, 24, /no constant named `@w`/],
    [graph('  %y = nn.relu(%x)\n  return %y'), 'text/expected', 2, 6, /`:` and the type, found `=`/],
    [graph('  %y: f32[4] nn.relu(%x)\n  return %y'), 'text/expected', 2, 14, /`=`, found `nn.relu`/],
    [graph('  %y: f32[4] = nn.relu %x\n  return %y'), 'text/expected', 2, 24, /`\(` and the arguments, found the value `%x`/],
    [graph('  %y: f32[4] = nn.relu(%x, 3)\n  return %y'), 'text/expected', 2, 28, /a value, a constant or `_`, found the number `3`/],
    [graph('  %y: f32[4] = nn.relu(%x) {a = n}\n  return %y'), 'text/expected', 2, 33, /an attribute/],
    [graph('  %y: f32[4] = nn.relu(%x) {a = 3i32}\n  return %y'), 'text/bad-number', 2, 33, /3i32/],
    [graph('  %y: f32[4] = kernel relu(%x)\n  return %y'), 'text/expected', 2, 23, /a tensor function such as `@f`, found `relu`/],
    [graph('  %y: f32[4] = extern @relu(%x)\n  return %y'), 'text/expected', 2, 23, /a symbol in quotes, found `@relu`/],
    [graph('  %y: f32[4] = nn.relu(%x) loc(dense)\n  return %y'), 'text/expected', 2, 32, /a location in quotes/],
    [graph('  %y: f32[4] = nn.relu(%x)'), 'text/expected', 3, 1, /a binding or `return`, found `}`/],
    ['graph @f(%x: f32[4]) -> f32[4] {\n  return %x\n', 'text/expected', 3, 1, /`}`, found the end of the text/],
    [tensor('  B[0 = 1f'), 'text/expected', 2, 7, /`,` or `\]`, found `=`/],
    [tensor('  B[0] = C[0]'), 'text/undefined-buffer', 2, 10, /no buffer named `C`/],
    [tensor('  C[0] = 1f'), 'text/undefined-buffer', 2, 3, /no buffer named `C`/],
    [tensor('  B[0] = 1.5'), 'text/bad-number', 2, 10, /1.5 is no i64/],
    [tensor('  B[0] = 1g'), 'text/bad-number', 2, 10, /`g` is no suffix/],
    [tensor('  B[0] = min(1)'), 'text/arity', 2, 10, /`min` takes 2 arguments, found 1/],
    [tensor('  B[0] = -A[0]'), 'text/expected', 2, 11, /a number after the minus sign, found `A`/],
    [tensor('  B[0] = A[0] +'), 'text/expected', 3, 1, /an expression, found `}`/],
    [tensor('  if 1 < 2 < 3 { }'), 'text/ambiguous', 2, 12, /do not chain/],
    [tensor('  for i in 1..4 { }'), 'text/expected', 2, 12, /ranges begin with 0/],
    [tensor('  for i: fast in 0..4 { }'), 'text/expected', 2, 10, /`serial`, `parallel`/],
    [tensor('  for for in 0..4 { }'), 'text/expected', 2, 7, /a loop variable, found `for`/],
    [tensor('  for i in 0..4 B[i] = 1f'), 'text/expected', 2, 17, /`,` and another loop, or `{`, found `B`/],
    [tensor('  block b(v: spatial = 3) { }'), 'text/domain', 2, 11, /domain of `v`/],
    [tensor('  block b(v: parallel = 3) { }'), 'text/expected', 2, 14, /`spatial` or `reduce`, found `parallel`/],
    [tensor('  return'), 'text/expected', 2, 3, /a statement, found `return`/],
    ['tensor @f(A: f32[4; a = 1]) { }', 'text/expected', 1, 14, /no annotations/],
    ['tensor @f(A: f32[4], out A: f32[4]) { }', 'text/duplicate-name', 1, 26, /already declared/],
    [tensor(`  B[0] = ${'('.repeat(2000)}`), 'text/too-deep', 2, 1010, /nested more than 1000/],
  ];

  it.each(bad)('%#: $1', (text, code, line, column, message) => {
    let error: unknown;
    try {
      parseModule(text, createExprs(), { file: 'module.tenon' });
    } catch (e) {
      error = e;
    }
    const diagnostic = diagnosticOf(error);
    expect(diagnostic?.code, String(error)).toBe(code);
    expect(diagnostic?.message).toMatch(message);
    expect(diagnostic?.text).toMatchObject({ file: 'module.tenon', line, column });
    const [excerpt, caret] = diagnostic!.text!.excerpt.split('\n');
    expect(excerpt).toBe(text.split('\n')[line - 1]);
    expect(caret!.indexOf('^')).toBe(column - 1);
  });
});
