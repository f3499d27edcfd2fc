import { loadsOf, visitStmts } from '@tenon/core';
import type { Alloc, Expr, For, If, Let, Stmt } from '@tenon/plugin';
import { outlined, rolled } from '../annotations.ts';
import { atLane, forLanes, prefetch, store, tensorIntrinsic } from './access.ts';
import { VectorContext, type Emitter } from './emitter.ts';
import { emit, emitMask, maskWidth } from './expressions.ts';
import { outline } from './outline.ts';
import { elementType, floorPowerOfTwo } from './types.ts';
import { canVectorize, lanesOf, readsMemory } from './vectorize.ts';

/** Copies of statements that unrolling may make before loops are left to the compiler. */
const maxCopies = 512;
/** Vectors of one loop that are written out; more become a loop over vectors. */
const maxChunks = 16;
/** Copies of statements that unrolling a serial loop may make so that a local buffer can live in registers. */
const maxRegisterCopies = 64;
/** Local buffers above this live in scratch memory: kernels also run on the small stacks of asynchronous calls. */
const maxStackBuffer = 8 << 10;
const maxStackBytes = 24 << 10;
/** Largest local buffer that is tried in registers, in vectors. */
const maxRegisterVectors = 32;

/** Lanes of a local buffer's registers: all that the machine has, or as many as a row where that is half of them or a quarter. */
const registerLanes = (full: number, row: number | null): number => (row === full / 2 || row === full / 4 ? Math.max(1, row) : full);

/** Writes the statements of one kernel function. */
export class StatementWriter {
  readonly em: Emitter;
  /** The loop that runs from `begin` to `end`. */
  readonly parallel: For | null;
  /** Bytes of scratch memory per thread. */
  scratch: Expr;
  #stack = 0;
  #copies = 1;

  constructor(em: Emitter, parallel: For | null) {
    this.em = em;
    this.parallel = parallel;
    this.scratch = em.exprs.int(0);
  }

  write(s: Stmt, v: VectorContext | null): void {
    const { em } = this;
    switch (s.kind) {
      case 'seq':
        for (const child of s.body) this.write(child, v);
        return;
      case 'store': {
        const value = em.canonical(s.value);
        em.statement([value], () => store(em, s.buffer, s.indices.map((i) => em.canonical(i)), value, v));
        return;
      }
      case 'for':
        return this.#for(s, v);
      case 'let':
        return this.#let(s, v);
      case 'if':
        return this.#if(s, v);
      case 'alloc':
        return this.#alloc(s, v);
      case 'while':
        em.block('for (;;)', () => {
          const condition = em.canonical(s.condition);
          em.statement([condition], () => em.push(`if (!${emit(em, condition, null)}) break;`));
          this.write(s.body, v);
        });
        return;
      case 'evaluate': {
        const value = em.canonical(s.value);
        if (value.op === 'call' && em.intrinsics.has(value.value as string)) {
          if (v !== null) return em.fail('unsupported-intrinsic', `${String(value.value)} is called in a vectorized loop`, 'Schedule the loops around a tensor intrinsic as serial, unrolled or parallel.');
          em.statement([value], () => {
            const text = tensorIntrinsic(em, value);
            em.push(`{ ${text} }`);
          });
          return;
        }
        const fetched = value.op === 'call' && value.value === 'prefetch' ? value.args[0]! : null;
        em.statement([value], () => em.push(fetched === null ? `(void)${emit(em, value, null)};` : prefetch(em, fetched)));
        return;
      }
      case 'block':
        return em.fail('block', `block ${s.name} was not lowered to loops before code generation`);
    }
  }

  #for(s: For, v: VectorContext | null): void {
    const { em } = this;
    if (typeof s.loop === 'object') return em.fail('thread-loop', `loop ${s.variable} is bound to ${s.loop.thread}; the C target has no such threads`);
    const extent = em.canonical(s.extent);
    const count = em.exprs.valueOf(extent);
    if (s === this.parallel) return this.#loop(extent, 'begin', 'end', 1, (i) => this.#bound(s, i, v));
    if (count !== null && count <= 0) return;
    if (count === 1) return this.#bound(s, em.exprs.int(0), v);
    if (s.loop === 'vectorized' && v === null) return this.#vectorized(s, extent, count);
    const unroll = s.loop === 'unrolled' || (s.annotations[rolled] !== true && count !== null && this.#copies * count <= maxRegisterCopies && this.#indexesRegisters(s));
    if (unroll && count !== null && this.#copies * count <= maxCopies) {
      this.#copies *= count;
      for (let i = 0; i < count; i++) this.#bound(s, em.exprs.int(i), v);
      this.#copies /= count;
      return;
    }
    if (s.annotations[outlined] === true) return outline(em, () => this.#loop(extent, '0', this.#limit(extent), 1, (i) => this.#bound(s, i, v)));
    if (s.loop === 'unrolled') em.push('#pragma GCC unroll 8');
    this.#loop(extent, '0', this.#limit(extent), 1, (i) => this.#bound(s, i, v));
  }

  /** The body with the loop variable standing for `value`. */
  #bound(s: For, value: Expr, v: VectorContext | null): void {
    this.em.bind(s.variable, value, () => this.write(s.body, v));
  }

