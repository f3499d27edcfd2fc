import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LayoutRecord, OperatorEstimate, PartitionReport, ScheduleRecord } from '@tenon/plugin';
import { locationOf, readModel } from '@tenon/frontend-onnx';
import { host } from './engines.ts';
import { repository } from './data.ts';

const execute = promisify(execFile);

/** What `tenon explain --json` says, as far as tests look at it. */
export interface Explained {
  readonly targets: readonly { readonly target: string; readonly operators: number; readonly regions: number; readonly flopsShare: number | null; readonly seconds: number | null }[];
  readonly operators: readonly {
    readonly op: string; readonly loc: string | null; readonly target: string; readonly rule: string; readonly region: string; readonly library?: string; readonly kernels: readonly string[];
    readonly estimate?: OperatorEstimate;
    readonly rejected: readonly { readonly target: string; readonly code: string; readonly message: string }[];
  }[];
  readonly eliminated: readonly { readonly op: string; readonly loc: string }[];
  readonly graph: { readonly uses: readonly (readonly string[])[] } | null;
  readonly partition: PartitionReport | null;
  readonly schedules: readonly (ScheduleRecord & {
    readonly ops: readonly string[]; readonly locs: readonly string[]; readonly regions: readonly string[];
    readonly libraries: readonly { readonly op: string; readonly entry: string; readonly code: string; readonly message: string }[];
  })[] | null;
  readonly layouts: readonly (LayoutRecord & { readonly loc: string | null })[] | null;
  readonly problems: readonly { readonly code: string }[];
}

/** Runs the command as users do; gives what it prints. */
export async function tenon(...args: readonly string[]): Promise<string> {
  const main = join(repository, 'packages/cli/src/main.ts');
  return (await execute(process.execPath, ['--conditions=tenon-source', main, ...args], { maxBuffer: 1 << 28 })).stdout;
}

/** Runs `tenon explain MODEL --json`. */
export async function explain(file: string, ...options: readonly string[]): Promise<Explained> {
  return JSON.parse(await tenon('explain', file, '--json', ...options)) as Explained;
}

/** What an explanation leaves out of an ONNX model; null where it accounts for every operator. */
export async function unexplained(file: string, { operators, eliminated, targets }: Explained): Promise<string | null> {
  const source = await host.open(file);
  try {
    const { model } = await readModel(source);
    const functions = new Set(model.functions.map((f) => f.name));
    const told = new Set([...operators.map((o) => o.loc), ...eliminated.map((o) => o.loc)]);
    // Constants are no operators, and calls of local functions stand for the nodes inside.
    const silent = model.graph!.nodes.flatMap((n, i) => {
      const location = locationOf(n, i, '');
      return n.opType === 'Constant' || functions.has(n.opType) || told.has(location) ? [] : [`${n.opType} ${location}`];
    });
    if (silent.length > 0) return `nothing is said of ${silent.length} nodes, ${silent[0]} first`;
    const homeless = operators.find((o) => o.target === '' || o.rule === '' || o.region === '');
    if (homeless !== undefined) return `${homeless.op} (${homeless.loc}) has no target, rule or region`;
    const counted = targets.reduce((sum, t) => sum + t.operators, 0);
    return counted === operators.length ? null : `the targets have ${counted} operators, the model ${operators.length}`;
  } finally {
    source.close();
  }
}
