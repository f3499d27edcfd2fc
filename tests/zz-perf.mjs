import { compileModule } from '@tenon/compiler';
import { standardOps } from '@tenon/ops';
import { bareTarget } from './support/bare-target.ts';
const kind = process.argv[2]; const n = Number(process.argv[3]);
const host = { name: 't', now: () => performance.now(), cache: null };
const c = await compileModule((s) => {
  const m = s.module();
  const b = m.graph('main', [{ name: 'x', type: s.types.tensor('f32', [4, process.argv[4] === 'sym' ? m.dim({name:'n',min:1}) : 8]) }]);
  let v = b.params[0];
  const outs = [];
  if (kind === 'chain') for (let i = 0; i < n; i++) v = b.call(['math.neg','math.tanh','math.abs','nn.relu'][i%4], [v]);
  else if (kind === 'square') for (let i = 0; i < n; i++) v = b.call('math.mul', [v, v]);
  else if (kind === 'residual') for (let i = 0; i < n/2; i++) v = b.call('math.add', [v, b.call('math.tanh', [v])]);
  else if (kind === 'reduce') for (let i = 0; i < n/2; i++) v = b.call('math.sub', [v, b.call('reduce.max', [v], {axes:[1], keepdims: true})]);
  else if (kind === 'wide') { const all = []; for (let i = 0; i < n/2; i++) all.push(b.call('math.tanh', [b.call('reduce.sum', [b.call('math.mul', [v, b.constant([i+0.5],'f32',[])])], {axes:[1]})])); while (all.length > 1) { const x = all.shift(), y = all.shift(); all.push(b.call('math.add', [x, y])); } v = all[0]; }
  else if (kind === 'outs') { for (let i = 0; i < n; i++) outs.push(b.call('math.mul', [v, b.constant([i+0.5],'f32',[])])); }
  else if (kind === 'softmax') for (let i = 0; i < n; i++) v = b.call('nn.softmax', [v], {axis: 1});
  else if (kind === 'two') for (let i = 0; i < n; i++) v = b.call(i%2 ? 'math.neg' : 'math.tanh', [v]);
  b.finish(outs.length ? outs : [v]);
  return m.finish();
}, { host, config: { plugins: [standardOps(), bareTarget({ name: 'k', form: 'kernels', ops: null }), bareTarget({name:'a', form:'graph', ops: kind === 'two' ? ['math.neg'] : []})], targets: ['a', 'k'], verify: 'phase' } });
for (const p of c.phases) console.log(p.phase, p.target, p.milliseconds.toFixed(0));
console.log('kernels', [...c.module.functions.values()].filter(f => f.kind === 'tensor').length, 'launches', [...c.plans.values()].map(p => p.launches.length).reduce((a,b)=>a+b,0));
