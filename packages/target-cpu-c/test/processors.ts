import type { Loader } from '@tenon/plugin';
import { cpuC } from '../src/loader.ts';
import { answer } from '../src/runtime/loader.ts';
import { machineFeatures } from '../src/runtime/machine.ts';

const sse = ['pni', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt'];
const avx2 = [...sse, 'avx', 'avx2', 'fma', 'f16c', 'bmi1', 'bmi2', 'abm', 'movbe'];
const avx512 = [...avx2, 'avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'];

/** Instructions of three generations of x86-64 processors, the newest first. */
export const generations: readonly (readonly [name: string, features: readonly string[]])[] = [['AVX-512', avx512], ['AVX2', avx2], ['SSE4.2', sse]];

/** Instructions of this machine; null where it does not tell. */
export const ownFeatures: ReadonlySet<string> | null = machineFeatures();

/** The loader on a machine that has these instructions only. `asked`: receives what each blob that it loads requires. */
export function loaderWith(features: readonly string[], asked: unknown[] = []): Loader {
  const loader = cpuC();
  return {
    ...loader,
    answer: (blob) => answer(blob.requires, process, new Set(features)),
    load: (blob, bytes, how) => {
      asked.push(blob.requires['features']);
      return loader.load(blob, bytes, how);
    },
  };
}
