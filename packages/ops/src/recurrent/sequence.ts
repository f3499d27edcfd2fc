import type { Attrs, DecomposeCall, EvaluateCall, Expr, GraphBuilder, HostTensor, InferCall, Operator, OperatorSample, TensorType, Value } from '@tenon/plugin';
import { rankBetween, tensorOf } from '../common/errors.ts';
import { numbers } from '../common/host-tensor.ts';
import { activationsDoc } from './activations.ts';
import type { Cell } from './cell.ts';
import { sequenceSamples } from './samples.ts';
import { checkShape, evaluateWalk, inferWalk, stepsOperator } from './steps.ts';

const sequenceDoc =
  'x is [S, B, I]; w [N, G·H, I], r [N, G·H, H] and bias [N, 2·G·H] (input biases, then recurrent ones) hold G gates per direction (N = 2 where `direction` is '
  + '"bidirectional", else 1; "reverse" walks from the last step to the first). `lengths` [B] gives the number of steps per sample: further elements of y are 0, and reverse '
  + 'walks start at the last step of the sample. Initial states [N, B, H] default to 0. Results: y [S, N, B, H] of all steps and the last states [N, B, H]. `clip` '
  + '(null: none) bounds what gate functions are applied to. ';

function infer(call: InferCall, cell: Cell): readonly TensorType[] {
  const { exprs } = call;
  tensorOf(call, 0, 'float');
  const [steps, batch, inputs] = rankBetween(call, 0, 3) as readonly [Expr, Expr, Expr];
  rankBetween(call, 1, 3);
  const [n, rows, size] = rankBetween(call, 2, 3) as readonly [Expr, Expr, Expr];
  const results = inferWalk(call, cell, { steps, batch, directions: n, rows, size }, { r: 2, lengths: 4 });
  checkShape(call, 1, [n, rows, inputs]);
  checkShape(call, 3, [n, exprs.mul(rows, 2)]);
  return results;
}

function evaluate(call: EvaluateCall, cell: Cell): readonly HostTensor[] {
  const { args } = call;
  const [x, w, r, bias] = [0, 1, 2, 3].map((i) => (args[i] ? numbers(args[i]) : null));
  const [steps, batch, inputs] = args[0]!.shape as [number, number, number];
  const [directions, rows, size] = args[2]!.shape as [number, number, number];
  return evaluateWalk(call, cell, { steps, batch, directions, rows, size }, args.slice(4), {
    input: (n, at, sample) => Float64Array.from({ length: rows }, (_, row) => {
      let sum = bias ? bias[n * 2 * rows + row]! : 0;
      for (let k = 0; k < inputs; k++) sum += x![(at * batch + sample) * inputs + k]! * w![(n * rows + row) * inputs + k]!;
      return sum;
    }),
    weight: (n, row, k) => r![(n * rows + row) * size + k]!,
    recurrentBias: (n, row) => (bias ? bias[n * 2 * rows + rows + row]! : 0),
  });
}

/** The inputs' share of all gates of all steps as one matrix product, then the walk over the steps. What is made of weights alone folds. */
function decompose({ args, attrs, results }: DecomposeCall, b: GraphBuilder, cell: Cell): readonly Value[] | null {
  const [x, w, r] = [args[0]!, args[1]!, args[2]!];
  const bias = args[3] ?? null;
  if (x.type.kind !== 'tensor' || r.type.kind !== 'tensor' || results[0]?.kind !== 'tensor') return null;
  const { exprs } = b;
  const [steps, batch, inputs] = x.type.shape as readonly [Expr, Expr, Expr];
  const [directions, rows] = r.type.shape as readonly [Expr, Expr, Expr];
  const columns = exprs.mul(directions, rows);
  const weights = b.call('shape.transpose', [b.call('shape.reshape', [w], { shape: [columns, inputs] })], { perm: [1, 0] });
  let products = b.call('nn.matmul', [b.call('shape.reshape', [x], { shape: [exprs.mul(steps, batch), inputs] }), weights]);
  const half = (i: number): Value => b.call('shape.slice', [bias!], { starts: [exprs.mul(rows, i)], sizes: [rows], axes: [1] });
  if (bias !== null) products = b.call('math.add', [products, b.call('shape.reshape', [half(0)], { shape: [columns] })]);
  const walk = ['direction', 'activations', 'clip', ...Object.keys(cell.attrs)];
  return b.op(`nn.${cell.name}_steps`, [
    b.call('shape.reshape', [products], { shape: [steps, batch, directions, rows] }),
    b.call('shape.transpose', [r], { perm: [0, 2, 1] }),
    bias === null ? null : half(1),
    ...args.slice(4),
  ], Object.fromEntries(walk.map((name) => [name, attrs[name]!])));
}

/** Two operations for every weight, step and sample. */
function cost(call: InferCall): { readonly flops: Expr } {
  const { exprs } = call;
  const [steps, batch, inputs] = call.tensor(0).shape as readonly [Expr, Expr, Expr];
  const [directions, rows, size] = call.tensor(2).shape as readonly [Expr, Expr, Expr];
  return { flops: exprs.product([steps, batch, directions, rows, exprs.add(inputs, size), 2]) };
}

/** The operators of a cell: a layer over a whole sequence, and the walk that it decomposes into. `doc` says what a step computes. */
export function recurrentOperators(cell: Cell, doc: string, variants: readonly Attrs[]): readonly Operator[] {
  const states = cell.cellState ? ['initial_h?', 'initial_c?', 'peephole?'] : ['initial_h?'];
  const samples = (): readonly OperatorSample[] => sequenceSamples(cell, variants);
  const layer: Operator = {
    name: `nn.${cell.name}`,
    doc: `${sequenceDoc}${doc} ${activationsDoc}`,
    signature: {
      params: ['x', 'w', 'r', 'bias?', 'lengths?', ...states],
      attrs: { direction: 'forward', activations: null, clip: null, ...cell.attrs } satisfies Attrs,
      results: cell.cellState ? ['y', 'last_h', 'last_c'] : ['y', 'last_h'],
    },
    facets: {
      infer: (call) => infer(call, cell),
      reference: (call) => evaluate(call, cell),
      decompose: (call, b) => decompose(call, b, cell),
      cost,
      samples,
    },
  };
  return [layer, stepsOperator(cell, layer)];
}
