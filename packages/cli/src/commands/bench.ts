import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { compile, TenonError, type HostTensor } from 'tenon';
import { measureCosts, mergeCosts, writeFileAtomically, type Costs } from 'tenon/tools';
import { parseCount, type ParsedArguments } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { readInputs } from '../inputs.ts';
import { isArtifact, loadModel, modelOptions, readSettings, threadsOption } from '../models.ts';
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
    costs: { value: 'FILE', doc: 'also measures what operators take on every target, for partition.costs, and keeps it in a JSON file' },
    seed: { value: 'N', doc: 'of random inputs (default: 0)' },
    ...threadsOption,
    'allow-native': { doc: 'runs native code of an artifact that comes from a URL' },
    ...modelOptions,
  },
  details: [
    'With --costs the model runs under several plans first. Costs that the file holds already are kept where nothing new is',
    'measured; the configuration takes them as',
    '  import costs from \'./costs.json\' with { type: \'json\' };',
    '  export default defineConfig({ partition: { costs } });',
    '',
    'Examples:',
    '  tenon bench model.onnx --dim batch=1 --rounds 100 --threads 4',
    '  tenon bench model.onnx --costs costs.json',
  ].join('\n'),
  async run(args, ctx) {
    const rounds = args.value('rounds') === undefined ? null : parseCount('rounds', args.value('rounds'), 0, 1);
    const seed = parseCount('seed', args.value('seed'), 0, 0);
    const costs = args.value('costs');
    const measured = costs === undefined ? null : await measureInto(costs, args, ctx, rounds, seed);
    const loaded = await loadModel(args.positionals[0]!, args, ctx, measured);
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
      ...(costs === undefined ? {} : { costs }),
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
        ...(measured === null ? [] : [`${style.paint('green', costs!)}: ${Object.entries(measured).map(([target, known]) => `${plural(Object.keys(known).length, 'cost')} of ${target}`).join(', ')}`]),
        style.paint('dim', `${plural(times.length, 'round')}; ${Object.entries(result.inputs).map(([name, type]) => `${name} ${type}`).join(', ')}`),
      ].join('\n'),
    };
  },
};

/** Measures the costs of a model's operators and adds them to a file. */
async function measureInto(file: string, args: ParsedArguments, ctx: CommandContext, rounds: number | null, seed: number): Promise<Costs> {
  const path = args.positionals[0]!;
  if (await isArtifact(path)) throw new TenonError({ code: 'usage/arguments', message: `${path} is compiled already: its operators cannot be placed otherwise`, hint: 'give the model that it was compiled from' });
  const { build, loaders, fixed } = await readSettings(args, ctx);
  if (new Set((build.target as readonly unknown[] | undefined) ?? build.config.targets ?? []).size < 2) {
    throw new TenonError({ code: 'usage/arguments', message: '--costs has no use with one target: there is nothing to choose', hint: 'name the targets in the configuration, or with --target' });
  }
  const known = existsSync(file) ? parseCosts(file, await readFile(file, 'utf8')) : {};
  ctx.progress('measure costs');
  const costs = await measureCosts({ compile }, path, {
    ...build, loaders, threads: parseCount('threads', args.value('threads'), 0, 1), ...(rounds === null ? {} : { rounds }),
    config: { ...build.config, partition: { ...build.config.partition, costs: mergeCosts(build.config.partition?.costs ?? {}, known) } },
    inputs: (model) => readInputs(model, { given: args.values('input'), dims: fixed, seed, otherwise: 'random' }),
  });
  const bytes = new TextEncoder().encode(`${JSON.stringify(costs, null, 2)}\n`);
  await writeFileAtomically(file, (sink) => Promise.resolve(sink.write(0, bytes)));
  return costs;
}

function parseCosts(file: string, text: string): Costs {
  try {
    const costs = JSON.parse(text) as Costs;
    if (Object.values(costs).every((known) => typeof known === 'object' && known !== null && Object.values(known).every((seconds) => typeof seconds === 'number'))) return costs;
  } catch {
    // Told below.
  }
  throw new TenonError({ code: 'file/costs', message: `${file} holds no costs: seconds by target and key`, hint: 'name another file, or delete it' });
}

const typeText = (tensor: HostTensor): string => `${tensor.dtype}[${tensor.shape.join(', ')}]`;
