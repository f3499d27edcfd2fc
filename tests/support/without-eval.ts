/**
 * Compiles, with every pass and check, in a process that forbids making code from strings, and evaluates the result;
 * prints what it did. See `no-code-generation.test.ts`.
 */
import type { GraphFunction } from '@tenon/plugin';
import { compileModule } from '@tenon/compiler';
import { parseModule, printModule, Session } from '@tenon/core';
import { evaluateGraph } from '@tenon/interp';
import { standardOps } from '@tenon/ops';
import { bareTarget } from './bare-target.ts';
import { generator } from './generator.ts';
import { randomTensor } from './random.ts';
import { randomGraph } from './random-graph.ts';

let forbidden = false;
try {
  // oxlint-disable-next-line no-implied-eval, no-new-func
  Function('return 1')();
} catch {
  forbidden = true;
}

const host = { name: 'test', now: () => performance.now(), open: () => Promise.reject(new Error('no files')), resolve: (_: string, path: string) => path, cache: null };
let hooks = 0;
const watcher = {
  name: 'watcher', namespace: 'watcher', contract: 1,
  apply(on: { readonly afterPass: { tap(name: string, fn: () => void): void } }) {
    on.afterPass.tap('watcher', () => void hooks++);
  },
};
const compilation = await compileModule((session) => randomGraph(session, 11, { calls: 15, symbolic: false }), {
  config: { plugins: [standardOps(), watcher, bareTarget({ name: 'planned', form: 'kernels', ops: null })], targets: ['planned'], verify: 'pass' }, host,
});
const bytes = await compilation.toBytes();

const session = new Session({ config: { plugins: [standardOps()] }, host });
const module = parseModule(printModule(randomGraph(session, 11, { calls: 15, symbolic: false })), session.exprs);
const main = module.functions.get('main') as GraphFunction;
const random = generator(1);
const inputs = main.params.map((p) => randomTensor(random, 'f32', p.type.kind === 'tensor' ? p.type.shape.map((d) => session.exprs.valueOf(d)!) : [], [-1, 1]));
const results = await evaluateGraph(module, main, inputs, session);
console.log(JSON.stringify({ forbidden, passes: compilation.passes.length, hooks, bytes: bytes.length, results: results.length }));
