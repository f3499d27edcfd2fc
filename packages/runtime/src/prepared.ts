import { type DimProgram, dimsOf, type EntryInfo, evaluateDim, type Instruction, type ValueInfo } from '@tenon/artifact';
import type { BoundCall, Device, DeviceBuffer, Fence, Queue, UserMemory, View } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import type { ConstantStore } from './constants.ts';
import type { SpareMemory } from './spare-memory.ts';

/** Memory allocated for one entry with one set of call-time dims, by what it is for. */
export interface MemoryUse {
  readonly device: string;
  readonly purpose: 'parameter' | 'result' | 'arena' | 'workspace' | 'staging';
  readonly bytes: number;
}

/** A region call with its arguments fixed. */
export interface BoundState {
  readonly variant: number;
  readonly call: BoundCall;
  readonly device: Device;
  readonly queue: Queue;
  /** null: memory of the user's that was given back. */
  readonly views: (View | null)[];
  readonly dims: readonly number[];
  /** Positions of views that lie in memory of the user's at times, with their registers. */
  readonly lendable: readonly { readonly position: number; readonly value: number }[];
  /** Formal dims of the region, for guards and figures. */
  readonly env: ReadonlyMap<string, number>;
  /** Arguments, then results, that live in another space than the region: memory beside it, and where they belong. */
  readonly staged: readonly { readonly value: number; readonly view: View; readonly direction: 'in' | 'out' }[];
  /** Buffers that it touches, constants aside. */
  readonly buffers: Set<DeviceBuffer>;
  /** Neither dims nor views can change from run to run. */
  readonly fixed: boolean;
}

interface Place {
  readonly buffer: DeviceBuffer;
  readonly device: Device;
}

/**
 * Everything that runs of one entry with one set of call-time dims share: memory, queues, bound calls. One run at a
 * time; concurrent runs take one each.
 */
export class Prepared {
  readonly entry: EntryInfo;
  readonly callDims: ReadonlyMap<string, number>;
  readonly key: string;
  /** Call-time dims, and those found while running. */
  dims: Map<string, number>;
  readonly bound = new Map<Instruction, BoundState>();
  readonly memory: MemoryUse[] = [];
  readonly #devices: readonly Device[];
  readonly #constants: ConstantStore;
  readonly #userMemory: readonly (UserMemory | null)[];
  readonly #spare: SpareMemory;
  /** Registers that lie in memory of the user's in this run. */
  readonly #lent = new Set<number>();
  readonly #queues = new Map<Device, Queue>();
  readonly #views: (View | null)[];
  readonly #late: readonly boolean[];
  readonly #resultRegisters: readonly number[];
  readonly #lateDims: ReadonlySet<string>;
  /** Buffers of parameters and results by index and device: a parameter has one place per memory, whichever registers name it. */
  readonly #slots = new Map<string, DeviceBuffer>();
  readonly #arenas: (DeviceBuffer | null)[];
  /** Arenas whose size has been settled in the current run. */
  readonly #settled: boolean[];
  readonly #owned: Place[] = [];
  readonly #workspaces = new Map<Device, DeviceBuffer[]>();
  readonly #staging = new Map<Instruction, Map<number, View & Place>>();
  /** Work that was enqueued and not known to have ended, by the buffer that it touches. */
  readonly #pending = new Map<DeviceBuffer, { readonly queue: Queue; readonly fence: Fence }[]>();

  constructor(
    entry: EntryInfo, devices: readonly Device[], userMemory: readonly (UserMemory | null)[], spare: SpareMemory, constants: ConstantStore, callDims: ReadonlyMap<string, number>, key: string,
  ) {
    this.entry = entry;
    this.#devices = devices;
    this.#spare = spare;
    this.#constants = constants;
    this.callDims = callDims;
    this.key = key;
    this.dims = new Map(callDims);
    this.#lateDims = new Set(entry.dims.filter((dim) => dim.binding.kind === 'run').map((dim) => dim.name));
    this.#views = entry.values.map(() => null);
    this.#late = entry.values.map((value) => this.#isLate(value));
    this.#userMemory = userMemory.map((memory, i) => (this.#late[i] ? null : memory));
    this.#resultRegisters = entry.program.findLast((instruction) => instruction.op === 'return')?.values ?? [];
    this.#arenas = entry.arenas.map(() => null);
    this.#settled = entry.arenas.map(() => false);
  }

  startRun(): void {
    this.endRun();
    this.dims = new Map(this.callDims);
    this.#settled.fill(false);
  }

