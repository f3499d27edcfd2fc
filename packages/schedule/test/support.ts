import { diagnosticOf, type Diagnostic, type HostTensor, type TensorFunction, type TensorIntrinsic } from '@tenon/plugin';
import { createExprs, parseModule, printFunction, verifyModule, type Exprs } from '@tenon/core';
import { evaluateTensorFunction } from '@tenon/interp';
import { lower, Schedule } from '../src/index.ts';
import { Random } from '../../../tests/support/generator.ts';
import { sameTensors } from './run-random.ts';

/** Reads one tensor function. */
export function tensorFunction(text: string, exprs: Exprs): TensorFunction {
  const [fn] = [...parseModule(text, exprs).functions.values()];
  if (fn?.kind !== 'tensor') throw new Error('no tensor function');
  return fn;
}

export interface Setting {
  /** Values of dims. Default 5 each. */
  readonly dims?: Readonly<Record<string, number>>;
  readonly intrinsics?: readonly TensorIntrinsic[];
  /** How inputs and outputs of the scheduled function are read where it stores them in another way. */
  readonly check?: boolean;
}

/** Inputs of small integers for a function. */
export function randomInputs(fn: TensorFunction, exprs: Exprs, dims: ReadonlyMap<string, number>): HostTensor[] {
  const random = new Random(7);
  return fn.inputs.map((b) => {
    const shape = b.shape.map((d) => exprs.valueOf(d) ?? exprs.valueOf(exprs.substitute(d, new Map([...dims].map(([k, v]) => [k, exprs.int(v)]))))!);
    const length = shape.reduce((a, c) => a * c, 1);
    const values = Array.from({ length }, () => random.below(19) - 9);
    return { dtype: b.dtype, shape, data: b.dtype === 'i32' ? Int32Array.from(values) : Float32Array.from(values) };
  });
}

export function dimsOf(fn: TensorFunction, exprs: Exprs, given: Readonly<Record<string, number>> = {}): Map<string, number> {
  const dims = new Map<string, number>();
  for (const b of [...fn.inputs, ...fn.outputs]) for (const d of b.shape) for (const v of exprs.variables(d)) dims.set(v, given[v] ?? 5);
  return dims;
}

/** Schedules a function, checks that it verifies and computes the same, lowered too, and gives the schedule. */
export function schedule(text: string, apply: (s: Schedule, exprs: Exprs) => void, setting: Setting = {}): Schedule {
  const exprs = createExprs();
  const fn = tensorFunction(text, exprs);
  const dims = dimsOf(fn, exprs, setting.dims);
  const facts = new Map([...dims.keys()].map((name) => [name, { min: 1, max: 4096 }] as const));
  const s = new Schedule(fn, exprs, { dims: facts, verify: true, ...(setting.intrinsics && { intrinsics: setting.intrinsics }) });
  apply(s, exprs);
  if (setting.check === false) return s;
  const inputs = randomInputs(fn, exprs, dims);
  const want = evaluateTensorFunction(fn, inputs, dims);
  for (const now of [s.fn, lower(s.fn, exprs, facts)]) {
    const found = verifyModule({ dims: new Map(), sources: new Map(), constants: new Map(), functions: new Map([[now.name, now]]) }, { exprs, operator: () => undefined });
    if (found.length > 0) throw new Error(`${found[0]!.message}\n${printFunction(now)}`);
    if (!sameTensors(evaluateTensorFunction(now, inputs, dims), want)) throw new Error(`another result\n${printFunction(now)}`);
  }
  return s;
}

/** The text of the scheduled function. */
export function scheduled(text: string, apply: (s: Schedule, exprs: Exprs) => void, setting: Setting = {}): string {
  return `\n${printFunction(schedule(text, apply, setting).fn)}\n`;
}

/** The text of the scheduled function, lowered. */
export function lowered(text: string, apply: (s: Schedule, exprs: Exprs) => void, setting: Setting = {}): string {
  let exprs: Exprs | null = null;
  const s = schedule(text, (x, e) => {
    exprs = e;
    apply(x, e);
  }, setting);
  return `\n${printFunction(lower(s.fn, exprs!, new Map(), { ...(setting.intrinsics && { intrinsics: setting.intrinsics }) }))}\n`;
}

/** Why a primitive is refused: code and message. The function must stay as it was. */
export function refusal(text: string, apply: (s: Schedule, exprs: Exprs) => void, setting: Setting = {}): string {
  let before: TensorFunction | null = null;
  let s: Schedule | null = null;
  let found: Diagnostic | null = null;
  schedule(text, (given, exprs) => {
    s = given;
    const step = new Proxy(given, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        return typeof value !== 'function' ? value : (...args: unknown[]): unknown => {
          before = target.fn;
          return (value as (...a: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    try {
      apply(step, exprs);
    } catch (error) {
      found = diagnosticOf(error);
      if (found === null) throw error;
    }
  }, { ...setting, check: false });
  if (found === null) throw new Error('nothing was refused');
  if ((s as unknown as Schedule).fn !== before) throw new Error('the function changed');
  const { code, message } = found as Diagnostic;
  return `${code}: ${message}`;
}

export const matmul = `tensor @matmul(A: i32[6, 8], B: i32[8, 4], out C: i32[6, 4]) {
  for i in 0..6, j in 0..4, k in 0..8 {
    block mm(vi: spatial = i, vj: spatial = j, vk: reduce = k) {
      init { C[vi, vj] = 0i32 }
      C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]
    }
  }
}`;

/** A chain t = 2a, u = t + 1, and rows of u summed. */
export const chain = `tensor @chain(A: i32[n, 8], out S: i32[n]) {
  alloc T: i32[n, 8]
  alloc U: i32[n, 8]
  for i in 0..n, j in 0..8 {
    block double(vi: spatial = i, vj: spatial = j) { T[vi, vj] = A[vi, vj] * 2i32 }
  }
  for i1 in 0..n, j1 in 0..8 {
    block plus(wi: spatial = i1, wj: spatial = j1) { U[wi, wj] = T[wi, wj] + 1i32 }
  }
  for i2 in 0..n, k in 0..8 {
    block sum(xi: spatial = i2, xk: reduce = k) {
      init { S[xi] = 0i32 }
      S[xi] = S[xi] + U[xi, xk]
    }
  }
}`;

/** A producer and a consumer that reads three neighbours. */
export const stencil = `tensor @stencil(A: i32[16], out B: i32[14]) {
  alloc T: i32[16]
  for i in 0..16 {
    block double(vi: spatial = i) { T[vi] = A[vi] * 2i32 }
  }
  for j in 0..14 {
    block blur(vj: spatial = j) { B[vj] = T[vj] + T[vj + 1] + T[vj + 2] }
  }
}`;

export const padded = `tensor @padded(A: i32[n], out B: i32[n + 3]) {
  for i in 0..n + 3 {
    block pad(v: spatial = i) { B[v] = select(1 <= v && v - 1 < n, A[v - 1], 7i32) }
  }
}`;
