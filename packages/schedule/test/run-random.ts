import { diagnosticOf, type HostTensor, type TensorFunction } from '@tenon/plugin';
import { descriptionOf, printFunction, verifyModule, type Exprs } from '@tenon/core';
import { evaluateTensorFunction } from '@tenon/interp';
import { lower, printTrace, Schedule } from '../src/index.ts';
import type { Random } from '../../../tests/support/generator.ts';
import { attempts, partsOf, smallIntrinsics } from './random-primitive.ts';

export interface Tally {
  readonly applied: Map<string, number>;
  readonly refused: Map<string, number>;
}

export function sameTensors(a: readonly HostTensor[], b: readonly HostTensor[]): boolean {
  return a.every((x, k) => {
    const y = b[k]!;
    return x.data.length === y.data.length && x.shape.every((d, n) => d === y.shape[n]) && Array.from(x.data as ArrayLike<number>).every((v, n) => Object.is(v, y.data[n]) || v == y.data[n]);
  });
}

/**
 * Applies random primitives to a function. After each the function verifies and computes what it did before; at the end
 * also when lowered. Throws with the trace and the function where that is not so.
 */
export function runRandomSchedule(random: Random, exprs: Exprs, fn: TensorFunction, inputs: readonly HostTensor[], dims: ReadonlyMap<string, number>, steps: number, tally: Tally, agree = sameTensors): void {
  const want = evaluateTensorFunction(fn, inputs, dims);
  const facts = new Map([...dims].map(([name]) => [name, { min: 0, max: 64 }] as const));
  const schedule = new Schedule(fn, exprs, { dims: facts, verify: true, intrinsics: smallIntrinsics });
  const names = Object.keys(attempts);
  const descriptions = new Map(smallIntrinsics.map((i) => [i.name, descriptionOf(exprs, i)]));
  const fail = (what: string, now: TensorFunction): never => {
    throw new Error(`${what}\n${printTrace(schedule.trace)}\nbefore:\n${printFunction(fn)}\nafter:\n${printFunction(now)}`);
  };
  const check = (now: TensorFunction, what: string): void => {
    let got: HostTensor[];
    try {
      got = evaluateTensorFunction(now, inputs, dims, new Map(), descriptions);
    } catch (error) {
      return fail(`${what}: ${String(error)}`, now);
    }
    if (!agree(got, want)) fail(`${what}: another result`, now);
  };
  for (let k = 0; k < steps; k++) {
    const parts = partsOf(schedule.fn);
    if (parts.loops.length === 0) break;
    if (parts.loops.length > 40) break;
    const name = random.pick(names);
    const before = schedule.fn;
    try {
      attempts[name]!(schedule, random, parts, exprs);
    } catch (error) {
      const code = diagnosticOf(error)?.code ?? '';
      if (!code.startsWith('schedule/') || code === 'schedule/invalid') fail(`${name}: ${error instanceof Error ? error.stack : String(error)}`, schedule.fn);
      tally.refused.set(`${name} ${code}`, (tally.refused.get(`${name} ${code}`) ?? 0) + 1);
      if (schedule.fn !== before) fail(`${name} was refused and changed the function`, schedule.fn);
      continue;
    }
    tally.applied.set(name, (tally.applied.get(name) ?? 0) + 1);
    if (schedule.fn !== before) check(schedule.fn, name);
  }
  let lowered: TensorFunction;
  try {
    lowered = lower(schedule.fn, exprs, facts, { intrinsics: smallIntrinsics });
  } catch (error) {
    return fail(`lower: ${error instanceof Error ? error.stack : String(error)}`, schedule.fn);
  }
  const found = verifyModule({ dims: new Map(), sources: new Map(), constants: new Map(), functions: new Map([[lowered.name, lowered]]) }, { exprs, operator: () => undefined });
  if (found.length > 0) fail(`lower: ${found[0]!.message}`, lowered);
  check(lowered, 'lower');
}
