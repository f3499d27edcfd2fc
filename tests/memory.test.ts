import { describe, expect, it } from 'vitest';
import { evaluateDim as evaluateProgram, type EntryInfo } from '@tenon/artifact';
import { entryFunction, type Expr, type IRModule, type RegionPlan, type Value } from '@tenon/plugin';
import { compileModule, type Compilation } from '@tenon/compiler';
import { evaluateDim } from '@tenon/core';
import { standardOps } from '@tenon/ops';
import { bareTarget } from './support/bare-target.ts';
import { host } from './support/engines.ts';
import { generator } from './support/generator.ts';
import { pick } from './support/random.ts';
import { dimValues, randomGraph } from './support/random-graph.ts';

/** Memory in which every byte knows what was written to it last. 0: nothing. */
class TaggedMemory {
  readonly #spaces = new Map<string, Int32Array>();
  #next = 1;

  space(name: string, bytes: number): void {
    this.#spaces.set(name, new Int32Array(bytes));
  }
  has(name: string): boolean {
    return this.#spaces.has(name);
  }
  /** Overwrites a range and returns the tag that all its bytes now have. */
  write(place: Place): number {
    const tag = this.#next++;
    this.#range(place).fill(tag);
    return tag;
  }
  /** What keeps a range from holding exactly what was written under `tag`, or null. */
  check(place: Place, tag: number): string | null {
    const at = this.#range(place).findIndex((t) => t !== tag);
    return at < 0 ? null : `byte ${at} of ${place.bytes} at ${place.space} + ${place.offset} was overwritten`;
  }
  #range({ space, offset, bytes }: Place): Int32Array {
    const memory = this.#spaces.get(space)!;
    if (offset < 0 || offset + bytes > memory.length) throw new Error(`bytes ${offset} … ${offset + bytes} of ${space}, which has ${memory.length}`);
    return memory.subarray(offset, offset + bytes);
  }
}
interface Place {
  readonly space: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Executes the plan of a region on tagged memory: every launch must find, in every argument, the very bytes that the
 * graph says were written for it. What the graph says is taken from the region's bindings, not from the planner.
 */
function simulate(plan: RegionPlan, module: IRModule, dims: ReadonlyMap<string, number>): { problem: string | null; shared: number } {
  const fn = module.functions.get(plan.entry);
  if (fn?.kind !== 'graph') throw new Error(`no region ${plan.entry}`);
  const number = (e: Expr): number => evaluateDim(e, dims);
  const memory = new TaggedMemory();
  memory.space('workspace', number(plan.workspace));
  const place = (index: number): Place => {
    const { storage, bytes } = plan.buffers[index]!;
    const offset = storage.kind === 'workspace' ? number(storage.offset) : 0;
    if (offset % 64 !== 0) throw new Error(`buffer ${index} lies at ${offset}`);
    const space = storage.kind === 'workspace' ? 'workspace' : `${storage.kind} ${storage.index}`;
    if (!memory.has(space)) memory.space(space, number(bytes));
    return { space, offset, bytes: number(bytes) };
  };
  /** What each value's bytes are tagged with. */
  const tags = new Map<Value | string, number>();
  /** Views, and the values whose bytes they are. */
  const views = new Map<Value, Value>();
  const origin = (v: Value): Value => views.get(v) ?? v;
  const key = (v: Value): Value | string => (origin(v).constant ? `@${origin(v).name}` : origin(v));
  const launches = plan.launches.values();
  const arrive = (v: Value, index: number): void => {
    // Parameters and constants are in their places before the first launch.
    if (!tags.has(key(v))) tags.set(key(v), memory.write(place(index)));
  };
  const params = new Set(fn.params);
  let shared = 0;
  const launch = (inputs: readonly Value[], outputs: readonly Value[], args: readonly number[], kernel: string): string | null => {
    for (const [i, v] of inputs.entries()) {
      if (origin(v).constant || params.has(origin(v))) arrive(v, args[i]!);
      const tag = tags.get(key(v));
      if (tag === undefined) return `${kernel} reads %${v.name} before it is written`;
      const problem = memory.check(place(args[i]!), tag);
      if (problem !== null) return `${kernel} reads %${v.name}: ${problem}`;
    }
    const written = outputs.map((_, i) => place(args[inputs.length + i]!));
    for (const [i, out] of written.entries()) {
      for (const [j, v] of inputs.entries()) {
        const input = place(args[j]!);
        if (!overlap(out, input)) continue;
        if (out.offset !== input.offset || out.bytes !== input.bytes) return `${kernel} writes over a part of its argument %${v.name}`;
        shared++;
      }
      for (const other of written.slice(i + 1)) if (overlap(out, other)) return `two results of ${kernel} overlap`;
    }
    outputs.forEach((v, i) => tags.set(v, memory.write(written[i]!)));
    return null;
  };
  for (const binding of fn.bindings) {
    if (binding.kind === 'op') {
      views.set(binding.results[0]!, origin(binding.args[0]!));
      continue;
    }
    const { args, kernel } = launches.next().value!;
    const callee = module.functions.get(kernel);
    if (callee?.kind !== 'tensor') throw new Error(`no kernel ${kernel}`);
    const inputs = binding.args.slice(0, callee.inputs.length) as Value[];
    const problem = launch(inputs, binding.results, args, kernel);
    if (problem !== null) return { problem, shared };
  }
  // Results that are no launch's own memory are copied at the end.
  const copied = new Map<string, number>();
  for (const { args, kernel } of launches) {
    const source = plan.buffers[args[0]!]!;
    const value = fn.results.find((r) => r.name === source.name)!;
    const problem = launch([value], [], args, kernel);
    if (problem !== null) return { problem, shared };
    const target = plan.buffers[args[1]!]!;
    if (target.storage.kind !== 'result') return { problem: `${kernel} copies to no result`, shared };
    copied.set(`result ${target.storage.index}`, memory.write(place(args[1]!)));
  }
  for (const [i, result] of fn.results.entries()) {
    const space = `result ${i}`;
    const index = plan.buffers.findIndex((b) => b.storage.kind === 'result' && b.storage.index === i);
    if (index < 0) return { problem: `nothing is written to result ${i}`, shared };
    const problem = memory.check(place(index), copied.get(space) ?? tags.get(key(result)) ?? -1);
    if (problem !== null) return { problem: `result ${i}: ${problem}`, shared };
  }
  return { problem: null, shared };
}

const overlap = (a: Place, b: Place): boolean => a.space === b.space && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;

/** The same for the program of an entry: calls of regions, and copies between devices. */
function simulateEntry(entry: EntryInfo, dims: ReadonlyMap<string, number>): string | null {
  const memory = new TaggedMemory();
  entry.arenas.forEach((a, i) => memory.space(`arena ${i}`, evaluateProgram(a.bytes, dims)));
  const place = (register: number): Place => {
    const { storage, bytes } = entry.values[register]!;
    const size = evaluateProgram(bytes, dims);
    if (storage.kind === 'arena') return { space: `arena ${storage.arena}`, offset: evaluateProgram(storage.offset, dims), bytes: size };
    const space = `${storage.kind} ${storage.index} ${storage.kind === 'constant' ? register : ''}`;
    if (!memory.has(space)) memory.space(space, size);
    return { space, offset: 0, bytes: size };
  };
  const tags = new Map<number, number>();
  const read = (register: number, who: string): string | null => {
    const { storage } = entry.values[register]!;
    if (!tags.has(register) && (storage.kind === 'param' || storage.kind === 'constant')) tags.set(register, memory.write(place(register)));
    const tag = tags.get(register);
    const problem = tag === undefined ? 'it was not written' : memory.check(place(register), tag);
    return problem === null ? null : `${who} reads register ${register}: ${problem}`;
  };
  for (const [at, step] of entry.program.entries()) {
    const who = `instruction ${at}`;
    const reads = step.op === 'call' ? step.args : step.op === 'copy' ? [step.from] : step.op === 'return' ? step.values : [];
    for (const register of reads) {
      const problem = read(register, who);
      if (problem !== null) return problem;
    }
    const writes = step.op === 'call' ? step.results : step.op === 'copy' ? [step.to] : [];
    for (const register of writes) {
      for (const argument of reads) if (overlap(place(register), place(argument))) return `${who} writes over its argument in register ${argument}`;
      tags.set(register, memory.write(place(register)));
    }
  }
  return null;
}

const config = { plugins: [standardOps(), bareTarget({ name: 'planned', form: 'kernels', ops: null })], targets: ['planned'], verify: 'off' as const };

async function compiled(seed: number, options: Parameters<typeof randomGraph>[2], compileConfig: Parameters<typeof compileModule>[1]['config']): Promise<Compilation> {
  return compileModule((session) => randomGraph(session, seed, options), { config: compileConfig, host });
}

describe('the memory plan', () => {
  it('never aliases live values, in 1 000 random graphs', async () => {
    let launches = 0;
    let inPlace = 0;
    let reused = 0;
    for (let seed = 1; seed <= 1000; seed++) {
      const symbolic = seed % 2 === 0;
      const { plans, module } = await compiled(seed, { calls: 4 + (seed % 24), symbolic }, config);
      for (const plan of plans.values()) {
        launches += plan.launches.length;
        for (const dims of symbolic ? dimValues : dimValues.slice(0, 1)) {
          const { problem, shared } = simulate(plan, module, dims);
          if (problem !== null) expect.fail(`seed ${seed} with ${[...dims].map((d) => d.join(' = ')).join(', ')}: ${problem}`);
          inPlace += shared;
          const own = plan.buffers.filter((b) => b.storage.kind === 'workspace');
          if (own.reduce((sum, b) => sum + evaluateDim(b.bytes, dims), 0) > evaluateDim(plan.workspace, dims) && own.length > 1) reused++;
        }
      }
    }
    // The graphs give the planner something to do.
    expect(launches).toBeGreaterThan(5000);
    expect(inPlace).toBeGreaterThan(100);
    expect(reused).toBeGreaterThan(300);
  }, 120_000);

  it('finds a plan that does alias', async () => {
    let found = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const { plans, module } = await compiled(seed, { calls: 20, symbolic: false }, config);
      for (const plan of plans.values()) {
        const at = (offset: Expr): RegionPlan => ({
          ...plan, buffers: plan.buffers.map((b) => (b.storage.kind === 'workspace' ? { ...b, storage: { kind: 'workspace', offset } } : b)),
        });
        const first = plan.buffers.find((b) => b.storage.kind === 'workspace')?.storage;
        if (first?.kind !== 'workspace') continue;
        const zero = plan.buffers.map((b) => b.storage).find((s) => s.kind === 'workspace' && evaluateDim(s.offset, new Map()) === 0);
        if (zero?.kind === 'workspace' && simulate(at(zero.offset), module, dimValues[0]!).problem !== null) found++;
      }
    }
    expect(found).toBeGreaterThan(25);
  }, 60_000);

  it('never aliases live values between regions of two targets, in 300 random graphs', async () => {
    const names = ['math.neg', 'math.abs', 'nn.relu', 'math.tanh', 'math.add', 'math.mul', 'nn.matmul', 'shape.transpose', 'shape.concat', 'reduce.sum'];
    let calls = 0;
    let copies = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const random = generator(seed);
      const ops = names.filter(() => random() < 0.5).concat(pick(random, names));
      const { manifest } = await compiled(seed, { calls: 16, symbolic: seed % 2 === 0 }, {
        plugins: [standardOps(), bareTarget({ name: 'planned', form: 'kernels', ops: null }), bareTarget({ name: 'some', form: 'graph', ops, separate: seed % 3 === 0 })],
        targets: ['some', 'planned'], verify: 'off', partition: { strategy: 'greedy' },
      });
      const entry = manifest.entries.find((e) => e.name === entryFunction)!;
      for (const dims of seed % 2 === 0 ? dimValues : dimValues.slice(0, 1)) {
        const problem = simulateEntry(entry, dims);
        if (problem !== null) expect.fail(`seed ${seed}: ${problem}`);
      }
      calls += entry.program.filter((i) => i.op === 'call').length;
      copies += entry.program.filter((i) => i.op === 'copy').length;
    }
    expect(calls).toBeGreaterThan(500);
    expect(copies).toBeGreaterThan(300);
  }, 120_000);
});
