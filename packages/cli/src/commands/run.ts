import { TenonError, type Outputs, type RunProfile } from 'tenon';
import { writeFileAtomically } from 'tenon/tools';
import { parseCount } from '../arguments.ts';
import type { Command } from '../command.ts';
import { readInputs } from '../inputs.ts';
import { loadModel, modelOptions, threadsOption } from '../models.ts';
import { summarize, writeOutputs } from '../outputs.ts';
import { kernelTable, profileJson } from '../profile.ts';
import { formatNumber, formatTime } from '../terminal/numbers.ts';
import { formatTable } from '../terminal/table.ts';

export const run: Command = {
  name: 'run',
  summary: 'runs a model or an artifact once and shows or writes its outputs',
  positionals: ['MODEL|ARTIFACT'],
  options: {
    input: { value: 'NAME=VALUE', short: 'i', multiple: true, doc: 'an input: a .npy file, a .pb file (ONNX TensorProto), or contents: f32[1,3,224,224]:random, [4,8]:zeros, ones, iota, 1.5' },
    output: { value: 'DIR', short: 'o', doc: 'writes every output to a file in this folder' },
    format: { value: 'npy|pb', doc: 'the format of these files (default: npy)' },
    profile: { doc: 'measures every kernel in a second run, and how near it comes to what the machine can do' },
    trace: { value: 'FILE', doc: 'writes a trace for chrome://tracing and https://ui.perfetto.dev' },
    seed: { value: 'N', doc: 'of random inputs (default: 0)' },
    ...threadsOption,
    'allow-native': { doc: 'runs native code of an artifact that comes from a URL' },
    ...modelOptions,
  },
  details: [
    'The name may be left out where the model has one input. Without --output a summary of every output is printed.',
    'An artifact brings native code: run only what you would also start as a program.',
    '',
    'Examples:',
    '  tenon run model.onnx --input x=image.npy --output results',
    '  tenon run model.tenon -i ids=ids.pb -i mask=[1,128]:ones --profile',
  ].join('\n'),
  async run(args, ctx) {
    const format = args.value('format') ?? 'npy';
    if (format !== 'npy' && format !== 'pb') throw new TenonError({ code: 'usage/arguments', message: `--format is npy or pb, not ${format}` });
    const seed = parseCount('seed', args.value('seed'), 0, 0);
    const trace = args.value('trace');
    const loaded = await loadModel(args.positionals[0]!, args, ctx);
    using model = loaded.model;
    const inputs = await readInputs(model, { given: args.values('input'), dims: loaded.settings.fixed, seed, otherwise: null });
    ctx.progress('run');
    const profiled = args.flag('profile') || trace !== undefined;
    // What only a first run does (memory, threads that start) is no kernel's time.
    if (profiled) await model.run(inputs, { signal: ctx.signal });
    const begin = performance.now();
    let outputs: Outputs;
    let profile: RunProfile | null = null;
    if (profiled) ({ outputs, profile } = await model.run(inputs, { signal: ctx.signal, profile: true }));
    else outputs = await model.run(inputs, { signal: ctx.signal });
    const milliseconds = performance.now() - begin;
    if (profile !== null) ctx.progress('measure the machine');
    const limits = profile === null ? {} : await model.limits();
    model.reports.forEach((report) => ctx.report(report));

    const folder = args.value('output');
    const files = folder === undefined ? {} : await writeOutputs(outputs, folder, format);
    if (trace !== undefined) {
      const text = JSON.stringify(profile!.chromeTrace(limits));
      await writeFileAtomically(trace, async (sink) => sink.write(0, new TextEncoder().encode(text)));
    }
    const summaries = Object.entries(outputs).map(([name, tensor]) => ({ name, ...summarize(tensor), file: files[name] ?? null }));
    return {
      json: {
        milliseconds, compileMilliseconds: loaded.compileMilliseconds, loadMilliseconds: loaded.loadMilliseconds, outputs: summaries,
        ...(args.flag('profile') ? { profile: profileJson(profile!, limits) } : {}), ...(trace === undefined ? {} : { trace }),
      },
      text: (style) => [
        formatTable(
          [{ title: 'output', shrink: 8 }, { title: 'type', shrink: 12 }, { title: 'min', right: true }, { title: 'max', right: true }, { title: 'mean', right: true }, { title: folder === undefined ? 'first elements' : 'file', shrink: 8 }],
          summaries.map((s) => [
            s.name, `${s.dtype}[${s.shape.join(', ')}]`, number(s.min), number(s.max), number(s.mean),
            s.file ?? `${s.first.map(formatNumber).join(' ')}${s.notFinite > 0 ? ` (${s.notFinite} not finite)` : ''}`,
          ]),
          style,
        ),
        '',
        style.paint('dim', `run in ${formatTime(milliseconds)}${trace === undefined ? '' : `, trace in ${trace}`}`),
        ...(args.flag('profile') ? ['', kernelTable(profile!, limits, style, 20)] : []),
      ].join('\n'),
    };
  },
};

const number = (value: number | null): string => (value === null ? '–' : formatNumber(value));
