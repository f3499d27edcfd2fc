/**
 * Products with a constant matrix through the public API, Tenon and onnxruntime in turn, warm, medians:
 *
 *     bench:gemm [--sizes 256,…] [--threads 1,2] [--memory bound|kept|fresh] [--rounds N] [--json FILE]
 *
 * `--sizes` names rows by their beginnings: 256x256x256 … 2048x2048x2048 (M × K × N), and 8, 32 and 1 rows with 4096 × 4096.
 * `--memory` says where inputs and results lie: `bound`, in memory of the model's, which is filled and read there (`bind`), as who runs one
 * shape often should; `kept`, in arrays of the caller's (`run` with `outputs`); `fresh`, results in new memory at each run. onnxruntime has no memory
 * of its own to give, so its results go to what the caller keeps (`fetches`) with the first two, to new memory with the third.
 * One row alone goes through eight matrices, one after the other, 512 MB of them, so that no cache holds what is read: its time
 * is that of one product. Limits are measured in the same run; see `bench:cpu`.
 */
import { mkdtempSync, openSync, closeSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildArtifact, load } from 'tenon';
import { external, info, model, node } from '../../packages/frontend-onnx/test/onnx-writer.ts';
import { outputAgreement } from '../support/compare.ts';
import { generator } from '../support/generator.ts';
import { randomTensor } from '../support/random.ts';
import { Peer } from '../models/peer.ts';
import type { Limits } from './limits.ts';
import { begin, finish, measured, row, type Row } from './report.ts';
import { interleaved } from './turns.ts';

interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** Matrices that one run goes through, one product on the result of another. */
  readonly matrices: number;
}

const products: readonly Product[] = [
  ...[256, 384, 512, 768, 1024, 1536, 2048].map((n): Product => ({ m: n, k: n, n, matrices: 1 })),
  ...[8, 32].map((m): Product => ({ m, k: 4096, n: 4096, matrices: 1 })),
  { m: 1, k: 4096, n: 4096, matrices: 8 },
];
const nameOf = ({ m, k, n }: Product): string => `${m}x${k}x${n}`;

const { values } = parseArgs({
  options: { sizes: { type: 'string', default: '' }, threads: { type: 'string', default: '1,2' }, memory: { type: 'string', default: 'bound' }, rounds: { type: 'string', default: '20' }, json: { type: 'string' } },
});

/** Writes the model with its matrices beside it: uniform, of a size that keeps results in range. */
function write(folder: string, { m, k, n, matrices }: Product): string {
  const random = generator(k + m);
  const bytes = 4 * k * n;
  const file = openSync(join(folder, 'weights.bin'), 'w');
  const limit = Math.sqrt(3 / k);
  for (let i = 0; i < matrices; i++) writeSync(file, new Uint8Array(randomTensor(random, 'f32', [k, n], [-limit, limit]).data.buffer));
  closeSync(file);
  const path = join(folder, 'product.onnx');
  const names = Array.from({ length: matrices }, (_, i) => `w${i}`);
  writeFileSync(path, model({
    inputs: [info('x', 'f32', [m, k])], outputs: [info('y', 'f32', [m, n])],
    initializers: names.map((name, i) => external(name, 'f32', [k, n], { location: 'weights.bin', offset: String(i * bytes), length: String(bytes) })),
    nodes: names.map((name, i) => node('MatMul', [i === 0 ? 'x' : `h${i - 1}`, name], [i === matrices - 1 ? 'y' : `h${i}`], { name: `product${i}` })),
  }));
  return path;
}

async function bench(product: Product, limits: readonly Limits[], rounds: number): Promise<Row[]> {
  const { m, k, n, matrices } = product;
  const folder = mkdtempSync(join(tmpdir(), 'tenon-gemm-'));
  try {
    const file = write(folder, product);
    const built = await buildArtifact(file, { output: join(folder, 'product.tenon'), cache: false });
    const x = randomTensor(generator(1), 'f32', [m, k], [-1, 1]);
    const rows: Row[] = [];
    for (const limit of limits) {
      using ours = await load(built.path!, { threads: limit.threads, allowNative: true });
      const peer = await Peer.load(file, limit.threads);
      const feeds = peer.feeds({ x });
      const input = x.data as Float32Array;
      const kept = { y: new Float32Array(m * n) };
      const memory = peer.feeds({ y: { dtype: 'f32', shape: [m, n], data: new Float32Array(m * n) } });
      using bound = await ours.bind({ x: input });
      const bind = async () => (await bound.run(), bound.outputs);
      const run = { bound: bind, kept: () => ours.run({ x: input }, { outputs: kept }), fresh: () => ours.run({ x: input }) }[values.memory];
      if (run === undefined) throw new Error(`--memory is bound, kept or fresh, not ${values.memory}`);
      const runPeer = () => peer.run(feeds, values.memory === 'fresh' ? undefined : memory);
      const { y } = await run();
      const want = await runPeer();
      const { error, problem } = outputAgreement({ dtype: 'f32', shape: [m, n], data: y!.data as Float32Array }, want['y']!);
      if (problem !== null) throw new Error(`${nameOf(product)}: ${problem}`);
      // Short runs are repeated, as in a loop of the user's: for so long that what else the system does in between counts as it would there.
      const flops = 2 * m * k * n;
      const times = Math.max(1, Math.round((0.02 * limit.gflops * 1e9) / (flops * matrices)));
      const both = await interleaved(run, runPeer, rounds, matrices > 1 ? 1 : times);
      rows.push(row(nameOf(product), limit, { ms: both.ms / matrices, peerMs: both.peerMs / matrices }, { flops, bytes: 4 * k * n }, error));
      await peer.release();
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const wanted = values.sizes.split(',');
const limits = begin(values.threads.split(',').map(Number));
const rows: Row[] = [];
for (const product of products.filter((p) => wanted.some((w) => nameOf(p).startsWith(w)))) {
  rows.push(...await bench(product, limits, Number(values.rounds)));
  measured(nameOf(product));
}
finish('product', rows, limits, values.json);
