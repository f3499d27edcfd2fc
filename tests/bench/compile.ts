/**
 * Compile time by phase, TypeScript and C compiler apart:
 *
 *     bench:compile [MODEL …] [--rounds N] [--changes]
 *
 * MODEL: a name of `$TENON_DATA/models` or a path (default: resnet50 bert_base_s128). Nothing is cached between rounds;
 * the median of each figure is printed. With `--changes`: `tenon compile` as it is installed (the packages are built first), everything
 * included, with an empty cache, again with nothing changed, and with one node changed.
 */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { compile } from '@tenon/compiler';
import { onnx } from '@tenon/frontend-onnx';
import { standardOps } from '@tenon/ops';
import { nodeHost } from '@tenon/runtime/node';
import { cpuC } from '@tenon/target-cpu-c';
import { models } from '../models/models.ts';
import { absent, dataFolder } from '../support/data.ts';
import { buildCommand, measureChanges, type Changes, type CommandTime } from './changes.ts';

interface Times {
  /** Milliseconds by phase; `codegen` without the C compiler. */
  readonly phases: ReadonlyMap<string, number>;
  readonly typescript: number;
  readonly cc: number;
  readonly write: number;
}

async function once(path: string): Promise<Times> {
  const host = { ...nodeHost(), cache: null };
  let ccBegin: number | null = null;
  let ccEnd = 0;
  const source = await host.open(path);
  const compilation = await compile(source, {
    config: { plugins: [standardOps(), onnx(), cpuC()], targets: ['cpu-c'] },
    host,
    onProgress: (step) => {
      if (step === 'compile C') {
        ccBegin ??= host.now();
        ccEnd = host.now();
      }
    },
  });
  const cc = ccBegin === null ? 0 : ccEnd - ccBegin;
  const phases = new Map<string, number>();
  for (const { phase, milliseconds } of compilation.phases) {
    phases.set(phase, (phases.get(phase) ?? 0) + milliseconds - (phase === 'codegen' ? cc : 0));
  }
  const begin = host.now();
  await compilation.toBytes();
  const write = host.now() - begin;
  compilation.dispose();
  return { phases, typescript: [...phases.values()].reduce((a, b) => a + b, 0), cc, write };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

function printChanges(name: string, rounds: readonly Changes[]): void {
  const cold = median(rounds.map((r) => r.cold.command));
  const row = (label: string, of: (r: Changes) => CommandTime): string => {
    const command = median(rounds.map((r) => of(r).command));
    return `  ${label.padEnd(18)} ${command.toFixed(0).padStart(7)} ${median(rounds.map((r) => of(r).compilation)).toFixed(0).padStart(12)} ${((100 * command) / cold).toFixed(0).padStart(9)} %`;
  };
  console.log(`\n${name} (${rounds[0]!.change})\n  ${''.padEnd(18)} command  compilation   of cold`);
  console.log([row('cold', (r) => r.cold), row('unchanged', (r) => r.unchanged), row('one node changed', (r) => r.changed)].join('\n'));
}

const { values, positionals } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, changes: { type: 'boolean', default: false } }, allowPositionals: true });
if (dataFolder('models') === null && positionals.every((p) => !existsSync(p))) absent('there is no folder models in $TENON_DATA (default: ../shared)');
else {
  console.log(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}, median of ${values.rounds} rounds, milliseconds`);
  if (values.changes) buildCommand();
  for (const name of positionals.length === 0 ? ['resnet50', 'bert_base_s128'] : positionals) {
    const path = existsSync(name) ? name : models.find((m) => m.name === name)?.file();
    if (path === undefined) {
      console.error(`bench:compile: ${name} is neither a file nor one of ${models.map((m) => m.name).join(', ')}`);
      process.exitCode = 2;
      break;
    }
    if (values.changes) {
      printChanges(name, Array.from({ length: Number(values.rounds) }, () => measureChanges(path)));
      continue;
    }
    const rounds: Times[] = [];
    for (let i = 0; i < Number(values.rounds); i++) rounds.push(await once(path));
    console.log(`\n${name}`);
    for (const phase of rounds[0]!.phases.keys()) {
      const ms = median(rounds.map((r) => r.phases.get(phase) ?? 0));
      if (ms >= 0.5) console.log(`  ${phase.padEnd(14)} ${ms.toFixed(0).padStart(7)}`);
    }
    console.log(`  ${'TypeScript'.padEnd(14)} ${median(rounds.map((r) => r.typescript)).toFixed(0).padStart(7)}`);
    console.log(`  ${'C compiler'.padEnd(14)} ${median(rounds.map((r) => r.cc)).toFixed(0).padStart(7)}`);
    console.log(`  ${'write artifact'.padEnd(14)} ${median(rounds.map((r) => r.write)).toFixed(0).padStart(7)}`);
  }
}
