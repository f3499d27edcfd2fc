/**
 * From a finished artifact to the first result, in new processes, and the memory that running takes:
 *
 *     bench:load [--models NAME|PATH.onnx,…] [--rounds N] [--json FILE]
 *
 * Models are as in `bench:cpu` (default: resnet50). The artifact is compiled first, and is in the system's cache of files. Every round starts one process for
 * each measurement; medians are printed. Time counts from the call of `load` on, which imports what loading needs besides `tenon` itself. Parts are taken in a process of their own, by
 * a source and a loader that look at the clock, and overlap; what comparing hashes adds is the difference to a process that does not compare. Memory is what
 * is resident after 20 runs, above a process that has imported the same modules and does nothing, beside the bytes of weights and planned activations
 * (inputs, results, workspaces).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildArtifact } from 'tenon';
import { evaluateFormula, type Manifest } from 'tenon/tools';
import { Absent, models, type Inputs } from '../models/models.ts';
import { cacheFolder } from '../support/data.ts';
import { columns } from '../support/table.ts';
import { randomInputs } from './inputs.ts';
import type { Engine, Once, SavedInputs } from './load-once.ts';

const { values } = parseArgs({ options: { models: { type: 'string', default: 'resnet50' }, rounds: { type: 'string', default: '7' }, json: { type: 'string' } } });
const median = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)]!;

interface Measured {
  readonly name: string;
  readonly ms: number;
  readonly loaded: number;
  readonly verification: number;
  readonly parts: { readonly [name: string]: number };
  readonly peerMs: number;
  readonly residentBytes: number;
  readonly peerResidentBytes: number;
  readonly plannedBytes: number;
}

/** Bytes of constants, and of inputs, results, arenas and workspaces, of an entry without symbolic sizes. */
function plannedBytes({ constants, entries, regions }: Manifest): number {
  const none = new Map<string, number>();
  const { values: registers, arenas } = entries[0]!;
  const placed = registers.filter(({ storage }) => storage.kind === 'param' || storage.kind === 'result');
  const workspaces = regions.map(({ variants }) => variants[0]!.workspace);
  return [
    ...constants.map((c) => c.bytes), ...placed.map((r) => evaluateFormula(r.bytes, none)), ...arenas.map((a) => evaluateFormula(a.bytes, none)),
    Math.max(0, ...workspaces.map((w) => (w === null ? 0 : evaluateFormula(w, none)))),
  ].reduce((a, b) => a + b, 0);
}

function save(path: string, inputs: Inputs): void {
  const saved: SavedInputs = Object.fromEntries(Object.entries(inputs).map(([name, { dtype, shape, data }]) => {
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    return [name, { dtype, shape, base64: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('base64') }];
  }));
  writeFileSync(path, JSON.stringify(saved));
}

const script = fileURLToPath(new URL('load-once.ts', import.meta.url));
const spawn = (engine: Engine, file: string, inputs: string): Once =>
  JSON.parse(execFileSync(process.execPath, [...process.execArgv, script, engine, file, inputs], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })) as Once;

async function bench(name: string, rounds: number): Promise<Measured> {
  const known = models.find((m) => m.name === name);
  if (known === undefined && !existsSync(name)) throw new Absent(`${name} is neither a file nor one of ${models.map((m) => m.name).join(', ')}`);
  const file = known?.file() ?? name;
  const folder = mkdtempSync(join(tmpdir(), 'tenon-load-'));
  try {
    const artifact = join(folder, 'model.tenon');
    const { manifest } = await buildArtifact(file, { output: artifact, cache: join(cacheFolder, 'load') });
    const inputs = join(folder, 'inputs.json');
    const { params } = manifest.entries[0]!;
    save(inputs, known?.runs[0]!.inputs() ?? randomInputs(params.map((p) => ({ ...p, shape: p.shape.map((axis) => evaluateFormula(axis, new Map())) }))));
    const of: { [engine in Engine]: Once[] } = { tenon: [], unverified: [], parts: [], idle: [], onnxruntime: [], 'idle-onnxruntime': [] };
    for (let i = -1; i < rounds; i++) {
      for (const engine of Object.keys(of) as Engine[]) {
        const found = spawn(engine, engine.includes('onnxruntime') ? file : artifact, inputs);
        // The first round brings files into the system's cache.
        if (i >= 0) of[engine].push(found);
      }
    }
    const middle = (engine: Engine, value: (o: Once) => number): number => median(of[engine].map(value));
    const total = (o: Once): number => o.total;
    const resident = (o: Once): number => o.resident;
    return {
      name, ms: middle('tenon', total), loaded: middle('tenon', (o) => o.loaded), verification: middle('tenon', total) - middle('unverified', total),
      parts: Object.fromEntries(Object.keys(of.parts[0]!.parts).map((part) => [part, middle('parts', (o) => o.parts[part] ?? 0)])),
      peerMs: middle('onnxruntime', total), residentBytes: middle('tenon', resident) - middle('idle', resident),
      peerResidentBytes: middle('onnxruntime', resident) - middle('idle-onnxruntime', resident), plannedBytes: plannedBytes(manifest),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'} at ${cpus()[0]?.speed ?? 0} MHz, Node ${process.version}`;
console.log(`${machine}, medians of ${values.rounds} processes`);
const rows: Measured[] = [];
for (const name of values.models.split(',')) {
  try {
    rows.push(await bench(name, Number(values.rounds)));
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    console.log(`${name}: skipped: ${error.message}`);
  }
}
const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
console.log(columns([
  ['model', 'first result ms', 'loaded ms', 'onnxruntime ms', 'resident MB', 'planned MB', 'ratio', 'onnxruntime MB'],
  ...rows.map((r) => [r.name, r.ms.toFixed(0), r.loaded.toFixed(0), r.peerMs.toFixed(0), mb(r.residentBytes), mb(r.plannedBytes), (r.residentBytes / r.plannedBytes).toFixed(2), mb(r.peerResidentBytes)]),
]));
for (const { name, parts, verification } of rows) {
  console.log(`${name}: ${[...Object.entries(parts), ['comparing hashes adds', verification] as const].map(([part, ms]) => `${part} ${ms.toFixed(1)} ms`).join(', ')}`);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
