import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { diagnosticOf, findConfig, type Diagnostic } from 'tenon';
import { artifactFolder, cacheFolder, describeTargets, openArtifactStore, openDiskCache, selfTest, version, type TargetDescription } from 'tenon/tools';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { modelOptions, readSettings } from '../models.ts';
import { formatBytes, formatTime } from '../terminal/numbers.ts';
import type { Style } from '../terminal/style.ts';
import { formatList } from '../terminal/table.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'shows what this machine offers, what is missing, and how to get it',
  positionals: [],
  options: { config: modelOptions['config']!, 'no-config': modelOptions['no-config']! },
  details: 'A small model is compiled, loaded and run. Exit code 4 if that does not work.',
  async run(args, ctx) {
    ctx.progress('look at this machine');
    const { build } = await readSettings(args, ctx);
    const targets = await describeTargets(build);
    ctx.progress('compile and run a small model');
    const begin = performance.now();
    const test = await problemOf(selfTest);
    const testMilliseconds = performance.now() - begin;
    const folder = cacheFolder(true)!;
    const objects = await openDiskCache({ folder }).usage();
    const artifacts = await openArtifactStore({ folder: artifactFolder(folder) }).usage();
    const machine = {
      tenon: version, node: process.version, platform: `${process.platform} ${process.arch}`, processor: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(), memory: totalmem(), freeMemory: freemem(),
    };
    const problems = [...new Map([...targets.map((t) => t.problem), test].filter((p) => p !== null).map((p) => [p.code, p])).values()];
    return {
      exitCode: test === null ? exitCodes.ok : exitCodes.environment,
      json: {
        ...machine, config: findConfig(), targets, selfTest: { ok: test === null, milliseconds: testMilliseconds, problem: test },
        cache: { folder, objects, artifacts }, problems,
      },
      text: (style) => [
        formatList([
          ['tenon', machine.tenon], ['node', machine.node], ['platform', machine.platform],
          ['processor', `${machine.processor}, ${machine.cores} cores`], ['memory', `${formatBytes(machine.memory)}, ${formatBytes(machine.freeMemory)} free`],
          ['config', findConfig() ?? 'none'],
          ['cache', `${folder}: ${formatBytes(objects.bytes + artifacts.bytes)} in ${objects.entries} objects and ${artifacts.entries} artifacts`],
        ], style),
        ...targets.flatMap((target) => ['', ...targetLines(target, style)]),
        '',
        mark(test, style, test === null ? `a small model compiles, loads and runs (${formatTime(testMilliseconds)})` : 'a small model does not run'),
        ...(test === null ? [] : problemLines(test, style)),
      ].join('\n'),
    };
  },
};

async function problemOf(work: () => Promise<void>): Promise<Diagnostic | null> {
  try {
    await work();
    return null;
  } catch (error) {
    const problem = diagnosticOf(error);
    if (problem === null) throw error;
    return problem;
  }
}

const mark = (problem: Diagnostic | null, { paint }: Style, text: string): string => (problem === null ? `${paint('green', '✓')} ${text}` : `${paint('red', '✗')} ${text}`);

function targetLines({ name, doc, device, problem }: TargetDescription, style: Style): string[] {
  const title = mark(problem, style, `${style.paint('bold', name)}  ${style.paint('dim', doc)}`);
  if (problem !== null) return [title, ...problemLines(problem, style)];
  const features = Object.entries(device!.features).map(([key, value]) => [key, featureText(key, value)] as const);
  const peak = Object.entries(device!.peak).map(([dtype, rate]) => `${dtype} ${(rate / 1e9).toFixed(0)}`).join(', ');
  return [title, formatList([['device', device!.name], ...features, ['peak', `${peak} GFLOP/s (estimated)`]], style, '  ')];
}

function featureText(key: string, value: unknown): string {
  if (/^(l\d|.*Bytes)$/.test(key) && typeof value === 'number') return key === 'vectorBytes' ? `${value} (${value * 8} bits)` : formatBytes(value);
  return Array.isArray(value) ? value.join(' ') || 'none' : String(value);
}

function problemLines(problem: Diagnostic, { paint }: Style): string[] {
  return [`  ${problem.message} [${problem.code}]`, ...(problem.hint === null ? [] : [`  ${paint('dim', 'hint:')} ${problem.hint}`])];
}
