/** What a loader may offer beside what it must: runs in memory of the user's, and hashes of memory. */
import { hash64 } from '@tenon/artifact';
import type { GraphFunction, HostTensor, LoadedBlob, Loader, TypedArray } from '@tenon/plugin';
import { bytesOf } from '@tenon/interp';
import { poison, writtenOutside } from '../blobs.ts';
import { moduleOf, rangesOf } from '../run-case.ts';
import { guarded, type Single } from '../single.ts';
import { inputsFor, resultsOf, type Workbench } from '../workbench.ts';

/** Bytes around an array of the user's, full of poison before and after a run. */
const margin = 64;

/** An array of the user's: aligned to its elements and no better, with other bytes on both sides. */
interface Lent {
  readonly name: string;
  readonly array: TypedArray;
  readonly whole: Uint8Array;
  /** What must be in it after the run; null: a result. */
  readonly kept: Uint8Array | null;
}

function lend(name: string, tensor: HostTensor, contents: boolean): Lent {
  const like = tensor.data as TypedArray;
  const whole = new Uint8Array(new ArrayBuffer(margin + like.BYTES_PER_ELEMENT + like.byteLength + margin)).fill(poison);
  const array = new (like.constructor as new (memory: ArrayBuffer, offset: number, length: number) => TypedArray)(whole.buffer as ArrayBuffer, margin + like.BYTES_PER_ELEMENT, like.length);
  const kept = contents ? bytesOf(tensor).slice() : null;
  if (kept !== null) new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(kept);
  return { name, array, whole, kept };
}

/** Bytes that a run changed although they were not its to change. */
function damageOf({ name, array, whole, kept }: Lent): string | null {
  const begin = array.byteOffset;
  const outside = writtenOutside(name, whole, begin, array.byteLength);
  if (outside !== null) return `the run ${outside}`;
  return kept !== null && kept.some((b, i) => whole[begin + i] !== b) ? `the run changes ${name}` : null;
}

/** Runs of one model in arrays that differ from run to run, lent however small they are: results are where they belong, and stay. */
export async function checkUserMemory(bench: Workbench, all: readonly Single[]): Promise<void> {
  const { userMemory } = bench.makeLoader!();
  if (userMemory === undefined) return;
  for (const s of all.slice(0, 8)) {
    await guarded(bench, s, 'runtime/user-memory', async () => {
      const own = bench.makeLoader!();
      const strange: string[] = [];
      const loader: Loader = {
        name: own.name, format: own.format, formatVersions: own.formatVersions, native: own.native, device: own.device,
        answer: (blob) => own.answer(blob), load: (...args) => own.load(...args),
        userMemory: {
          minimum: 0,
          borrow(memory) {
            const buffer = own.userMemory!.borrow(memory);
            if (buffer !== null && buffer.bytes !== memory.length) strange.push(`the buffer over ${memory.length} bytes of the user's has ${buffer.bytes}`);
            return buffer;
          },
          allocate(bytes) {
            const memory = own.userMemory!.allocate(bytes);
            if (!(memory instanceof ArrayBuffer) || memory.byteLength !== bytes) strange.push(`allocate(${bytes}) gives no ArrayBuffer of ${bytes} bytes`);
            return memory;
          },
        },
      };
      const model = await bench.load(s.artifact, {}, loader);
      const make = moduleOf(s.case, 1);
      const main = make(bench.session).functions.get('main') as GraphFunction;
      const earlier: { readonly got: readonly HostTensor[]; readonly want: readonly HostTensor[]; readonly inputs: readonly HostTensor[] }[] = [];
      const problem = (message: string): { code: string; message: string } => ({ code: 'runtime/user-memory', message });
      try {
        for (let round = 0; round < 4; round++) {
          const inputs = inputsFor(main, new Map(), 80 + round, 'mixed', bench.session, rangesOf(s.case));
          const want = await bench.reference(make, inputs);
          const params = inputs.map((t, i) => lend(main.params[i]!.name, t, true));
          // Results in the loader's memory and in the user's, in turn.
          const results = round % 2 === 0 ? [] : want.map((t, i) => lend(main.resultNames[i]!, t, false));
          const got = resultsOf(await model.run(
            Object.fromEntries(params.map((l, i) => [l.name, { ...inputs[i]!, data: l.array }])),
            { outputs: Object.fromEntries(results.map((l) => [l.name, l.array])) },
          ));
          earlier.push({ got, want, inputs });
          for (const lent of [...params, ...results]) {
            const damage = damageOf(lent);
            if (damage !== null) return problem(`in arrays of the user's, ${damage}`);
          }
          for (const [at, run] of earlier.entries()) {
            const wrong = bench.disagreement(run.got, run.want, run.inputs);
            if (wrong !== null) return problem(at === round ? `run ${round + 1} in arrays of the user's: ${wrong}` : `run ${round + 1} changes a result of run ${at + 1}: ${wrong}`);
          }
          if (strange.length > 0) return problem(strange[0]!);
        }
        return null;
      } finally {
        model.dispose();
      }
    });
  }
}

/** The loader's hashes are those of the artifact's format. */
export async function checkHashes(bench: Workbench, s: Single): Promise<void> {
  await guarded(bench, s, 'runtime/hashes', async () => {
    const loaded = await bench.makeLoader!().load(s.blob.info, s.blob.bytes.slice(), { threads: 2 });
    try {
      const message = await wrongHash(loaded);
      return message === null ? null : { code: 'runtime/hashes', message };
    } finally {
      loaded.dispose();
    }
  });
}

/** The first hash of memory of several sizes that is not what `hash64` says; null: all are, or there are none. */
export async function wrongHash(loaded: Pick<LoadedBlob, 'hashes'>): Promise<string | null> {
  if (loaded.hashes === undefined) return null;
  const chunk = 4096;
  for (const bytes of [0, 1, 63, chunk - 1, chunk, chunk + 1, 5 * chunk + 17]) {
    const memory = Uint8Array.from({ length: bytes }, (_, i) => (i * 167 + (i >> 8) * 13 + 5) & 0xff);
    const before = memory.slice();
    const got = await loaded.hashes(memory, chunk);
    const want = Array.from({ length: Math.ceil(bytes / chunk) }, (_, i) => hash64(memory.subarray(i * chunk, (i + 1) * chunk)));
    if (memory.some((b, i) => b !== before[i])) return `hashes changes the memory of ${bytes} bytes`;
    if (got.length !== want.length) return `there are ${got.length} hashes of ${bytes} bytes in chunks of ${chunk}, not ${want.length}`;
    const at = want.findIndex((h, i) => h !== got[i]);
    if (at >= 0) return `hash ${at} of ${bytes} bytes in chunks of ${chunk} is ${got[at]!}, not ${want[at]!}`;
  }
  return null;
}
