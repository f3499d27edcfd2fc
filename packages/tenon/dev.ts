import { compile } from '@tenon/compiler';
import { standardOps } from '@tenon/ops';
import { onnx } from '@tenon/frontend-onnx';
import { cpuC } from '@tenon/target-cpu-c';
import * as L from '@tenon/target-cpu-c/loader';
import { createRuntime } from '@tenon/runtime';
import { nodeHost } from '@tenon/runtime/node';
import { printModule } from '@tenon/core';
import { writeFileSync } from 'node:fs';
const host = nodeHost({});
const t0 = performance.now();
const source = await host.open(process.argv[2]!);
const c = await compile(source, { config: { plugins: [standardOps(), onnx(), cpuC()], targets: ['cpu-c'], verify: 'phase' }, host,
  onPhase: (p, t, m) => { if (process.env.DUMP) writeFileSync(`/tmp/dev/${p}.tir`, printModule(m)); } });
console.log(c.phases.map((p) => `${p.phase} ${p.milliseconds.toFixed(0)}`).join(', '));
console.log(c.passes.filter((p) => p.milliseconds > 20).map((p) => `${p.pass} ${p.milliseconds.toFixed(0)}`).join(', '));
if (process.env.DUMP) writeFileSync('/tmp/dev/code.c', c.listings.map((l) => l.text).join('\n'));
const bytes = await c.toBytes();
console.log('artifact', bytes.length, 'total', performance.now() - t0);
const rt = createRuntime({ loaders: [(L as any).cpuC()], host, allowNative: true } as any);
const model = await rt.load(bytes);
console.log(model.inputs, model.outputs);
const dims: Record<string, number> = JSON.parse(process.argv[3] ?? '{}');
const inputs: any = {};
for (const i of model.inputs as any[]) {
  const shape = i.shape.map((d: any) => typeof d === 'number' ? d : dims[String(d)] ?? 1);
  const n = shape.reduce((a: number, b: number) => a * b, 1);
  const { Tensor } = await import('@tenon/runtime');
  const data = i.dtype === 'f32' ? Float32Array.from({ length: n }, () => Math.random() * 2 - 1) : BigInt64Array.from({ length: n }, () => BigInt(Math.random() < 0.5 ? 0 : 1));
  inputs[i.name] = new Tensor(i.dtype, shape, data as any);
}
for (let k = 0; k < 3; k++) await model.run(inputs);
const times: number[] = [];
for (let k = 0; k < 10; k++) { const b = performance.now(); await model.run(inputs); times.push(performance.now() - b); }
times.sort((a, b) => a - b);
console.log('median ms', times[5]);
const r: any = await model.run(inputs, { profile: true } as any);
const prof = r.profile;
console.log(Object.keys(prof));
const ks = prof.kernels ?? prof.calls?.flatMap((c: any) => c.kernels);
const agg = new Map<string, { ms: number; n: number }>();
for (const k of ks) { const a = agg.get(k.name ?? k.kernel) ?? { ms: 0, n: 0 }; a.ms += k.milliseconds ?? (k.end - k.begin) / 1e6; a.n++; agg.set(k.name ?? k.kernel, a); }
console.log([...agg].sort((a, b) => b[1].ms - a[1].ms).slice(0, 25).map(([n, a]) => `${a.ms.toFixed(3)} ms x${a.n} ${n}`).join('\n'));
const ort: any = (await import('/work/main/node_modules/onnxruntime-node/dist/index.js' as any)).default ?? await import('onnxruntime-node' as any);
const sess = await ort.InferenceSession.create(process.argv[2]!, { intraOpNumThreads: 2 });
const feeds: any = {};
for (const [n, t] of Object.entries(inputs) as any) feeds[n] = new ort.Tensor(t.dtype === 'f32' ? 'float32' : 'int64', t.data, t.shape);
for (let k = 0; k < 3; k++) await sess.run(feeds);
const ot: number[] = []; let want: any;
for (let k = 0; k < 10; k++) { const b = performance.now(); want = await sess.run(feeds); ot.push(performance.now() - b); }
ot.sort((a, b) => a - b);
const got: any = await model.run(inputs);
for (const [n, w] of Object.entries(want) as any) {
  const g = (got.outputs ?? got)[n].data; let d = 0, m = 0, nan = 0;
  for (let i = 0; i < w.data.length; i++) { const a = Number(g[i]), b = Number(w.data[i]); if (Number.isNaN(a) !== Number.isNaN(b)) nan++; d = Math.max(d, Math.abs(a - b)); m = Math.max(m, Math.abs(b)); }
  console.log(n, w.dims, 'rel err', d / m, 'nan mismatches', nan);
}
console.log('ort median', ot[5]);
