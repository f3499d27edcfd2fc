/**
 * Parts of well-known kinds of networks, Tenon and onnxruntime in turn, warm, medians:
 *
 *     bench:blocks [--filter TEXT] [--threads 1,2] [--rounds N] [--json FILE]
 *
 * Whole models say how fast their own shapes are; this finds what is slow in others. See `bench:cpu`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Graph, blockModels } from './block-models.ts';
import { compare } from './compare.ts';
import { begin, finish, type Row } from './report.ts';

const { values } = parseArgs({
  options: { filter: { type: 'string', default: '' }, threads: { type: 'string', default: '1,2' }, rounds: { type: 'string', default: '10' }, json: { type: 'string' } },
});
const limits = begin(values.threads.split(',').map(Number));
const rows: Row[] = [];
const folder = mkdtempSync(join(tmpdir(), 'tenon-blocks-'));
try {
  for (const { name, build } of blockModels.filter((b) => b.name.includes(values.filter))) {
    const graph = new Graph();
    build(graph);
    const file = join(folder, 'block.onnx');
    writeFileSync(file, graph.bytes());
    rows.push(...await compare(name, file, null, limits, Number(values.rounds)));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
finish('block', rows, limits, values.json);
