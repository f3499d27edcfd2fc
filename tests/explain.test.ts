import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { info, model, node, raw } from '../packages/frontend-onnx/test/onnx-writer.ts';
import { repository } from './support/data.ts';
import { explain, tenon, unexplained, type Explained } from './support/explained.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenon-explain-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, contents: string | Uint8Array): string => {
  writeFileSync(join(folder, name), contents);
  return join(folder, name);
};

/** Layers of which an elementwise target takes every other operator, with nodes that vanish while compiling. */
const layered = (): Uint8Array => model({
  inputs: [info('x', 'f32', ['n', 4])],
  outputs: [info('y', 'f32', ['n', 4])],
  initializers: [raw('w', 'f32', [4, 4], Float32Array.from({ length: 16 }, (_, i) => i / 16)), raw('one', 'f32', [], Float32Array.of(1))],
  nodes: [
    node('MatMul', ['x', 'w'], ['a'], { name: 'layer0/MatMul' }), node('Relu', ['a'], ['b'], { name: 'layer0/Relu' }),
    node('Mul', ['b', 'one'], ['c'], { name: 'layer0/Mul' }),
    node('MatMul', ['c', 'w'], ['d'], { name: 'layer1/MatMul' }), node('Softmax', ['d'], ['e'], { name: 'layer1/Softmax' }), node('Neg', ['e'], ['y'], { name: 'layer1/Neg' }),
  ],
});

it('explain accounts for every node of a model on one target', async () => {
  const file = write('one.onnx', layered());
  const explained = await explain(file);
  expect(await unexplained(file, explained)).toBeNull();
  expect(explained.targets).toMatchObject([{ target: 'cpu-c', regions: 1, flopsShare: 1 }]);
  expect(explained.eliminated).toEqual([{ op: 'math.mul', loc: 'layer0/Mul' }]);
  expect(explained.operators.every((o) => o.kernels.length > 0)).toBe(true);
});

it('explain says of every operator of a split model who refused it', async () => {
  const file = write('two.onnx', layered());
  const config = write('tenon.config.ts', `import { acme } from ${JSON.stringify(join(repository, 'tests/outside/plugin.ts'))};
export default { plugins: [acme()], targets: ['acme-js', 'cpu-c'], partition: { strategy: 'greedy' } };
`);
  const explained = await explain(file, '--config', config);
  expect(await unexplained(file, explained)).toBeNull();
  expect(explained.targets.map((t) => t.target)).toEqual(['acme-js', 'cpu-c']);
  for (const { target, op, rejected } of explained.operators) {
    expect(target).toBe(op === 'nn.relu' || op === 'math.neg' ? 'acme-js' : 'cpu-c');
    if (target === 'cpu-c') expect(rejected).toContainEqual(expect.objectContaining({ target: 'acme-js', code: 'partition/no-rule' }));
  }
  expect(explained.graph!.uses).toHaveLength(explained.operators.length);
});

it('explain without code generation says the same of placement', async () => {
  const file = write('three.onnx', layered());
  const explained = await explain(file, '--no-codegen');
  expect(await unexplained(file, explained)).toBeNull();
  expect(explained.operators.every((o) => o.kernels.length === 0)).toBe(true);
});

const broken = (codegen: string, partition: string): string => `import { acme } from ${JSON.stringify(join(repository, 'tests/outside/plugin.ts'))};
const plugin = acme();
export default { plugins: [{ ...plugin, targets: plugin.targets.map((t) => ({ ...t, codegen() { ${codegen} } })) }], targets: ['acme-js', 'cpu-c'], partition: { strategy: 'greedy', ${partition} } };
`;

it.each([['throws', "throw new Error('out of registers');", 'codegen/failed'], ['returns nothing', 'return [];', 'codegen/missing-entry']])('explain says where operators run whose code generator %s', async (_, codegen, code) => {
  const file = write('four.onnx', layered());
  const explained = await explain(file, '--config', write('broken.config.ts', broken(codegen, '')));
  expect(await unexplained(file, explained)).toBeNull();
  expect(explained.problems).toContainEqual(expect.objectContaining({ code }));
  expect(new Set(explained.operators.map((o) => o.target))).toEqual(new Set(['cpu-c']));
  const relu = explained.operators.find((o) => o.op === 'nn.relu')!;
  expect(relu.rejected).toContainEqual(expect.objectContaining({ target: 'acme-js', code }));
  expect(relu.kernels).not.toEqual([]);
});

it('explain explains a placement that does not satisfy the configuration, and fails', async () => {
  const config = write('required.config.ts', broken("throw new Error('never asked');", "require: { 'acme-js': { minCoverage: 0.9 } }"));
  const failure = await explain(write('five.onnx', layered()), '--config', config).then(() => null, (error: { readonly code: number; readonly stdout: string }) => error);
  expect(failure?.code).toBe(1);
  const explained = JSON.parse(failure!.stdout) as Explained;
  expect(explained.problems).toContainEqual(expect.objectContaining({ code: 'partition/require' }));
  expect(explained.operators.map((o) => o.target)).toContain('acme-js');
});

