import { type DimInfo, type DimValue, evaluateDim, type Instruction, type RegionVariant } from '@tenon/artifact';
import type { BoundCall, Device, DeviceBuffer, Fence, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { rangeProblem } from './arguments.ts';
import type { CallingThread } from './calling-thread.ts';
import type { ConstantStore } from './constants.ts';
import { countOf, denseBytes, elementsOf, hostLayout } from './dtypes.ts';
import { hostBytes } from './host-device.ts';
import type { BoundState, Prepared } from './prepared.ts';
import type { ProfileRecorder } from './profile.ts';
import type { RegionTable } from './regions.ts';
import type { Lending } from './user-memory.ts';

/** What one attempt to run needs. */
export interface Execution {
  readonly prepared: Prepared;
  readonly regions: RegionTable;
  readonly constants: ConstantStore;
  /** Calls end before they return; waiting is an error. */
  readonly sync: boolean;
  /** Of runs that may wait: whose thread it is. */
  readonly thread: CallingThread;
  /** Calls that are not brief may run on this thread, too. */
  readonly stays: boolean;
  /** Variants that failed in this run, with what they said. */
  readonly excluded: ReadonlyMap<string, string>;
  readonly profile: ProfileRecorder | null;
  readonly signal: AbortSignal | null;
  /** Fences of region calls, in order: to tell which region it was that failed. */
  readonly calls: { readonly fence: Fence; readonly region: number; readonly variant: number }[];
  /** Fences of copies to and from devices: they may have failed, and memory that they use must stay until they are done. */
  readonly transfers: Fence[];
  /** The variant that ran, by region. */
  readonly used: Map<number, number>;
}

export interface Result {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In host memory. Of the runtime's own: to be copied before the next run, if `shared`; else the user's. */
  readonly bytes: Uint8Array;
  readonly shared: boolean;
}

/** A region that failed where another variant may still succeed. */
export class RegionFailure extends Error {
  readonly region: number;
  readonly variant: number;
  constructor(region: number, variant: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.region = region;
    this.variant = variant;
  }
}

/**
 * Runs an entry once: writes its parameters (null: already in place), runs the program, gives its results. With `lending`,
 * parameters and results lie in memory of the user's where they can. Yields the fences
 * that must be done before it can go on, so that the same code serves `run`, which awaits them, and `runSync`, where
 * they are done.
 */
export function* execute(execution: Execution, inputs: readonly (Uint8Array | null)[], lending: Lending | null): Generator<Fence, readonly Result[]> {
  const { prepared } = execution;
  prepared.startRun();
  for (const [i, bytes] of inputs.entries()) if (bytes !== null) yield* writeParam(execution, i, bytes, lending?.inputs ?? false);
  if (lending) {
    prepared.resultRegisters.forEach((register, i) => {
      const memory = lending.outputs[i];
      if (!memory || !prepared.lend(register, memory)) prepared.lendNew(register);
    });
  }
  const results = yield* runProgram(execution, prepared.entry.program);
  for (const { fence } of execution.calls) yield fence;
  for (const fence of execution.transfers) yield fence;
  return results ?? [];
}

function* writeParam({ prepared, profile, transfers }: Execution, param: number, bytes: Uint8Array, lend: boolean): Generator<Fence, void> {
  for (const register of prepared.paramRegisters(param)) {
    if (lend && prepared.lend(register, bytes)) continue;
    const view = prepared.view(register);
    if (view.bytes !== bytes.length) {
      throw new TenonError({ code: 'runtime/shape', message: `input '${prepared.entry.params[param]!.name}': expected ${view.bytes} bytes, got ${bytes.length}` });
    }
    const device = prepared.deviceOf(register);
    if (view.buffer.host) {
      hostBytes(view).set(bytes);
    } else {
      const queue = prepared.queueOf(device);
      const begin = profile?.now() ?? 0;
      const clock = profile?.clock(device);
      const fence = queue.write(bytes, view);
      transfers.push(fence);
      prepared.touch([view.buffer], queue, fence);
      if (profile) {
        yield fence;
        profile.transfer('host', device.name, bytes.length, begin, clock!);
      }
    }
  }
}

function* runProgram(execution: Execution, program: readonly Instruction[]): Generator<Fence, readonly Result[] | null> {
  const { prepared } = execution;
  for (const instruction of program) {
    execution.signal?.throwIfAborted();
    switch (instruction.op) {
      case 'dim':
        setDim(prepared, instruction.name, yield* dimValue(execution, instruction.value));
        break;
      case 'call':
        yield* callRegion(execution, instruction);
        break;
      case 'copy': {
        const { from, to } = instruction;
        yield* transfer(execution, prepared.view(from), prepared.deviceOf(from), prepared.view(to), prepared.deviceOf(to));
        break;
      }
      case 'branch':
        yield* runProgram(execution, (yield* dimValue(execution, instruction.condition)) !== 0 ? instruction.then : instruction.otherwise);
        break;
      case 'loop': {
        const trips = instruction.trips ? yield* dimValue(execution, instruction.trips) : Infinity;
        for (let i = 0; i < trips; i++) {
          if (instruction.condition && (yield* dimValue(execution, instruction.condition)) === 0) break;
          if (instruction.index !== null) setDim(prepared, instruction.index, i);
          yield* runProgram(execution, instruction.body);
        }
        break;
      }
      case 'return': {
        const results: Result[] = [];
        for (const [i, register] of instruction.values.entries()) results.push(yield* readResult(execution, i, register));
        return results;
      }
    }
  }
  return null;
}

/** Sets a dim found while running. Memory was planned for its range, so a value outside must stop the run. */
function setDim(prepared: Prepared, name: string, value: number): void {
  const dim: DimInfo = prepared.entry.dims.find((candidate) => candidate.name === name)!;
  const problem = rangeProblem(dim, value);
  if (problem) throw new TenonError({ code: 'runtime/dim-range', message: `dim '${name}', found while running, is ${value}: ${problem}` });
  prepared.dims.set(name, value);
}

function* dimValue({ prepared }: Execution, value: DimValue): Generator<Fence, number> {
  if (value.kind === 'formula') return evaluateDim(value.formula, prepared.dims);
  const { dtype } = prepared.entry.values[value.value]!;
  const layout = hostLayout(dtype);
  if (!layout || layout.kind === 'bits' || layout.kind === 'float') {
    throw new TenonError({ code: 'runtime/not-an-integer', message: `value ${value.value} of '${prepared.entry.name}' has dtype ${dtype}: its elements are no dims` });
  }
  const view = prepared.view(value.value);
  const element: View = { buffer: view.buffer, byteOffset: view.byteOffset + value.element * layout.itemBytes, bytes: layout.itemBytes };
  checkWithin(element, view, `element ${value.element} of value ${value.value}`);
  const bytes = yield* readHost(prepared, element, prepared.deviceOf(value.value));
  return Number(elementsOf(dtype, bytes)[0]);
}

function checkWithin(part: View, whole: View, what: string): void {
  if (part.byteOffset + part.bytes > whole.byteOffset + whole.bytes) {
    throw new TenonError({ code: 'runtime/invalid-view', message: `${what} reaches ${part.byteOffset + part.bytes - whole.byteOffset} bytes into a value of ${whole.bytes}` });
  }
}

/** A view's bytes in host memory: its own, or a copy where the host does not reach them. */
function* readHost(prepared: Prepared, view: View, device: Device): Generator<Fence, Uint8Array> {
  yield* prepared.conflicts([view.buffer], view.buffer.host ? null : prepared.queueOf(device));
  if (view.buffer.host) return hostBytes(view);
  const bytes = new Uint8Array(view.bytes);
  yield prepared.queueOf(device).read(view, bytes);
  return bytes;
}

function* readResult({ prepared, profile }: Execution, index: number, register: number): Generator<Fence, Result> {
  const info = prepared.entry.results[index]!;
  const shape = info.shape.map((axis) => evaluateDim(axis, prepared.dims));
  const view = prepared.view(register);
  const bytes = denseBytes(info.dtype, countOf(shape)) ?? view.bytes;
  const part: View = { buffer: view.buffer, byteOffset: view.byteOffset, bytes };
  checkWithin(part, view, `result '${info.name}'`);
  const device = prepared.deviceOf(register);
  const begin = profile?.now() ?? 0;
  const clock = profile?.clock(device);
  const contents = yield* readHost(prepared, part, device);
  if (profile && !view.buffer.host) profile.transfer(device.name, 'host', bytes, begin, clock!);
  return { name: info.name, dtype: info.dtype, shape, bytes: contents, shared: view.buffer.host !== null && !prepared.isLent(register) };
}

/** Copies between two places, through host memory where they are in different ones. */
function* transfer({ prepared, profile, transfers }: Execution, from: View, fromDevice: Device, to: View, toDevice: Device): Generator<Fence, void> {
  if (from.bytes > to.bytes) {
    throw new TenonError({ code: 'runtime/invalid-view', message: `a copy of ${from.bytes} bytes to a place of ${to.bytes} in '${prepared.entry.name}'` });
  }
  const begin = profile?.now() ?? 0;
  const clock = profile?.clock(fromDevice, toDevice);
  const target: View = { buffer: to.buffer, byteOffset: to.byteOffset, bytes: from.bytes };
  if (to.buffer.host && from.buffer.host) {
    yield* prepared.conflicts([from.buffer, to.buffer], null);
    hostBytes(target).set(hostBytes(from));
  } else if (to.buffer.host) {
    const queue = prepared.queueOf(fromDevice);
    yield* prepared.conflicts([from.buffer, to.buffer], queue);
    const fence = queue.read(from, hostBytes(target));
    transfers.push(fence);
    prepared.touch([from.buffer, to.buffer], queue, fence);
  } else {
    const source = yield* readHost(prepared, from, fromDevice);
    const queue = prepared.queueOf(toDevice);
    yield* prepared.conflicts([from.buffer, to.buffer], queue);
    const fence = queue.write(source, target);
    transfers.push(fence);
    prepared.touch([from.buffer, to.buffer], queue, fence);
  }
  if (profile) {
    yield* prepared.conflicts([from.buffer, to.buffer], null);
    profile.transfer(fromDevice.name, toDevice.name, from.bytes, begin, clock!);
  }
}

type Call = Extract<Instruction, { readonly op: 'call' }>;

function* callRegion(execution: Execution, instruction: Call): Generator<Fence, void> {
  const { prepared, regions, sync, thread, profile } = execution;
  const state = yield* bindRegion(execution, instruction);
  const { region } = instruction;
  const { variant, queue, call, device } = state;
  for (const { value, view, direction } of state.staged) {
    if (direction === 'in') yield* transfer(execution, prepared.view(value), prepared.deviceOf(value), view, device);
  }
  const here = sync || (call.runSync !== undefined && thread.keeps(call.expected, execution.stays));
  // A call on this thread does not go through the queue, so everything must have ended.
  yield* prepared.conflicts(state.buffers, here ? null : queue);
  const turn = here && !sync ? thread.turn(call.expected!) : null;
  if (turn !== null) yield turn;
  const begin = profile?.now() ?? 0;
  const clock = profile?.clock(device);
  if (profile) call.profile?.(true);
  if (sync && !call.runSync) throw notSynchronous(`region '${regions.region(region).name}' runs on ${device.name}, which cannot wait`);
  try {
    if (here) {
      const started = performance.now();
      call.runSync!();
      if (!sync) thread.hold(performance.now() - started);
    } else {
      const fence = call.enqueue(queue);
      prepared.touch(state.buffers, queue, fence);
      execution.calls.push({ fence, region, variant });
      if (profile || instruction.runDims.length > 0) yield fence;
    }
  } catch (error) {
    throw new RegionFailure(region, variant, error);
  }
  execution.used.set(region, variant);
  const info = regions.variant(region, variant);
  const env = instruction.runDims.length > 0 ? takeRunDims(prepared, instruction, info, regions.region(region).runDims, call, state.env) : state.env;
  if (profile) {
    profile.call(regions.region(region).name, regions.loader(region, variant).name, info.kernels, env, begin, clock!, call);
    call.profile?.(false);
  }
  for (const { value, view, direction } of state.staged) {
    if (direction === 'out') yield* transfer(execution, view, device, prepared.view(value), prepared.deviceOf(value));
  }
}

export const notSynchronous = (why: string): TenonError => new TenonError({ code: 'runtime/not-synchronous', message: `runSync cannot be used: ${why}`, hint: 'use run' });

function takeRunDims(prepared: Prepared, instruction: Call, variant: RegionVariant, formal: readonly string[], call: BoundCall, env: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const all = new Map(env);
  instruction.runDims.forEach((name, i) => {
    const value = call.runDims[variant.runDims.indexOf(formal[i]!)];
    setDim(prepared, name, value ?? NaN);
    all.set(formal[i]!, value!);
  });
  return all;
}

/** The bound call of an instruction: made anew where dims, memory or the variant changed since it was made. */
function* bindRegion(execution: Execution, instruction: Call): Generator<Fence, BoundState> {
  const { prepared, regions, excluded, constants } = execution;
  const before = prepared.bound.get(instruction);
  const { region } = instruction;
  const failures = excluded.size > 0 || regions.retired;
  if (before?.fixed && !failures) {
    lendViews(prepared, before);
    return before;
  }

  const info = regions.region(region);
  const env = new Map(info.dims.map((name, i) => [name, evaluateDim(instruction.dims[i]!, prepared.dims)]));
  const index = regions.choose(region, env, excluded);
  if (!regions.loaded(region, index)) yield loadFence(regions, region, index);
  const variant = regions.variant(region, index);
  const { device } = regions.loader(region, index);

  const staged: BoundState['staged'][number][] = [];
  const place = (value: number, position: number, direction: 'in' | 'out'): View => {
    const view = prepared.view(value);
    if (prepared.deviceOf(value).space === device.space) return view;
    const beside = prepared.staging(instruction, position, device, view.bytes);
    staged.push({ value, view: beside, direction });
    return beside;
  };
  const args = instruction.args.map((value, i) => place(value, i, 'in'));
  const results = instruction.results.map((value, i) => place(value, args.length + i, 'out'));
  const workspace = variant.workspace === null ? [] : [prepared.workspace(device, evaluateDim(variant.workspace, env))];
  const views = [...args, ...results, ...variant.constants.map((constant) => constants.view(constant, device)), ...workspace];
  const dims = variant.dims.map((name) => env.get(name)!);
  if (before && before.variant === index && same(before.dims, dims) && before.views.length === views.length) {
    lendViews(prepared, before);
    if (before.views.every((view, i) => view !== null && sameView(view, views[i]!))) return before;
  }

  if (before) {
    yield before.queue.fence(); // it may still be running, in a loop
    prepared.unbind(instruction);
  }
  let call: BoundCall;
  try {
    call = regions.blob(region, index).bind(variant.symbol, views, dims);
  } catch (error) {
    throw new RegionFailure(region, index, error);
  }
  const buffers = new Set<DeviceBuffer>([...args, ...results, ...workspace].map((view) => view.buffer));
  const fixed = !instruction.dims.some((dim) => prepared.dependsOnRun(dim)) && ![...instruction.args, ...instruction.results].some((value) => prepared.isLate(value));
  const lendable = [...instruction.args, ...instruction.results].flatMap((value, position) => (prepared.isLendable(value) && prepared.deviceOf(value).space === device.space ? [{ position, value }] : []));
  const state: BoundState = { variant: index, call, device, queue: prepared.queueOf(device), views, lendable, dims, env, staged, buffers, fixed };
  prepared.bound.set(instruction, state);
  return state;
}

/** Gives a call the memory that parameters and results have in this run. */
function lendViews(prepared: Prepared, { call, views, lendable, buffers }: BoundState): void {
  for (const { position, value } of lendable) {
    const view = prepared.view(value);
    const before = views[position] ?? null;
    if (before && sameView(view, before)) continue;
    if (before) buffers.delete(before.buffer);
    buffers.add(view.buffer);
    views[position] = view;
    call.rebind!(position, view);
  }
}

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((value, i) => value === b[i]);
const sameView = (a: View, b: View): boolean => a === b || (a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.bytes === b.bytes);

/** Loading a variant that was not expected to run, as something to wait for. */
function loadFence(regions: RegionTable, region: number, variant: number): Fence {
  return {
    done: false,
    wait: async () => {
      try {
        await regions.load(region, variant);
      } catch (error) {
        throw new RegionFailure(region, variant, error);
      }
    },
  };
}

/** Drives an execution to its end by waiting. Rejects with the signal's reason as soon as it is aborted: work may then still be going on. */
export async function driveAsync<T>(execution: Execution, steps: Generator<Fence, T>): Promise<T> {
  const { signal, calls } = execution;
  let onAbort: (() => void) | null = null;
  const aborted = signal && new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted?.catch(() => {});
  try {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) return step.value;
      const waiting = step.value.wait();
      await (aborted ? Promise.race([waiting, aborted]) : waiting);
      signal?.throwIfAborted();
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    // An earlier call that failed explains what failed after it: that worked on what the call left behind.
    throw (await failedCall(calls)) ?? error;
  } finally {
    if (onAbort) signal?.removeEventListener('abort', onAbort);
  }
}

/** The first region call whose fence says that it failed. */
async function failedCall(calls: Execution['calls']): Promise<RegionFailure | null> {
  for (const { fence, region, variant } of calls) {
    try {
      await fence.wait();
    } catch (error) {
      return new RegionFailure(region, variant, error);
    }
  }
  return null;
}

/** Drives an execution on this thread. Throws `runtime/not-synchronous` where it would have to wait. */
export function driveSync<T>(steps: Generator<Fence, T>): T {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    if (!step.value.done) throw notSynchronous('a device or a fallback needs waiting');
  }
}
