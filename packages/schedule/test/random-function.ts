import type { Buffer, Expr, ExprLike, Stmt, TensorFunction } from '@tenon/plugin';
import { FunctionBody, type Exprs } from '@tenon/core';
import { type Random } from '../../../tests/support/generator.ts';

export interface RandomFunction {
  readonly fn: TensorFunction;
  /** Values of dims. */
  readonly dims: ReadonlyMap<string, number>;
}

/**
 * A function of several blocks over i32, so that every order of a sum gives the same: elementwise chains, broadcasts,
 * transposes, reductions, windows, padding, concatenation, opaque rows, reductions whose order matters.
 */
export function randomFunction(random: Random, exprs: Exprs): RandomFunction {
  const dims = new Map<string, number>();
  const size = (): Expr => {
    if (!random.chance(0.25)) return exprs.int(random.pick([1, 2, 3, 4, 5, 6, 8]));
    const name = random.pick(['n', 'm']);
    if (!dims.has(name)) dims.set(name, random.pick([0, 1, 2, 3, 5, 7]));
    return exprs.variable(name);
  };
  const dtype = 'i32';
  const buffer = (name: string, shape: readonly Expr[]): Buffer => ({ name, dtype, shape, scope: 'global' });
  const inputs = Array.from({ length: 1 + random.below(3) }, (_, k) => buffer(`X${k}`, Array.from({ length: 1 + random.below(3) }, size)));
  for (const name of dims.keys()) if (!inputs.some((b) => b.shape.some((d) => d === exprs.variable(name)))) inputs.push(buffer(`D${name}`, [exprs.variable(name)]));
  const known: Buffer[] = [...inputs];
  const outputs = new Set<string>();
  const body = new FunctionBody(exprs, inputs);
  const count = 2 + random.below(4);
  for (let k = 0; k < count; k++) {
    const last = k === count - 1 || random.chance(0.12);
    const name = last ? `Y${k}` : `t${k}`;
    if (last) outputs.add(name);
    known.push(step(random, body, exprs, known, (shape) => body.alloc(name, dtype, shape)));
  }
  const fn = body.finish('random', inputs, []);
  // Results are temporaries that the caller sees.
  const results: Buffer[] = [];
  const strip = (s: Stmt): Stmt => {
    if (s.kind !== 'alloc') return s;
    if (!outputs.has(s.buffer.name)) return { ...s, body: strip(s.body) };
    results.push(s.buffer);
    return strip(s.body);
  };
  const stripped = strip(fn.body);
  return { fn: { ...fn, outputs: results, body: stripped }, dims };
}

