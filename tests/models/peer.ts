import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { HostTensor } from '@tenon/plugin';
import type { Inputs } from './models.ts';

type OrtType = 'float32' | 'float64' | 'int64' | 'int32' | 'int16' | 'int8' | 'uint64' | 'uint32' | 'uint16' | 'uint8' | 'bool' | 'float16';
const types: { readonly [dtype: string]: OrtType } = {
  f32: 'float32', f64: 'float64', f16: 'float16', i64: 'int64', i32: 'int32', i16: 'int16', i8: 'int8', u64: 'uint64', u32: 'uint32', u16: 'uint16', u8: 'uint8', bool: 'bool',
};
const dtypes = new Map(Object.entries(types).map(([ours, theirs]) => [theirs as string, ours]));

/** The model in onnxruntime; by default with as many threads as there are cores. */
export class Peer {
  readonly #session: InferenceSession;
  private constructor(session: InferenceSession) {
    this.#session = session;
  }
  static async load(file: string, threads: number = availableParallelism()): Promise<Peer> {
    return new Peer(await InferenceSession.create(file, { executionProviders: ['cpu'], intraOpNumThreads: threads, logSeverityLevel: 3 }));
  }
  feeds(inputs: Inputs): { [name: string]: Tensor } {
    return Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, new Tensor(types[t.dtype]!, t.data as never, t.shape)]));
  }
  /** With `memory` for all outputs they are written into it. */
  async run(feeds: { [name: string]: Tensor }, memory?: { [name: string]: Tensor }): Promise<{ readonly [name: string]: HostTensor }> {
    const results = await (memory ? this.#session.run(feeds, memory) : this.#session.run(feeds));
    return Object.fromEntries(this.#session.outputNames.map((name) => {
      const t = results[name]!;
      return [name, { dtype: dtypes.get(t.type) ?? t.type, shape: t.dims, data: t.data as Float32Array }];
    }));
  }
  async release(): Promise<void> {
    await this.#session.release();
  }
}
