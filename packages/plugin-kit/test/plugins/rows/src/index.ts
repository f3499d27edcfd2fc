/** Work along rows, compile half. */
import { accept, any, constraint, definePlugin, op, reject, typeOf, type Binding, type CodegenRegion, type Expr, type Match, type Rule, type Target, type TargetContext, type TensorType, type Value, type Verdict } from '@tenon/plugin';
import { format, formatVersion, perElement, perRow, start, type Program, type Step } from './steps.ts';

const longest = 4096;

const isLast = (axis: unknown, rank: number): boolean => axis === -1 || axis === rank - 1;
const bindingOf = (match: Match): Binding => match.bindings[0]!;

function checkAxes(match: Match): Verdict {
  const axes = bindingOf(match).attrs['axes'];
  const rank = typeOf(match, 'x')!.shape.length;
  return Array.isArray(axes) && axes.length === 1 && isLast(axes[0], rank) ? accept() : reject('rows/axes', 'only the last axis can be reduced', 'Transpose the tensor before.');
}
function checkAxis(match: Match): Verdict {
  return isLast(bindingOf(match).attrs['axis'] ?? -1, typeOf(match, 'x')!.shape.length) ? accept() : reject('rows/axis', 'only the last axis can be normalised');
}
function checkNorm(match: Match): Verdict {
  const axis = checkAxis(match);
  if (!axis.ok) return axis;
  const size = typeOf(match, 'x')!.shape.at(-1)!;
  for (const name of ['scale', 'bias']) {
    const type = typeOf(match, name);
    if (type === null || type.shape.length !== 1 || type.shape[0] !== size) return reject('rows/scale', `${name} must be one row`);
  }
  return accept();
}

const row = (name: string) => [constraint.rank(name, 1, 4), constraint.static(name, [-1]), constraint.range(name, -1, 1, longest)];

/** A step's time, as the machine keeps it. */
const cost = (match: Match, ctx: TargetContext): Expr => {
  const { exprs } = ctx;
  const { shape } = typeOf(match, 'x')!;
  const real = (e: Expr, factor: number): Expr => exprs.mul(exprs.cast(e, 'f64'), exprs.constant(factor, 'f64'));
  return exprs.add(exprs.add(real(exprs.product(shape), perElement), real(exprs.product(shape.slice(0, -1)), perRow)), exprs.constant(start, 'f64'));
};

const rules: readonly Rule[] = [
  { id: 'rows/reduce', target: 'rows', pattern: op(['reduce.sum', 'reduce.mean', 'reduce.max'], [any('x')], { name: 'y' }), require: [constraint.dtype('x', 'f32'), ...row('x')], check: checkAxes, cost, doc: 'Sums, means and maxima of rows.' },
  { id: 'rows/sum-i32', target: 'rows', pattern: op('reduce.sum', [any('x')], { name: 'y' }), require: [constraint.dtype('x', 'i32'), ...row('x')], check: checkAxes, cost, doc: 'Sums of rows of integers, which wrap.' },
  { id: 'rows/softmax', target: 'rows', pattern: op('nn.softmax', [any('x')]), require: [constraint.dtype('x', 'f32'), ...row('x')], check: checkAxis, cost, doc: 'Softmax of rows.' },
  {
    id: 'rows/norm', target: 'rows', pattern: op('nn.layer_norm', [any('x'), any('scale'), any('bias')], { name: 'y' }),
    require: [constraint.dtype('x', 'f32'), ...row('x'), constraint.attr('y', 'statistics', false)], check: checkNorm, cost, doc: 'Layer normalisation of rows with scale and bias.',
  },
  {
    id: 'rows/dequantize', target: 'rows', pattern: op('math.mul', [op('math.cast', [any('x')], { attrs: { to: 'f32' } }), any('scale')], { name: 'y' }),
    require: [constraint.dtype('x', 'i8'), ...row('x'), constraint.rank('scale', 1), constraint.equal({ of: 'scale', axis: 0 }, { of: 'x', axis: -1 })], cost, doc: '8-bit integers times a scale per column.',
  },
];

const stepOf: { readonly [op: string]: Step['op'] } = { 'reduce.sum': 'sum', 'reduce.mean': 'mean', 'reduce.max': 'max', 'nn.softmax': 'softmax', 'nn.layer_norm': 'norm', 'math.mul': 'dequantize' };

