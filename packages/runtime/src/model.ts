import { type ArtifactFile, type DimInfo, type DimProgram, dimsOf, type EntryInfo, evaluateDim, formatDim, type Manifest } from '@tenon/artifact';
import type { Device, Diagnostic } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { attempt, attemptSync } from './attempt.ts';
import { bindArguments, type BoundArguments, type Inputs } from './arguments.ts';
import { BoundModel } from './bound-model.ts';
import type { CallingThread } from './calling-thread.ts';
import type { ConstantStore } from './constants.ts';
import type { Result } from './executor.ts';
import { directMemory, fillOutput, type OutputMemory, type Outputs, outputTensor } from './outputs.ts';
import { createPool, type PreparedPool } from './pool.ts';
import { Prepared } from './prepared.ts';
import { createRecorder, type Limits, type ProfileRecorder, type RunProfile } from './profile.ts';
import type { RegionTable } from './regions.ts';
import { SpareMemory } from './spare-memory.ts';
import { nearest } from './suggest.ts';
import type { Tensor } from './tensor.ts';
import { lendable, type Lending } from './user-memory.ts';
import type { Verification } from './verification.ts';

/** An input or output as its users see it: numbers, and formulas such as `2 * n` for symbolic axes. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

export interface RunOptions {
  /** The function to run; the artifact's first unless given. */
  readonly entry?: string;
  /** Memory for outputs, by name. It is filled when the run has ended; before, and after a run that failed, anything may be in it. */
  readonly outputs?: { readonly [name: string]: OutputMemory };
  /**
   * Rejects the run with the signal's reason. Work that a device has begun is left to end by itself, so inputs and memory for outputs
   * are copied: large ones take less time without a signal.
   */
  readonly signal?: AbortSignal;
  /** `int32`: 64-bit integer outputs as Int32Array or Uint32Array; throws `runtime/int64-overflow` where a value does not fit. */
  readonly int64?: 'bigint' | 'int32';
  /** Measures the run; every region then ends before the next begins. */
  readonly profile?: boolean;
}

/** What a run gives: outputs by name; with `profile: true` both outputs and profile. */
export type RunResult<Options extends RunOptions> = Options extends { readonly profile: true } ? { readonly outputs: Outputs; readonly profile: RunProfile } : Outputs;

/** What a loaded artifact is made of. Of the runtime's own. */
export interface ModelParts {
  readonly file: ArtifactFile;
  readonly regions: RegionTable;
  readonly constants: ConstantStore;
  readonly thread: CallingThread;
  readonly devices: readonly Device[];
  /** null: nothing is compared. */
  readonly verification: Verification | null;
  readonly loadDims: ReadonlyMap<string, number>;
  readonly now: () => number;
  readonly idleBytes: number;
  readonly close: () => void;
}

/** A loaded artifact. Runs may overlap; each has memory of its own, kept for the next one with the same dims. */
export class Model {
  readonly #parts: ModelParts;
  readonly #pool: PreparedPool;
  readonly #spare: SpareMemory;
  #active = 0;
  #disposed = false;

  constructor(parts: ModelParts) {
    this.#parts = parts;
    const { manifest } = parts.file;
    const userMemory = new Map(manifest.entries.map((entry) => [entry, lendable(entry, manifest, parts.regions.loaders, parts.devices)]));
    this.#spare = new SpareMemory(parts.idleBytes);
    this.#pool = createPool(parts.idleBytes, (entry, dims, key) => new Prepared(entry, parts.devices, userMemory.get(entry)!, this.#spare, parts.constants, dims, key));
  }

  get inputs(): readonly TensorInfo[] {
    return this.#entry(undefined).params.map(describe);
  }
  get outputs(): readonly TensorInfo[] {
    return this.#entry(undefined).results.map(describe);
  }
  /** Dims of the first entry, with their ranges. */
  get dims(): readonly DimInfo[] {
    return this.#entry(undefined).dims;
  }
  get manifest(): Manifest {
    return this.#parts.file.manifest;
  }
  /** SHA-256 identity of the artifact. */
  get digest(): string {
    return this.#parts.file.digest;
  }
  /** What went otherwise than planned since loading: regions that fell back to another variant. */
  get reports(): readonly Diagnostic[] {
    return this.#parts.regions.reports;
  }

