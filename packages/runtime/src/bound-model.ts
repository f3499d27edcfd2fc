import { evaluateDim } from '@tenon/artifact';
import { TenonError } from '@tenon/plugin';
import { attempt, attemptSync } from './attempt.ts';
import { checkBoundContents } from './arguments.ts';
import { countOf, denseBytes, elementsOf } from './dtypes.ts';
import type { Result } from './executor.ts';
import { hostBytes } from './host-device.ts';
import type { ModelParts } from './model.ts';
import type { Outputs } from './outputs.ts';
import type { Prepared } from './prepared.ts';
import { createRecorder, type RunProfile } from './profile.ts';
import { Tensor } from './tensor.ts';

/**
 * A model with dims and memory fixed: write into `inputs`, run, read from `outputs`. Nothing is allocated or copied
 * on the way where the memory is the host's. One run at a time.
 */
export class BoundModel {
  /** Tensors over the memory that runs read. Filled with what the model was bound with; write new data into their arrays. */
  readonly inputs: { readonly [name: string]: Tensor };
  readonly #prepared: Prepared;
  readonly #parts: ModelParts;
  readonly #release: (prepared: Prepared) => void;
  readonly #bytes: readonly Uint8Array[];
  /** What must be written at each run: null where the input's memory is what the program reads. */
  readonly #copied: readonly (Uint8Array | null)[];
  #results: readonly Result[] = [];
  #state: 'idle' | 'running' | 'disposed' = 'idle';

  /** Made by `Model.bind`. */
  constructor(prepared: Prepared, bytes: readonly Uint8Array[], parts: ModelParts, release: (prepared: Prepared) => void) {
    this.#prepared = prepared;
    this.#parts = parts;
    this.#release = release;
    const inputs: { [name: string]: Tensor } = {};
    const memory: Uint8Array[] = [];
    const copied: (Uint8Array | null)[] = [];
    prepared.entry.params.forEach((param, i) => {
      const registers = prepared.paramRegisters(i);
      const view = registers.length === 1 ? prepared.view(registers[0]!) : null;
      const direct = view?.buffer.host ? hostBytes(view) : null;
      const place = direct ?? new Uint8Array(bytes[i]!.length);
      place.set(bytes[i]!);
      memory.push(place);
      copied.push(direct ? null : place);
      inputs[param.name] = new Tensor(param.dtype, param.shape.map((axis) => evaluateDim(axis, prepared.callDims)), elementsOf(param.dtype, place));
    });
    this.inputs = inputs;
    this.#bytes = memory;
    this.#copied = copied;
  }

  /** Results of the last run, over the memory that the next run overwrites. Empty before the first. */
  get outputs(): Outputs {
    return Object.fromEntries(this.#results.map(({ name, dtype, shape, bytes }) => [name, new Tensor(dtype, shape, elementsOf(dtype, bytes.subarray(0, denseBytes(dtype, countOf(shape)) ?? bytes.length)))]));
  }

  async run(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#begin();
    try {
      this.#results = await attempt(this.#parts, this.#prepared, this.#copied, null, options.signal ?? null, null);
      await this.#parts.verification?.finish();
    } catch (error) {
      this.#results = [];
      await this.#prepared.drain();
      this.#prepared.unbindAll();
      throw error;
    } finally {
      this.#end();
    }
  }

  /** On this thread; throws `runtime/not-synchronous` where a loader cannot. */
  runSync(): void {
    this.#begin();
    try {
      this.#results = attemptSync(this.#parts, this.#prepared, this.#copied, null, null);
      this.#parts.verification?.finishSync();
    } finally {
      this.#end();
    }
  }

  /** One measured run. */
  async profile(): Promise<RunProfile> {
    this.#begin();
    try {
      const recorder = createRecorder(this.#parts.now);
      this.#results = await attempt(this.#parts, this.#prepared, this.#copied, null, null, recorder);
      await this.#parts.verification?.finish();
      return recorder.finish(this.#prepared.memory, this.#parts.constants.bytes());
    } finally {
      this.#end();
    }
  }

  /** Gives the memory back, once a run under way has ended. */
  dispose(): void {
    const before = this.#state;
    this.#state = 'disposed';
    if (before === 'idle') this.#release(this.#prepared);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  #begin(): void {
    if (this.#state === 'disposed') throw new TenonError({ code: 'runtime/disposed', message: 'the bound model has been disposed' });
    if (this.#state === 'running') throw new TenonError({ code: 'runtime/busy', message: 'a bound model does one run at a time', hint: 'bind once more for concurrent runs, or use Model.run' });
    checkBoundContents(this.#prepared.entry, this.#bytes, this.#prepared.callDims);
    this.#state = 'running';
  }

  #end(): void {
    if (this.#state === 'disposed') this.#release(this.#prepared);
    else this.#state = 'idle';
  }
}
