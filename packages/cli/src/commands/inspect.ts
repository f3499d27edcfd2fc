import { TenonError } from 'tenon';
import { inspectModel, nearest, nodeHost, openArtifact, phases, type Phase } from 'tenon/tools';
import type { Command, Report } from '../command.ts';
import { artifactSummary, modelSummary } from '../inspect/summary.ts';
import { memoryReport } from '../inspect/memory.ts';
import { modulesReport, passesReport, codeReport } from '../inspect/modules.ts';
import { sizesReport } from '../inspect/sizes.ts';
import { isArtifact, modelOptions, readSettings } from '../models.ts';

const views = ['summary', 'graph', 'kernels', 'code', 'memory', 'sizes', 'passes'] as const;
type View = (typeof views)[number];

export const inspect: Command = {
  name: 'inspect',
  summary: 'shows what a model becomes: its graph, kernels, generated code, memory plan and sizes, after any phase or pass',
  positionals: ['MODEL|ARTIFACT'],
  options: {
    show: { value: 'VIEW', short: 's', doc: `one of ${views.join(', ')} (default: summary, or graph with --phase and --pass)` },
    phase: { value: 'PHASE', short: 'p', doc: `the module after this phase: ${phases.join(', ')}` },
    pass: { value: 'NAME', doc: 'the module each time after this pass (`--show passes` lists their names)' },
    function: { value: 'NAME', short: 'f', doc: 'only this function of the module' },
    full: { doc: 'prints all elements of constants, so that the text parses' },
    ...modelOptions,
  },
  details: [
    'graph    graph functions in text form     memory   where every buffer lies, and when it lives',
    'kernels  tensor functions in text form    sizes    weights, folded constants, workspace, code',
    'code     what code generators wrote       passes   what ran, for how long, and what it changed',
    '',
    'Examples:',
    '  tenon inspect model.onnx --phase canonicalize',
    '  tenon inspect model.onnx --show memory --dim batch=4',
  ].join('\n'),
  async run(args, ctx) {
    const path = args.positionals[0]!;
    const phase = oneOf('phase', args.value('phase'), phases);
    const pass = args.value('pass');
    const view = oneOf('show', args.value('show'), views) ?? (phase !== undefined || pass !== undefined ? 'graph' : 'summary');
    if (phase !== undefined && pass !== undefined) throw new TenonError({ code: 'usage/arguments', message: '--phase and --pass contradict each other' });
    if (await isArtifact(path)) return inspectArtifact(path, view);
    const { build, fixed } = await readSettings(args, ctx);
    const until = lastPhase(view, phase, pass);
    const config = pass === undefined ? build.config : { ...build.config, printAfter: [pass] };
    const inspection = await inspectModel(path, { ...build, config, ...(until === undefined ? {} : { until }) });
    if (pass !== undefined && inspection.printed.length === 0) throw unknownPass(pass, inspection.passes.map((p) => p.pass));
    const options = { phase, pass, only: args.value('function'), full: args.flag('full') };
    switch (view) {
      case 'summary': return modelSummary(path, inspection);
      case 'graph': case 'kernels': return modulesReport(inspection, view, options);
      case 'code': return codeReport(inspection);
      case 'memory': return memoryReport(inspection, fixed);
      case 'sizes': return sizesReport(inspection, fixed);
      case 'passes': return passesReport(inspection);
    }
  },
};

/** Nothing that comes later is compiled. */
function lastPhase(view: View, phase: Phase | undefined, pass: string | undefined): Phase | undefined {
  if (view === 'summary') return 'partition';
  if (view === 'graph' && pass === undefined) return phase ?? 'canonicalize';
  return view === 'kernels' && pass === undefined ? (phase ?? 'schedule') : undefined;
}

function oneOf<T extends string>(option: string, text: string | undefined, allowed: readonly T[]): T | undefined {
  if (text === undefined) return undefined;
  const found = allowed.find((name) => name === text);
  if (found !== undefined) return found;
  const near = nearest(text, allowed);
  throw new TenonError({ code: 'usage/arguments', message: `--${option} is one of ${allowed.join(', ')}, not ${JSON.stringify(text)}`, hint: near === null ? null : `did you mean ${near}?` });
}

function unknownPass(name: string, passes: readonly string[]): TenonError {
  const near = nearest(name, passes);
  return new TenonError({ code: 'usage/arguments', message: `no pass ${name} ran`, hint: near === null ? `passes: ${[...new Set(passes)].join(', ')}` : `did you mean ${near}?` });
}

async function inspectArtifact(path: string, view: View): Promise<Report> {
  if (view !== 'summary') throw new TenonError({ code: 'usage/arguments', message: `of an artifact only the summary can be shown, not ${view}`, hint: 'give the model that it was compiled from' });
  const source = await nodeHost({ cacheFolder: null }).open(path);
  try {
    return artifactSummary(path, await openArtifact(source));
  } finally {
    source.close();
  }
}