  /**
   * Runs once. Large inputs are read where they are, if the device can: until the result is there, neither change, transfer nor detach
   * them. Arrays over shared or resizable buffers are copied. Results are the caller's own, who may give their memory back ({@link Tensor.dispose}). Throws diagnostics with
   * codes `runtime/…`, and `artifact/corrupt` where the artifact turns out to be damaged.
   */
  async run<const Options extends RunOptions>(inputs: Inputs, options?: Options): Promise<RunResult<Options>> {
    options?.signal?.throwIfAborted();
    const { entry, args, given } = this.#start(inputs, options);
    const prepared = this.#pool.take(entry, args.dims);
    this.#active++;
    const recorder = given.profile ? createRecorder(this.#parts.now) : null;
    let settled = true;
    try {
      const lending = given.signal ? { inputs: false, outputs: [] } : lendingOf(entry, args, given);
      const results = await attempt(this.#parts, prepared, args.bytes, lending, given.signal ?? null, recorder);
      await this.#parts.verification?.finish();
      return this.#finish(prepared, results, given, recorder) as RunResult<Options>;
    } catch (error) {
      settled = false;
      // Devices may still be at work in this memory: it is given back when they have ended, and so is the caller's.
      const drained = prepared.drain().then(() => this.#end(prepared, false));
      if (given.signal?.aborted) throw error;
      await drained;
      await this.#parts.verification?.finish(); // damage explains every other error
      throw error;
    } finally {
      if (settled) this.#end(prepared, true);
    }
  }

  /** What the devices that this model runs on can do at best, by loader, as far as they tell: measured now, which takes a while. */
  limits(): Promise<Limits> {
    return this.#parts.regions.limits();
  }

  /** Runs once on this thread. Throws `runtime/not-synchronous` where a loader involved cannot do that. */
  runSync<const Options extends Omit<RunOptions, 'signal'>>(inputs: Inputs, options?: Options): RunResult<Options> {
    const { entry, args, given } = this.#start(inputs, options);
    const prepared = this.#pool.take(entry, args.dims);
    this.#active++;
    const recorder = given.profile ? createRecorder(this.#parts.now) : null;
    let succeeded = false;
    try {
      const results = attemptSync(this.#parts, prepared, args.bytes, lendingOf(entry, args, given), recorder);
      this.#parts.verification?.finishSync();
      const result = this.#finish(prepared, results, given, recorder) as RunResult<Options>;
      succeeded = true;
      return result;
    } catch (error) {
      this.#parts.verification?.finishSync(); // damage explains every other error
      throw error;
    } finally {
      if (succeeded) this.#end(prepared, true);
      else void prepared.drain().then(() => this.#end(prepared, false));
    }
  }

  /**
   * Fixes the dims to those of these inputs and gives memory to fill and read directly, for many runs without copies:
   * see {@link BoundModel}.
   */
  async bind(inputs: Inputs, options: Pick<RunOptions, 'entry'> = {}): Promise<BoundModel> {
    const { entry, args } = this.#start(inputs, options);
    const prepared = this.#pool.make(entry, args.dims);
    this.#active++;
    try {
      return new BoundModel(prepared, args.bytes, this.#parts, (bound) => this.#end(bound, false));
    } catch (error) {
      this.#end(prepared, false);
      throw error;
    }
  }

  /** Frees memory and blobs, as soon as the runs under way have ended. Later calls throw `runtime/disposed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#pool.dispose();
    this.#spare.clear();
    this.#freeIfIdle();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  readonly #giveBack = (memory: ArrayBuffer): void => {
    if (!this.#disposed) this.#spare.give(memory);
  };

  #end(prepared: Prepared, reusable: boolean): void {
    this.#active--;
    if (reusable && !this.#disposed) {
      prepared.endRun();
      this.#pool.give(prepared);
    } else {
      prepared.dispose();
    }
    if (this.#disposed) this.#freeIfIdle();
  }

  #freeIfIdle(): void {
    if (this.#active > 0) return;
    const { regions, constants, verification, close } = this.#parts;
    verification?.stop();
    regions.dispose();
    constants.dispose();
    close();
  }

  #entry(name: string | undefined): EntryInfo {
    const { entries } = this.manifest;
    const entry = name === undefined ? entries[0] : entries.find((candidate) => candidate.name === name);
    if (entry) return entry;
    const names = entries.map((candidate) => candidate.name);
    const near = name === undefined ? null : nearest(name, names);
    throw new TenonError({ code: 'runtime/unknown-entry', message: `the artifact has no entry '${name ?? 'main'}'`, hint: near ? `did you mean '${near}'?` : `its entries are ${names.join(', ') || 'none'}` });
  }

  #start(inputs: Inputs, options: RunOptions | undefined): { readonly entry: EntryInfo; readonly args: BoundArguments; readonly given: RunOptions } {
    if (this.#disposed) throw new TenonError({ code: 'runtime/disposed', message: 'the model has been disposed' });
    const entry = this.#entry(options?.entry);
    const names = entry.results.map((result) => result.name);
    for (const name of Object.keys(options?.outputs ?? {})) {
      if (names.includes(name)) continue;
      const near = nearest(name, names);
      throw new TenonError({ code: 'runtime/unknown-output', message: `there is no output '${name}'`, hint: near ? `did you mean '${near}'?` : `the outputs are ${names.join(', ')}` });
    }
    return { entry, args: bindArguments(entry, inputs, this.#parts.loadDims), given: options ?? {} };
  }

  #finish(prepared: Prepared, results: readonly Result[], options: RunOptions, recorder: ProfileRecorder | null): Outputs | { outputs: Outputs; profile: RunProfile } {
    const outputs: { [name: string]: Tensor } = {};
    for (const { name, dtype, shape, bytes, shared } of results) {
      const target = options.outputs?.[name];
      outputs[name] = target
        ? fillOutput(name, target, dtype, shape, bytes)
        : outputTensor(dtype, shape, shared ? bytes.slice() : bytes, options.int64 ?? 'bigint', name, this.#giveBack);
    }
    return recorder ? { outputs, profile: recorder.finish(prepared.memory, this.#parts.constants.bytes()) } : outputs;
  }
}

const lendingOf = (entry: EntryInfo, args: BoundArguments, options: RunOptions): Lending => ({ inputs: true, outputs: directMemory(entry, options.outputs ?? {}, args.bytes) });

const describe = (tensor: { readonly name: string; readonly dtype: string; readonly shape: readonly DimProgram[] }): TensorInfo => ({
  name: tensor.name,
  dtype: tensor.dtype,
  shape: tensor.shape.map((axis) => (dimsOf(axis).length === 0 ? evaluateDim(axis, new Map()) : formatDim(axis))),
});
