/** A vendor's plugin, compile half. It depends on `@tenon/plugin` alone. */
import {
  accept, any, definePlugin, op, reject, constraint, typeOf,
  type Binding, type CodegenRegion, type GraphFunction, type IRModule, type Operator, type Pass, type Rule, type Target, type TargetContext, type Value,
} from '@tenon/plugin';
import { format, snake, type Opcode, type Program, type Step } from './opcodes.ts';

const snakeOperator: Operator = {
  name: 'acme.snake',
  doc: 'Snake activation: x + sin²(αx)/α, element by element.',
  signature: { params: ['x'], attrs: { alpha: 1 }, results: ['y'] },
  facets: {
    infer: (call) => [call.tensor(0)],
    reference: ({ args: [x], attrs }) => [{ ...x!, data: (x!.data as Float32Array).map((v) => snake(v, Number(attrs['alpha']))) }],
    define({ args: [x], results: [y], attrs }, b) {
      const { exprs } = b;
      const alpha = exprs.constant(Number(attrs['alpha']), x!.dtype);
      b.compute(y!, (i) => {
        const v = b.load(x!, i);
        const s = exprs.call('sin', [exprs.mul(alpha, v)]);
        return exprs.add(v, exprs.div(exprs.mul(s, s), alpha));
      });
    },
    cost: (call) => ({ flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), 5) }),
  },
};

/** Recognises x + sin(x)·sin(x). */
const findSnake: Pass = {
  name: 'acme-find-snake',
  phase: 'canonicalize',
  after: ['canonicalize-ops'],
  doc: 'Writes x + sin(x)·sin(x) as acme.snake.',
  run(module, ctx) {
    const sine = op('math.sin', [any('x')]);
    const pattern = op('math.add', [any('x'), op('math.mul', [sine, sine])], { commutative: true });
    const rewritten = (fn: GraphFunction): GraphFunction => {
      let changed = false;
      const bindings = fn.bindings.map((binding): Binding => {
        const match = ctx.match(pattern, binding.results[0]!, fn, module);
        if (match === null) return binding;
        changed = true;
        return { ...binding, callee: 'acme.snake', args: [match.values.get('x')!], attrs: { alpha: 1 } };
      });
      return changed ? { ...fn, bindings } : fn;
    };
    let changed = false;
    const functions = new Map(module.functions);
    for (const fn of module.functions.values()) {
      if (fn.kind !== 'graph') continue;
      const next = rewritten(fn);
      if (next !== fn) {
        functions.set(fn.name, next);
        changed = true;
      }
    }
    return changed ? ({ ...module, functions } satisfies IRModule) : module;
  },
};

/** The facet by which an operator says that the machine can do it. */
const opcodeFacet = 'acme.opcode';
const others: { readonly [op: string]: Opcode } = { 'math.add': 'add', 'math.mul': 'mul', 'math.neg': 'neg', 'nn.relu': 'relu' };

const elementwise: Rule = {
  id: 'acme-js/elementwise',
  target: 'acme-js',
  pattern: op([...Object.keys(others), snakeOperator.name], null, { name: 'y' }),
  require: [constraint.dtype('y', 'f32')],
  check(match, ctx) {
    const [binding] = match.bindings;
    const result = typeOf(match, 'y');
    if (binding === undefined || result === null) return reject('acme/not-a-tensor', 'only tensors can be computed');
    if (ctx.facet(binding.callee, opcodeFacet) === undefined) return reject('acme/no-opcode', `${binding.callee} has no opcode`);
    for (const arg of binding.args) {
      const shape = arg?.type.kind === 'tensor' ? arg.type.shape : null;
      if (shape === null || shape.length !== result.shape.length || !shape.every((d, i) => d === result.shape[i])) {
        return reject('acme/broadcast', 'arguments must have the shape of the result', 'Expand them before.');
      }
    }
    return accept();
  },
  doc: 'Elementwise operators on tensors of one shape.',
};

const target: Target = {
  name: 'acme-js',
  doc: 'Elementwise arithmetic in plain JavaScript, in memory of its own.',
  form: 'graph',
  dtypes: ['f32'],
  device: () => ({
    name: 'acme', peak: { f32: 1e9 }, bandwidth: 1e9, launch: { region: 1e-5, kernel: 1e-6 }, transfer: { latency: 1e-6, bandwidth: 1e9 },
    memory: [{ space: 'acme', bytes: null }], features: {},
  }),
  codegen: (regions, ctx) => [{
    format, formatVersion: 1,
    bytes: new TextEncoder().encode(JSON.stringify(Object.fromEntries(regions.map((r) => [r.name, program(r, ctx)])))),
    entries: regions.map((r) => ({
      region: r.name, symbol: r.name, constants: [...r.constants.keys()], dims: [], runDims: [], workspace: null,
      kernels: r.graph.bindings.map((b) => ({ name: b.callee, ops: [b.callee], locs: b.loc === null ? [] : [b.loc], flops: null, bytes: null })),
    })),
    requires: {},
    listing: regions.map((r) => r.graph.bindings.map((b) => b.callee).join('; ')).join('\n'),
  }],
};

/** Views are parameters, results and constants, in this order. */
function program(region: CodegenRegion, ctx: TargetContext): Program {
  const { graph } = region;
  const slots = new Map<Value | string, number>();
  graph.params.forEach((p) => slots.set(p, slots.size));
  // A value may be a result twice; it is computed once, and copied by adding nothing.
  graph.results.forEach((r) => slots.set(r, slots.size));
  if (slots.size !== graph.params.length + graph.results.length) ctx.fail({ code: 'acme/result', message: `${region.name}: a result is a parameter, or a result twice` });
  for (const name of region.constants.keys()) slots.set(name, slots.size);
  const views = slots.size;
  const temporaries: number[] = [];
  const steps = graph.bindings.map((binding): Step => {
    const args = binding.args.map((a) => slots.get(a!.constant ? a!.name : a!)!);
    const [result] = binding.results;
    let out = slots.get(result!);
    if (out === undefined) {
      out = views + temporaries.length;
      slots.set(result!, out);
      temporaries.push(args[0]!);
    }
    return { opcode: ctx.facet(binding.callee, opcodeFacet) as Opcode, args, out, alpha: Number(binding.attrs['alpha'] ?? 1) };
  });
  return { views, temporaries, steps };
}

export const acme = definePlugin({ name: '@acme/tenon-target-js', namespace: 'acme' }, () => ({
  ops: [snakeOperator],
  facets: [
    ...Object.entries(others).map(([name, opcode]) => ({ op: name, facets: { [opcodeFacet]: opcode } })),
    { op: snakeOperator.name, facets: { [opcodeFacet]: 'snake' } },
  ],
  passes: [findSnake],
  rules: [elementwise],
  targets: [target],
}));