function step(random: Random, b: FunctionBody, exprs: Exprs, known: readonly Buffer[], make: (shape: readonly Expr[]) => Buffer): Buffer {
  const x = random.pick(known.slice(-3).filter((y) => y.shape.length > 0).concat(known.slice(0, 1)));
  const i32 = (v: number): Expr => exprs.constant(v, 'i32');
  const combine = (p: Expr, q: Expr): Expr => exprs[random.pick(['add', 'sub', 'mul', 'min', 'max'] as const)](p, q);
  const value = (e: Expr): Expr => random.pick([() => exprs.add(e, i32(3)), () => exprs.mul(e, i32(2)), () => exprs.max(e, i32(0)), () => exprs.sub(i32(1), e)])();
  /** Another buffer read at the same place, if one broadcasts. */
  const beside = (indices: readonly Expr[], shape: readonly Expr[]): Expr | null => {
    const fits = random.shuffled(known).find((y) => y.shape.length <= shape.length && y.shape.every((d, k) => d === exprs.one || d === shape[shape.length - y.shape.length + k]));
    if (fits === undefined) return null;
    const tail = indices.slice(indices.length - fits.shape.length);
    return exprs.load(fits, tail.map((e, k) => (fits.shape[k] === exprs.one ? exprs.zero : e)));
  };
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2: {
      const out = make(x.shape);
      b.compute(out, (v) => {
        const other = random.chance(0.6) ? beside(v, x.shape) : null;
        const own = exprs.load(x, v);
        return other === null ? value(own) : combine(value(own), other);
      });
      return out;
    }
    case 3: {
      const order = random.shuffled(x.shape.map((_, k) => k));
      const out = make(order.map((k) => x.shape[k]!));
      b.compute(out, (v) => value(exprs.load(x, x.shape.map((_, k) => v[order.indexOf(k)]!))));
      return out;
    }
    case 4:
    case 5: {
      const reduced = x.shape.map(() => random.chance(0.5));
      if (!reduced.includes(true)) reduced[random.below(reduced.length)] = true;
      const out = make(x.shape.filter((_, k) => !reduced[k]));
      const op = random.pick(['add', 'max', 'min', 'mul'] as const);
      const start = op === 'add' || op === 'mul' ? i32(op === 'mul' ? 1 : random.pick([0, 0, 5])) : op === 'max' ? i32(-100) : i32(100);
      const ordered = random.chance(0.15);
      b.reduce(out, x.shape.filter((_, k) => reduced[k]), start, (acc, v, r) => {
        let [i, j] = [0, 0];
        const own = exprs.load(x, x.shape.map((_, k) => (reduced[k] ? r[i++]! : v[j++]!)));
        return ordered ? exprs.add(exprs.mul(acc, i32(3)), own) : exprs[op](acc, own);
      });
      return out;
    }
    case 6: {
      // A product over a shared axis.
      const y = random.pick(known);
      const k = x.shape.at(-1)!;
      const axis = y.shape.indexOf(k);
      if (axis < 0) {
        const out = make(x.shape);
        b.compute(out, (v) => value(exprs.load(x, v)));
        return out;
      }
      const left = x.shape.slice(0, -1);
      const right = y.shape.filter((_, n) => n !== axis);
      const shape = [...left, ...right].slice(0, 4);
      if (shape.length < left.length + right.length) {
        const out = make(x.shape);
        b.compute(out, (v) => value(exprs.load(x, v)));
        return out;
      }
      const out = make(shape);
      b.reduce(out, [k], i32(0), (acc, v, r) => {
        let n = left.length;
        const own = exprs.load(y, y.shape.map((_, a) => (a === axis ? r[0]! : v[n++]!)));
        return exprs.add(acc, exprs.mul(exprs.load(x, [...v.slice(0, left.length), r[0]!]), own));
      });
      return out;
    }
    case 7: {
      // Padding on one axis, with a constant.
      const axis = random.below(x.shape.length);
      const [before, after] = [random.below(3), random.below(3)];
      const out = make(x.shape.map((d, k) => (k === axis ? exprs.add(d, before + after) : d)));
      b.compute(out, (v) => {
        const at = exprs.sub(v[axis]!, before);
        const inside = exprs.and(exprs.ge(at, 0), exprs.lt(at, x.shape[axis]!));
        return exprs.select(inside, exprs.load(x, v.map((e, k) => (k === axis ? at : e))), i32(7));
      });
      return out;
    }
    case 8: {
      // A window with borders left out, or a guarded stencil.
      const axis = random.below(x.shape.length);
      const width = 2 + random.below(2);
      const out = make(x.shape);
      if (random.chance(0.5)) {
        b.reduce(out, [width], i32(0), (acc, v, r) => {
          const at = exprs.sub(exprs.add(v[axis]!, r[0]!), 1);
          const inside = exprs.and(exprs.ge(at, 0), exprs.lt(at, x.shape[axis]!));
          return exprs.add(acc, exprs.select(inside, exprs.load(x, v.map((e, k) => (k === axis ? at : e))), i32(0)));
        });
      } else {
        b.compute(out, (v) => {
          const at = exprs.sub(v[axis]!, 1);
          return exprs.add(exprs.select(exprs.ge(at, 0), exprs.load(x, v.map((e, k) => (k === axis ? at : e))), i32(0)), exprs.load(x, v));
        });
      }
      return out;
    }
    default: {
      if (random.chance(0.5)) {
        // Two blocks write one buffer: concatenation with itself on one axis.
        const axis = random.below(x.shape.length);
        const out = make(x.shape.map((d, k) => (k === axis ? exprs.mul(d, 2) : d)));
        const copy = (offset: ExprLike, f: (e: Expr) => Expr): void =>
          b.block(`${out.name}_part`, x.shape, (v) => b.store(out, v.map((e, k) => (k === axis ? exprs.add(e, offset) : e)), f(exprs.load(x, v))));
        copy(0, (e) => e);
        copy(x.shape[axis]!, value);
        return out;
      }
      // Opaque rows: a running sum along the last axis.
      const out = make(x.shape);
      b.block(`${out.name}_rows`, x.shape.slice(0, -1), (v) => {
        const sum = b.local('sum', 'i32', []);
        b.store(sum, [], i32(0));
        b.loop(x.shape.at(-1)!, (j) => {
          b.store(sum, [], exprs.add(b.load(sum, []), exprs.load(x, [...v, j])));
          b.store(out, [...v, j], b.load(sum, []));
        });
      });
      return out;
    }
  }
}
