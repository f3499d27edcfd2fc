import { cpus } from 'node:os';
import type { HostTensor } from 'tenon';
import { parseCount } from '../arguments.ts';
import type { Command } from '../command.ts';
import { readInputs } from '../inputs.ts';
import { loadModel, modelOptions, threadsOption } from '../models.ts';
import { formatTime, percentile, plural } from '../terminal/numbers.ts';
import { formatList } from '../terminal/table.ts';

/** Without `--rounds` a measurement takes about this long, within these numbers of rounds. */
const secondsWanted = 3;
const fewest = 5;
const most = 1000;
const warmUpRounds = 2;

export const bench: Command = {
  name: 'bench',
  summary: 'measures how long a model or an artifact takes to compile, load and run',
  positionals: ['MODEL|ARTIFACT'],
  options: {
    rounds: { value: 'N', short: 'n', doc: `runs that are measured, after ${warmUpRounds} to warm up (default: ${secondsWanted} seconds of them)` },
    input: { value: 'NAME=VALUE', short: 'i', multiple: true, doc: 'an input, as for `tenon run` (default: random)' },
    seed: { value: 'N', doc: 'of random inputs (default: 0)' },
    ...threadsOption,
    'allow-native': { doc: 'runs native code of an artifact that comes from a URL' },
    ...modelOptions,
  },
  details: 'Example:\n  tenon bench model.onnx --dim batch=1 --rounds 100 --threads 4',
  async run(args, ctx) {
    const rounds = args.value('rounds') === undefined ? null : parseCount('rounds', args.value('rounds'), 0, 1);
    const seed = parseCount('seed', args.value('seed'), 0, 0);
    const loaded = await loadModel(args.positionals[0]!, args, ctx);
    using model = loaded.model;
    const inputs = await readInputs(model, { given: args.values('input'), dims: loaded.settings.fixed, seed, otherwise: 'random' });
    const once = async (): Promise<number> => {
      const begin = performance.now();
      await model.run(inputs, { signal: ctx.signal });
      return performance.now() - begin;
    };
    ctx.progress('first run');
    const first = await once();
    for (let i = 0; i < warmUpRounds; i++) await once();
    const times: number[] = [];
    const begin = performance.now();
    const enough = (): boolean => (rounds === null ? times.length >= most || (times.length >= fewest && performance.now() - begin > secondsWanted * 1000) : times.length >= rounds);
    while (!enough()) {
      times.push(await once());
      if (times.length % 16 === 1) ctx.progress('measure', times.length, rounds);
    }
    model.reports.forEach((report) => ctx.report(report));
    const sorted = times.toSorted((a, b) => a - b);
    const result = {
      model: loaded.name, compileMilliseconds: loaded.compileMilliseconds, cached: loaded.cached, loadMilliseconds: loaded.loadMilliseconds,
      firstRunMilliseconds: first, rounds: times.length, median: percentile(sorted, 0.5), min: sorted[0]!, p95: percentile(sorted, 0.95),
      mean: times.reduce((a, b) => a + b, 0) / times.length, threads: args.value('threads') === undefined ? null : Number(args.value('threads')),
      inputs: Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, typeText(tensor)])), machine: cpus()[0]?.model ?? null,
    };
    return {
      json: result,
      text: (style) => [
        formatList([
          ...(result.compileMilliseconds === null ? [] : [['compile', `${formatTime(result.compileMilliseconds)}${loaded.cached ? ' (from the cache)' : ''}`] as const]),
          ['load', formatTime(result.loadMilliseconds)],
          ['first run', formatTime(first)],
          ['median', style.paint('bold', formatTime(result.median))],
          ['min', formatTime(result.min)],
          ['p95', formatTime(result.p95)],
        ], style),
        style.paint('dim', `${plural(times.length, 'round')}; ${Object.entries(result.inputs).map(([name, type]) => `${name} ${type}`).join(', ')}`),
      ].join('\n'),
    };
  },
};

const typeText = (tensor: HostTensor): string => `${tensor.dtype}[${tensor.shape.join(', ')}]`;