/** Dense layers of 512, between two of which there is an operator that the accelerator does not take. */
const interrupted = (op: string): Uint8Array => {
  const weights = raw('w', 'f32', [512, 512], Float32Array.from({ length: 512 * 512 }, (_, i) => ((i % 13) - 6) / 64));
  const layers = Array.from({ length: 4 }, (_, i) => [
    node('MatMul', [i === 0 ? 'x' : i === 2 ? 'between' : `h${i - 1}`, 'w'], [`p${i}`], { name: `layer${i}/MatMul` }), node('Relu', [`p${i}`], [i === 3 ? 'y' : `h${i}`], { name: `layer${i}/Relu` }),
  ]);
  return model({
    inputs: [info('x', 'f32', [128, 512])], outputs: [info('y', 'f32', [128, 512])], initializers: [weights],
    nodes: [...layers.slice(0, 2).flat(), node(op, ['h1'], ['between'], { name: 'the/culprit' }), ...layers.slice(2).flat()],
  });
};

it.each([['Sigmoid', 'math.sigmoid'], ['Softmax', 'nn.softmax'], ['Erf', 'math.erf'], ['Tanh', 'math.tanh']])('the change that would gain most for a chain that %s breaks is that operator', async (onnxOp, op) => {
  const config = write('toy.config.ts', `import toy from ${JSON.stringify(join(repository, 'examples/toy-accelerator/src/index.ts'))};
export default { plugins: [toy()], targets: ['toy', 'cpu-c'] };
`);
  const file = write(`${onnxOp}.onnx`, interrupted(onnxOp));
  const explained = await explain(file, '--config', config, '--no-codegen');
  expect(await unexplained(file, explained)).toBeNull();
  const [first] = explained.partition!.whatIf;
  expect(first).toMatchObject({ kind: 'operator', target: 'toy', op, operators: 1, locs: ['the/culprit'], code: 'partition/no-rule' });
  expect(first!.gain).toBeGreaterThan(0);
  expect(explained.operators.find((o) => o.loc === 'the/culprit')).toMatchObject({ target: 'cpu-c', rejected: [{ target: 'toy', code: 'partition/no-rule' }] });
});

it('what a loader of the configuration cannot load runs on the host, and explain says so', async () => {
  const config = write('unloadable.config.ts', `import toy from ${JSON.stringify(join(repository, 'examples/toy-accelerator/src/index.ts'))};
import toyLoader from ${JSON.stringify(join(repository, 'examples/toy-accelerator/src/loader.ts'))};
export const loaders = [{ ...toyLoader(), load() { throw new Error('no memory for programs'); } }];
export default { plugins: [toy()], targets: ['toy', 'cpu-c'], partition: { strategy: 'greedy' } };
`);
  const file = write('unloadable.onnx', interrupted('Sigmoid'));
  const explained = await explain(file, '--config', config);
  expect(await unexplained(file, explained)).toBeNull();
  expect(explained.problems).toContainEqual(expect.objectContaining({ code: 'codegen/not-loadable' }));
  expect(new Set(explained.operators.map((o) => o.target))).toEqual(new Set(['cpu-c']));
  expect(explained.operators[0]!.rejected).toContainEqual(expect.objectContaining({ target: 'toy', code: 'codegen/not-loadable' }));
});

it('costs that are measured are those that explain goes by', async () => {
  const costs = join(folder, 'costs.json');
  const config = (name: string, partition: string): string => write(name, `import toy from ${JSON.stringify(join(repository, 'examples/toy-accelerator/src/index.ts'))};
import toyLoader from ${JSON.stringify(join(repository, 'examples/toy-accelerator/src/loader.ts'))};
${partition === '' ? '' : `import costs from ${JSON.stringify(costs)} with { type: 'json' };`}
export const loaders = [toyLoader()];
export default { plugins: [toy()], targets: ['toy', 'cpu-c'], partition: { ${partition} } };
`);
  const file = write('measured.onnx', layered());
  await tenon('bench', file, '--config', config('measure.config.ts', ''), '--costs', costs, '--rounds', '3', '--dim', 'n=16', '--no-cache');
  const measured = JSON.parse(readFileSync(costs, 'utf8')) as { readonly [target: string]: { readonly [key: string]: number } };
  expect(Object.keys(measured['cpu-c']!)).toContain('launch.region');
  expect(Object.entries(measured['cpu-c']!).filter(([key]) => key.startsWith('nn.matmul:'))).toHaveLength(1);
  const explained = await explain(file, '--config', config('measured.config.ts', 'costs'), '--no-codegen', '--dim', 'n=16');
  const product = explained.operators.find((o) => o.op === 'nn.matmul')!;
  expect(product.estimate).toMatchObject({ source: 'measured', seconds: measured['cpu-c']![product.estimate!.key!] });
});
