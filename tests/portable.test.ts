import { describe, expect, it } from 'vitest';
import { openArtifact } from '@tenon/artifact';
import { createRuntime, bytesSource } from '@tenon/runtime';
import { buildArtifact, compile, diagnosticOf } from 'tenon';
import { generations, loaderWith, ownFeatures } from '../packages/target-cpu-c/test/processors.ts';
import { cacheFolder } from './support/data.ts';
import { outputAgreement } from './support/compare.ts';
import { convNet, denseNet, product } from './support/standalone.ts';

const options = { cache: cacheFolder };

describe.runIf(process.arch === 'x64' && ownFeatures !== null)('march: portable (run on x86-64 where the system tells its features)', () => {
  it.each([['a dense network', denseNet()], ['a network of convolutions', convNet()]])('%s has code for three levels, and the best that a machine has is loaded', async (_, test) => {
    const built = await buildArtifact(test.bytes, { ...options, target: [['cpu-c', { march: 'portable' }]] });
    const { manifest } = built;
    expect(manifest.regions.length).toBeGreaterThan(0);
    for (const region of manifest.regions) expect(region.variants.map((v) => v.blob)).toEqual([0, 1, 2]);
    expect(manifest.blobs.map((b) => b.requires['features'])).toEqual(generations.map(([, list]) => expect.arrayContaining([...list])));
    using native = await compile(test.bytes, options);
    const bytes = await built.read();
    for (const [level, [name, features]] of generations.entries()) {
      // Code for a newer processor than this one cannot be tried here.
      if (!features.every((f) => ownFeatures!.has(f))) continue;
      const asked: unknown[] = [];
      using model = await createRuntime({ loaders: [loaderWith(features, asked)], allowNative: true }).load(bytes);
      expect(asked, name).toEqual([manifest.blobs[level]!.requires['features']]);
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
