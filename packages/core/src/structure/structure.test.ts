import type { GraphFunction, IRFunction, TensorFunction } from '@tenon/plugin';
import { describe, expect, it } from 'vitest';
import { randomModule } from '../../test/random-module.ts';
import { createExprs } from '../expr/index.ts';
import { parseModule, printModule } from '../text/index.ts';
import { diffModules, equalExprs, equalFunctions, equalModules, hashFunction } from './index.ts';
import { Murmur128 } from './murmur.ts';

const base = `dims n in 1..64
source s = file("w", id "1", 100 bytes)
const @w: f32[4] = s[0..16]
const @v: f32[2] = [1, 2] view {strides = [1]}
graph @g(%x: f32[n, 4], %z: f32[n, 4]) -> (y: f32[n, 4]) attrs {target = "t"} {
  %0: f32[n, 4] = nn.relu(%x) {axis = 1, dims = [(n + 1)]} loc("a")
  %1: f32[n, 4] = kernel @k(%0, @w; n) effects(mutates 0; aliases 0 = 0)
  return %1
}
tensor @k(A: f32[n, 4], B: f32[4], out C: f32[n, 4], scalar q) {
  for i: parallel in 0..n, j: vectorized in 0..4 attrs {u = 1} {
    block b(vi: spatial = i, vj: reduce = j) where i < q {
      init {
        C[vi, vj] = 0f
      }
      let t = A[vi, vj]
      alloc T: f32[4] in local
      T[vj] = t
      if t < 0f {
        evaluate acme.f(t)
      } else {
        while T[0] < 1f {
          T[0] = T[0] + B[vj]
        }
      }
      C[vi, vj] = T[vj]
    }
  }
}
`;
const parse = (text: string) => parseModule(text, createExprs());
const fn = (text: string, name: string): IRFunction => parse(text).functions.get(name)!;

/** [from, to, path of the first difference] */
const edits: readonly (readonly [string, string, string])[] = [
  ['1..64', '1..65', 'dims.n.max: 64, 65'],
  ['dims n', 'dims m in 0.., n', 'dims.m: only in the second'],
  ['id "1"', 'id "2"', 'sources.s.id: "1", "2"'],
  ['s[0..16]', 's[4..16]', 'constants.w.offset: 0, 4'],
  ['[1, 2]', '[1, -2]', 'constants.v.values[1]: 2, -2'],
  ['strides = [1]', 'strides = [2]', 'constants.v.view.strides[0]: 1, 2'],
  [' view {strides = [1]}', '', 'constants.v.view: "attributes", null'],
  ['%x: f32[n, 4]', '%x: f32[n, 4; layout = "NC"]', '@g.params[0].type.annotations.layout: only in the second'],
  ['nn.relu', 'nn.gelu', '@g.bindings[0].callee: "nn.relu", "nn.gelu"'],
  ['axis = 1', 'axis = 1n', '@g.bindings[0].attrs.axis: 1, 1n'],
  ['(n + 1)', '(n + 2)', '@g.bindings[0].attrs.dims[0].args[1].value: 1, 2'],
  ['nn.relu(%x)', 'nn.relu(%z)', '@g.bindings[0].args[0]: "x", "z"'],
  ['@w; n', '@w; n, n', '@g.bindings[1].scalars.length: 1, 2'],
  ['mutates 0', 'mutates 1', '@g.bindings[1].effects.mutates[0]: 0, 1'],
  [' effects(mutates 0; aliases 0 = 0)', '', '@g.bindings[1].effects: "effects", null'],
  ['(y: f32', '(yy: f32', '@g.resultNames[0]: "y", "yy"'],
  ['"t"', '"u"', '@g.attrs.target: "t", "u"'],
  ['parallel', 'serial', '@k.body.loop: "parallel", "serial"'],
  ['parallel', 'thread("x")', '@k.body.loop: "parallel", "thread"'],
  ['u = 1', 'u = true', '@k.body.body.annotations.u: 1, true'],
  ['reduce', 'spatial', '@k.body.body.body.iters[1].type: "reduce", "spatial"'],
  [' where i < q', '', '@k.body.body.body.predicate: "expression", null'],
  ['= 0f', '= -0f', '@k.body.body.body.init.value.value: 0, -0'],
  ['in local', 'in shared', '@k.body.body.body.body.body.buffer.scope: "local", "shared"'],
  ['t < 0f', 't <= 0f', '@k.body.body.body.body.body.body.body[1].condition.op: "lt", "le"'],
  ['acme.f', 'acme.g', '@k.body.body.body.body.body.body.body[1].then.value.value: "acme.f", "acme.g"'],
  ['T[0] < 1f', 'T[0] < 2f', '@k.body.body.body.body.body.body.body[1].otherwise.condition.args[1].value: 1, 2'],
  ['scalar q', 'scalar q, scalar p', '@k.scalars.length: 1, 2'],
  ['tensor @k', 'tensor @m', '@k: only in the first'],
];

