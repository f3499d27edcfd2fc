import { basename } from 'node:path';
import { buildArtifact, emitC, TenonError } from 'tenon';
import type { ParsedArguments } from '../arguments.ts';
import type { Command, Report } from '../command.ts';
import { isArtifact, modelOptions, readSettings, type Settings } from '../models.ts';
import { formatBytes, formatTime, plural } from '../terminal/numbers.ts';

export const compile: Command = {
  name: 'compile',
  summary: 'compiles a model to an artifact that `tenon run` and the runtime load',
  positionals: ['MODEL'],
  options: {
    output: { value: 'FILE', short: 'o', doc: 'where to write it (default: the name of the model with the ending .tenon, in this folder); a folder with --emit c' },
    emit: { value: 'WHAT', doc: 'artifact (default), or c: C source with weights, an example and a Makefile, which needs nothing of Tenon' },
    name: { value: 'NAME', doc: 'with --emit c: what files and functions are called after (default: model)' },
    ...modelOptions,
  },
  details: 'Examples:\n  tenon compile model.onnx -o model.tenon --dim batch=1..8\n  tenon compile model.onnx --emit c -o folder && make -C folder',
  async run(args, ctx) {
    const path = args.positionals[0]!;
    const output = args.value('output') ?? `${stem(path)}.tenon`;
    const { build } = await readSettings(args, ctx);
    if (await isArtifact(path)) throw new TenonError({ code: 'usage/arguments', message: `${path} is an artifact, compiled already`, hint: `\`tenon run ${path}\` runs it` });
    const emit = args.value('emit') ?? 'artifact';
    if (emit === 'c') return asC(path, args, build);
    if (emit !== 'artifact') throw new TenonError({ code: 'usage/arguments', message: `--emit ${emit} is not known`, hint: 'write --emit artifact or --emit c' });
    if (args.value('name') !== undefined) throw new TenonError({ code: 'usage/arguments', message: '--name goes with --emit c' });
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

const stem = (path: string): string => basename(path).replace(/\.[^.]*$/, '');

async function asC(path: string, args: ParsedArguments, build: Settings['build']): Promise<Report> {
  const begin = performance.now();
  const name = args.value('name');
  const emitted = await emitC(path, { ...build, output: args.value('output') ?? `${stem(path)}-c`, ...(name === undefined ? {} : { name }) });
  const milliseconds = performance.now() - begin;
  return {
    json: { output: emitted.folder, files: emitted.files, bytes: emitted.bytes, cached: emitted.cached, milliseconds },
    text: ({ paint }) => `${paint('green', emitted.folder)}  ${plural(emitted.files.length, 'file')}, ${formatBytes(emitted.bytes)}, in ${formatTime(milliseconds)}\n\`make -C ${emitted.folder}\` builds it`,
  };
}
