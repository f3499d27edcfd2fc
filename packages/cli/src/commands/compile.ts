import { basename } from 'node:path';
import { buildArtifact, TenonError } from 'tenon';
import type { Command } from '../command.ts';
import { isArtifact, modelOptions, readSettings } from '../models.ts';
import { formatBytes, formatTime, plural } from '../terminal/numbers.ts';

export const compile: Command = {
  name: 'compile',
  summary: 'compiles a model to an artifact that `tenon run` and the runtime load',
  positionals: ['MODEL'],
  options: {
    output: { value: 'FILE', short: 'o', doc: 'where to write it (default: the name of the model with the ending .tenon, in this folder)' },
    ...modelOptions,
  },
  details: 'Example:\n  tenon compile model.onnx -o model.tenon --dim batch=1..8',
  async run(args, ctx) {
    const path = args.positionals[0]!;
    const output = args.value('output') ?? `${basename(path).replace(/\.[^.]*$/, '')}.tenon`;
    const { build } = await readSettings(args, ctx);
    if (await isArtifact(path)) throw new TenonError({ code: 'usage/arguments', message: `${path} is an artifact, compiled already`, hint: `\`tenon run ${path}\` runs it` });
    const begin = performance.now();
    const built = await buildArtifact(path, { ...build, output });
    const milliseconds = performance.now() - begin;
    const { manifest } = built;
    const kernels = manifest.regions.reduce((sum, region) => sum + (region.variants[0]?.kernels.length ?? 0), 0);
    const operators = manifest.report.placements.length;
    return {
      json: {
        output, bytes: built.bytes, digest: built.digest, cached: built.cached, milliseconds, targets: manifest.info.targets, operators,
        regions: manifest.regions.length, kernels, model: manifest.info.model,
      },
      text: ({ paint }) => [
        `${paint('green', output)}  ${formatBytes(built.bytes)}, ${built.cached ? 'from the cache' : 'compiled'} in ${formatTime(milliseconds)}`,
        `${plural(operators, 'operator')} on ${manifest.info.targets.join(', ')}: ${plural(manifest.regions.length, 'region')}, ${plural(kernels, 'kernel')}`,
      ].join('\n'),
    };
  },
};