describe('structural equality', () => {
  it.each(edits)('%s → %s', (from, to, path) => {
    expect(base).toContain(from);
    expect(diffModules(parse(base), parse(base.replace(from, to)))).toBe(path);
  });

  it('ignores locations and sessions', () => {
    expect(diffModules(parse(base), parse(base.replace(' loc("a")', '')))).toBeNull();
    expect(equalModules(parse(base), parse(base))).toBe(true);
  });

  it('counts names, and values by their definition', () => {
    expect(equalFunctions(fn(base, 'g'), fn(base.replaceAll('%0', '%a'), 'g'))).toBe(false);
    const g = fn(base, 'g') as GraphFunction;
    // An argument that looks the same and is no value of the function is not the same.
    const foreign: GraphFunction = { ...g, bindings: [{ ...g.bindings[0]!, args: [{ ...g.params[0]! }] }, g.bindings[1]!] };
    expect(equalFunctions(g, foreign)).toBe(false);
  });

  it('counts order', () => {
    const [a, b] = ['graph @a() -> () { return }\n', 'graph @b() -> () { return }\n'];
    expect(diffModules(parse(a + b), parse(b + a))).toBe('@a: in another order');
  });

  it('compares shared subexpressions once', () => {
    const doubled = () => {
      const exprs = createExprs();
      let e = exprs.variable('x', 'f32');
      for (let i = 0; i < 200; i++) e = exprs.make('add', 'f32', [e, e], null);
      return e;
    };
    expect(equalExprs(doubled(), doubled())).toBe(true);
  });
});

describe('structural hash', () => {
  it('is MurmurHash3_x86_128', () => {
    const hash = (text: string) => {
      const h = new Murmur128();
      const bytes = new TextEncoder().encode(text);
      for (let i = 0; i < bytes.length; i += 4) h.word(new DataView(bytes.buffer).getInt32(i, true));
      return h.digest();
    };
    // From the reference implementation (smhasher).
    expect(hash('')).toBe('00000000000000000000000000000000');
    expect(hash('abcd')).toBe('96b6ccaa45afc62e45afc62e45afc62e');
    expect(hash('abcdefgh')).toBe('aef41136adb11487fa6c8092fa6c8092');
    expect(hash('0123456789abcdef')).toBe('fb7d440936aed30a48ad1d9b572b3bfd');
    expect(hash('The quick brown fox jumps over the lazy dog!')).toBe('a328ec0a13b01fa198f33b21b15df203');
  });

  it('is the same in every session and process', () => {
    expect(hashFunction(fn(base, 'g'))).toBe('67e447758e2ecf7e00b2c79d37ea7811');
    expect(hashFunction(fn(base, 'k'))).toBe('6910653ccccec8c0f6a6467262dbf907');
  });

  it('ignores the function\'s name, locations and the names of what is local', () => {
    const renamed = base
      .replace('graph @g', 'graph @g2').replaceAll('%x', '%"an input"').replaceAll('%0', '%first').replace(' loc("a")', ' loc("b")')
      .replace('tensor @k(', 'tensor @k2(').replace(/\bA\b/g, 'in0').replace(/\bC\b/g, 'out0').replace(/\bT\b/g, 'tmp').replace(/\bt\b(?!")/g, 'val')
      .replace(/\bvi\b/g, 'x0').replace(/\bi\b/g, 'y0').replace(/\bq\b/g, 'limit');
    expect(hashFunction(fn(renamed, 'g2'))).toBe(hashFunction(fn(base, 'g')));
    expect(hashFunction(fn(renamed, 'k2'))).toBe(hashFunction(fn(base, 'k')));
  });

  it('counts everything else', () => {
    const functions = (text: string) => [...parse(text).functions.values()].map(hashFunction).join();
    const inside = edits.filter(([, , path]) => path.startsWith('@') && path !== '@k: only in the first');
    for (const [from, to] of inside) expect(functions(base.replace(from, to)), `${from} → ${to}`).not.toBe(functions(base));
    expect(new Set(inside.map(([from, to]) => functions(base.replace(from, to)))).size).toBe(inside.length);
    // Dims are hashed by name, and the order of attributes is no difference.
    expect(hashFunction(fn(base.replace(/\bn\b/g, 'm').replace(/m\.relu/, 'n.relu'), 'k'))).not.toBe(hashFunction(fn(base, 'k')));
    expect(hashFunction(fn(base.replace('axis = 1, dims = [(n + 1)]', 'dims = [(n + 1)], axis = 1'), 'g'))).toBe(hashFunction(fn(base, 'g')));
  });

  it('tells variables that change places apart', () => {
    const text = (a: string, b: string) => `tensor @f(out C: i64[4, 4]) { for i in 0..4, j in 0..4 { C[${a}, ${b}] = 1 } }`;
    expect(hashFunction(fn(text('i', 'j'), 'f'))).not.toBe(hashFunction(fn(text('j', 'i'), 'f')));
    expect(hashFunction(fn(text('i', 'i'), 'f'))).not.toBe(hashFunction(fn(text('j', 'j'), 'f')));
  });

  it('agrees with equality on random functions', () => {
    const seen = new Map<string, IRFunction>();
    for (let seed = 0; seed < 500; seed++) {
      const module = randomModule(seed, createExprs());
      const again = parse(printModule(module));
      for (const [name, f] of module.functions) {
        const hash = hashFunction(f);
        expect(hashFunction(again.functions.get(name)!)).toBe(hash);
        const other = seen.get(hash);
        // Equal hashes mean equal functions but for names: at least of the same form.
        if (other !== undefined) expect(shape(other)).toBe(shape(f));
        seen.set(hash, f);
      }
    }
    expect(seen.size).toBeGreaterThan(300);
  });
});

function shape(f: GraphFunction | TensorFunction): string {
  return f.kind === 'graph' ? `graph ${f.params.length} ${f.bindings.map((b) => b.kind).join()}` : `tensor ${f.inputs.length} ${f.outputs.length} ${f.body.kind}`;
}