  /** Text of a loop's end; computed once, before the loop. */
  #limit(extent: Expr): string {
    let text = '';
    this.em.statement([extent], () => {
      text = emit(this.em, extent, null);
      if (extent.op !== 'const' && extent.op !== 'var') text = this.em.define('i64', text);
    });
    return text;
  }

  #loop(extent: Expr, from: string, to: string, step: number, body: (i: Expr) => void): void {
    const { em } = this;
    const name = em.fresh('it');
    em.cTypes.set(name, 'const i64');
    em.facts.set(name, { min: 0, max: em.exprs.sub(extent, 1), ...(step > 1 ? { multipleOf: step } : {}) });
    em.block(`for (i64 ${name} = ${from}; ${name} < ${to}; ${step === 1 ? `${name}++` : `${name} += ${step}`})`, () => body(em.exprs.variable(name)));
  }

  #vectorized(s: For, extent: Expr, count: number | null): void {
    const { em } = this;
    if (!canVectorize(s)) return this.#loop(extent, '0', this.#limit(extent), 1, (i) => this.#bound(s, i, null));
    const lanes = lanesOf(s.body, em.vectorBytes);
    const name = em.fresh('it');
    const last = em.exprs.sub(extent, 1);
    em.facts.set(name, { min: 0, max: last });
    const chunk = (base: Expr, width: number): void => {
      if (width === 1) this.#bound(s, base, null);
      else em.bind(s.variable, em.exprs.variable(name), () => this.write(s.body, new VectorContext(name, width, base, last)));
    };
    if (count === null) {
      // Whole vectors, then quarters of vectors, then single elements.
      let from = '0';
      for (const width of lanes >= 8 ? [lanes, lanes / 4, 1] : [lanes, 1]) {
        const to = this.#limit(width === 1 ? extent : em.exprs.sub(extent, em.exprs.mod(extent, width)));
        this.#loop(extent, from, to, width, (i) => chunk(i, width));
        from = to;
      }
      return;
    }
    const chunks = Math.floor(count / lanes);
    let done = 0;
    if (chunks > maxChunks && !this.#indexesRegisters(s)) {
      done = chunks * lanes;
      this.#loop(em.exprs.int(done), '0', String(done), lanes, (i) => chunk(i, lanes));
    }
    while (done < count) {
      const width = Math.min(lanes, floorPowerOfTwo(count - done));
      chunk(em.exprs.int(done), width);
      done += width;
    }
  }

  /** Whether the loop's variable selects elements of a buffer that may live in registers. */
  #indexesRegisters(s: For): boolean {
    const { em } = this;
    let found = false;
    const check = (buffer: string, indices: readonly Expr[]): void => {
      if (em.buffers.get(buffer)?.kind !== 'registers') return;
      if (indices.some((i) => em.exprs.variables(i).includes(s.variable))) found = true;
    };
    visitStmts(s.body, (child) => {
      if (child.kind === 'store') check(child.buffer, child.indices);
    });
    for (const load of loadsOf(s.body)) check(load.value as string, load.args);
    return found;
  }

  #let(s: Let, v: VectorContext | null): void {
    const { em } = this;
    const value = em.canonical(s.value);
    if (value.op === 'var' || (value.op === 'const' && value.dtype === 'i64')) {
      em.bind(s.variable, value, () => this.write(s.body, v));
      return;
    }
    const name = em.fresh('t');
    const { dtype } = value;
    if (v !== null && v.varies(value)) {
      const type = elementType(dtype);
      const width = dtype === 'bool' ? maskWidth(value, v) : type.valueBytes;
      em.statement([value], () => {
        const [text, element] = dtype === 'bool' ? [emitMask(em, value, v, width), `i${width * 8}`] : [emit(em, value, v), type.value];
        em.declare(`const ${em.support.vector(element, v.lanes)}`, name, text);
      });
      v.lets.set(name, { dtype, width });
    } else {
      em.statement([value], () => em.declare(`const ${elementType(dtype).value}`, name, emit(em, value, null)));
      if (dtype === 'i64') em.facts.set(name, em.exprs.bounds(value, em.facts));
    }
    em.bind(s.variable, em.exprs.variable(name, dtype), () => this.write(s.body, v));
  }

  #if(s: If, v: VectorContext | null): void {
    const { em } = this;
    const condition = em.canonical(s.condition);
    if (condition.op === 'const') {
      const taken = condition.value === 0 ? s.otherwise : s.then;
      if (taken !== null) this.write(taken, v);
      return;
    }
    const otherwise = (w: VectorContext | null): void => void (s.otherwise !== null && this.write(s.otherwise, w));
    if (v === null || !v.varies(condition)) {
      em.statement([condition], () => em.push(`if (${emit(em, condition, null)}) {`));
      this.write(s.then, v);
      if (s.otherwise !== null) em.push('} else {');
      otherwise(v);
      em.push('}');
      return;
    }
    const width = maskWidth(condition, v);
    const element = `i${width * 8}`;
    let mask = '';
    em.statement([condition], () => {
      mask = em.define(em.support.vector(element, v.lanes), emitMask(em, condition, v, width));
    });
    em.block(`if (${em.support.use('all', element, v.lanes)}(${mask}))`, () => this.write(s.then, v));
    em.block(`else if (!${em.support.use('any', element, v.lanes)}(${mask}))`, () => otherwise(v));
    em.block('else', () => forLanes(em, v, (lane) => {
      const outer = new Map(em.bindings);
      for (const [name, value] of outer) if (v.varies(value)) em.bindings.set(name, atLane(em, value, v, lane));
      em.block(`if (${mask}[${lane}])`, () => this.write(s.then, null));
      if (s.otherwise !== null) em.block('else', () => otherwise(null));
      for (const [name, value] of outer) em.bindings.set(name, value);
    }));
  }

  #alloc(s: Alloc, v: VectorContext | null): void {
    const { em } = this;
    const { exprs } = em;
    const type = elementType(s.buffer.dtype);
    const shape = s.buffer.shape.map((d) => em.canonical(d));
    const count = exprs.valueOf(exprs.product(shape));
    const name = em.fresh('b');
    const before = em.buffers.get(s.buffer.name);
    const bytes = count === null ? null : Math.max(count, 1) * type.bytes;
    const lanes = registerLanes(em.vectorBytes / type.bytes, shape.length === 0 ? null : exprs.valueOf(shape.at(-1)!));
    const vectors = count === null ? null : Math.max(count, 1) / lanes;
    const fits = vectors !== null && Number.isInteger(vectors) && vectors <= maxRegisterVectors;
    const stack = this.#stack;
    if (fits && !type.half && type.kind !== 'bool' && !em.inMemory.has(s.buffer.name)) {
      em.buffers.set(s.buffer.name, { type, shape, name, kind: 'registers', lanes, vectors: false });
      em.cTypes.set(name, null);
      em.push(`${em.support.vector(type.value, lanes)} ${name}[${vectors}];`);
    } else {
      em.buffers.set(s.buffer.name, { type, shape, name, kind: 'memory', lanes: 1, vectors: false });
      if (bytes !== null && bytes <= maxStackBuffer && this.#stack + bytes <= maxStackBytes) {
        this.#stack += bytes;
        em.cTypes.set(name, `${type.storage}* const`);
        em.push(`${type.storage} ${name}[${bytes / type.bytes}] __attribute__((aligned(64)));`);
      } else {
        em.declare(`${type.storage}* const`, name, `(${type.storage}*)(scratch + ${emit(em, this.scratch, null)})`);
        const most = exprs.product(shape.map((d) => this.#most(d)));
        this.scratch = exprs.add(this.scratch, exprs.mul(exprs.ceildiv(exprs.mul(most, type.bytes), 64), 64));
      }
    }
    this.write(s.body, v);
    this.#stack = stack;
    const place = em.place(s.buffer.name);
    if (place.kind === 'registers' && !place.vectors) em.misfits.add(s.buffer.name);
    if (before === undefined) em.buffers.delete(s.buffer.name);
    else em.buffers.set(s.buffer.name, before);
  }

  /** The largest value of a shape's dim, in terms of the function's own dims. */
  #most(d: Expr): Expr {
    const { exprs, facts, kernel } = this.em;
    const inner = (e: Expr): string[] => exprs.variables(e).filter((name) => !/^n\d+$/.test(name));
    if (inner(d).length === 0 && !readsMemory(d)) return d;
    const sides = d.op === 'min' ? d.args.filter((a) => inner(a).length === 0 && !readsMemory(a)) : [];
    if (sides.length > 0) return sides[0]!;
    const { max } = exprs.bounds(d, facts);
    if (max !== null) return exprs.int(max);
    // A dim grows with loop variables in all shapes that loops make.
    const last = exprs.substitute(d, new Map(inner(d).flatMap((name) => {
      const most = facts.get(name)?.max;
      return most === null || most === undefined ? [] : [[name, typeof most === 'number' ? exprs.int(most) : most] as const];
    })));
    if (inner(last).length === 0 && !readsMemory(last)) return last;
    return this.em.fail('unbounded-local', `a local buffer of ${kernel} has no known upper bound for its size`);
  }
}