  /** Forgets memory of the user's. Nothing works in it any more. */
  endRun(): void {
    if (this.#lent.size === 0) return;
    for (const value of this.#lent) {
      this.#pending.delete(this.#views[value]!.buffer);
      this.#views[value] = null;
    }
    for (const { call, views, lendable, buffers } of this.bound.values()) {
      for (const { position, value } of lendable) {
        if (!this.#lent.has(value)) continue;
        const view = views[position];
        if (!view) continue;
        buffers.delete(view.buffer);
        views[position] = null;
        call.rebind!(position, null);
      }
    }
    this.#lent.clear();
  }

  /** Lets a parameter or result lie in an array of the user's for this run. False where it cannot. */
  lend(value: number, memory: Uint8Array): boolean {
    const from = this.#userMemory[value];
    if (!from || memory.length < from.minimum || memory.length !== evaluateDim(this.entry.values[value]!.bytes, this.dims)) return false;
    const buffer = from.borrow(memory);
    if (buffer === null) return false;
    this.#views[value] = { buffer, byteOffset: 0, bytes: memory.length };
    this.#lent.add(value);
    return true;
  }

  /** Lets a result lie in memory that will be the user's. */
  lendNew(value: number): void {
    const from = this.#userMemory[value];
    if (!from) return;
    const bytes = evaluateDim(this.entry.values[value]!.bytes, this.dims);
    if (bytes >= from.minimum) this.lend(value, new Uint8Array(this.#spare.take(bytes) ?? from.allocate(bytes)));
  }

  isLendable(value: number): boolean {
    return this.#userMemory[value] !== null;
  }

  isLent(value: number): boolean {
    return this.#lent.has(value);
  }

  dependsOnRun(program: DimProgram): boolean {
    return this.#lateDims.size > 0 && dimsOf(program).some((name) => this.#lateDims.has(name));
  }

  #isLate(value: ValueInfo): boolean {
    const { storage } = value;
    if (this.dependsOnRun(value.bytes)) return true;
    return storage.kind === 'arena' && (this.dependsOnRun(storage.offset) || this.dependsOnRun(this.entry.arenas[storage.arena]!.bytes));
  }

  /** The register of each result. */
  get resultRegisters(): readonly number[] {
    return this.#resultRegisters;
  }

  /** Registers that a parameter must be written to: one for each memory that it is wanted in. */
  paramRegisters(param: number): readonly number[] {
    const byDevice = new Map<Device, number>();
    this.entry.values.forEach(({ storage, device }, i) => {
      if (storage.kind === 'param' && storage.index === param && !byDevice.has(this.#devices[device]!)) byDevice.set(this.#devices[device]!, i);
    });
    return [...byDevice.values()];
  }

  isLate(value: number): boolean {
    return this.#late[value]!;
  }

  deviceOf(value: number): Device {
    const { storage, device } = this.entry.values[value]!;
    return this.#devices[storage.kind === 'constant' ? 0 : device]!;
  }

  queueOf(device: Device): Queue {
    let queue = this.#queues.get(device);
    if (!queue) {
      queue = device.createQueue();
      this.#queues.set(device, queue);
    }
    return queue;
  }

  /** Where a register lies. */
  view(value: number): View {
    const known = this.#views[value];
    if (known && !this.#late[value]) return known;
    const view = this.#makeView(value, known ?? null);
    this.#views[value] = view;
    return view;
  }

  #makeView(value: number, before: View | null): View {
    const { storage, bytes: formula, device } = this.entry.values[value]!;
    const bytes = evaluateDim(formula, this.dims);
    if (storage.kind === 'constant') return this.#constants.view(storage.index, this.#devices[0]!);
    if (storage.kind === 'arena') {
      const buffer = this.#arena(storage.arena);
      const view = { buffer, byteOffset: evaluateDim(storage.offset, this.dims), bytes };
      checkView(view, `value ${value} of '${this.entry.name}'`);
      // The same view again keeps the calls that are bound to it.
      return before && before.buffer === buffer && before.byteOffset === view.byteOffset && before.bytes === bytes ? before : view;
    }
    const slot = `${storage.kind}/${storage.index}/${this.#devices.indexOf(this.#devices[device]!)}`;
    let buffer = this.#slots.get(slot);
    if (buffer && buffer.bytes < bytes) this.#release(buffer);
    if (!buffer || buffer.bytes < bytes) {
      buffer = this.allocate(this.#devices[device]!, bytes, storage.kind === 'param' ? 'parameter' : 'result');
      this.#slots.set(slot, buffer);
    }
    return before && before.buffer === buffer && before.bytes === bytes ? before : { buffer, byteOffset: 0, bytes };
  }

  #arena(index: number): DeviceBuffer {
    const buffer = this.#arenas[index] ?? null;
    if (buffer && this.#settled[index]) return buffer;
    const { bytes: formula, device } = this.entry.arenas[index]!;
    const bytes = evaluateDim(formula, this.dims);
    this.#settled[index] = true;
    if (buffer && buffer.bytes >= bytes) return buffer;
    if (buffer) this.#release(buffer);
    const made = this.allocate(this.#devices[device]!, bytes, 'arena');
    this.#arenas[index] = made;
    return made;
  }

  #release(buffer: DeviceBuffer): void {
    const at = this.#owned.findIndex((place) => place.buffer === buffer);
    const [place] = this.#owned.splice(at, 1);
    this.memory.splice(at, 1);
    this.#pending.delete(buffer);
    // Calls that are bound to it must not run again.
    for (const [instruction, state] of this.bound) if (state.buffers.has(buffer)) this.unbind(instruction);
    place!.device.free(buffer);
  }

  allocate(device: Device, bytes: number, purpose: MemoryUse['purpose']): DeviceBuffer {
    if (bytes < 0) throw new TenonError({ code: 'runtime/invalid-size', message: `a ${purpose} of '${this.entry.name}' would have ${bytes} bytes` });
    let buffer: DeviceBuffer;
    try {
      buffer = device.allocate(Math.max(64, bytes));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new TenonError({
        code: 'runtime/out-of-memory', message: `there is no room for a ${purpose} of ${bytes} bytes on ${device.name}`,
        hint: 'Run with smaller inputs, or on a machine with more memory.',
      }, { cause: error });
    }
    this.#owned.push({ buffer, device });
    this.memory.push({ device: device.name, purpose, bytes: buffer.bytes });
    return buffer;
  }

  /** Calls on one device follow each other, so one workspace serves all that it is large enough for. */
  workspace(device: Device, bytes: number): View {
    const existing = this.#workspaces.get(device) ?? [];
    let buffer = existing.find((candidate) => candidate.bytes >= bytes);
    if (!buffer) {
      buffer = this.allocate(device, bytes, 'workspace');
      this.#workspaces.set(device, [...existing, buffer]);
    }
    return { buffer, byteOffset: 0, bytes };
  }

  /** Memory on a region's own device for an argument that lives elsewhere; one place for each argument of each call. */
  staging(instruction: Instruction, position: number, device: Device, bytes: number): View {
    const views = this.#staging.get(instruction) ?? new Map<number, View & Place>();
    this.#staging.set(instruction, views);
    const before = views.get(position);
    if (before && before.device === device && before.bytes === bytes) return before;
    const buffer = before && before.device === device && before.buffer.bytes >= bytes ? before.buffer : this.allocate(device, bytes, 'staging');
    const view = { buffer, device, byteOffset: 0, bytes };
    views.set(position, view);
    return view;
  }

  /** Work that must have ended before `queue` (null: the host itself) may touch these buffers. */
  *conflicts(buffers: Iterable<DeviceBuffer>, queue: Queue | null): Generator<Fence, void> {
    for (const buffer of buffers) {
      const entries = this.#pending.get(buffer);
      if (!entries) continue;
      for (const entry of entries) if (entry.queue !== queue && !entry.fence.done) yield entry.fence;
      if (queue === null) this.#pending.delete(buffer);
    }
  }

  /** Notes that work of a queue touches these buffers until the fence is done. */
  touch(buffers: Iterable<DeviceBuffer>, queue: Queue, fence: Fence): void {
    if (fence.done) return;
    for (const buffer of buffers) {
      const others = (this.#pending.get(buffer) ?? []).filter((entry) => entry.queue !== queue && !entry.fence.done);
      this.#pending.set(buffer, [...others, { queue, fence }]);
    }
  }

  unbind(instruction: Instruction): void {
    this.bound.get(instruction)?.call.dispose();
    this.bound.delete(instruction);
  }

  unbindAll(): void {
    for (const instruction of this.bound.keys()) this.unbind(instruction);
  }

  /** Resolves when all queues are idle, whether their work succeeded or not. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#queues.values()].map((queue) => queue.fence().wait()));
    this.#pending.clear();
  }

  get bytes(): number {
    return this.memory.reduce((total, use) => total + use.bytes, 0);
  }

  dispose(): void {
    this.unbindAll();
    for (const { buffer, device } of this.#owned) device.free(buffer);
    this.#owned.length = 0;
    this.memory.length = 0;
    this.#pending.clear();
  }
}

/** What keeps an artifact from reaching memory that is not its own. */
function checkView(view: View, what: string): void {
  if (view.byteOffset < 0 || view.bytes < 0 || view.byteOffset + view.bytes > view.buffer.bytes) {
    throw new TenonError({ code: 'runtime/invalid-view', message: `${what} would take bytes ${view.byteOffset} … ${view.byteOffset + view.bytes} of a buffer of ${view.buffer.bytes}` });
  }
}