const target: Target = {
  name: 'rows',
  doc: 'A machine that works along rows.',
  form: 'graph',
  dtypes: ['f32', 'i32', 'i8'],
  device: () => ({
    name: 'rows', peak: { f32: 1e9, i32: 1e9, i8: 1e9 }, bandwidth: 8e9, launch: { region: 4e-6, kernel: start }, transfer: { latency: 5e-6, bandwidth: 4e9 },
    memory: [{ space: 'rows', bytes: 1 << 26 }], features: { longest },
  }),
  codegen(regions, ctx) {
    const written = regions.map((r) => write(r, ctx));
    const program: Program = { version: formatVersion, entries: Object.fromEntries(written.map((w, i) => [regions[i]!.name, w.entry])) };
    return [{
      format, formatVersion, bytes: new TextEncoder().encode(JSON.stringify(program)),
      entries: written.map((w, i) => ({
        region: regions[i]!.name, symbol: regions[i]!.name, constants: [...regions[i]!.constants.keys()], dims: regions[i]!.dims, runDims: [], workspace: w.workspace,
        kernels: w.entry.steps.map((s) => ({ name: s.op, ops: [], locs: [], flops: null, bytes: null })),
      })),
      requires: { version: formatVersion }, listing: JSON.stringify(program.entries, null, 2),
    }];
  },
};

function write(region: CodegenRegion, ctx: TargetContext): { entry: Program['entries'][string]; workspace: Expr | null } {
  const { graph } = region;
  const slots = new Map<Value | string, number>();
  for (const p of graph.params) slots.set(p, slots.size);
  for (const r of graph.results) slots.set(r, slots.size);
  for (const name of region.constants.keys()) slots.set(name, slots.size);
  const views = slots.size;
  const temporaries: { like: number; perElement: number }[] = [];
  const steps: Step[] = [];
  let scratch = 0;
  let workspace = ctx.exprs.int(0);
  const at = (v: Value): number => slots.get(v.constant ? v.name : v) ?? ctx.fail({ code: 'rows/no-value', message: `%${v.name} has no place` });
  for (const binding of graph.bindings) {
    const step = stepOf[binding.callee];
    const y = binding.results[0]!;
    if (step === undefined) {
      // The cast of a dequantisation is part of the product; on its own it has to be seen.
      if (graph.results.includes(y)) ctx.fail({ code: 'rows/wide', message: 'the wide integers of a dequantisation cannot leave the machine' });
      continue;
    }
    const cast = step === 'dequantize' ? graph.bindings.find((b) => b.callee === 'math.cast' && b.results[0] === binding.args[0])! : null;
    const x = cast === null ? binding.args[0]! : cast.args[0]!;
    if (cast !== null && graph.bindings.some((b) => b !== binding && b.args.includes(cast.results[0]!) && b.callee !== 'math.mul')) ctx.fail({ code: 'rows/wide', message: 'the wide integers of a dequantisation cannot be used elsewhere' });
    const type = x.type as TensorType;
    const size = ctx.exprs.valueOf(type.shape.at(-1)!)!;
    let out = slots.get(y);
    if (out === undefined) {
      out = views + temporaries.length;
      slots.set(y, out);
      const reduced = ['sum', 'mean', 'max'].includes(step);
      temporaries.push({ like: at(x), perElement: reduced ? 1 / size : 1 });
      workspace = ctx.exprs.add(workspace, ctx.bytesOf(y.type as TensorType));
    }
    scratch = Math.max(scratch, step === 'softmax' ? size : 0);
    const scale = step === 'norm' || step === 'dequantize' ? at(binding.args[1]!) : null;
    steps.push({
      op: step, dtype: type.dtype === 'i32' ? 'i32' : 'f32', x: at(x), scale, bias: step === 'norm' ? at(binding.args[2]!) : null, out, size,
      epsilon: Number(binding.attrs['epsilon'] ?? 1e-5),
    });
  }
  workspace = ctx.exprs.add(workspace, scratch * 4);
  return { entry: { views, scratch, temporaries, steps }, workspace: temporaries.length + scratch === 0 ? null : workspace };
}

export default definePlugin({ name: 'tenon-target-rows', namespace: 'rows' }, () => ({ targets: [target], rules }));
