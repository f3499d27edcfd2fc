import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readModel } from '@tenon/frontend-onnx';
import { host } from './engines.ts';
import { repository } from './data.ts';

const execute = promisify(execFile);

/** What `tenon explain --json` says, as far as tests look at it. */
export interface Explained {
  readonly targets: readonly { readonly target: string; readonly operators: number; readonly regions: number; readonly flopsShare: number | null; readonly seconds: number | null }[];
  readonly operators: readonly {
    readonly op: string; readonly loc: string | null; readonly target: string; readonly rule: string; readonly region: string; readonly library?: string; readonly kernels: readonly string[];
    readonly rejected: readonly { readonly target: string; readonly code: string; readonly message: string }[];
  }[];
  readonly eliminated: readonly { readonly op: string; readonly loc: string }[];
  readonly graph: { readonly uses: readonly (readonly string[])[] } | null;
  readonly problems: readonly { readonly code: string }[];
}

/** Runs `tenon explain MODEL --json` as users do. */
export async function explain(file: string, ...options: readonly string[]): Promise<Explained> {
  const main = join(repository, 'packages/cli/src/main.ts');
  const { stdout } = await execute(process.execPath, ['--conditions=tenon-source', main, 'explain', file, '--json', ...options], { maxBuffer: 1 << 28 });
  return JSON.parse(stdout) as Explained;
}

/** What an explanation leaves out of an ONNX model; null where it accounts for every operator. */
export async function unexplained(file: string, { operators, eliminated, targets }: Explained): Promise<string | null> {
  const source = await host.open(file);
  try {
    const { model } = await readModel(source);
    const functions = new Set(model.functions.map((f) => f.name));
    const told = new Set([...operators.map((o) => o.loc), ...eliminated.map((o) => o.loc)]);
    // Constants are no operators, and calls of local functions stand for the nodes inside.
    const silent = model.graph!.nodes.filter((n) => n.opType !== 'Constant' && !functions.has(n.opType) && n.name !== '' && !told.has(n.name));
    if (silent.length > 0) return `nothing is said of ${silent.length} nodes, ${silent[0]!.opType} ${silent[0]!.name} first`;
    const homeless = operators.find((o) => o.target === '' || o.rule === '' || o.region === '');
    if (homeless !== undefined) return `${homeless.op} (${homeless.loc}) has no target, rule or region`;
    const counted = targets.reduce((sum, t) => sum + t.operators, 0);
    return counted === operators.length ? null : `the targets have ${counted} operators, the model ${operators.length}`;
  } finally {
    source.close();
  }
}
