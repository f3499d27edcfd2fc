import { describe, expect, it } from 'vitest';
import { openArtifact } from '@tenon/artifact';
import { createRuntime, bytesSource } from '@tenon/runtime';
import { cpuC as cpuCLoader } from '@tenon/target-cpu-c/loader';
import { buildArtifact, compile, diagnosticOf, type Loader } from 'tenon';
import { machineFeatures } from '../packages/target-cpu-c/src/runtime/machine.ts';
import { answer } from '../packages/target-cpu-c/src/runtime/loader.ts';
import { cacheFolder } from './support/data.ts';
import { outputAgreement } from './support/compare.ts';
import { convNet, denseNet, product } from './support/standalone.ts';

const options = { cache: cacheFolder };
const sse = ['pni', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt'];
const avx2 = [...sse, 'avx', 'avx2', 'fma', 'f16c', 'bmi1', 'bmi2', 'abm', 'movbe'];
const avx512 = [...avx2, 'avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'];
/** Processors of three generations, of which this one may be an older. */
const processors = ([['AVX-512', avx512, 0], ['AVX2', avx2, 1], ['SSE4.2', sse, 2]] as const).filter(([, features]) => features.every((f) => machineFeatures()?.has(f)));

/** The loader on a machine that has these instructions only. */
function loaderWith(features: readonly string[], asked: string[] = []): Loader {
  const loader = cpuCLoader();
  return {
    ...loader,
    answer: (blob) => answer(blob.requires, process, new Set(features)),
    load: (blob, bytes, how) => {
      asked.push(JSON.stringify(blob.requires['features']));
      return loader.load(blob, bytes, how);
    },
  };
}

describe.runIf(process.arch === 'x64' && machineFeatures() !== null)('march: portable (run on x86-64 where the system tells its features)', () => {
  it.each([['a dense network', denseNet()], ['a network of convolutions', convNet()]])('%s has code for three levels, and the best that a machine has is loaded', async (_, test) => {
    const built = await buildArtifact(test.bytes, { ...options, target: [['cpu-c', { march: 'portable' }]] });
    const { manifest } = built;
    expect(manifest.regions.length).toBeGreaterThan(0);
    for (const region of manifest.regions) expect(region.variants.map((v) => v.blob)).toEqual([0, 1, 2]);
    expect(manifest.blobs.map((b) => b.requires['features'])).toEqual([avx512, avx2, sse].map((list) => expect.arrayContaining(list)));
    using native = await compile(test.bytes, options);
    const bytes = await built.read();
    for (const [name, features, level] of processors) {
      const asked: string[] = [];
      using model = await createRuntime({ loaders: [loaderWith(features, asked)], allowNative: true }).load(bytes);
      expect(asked, name).toEqual([JSON.stringify(manifest.blobs[level]!.requires['features'])]);
      expect(model.reports, name).toEqual([]);
      for (const run of test.runs) {
        const want = await native.run(run.inputs);
        const got = await model.run(run.inputs);
        for (const output of test.outputs) {
          const { error, problem } = outputAgreement(got[output]!, want[output]!);
          expect(problem, `${output} with ${name}`).toBeNull();
          expect(error, `${output} with ${name}`).toBeLessThan(1e-5);
        }
      }
    }
  }, 120_000);

  it('weights are stored once: other levels pack them anew', async () => {
    const build = async (march: string) => {
      const built = await buildArtifact(product().bytes, { ...options, target: [['cpu-c', { march }]] });
      const file = await openArtifact(bytesSource('memory:artifact', await built.read()));
      return { constants: file.manifest.sections.filter((s) => s.kind === 'constants').reduce((sum, s) => sum + s.bytes, 0), manifest: file.manifest };
    };
    const [best, portable] = [await build('x86-64-v4'), await build('portable')];
    expect(portable.constants).toBe(best.constants);
    expect(portable.manifest.constants.some((c) => c.data.kind === 'repacked')).toBe(true);
  });

  it('an older processor is told to recompile, as it is for code of one level', async () => {
    for (const march of ['portable', 'x86-64-v4']) {
      const built = await buildArtifact(product().bytes, { ...options, target: [['cpu-c', { march }]] });
      const failed = await createRuntime({ loaders: [loaderWith(['pni'])], allowNative: true }).load(await built.read()).then(() => null, (e: unknown) => diagnosticOf(e));
      expect(failed).toMatchObject({ code: 'runtime/no-variant', message: expect.stringMatching(/says recompile \[cpu-c\/other-machine\]: it uses instructions that this processor does not have: .*sse4_2/) });
    }
  });
});
