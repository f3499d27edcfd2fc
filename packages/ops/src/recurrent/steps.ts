import type { Attrs, Buffer, DefineCall, EvaluateCall, Expr, HostTensor, InferCall, Operator, TensorBuilder, TensorType } from '@tenon/plugin';
import { rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { isInteger } from '../common/dtypes.ts';
import { allocate, numbers, reader, writer } from '../common/host-tensor.ts';
import { activateExpr, activateNumber, activationsOf, checkActivations, type ChosenActivation } from './activations.ts';
import type { Cell } from './cell.ts';
import { stepsSamples } from './samples.ts';

/** Sizes of a walk over a sequence; `rows` are those of all gates of a direction. */
export interface WalkSizes<Size> {
  readonly steps: Size;
  readonly batch: Size;
  readonly directions: Size;
  readonly rows: Size;
  readonly size: Size;
}

const directionsOf = (attrs: Attrs): number => (attrs['direction'] === 'bidirectional' ? 2 : 1);

/** Refuses an argument of another shape. */
export function checkShape(call: InferCall, i: number, shape: readonly (Expr | number)[]): void {
  const { exprs } = call;
  if (call.args[i] == null) return;
  const own = rankBetween(call, i, shape.length);
  const show = (d: Expr | number): unknown => (typeof d === 'number' ? d : (exprs.valueOf(d) ?? `(${exprs.variables(d).join(', ')})`));
  shape.forEach((dim, k) => {
    if (exprs.prove(exprs.eq(own[k]!, dim)) !== 'yes') call.fail('shape', `argument ${i} must have shape [${shape.map(show).join(', ')}]`, 'Sizes must be known to be equal: fix or relate the dims of the inputs.');
  });
}

/** Checks attributes, lengths and states, which are the last arguments, and gives the types of the results. */
export function inferWalk(call: InferCall, cell: Cell, sizes: WalkSizes<Expr>, at: { readonly r: number; readonly lengths: number }): readonly TensorType[] {
  const { exprs, attrs } = call;
  const { steps, batch, directions, rows, size } = sizes;
  sameDType(call, call.args.flatMap((_, i) => (i === at.lengths ? [] : [i])));
  const { direction, clip } = attrs;
  if (direction !== 'forward' && direction !== 'reverse' && direction !== 'bidirectional') call.fail('attribute', 'direction must be forward, reverse or bidirectional');
  const count = directionsOf(attrs);
  checkActivations(call, cell.activations, count);
  if (clip !== null && !(typeof clip === 'number' && clip > 0)) call.fail('attribute', 'clip must be null or positive');
  if (exprs.prove(exprs.eq(directions, count)) !== 'yes' || exprs.prove(exprs.eq(rows, exprs.mul(size, cell.gates))) !== 'yes') {
    call.fail('shape', `argument ${at.r} must be for ${count} directions and ${cell.gates} gates`);
  }
  checkShape(call, at.lengths, [batch]);
  checkShape(call, at.lengths + 1, [directions, batch, size]);
  if (cell.cellState) {
    checkShape(call, at.lengths + 2, [directions, batch, size]);
    checkShape(call, at.lengths + 3, [directions, exprs.mul(size, 3)]);
  }
  if (call.args[at.lengths] != null && !isInteger(call.tensor(at.lengths).dtype)) call.fail('dtype', 'lengths must be integers');
  const state: TensorType = { kind: 'tensor', dtype: call.tensor(0).dtype, shape: [directions, batch, size], annotations: {} };
  const y: TensorType = { ...state, shape: [steps, directions, batch, size] };
  return cell.cellState ? [y, state, state] : [y, state];
}

/** What a walk reads besides lengths and states, by direction. */
export interface WalkInputs {
  /** The input's share of all gate rows of a step. */
  input(n: number, at: number, sample: number): Float64Array;
  /** The recurrent weight of gate row `row` for state element k. */
  weight(n: number, row: number, k: number): number;
  recurrentBias(n: number, row: number): number;
}

/** `optional`: lengths, initial states and peepholes. */
export function evaluateWalk(
  { attrs, results }: EvaluateCall, cell: Cell, { steps, batch, directions, rows, size }: WalkSizes<number>, optional: readonly (HostTensor | null)[], from: WalkInputs,
): readonly HostTensor[] {
  const lengths = optional[0] ? reader(optional[0]) : null;
  const [initialH, initialC, peepholes] = [1, 2, 3].map((i) => (optional[i] ? numbers(optional[i]) : null));
  const out = results.map((result) => allocate(result.dtype, result.shape));
  const [writeY, writeH, writeC] = out.map(writer);
  const chosen = activationsOf(attrs['activations']!, cell.activations, directions);
  const limit = attrs['clip'] as number | null;
  for (let n = 0; n < directions; n++) {
    const reverse = attrs['direction'] === 'reverse' || n === 1;
    const weights = Float64Array.from({ length: rows * size }, (_, i) => from.weight(n, Math.floor(i / size), i % size));
    for (let sample = 0; sample < batch; sample++) {
      const initial = (values: Float64Array | null | undefined): Float64Array =>
        Float64Array.from({ length: size }, (_, k) => (values ? values[(n * batch + sample) * size + k]! : 0));
      const [h, c] = [initial(initialH), initial(initialC)];
      const length = lengths ? Math.min(Math.max(lengths(sample), 0), steps) : steps;
      for (let t = 0; t < length; t++) {
        const at = reverse ? length - 1 - t : t;
        cell.evaluate({
          size, h, c,
          input: from.input(n, at, sample),
          recurrent: (row, state) => {
            let sum = 0;
            for (let k = 0; k < size; k++) sum += state[k]! * weights[row * size + k]!;
            return sum;
          },
          recurrentBias: (row) => from.recurrentBias(n, row),
          peephole: (row) => (peepholes ? peepholes[n * 3 * size + row]! : 0),
          activate: (i, value) => activateNumber(chosen[n]![i]!, value),
          clip: (value) => (limit === null ? value : Math.min(Math.max(value, -limit), limit)),
        }, attrs);
        for (let k = 0; k < size; k++) writeY!(((at * directions + n) * batch + sample) * size + k, h[k]!);
      }
      for (let k = 0; k < size; k++) {
        writeH!((n * batch + sample) * size + k, h[k]!);
        writeC?.((n * batch + sample) * size + k, c[k]!);
      }
    }
  }
  return out;
}

const sizesOf = <Size>(products: readonly Size[], r: readonly Size[]): WalkSizes<Size> =>
  ({ steps: products[0]!, batch: products[1]!, directions: r[0]!, rows: r[2]!, size: r[1]! });

function infer(call: InferCall, cell: Cell): readonly TensorType[] {
  tensorOf(call, 0, 'float');
  const sizes = sizesOf(rankBetween(call, 0, 4), rankBetween(call, 1, 3));
  const results = inferWalk(call, cell, sizes, { r: 1, lengths: 3 });
  checkShape(call, 0, [sizes.steps, sizes.batch, sizes.directions, sizes.rows]);
  checkShape(call, 2, [sizes.directions, sizes.rows]);
  return results;
}

function evaluate(call: EvaluateCall, cell: Cell): readonly HostTensor[] {
  const { args } = call;
  const [products, r, bias] = [0, 1, 2].map((i) => (args[i] ? numbers(args[i]) : null));
  const sizes = sizesOf(args[0]!.shape, args[1]!.shape);
  const { batch, directions, rows, size } = sizes;
  return evaluateWalk(call, cell, sizes, args.slice(3), {
    input: (n, at, sample) => {
      const first = ((at * batch + sample) * directions + n) * rows;
      return products!.slice(first, first + rows);
    },
    weight: (n, row, k) => r![(n * size + k) * rows + row]!,
    recurrentBias: (n, row) => (bias ? bias[n * rows + row]! : 0),
  });
}

/** State elements whose weights one pass over the gates takes: sums are loaded and stored once for all of them. */
const statesAtOnce = 4;
/** Blocks that a batch is left in at least, as far as it has samples: they run in parallel. */
const blocksAtLeast = 4;
/** Samples that a block walks together at most: weights are loaded once for all of them. */
const samplesAtMost = 4;

/** One block that walks the steps of some samples, independent per direction. */
function define({ args, attrs, results }: DefineCall, b: TensorBuilder, cell: Cell): void {
  const { exprs: e } = b;
  const [products, r] = [args[0]!, args[1]!];
  const [bias, lengths, initialH, initialC, peepholes] = [2, 3, 4, 5, 6].map((i) => args[i] ?? null);
  const { steps, batch, directions, rows, size } = sizesOf(products.shape, r.shape);
  const { dtype } = products;
  const zero = e.constant(0, dtype);
  const chosen = activationsOf(attrs['activations']!, cell.activations, directionsOf(attrs));
  const limit = attrs['clip'] as number | null;
  const samples = Math.min(Math.max(Math.floor((e.valueOf(batch) ?? 1) / blocksAtLeast), 1), samplesAtMost);
  const independent = (extent: Expr, body: (i: Expr) => void): void => b.loop(extent, body, e.valueOf(extent) === null ? 'serial' : 'vectorized');

  b.block('recurrence', [directions, e.ceildiv(batch, samples)], ([n, block]) => {
    const second = attrs['direction'] === 'bidirectional' ? e.eq(n!, 1) : e.constant(false, 'bool');
    const reverse = attrs['direction'] === 'reverse' ? e.constant(true, 'bool') : second;
    const local = (name: string, extent = size): Buffer => b.local(name, dtype, [samples, extent]);
    const h = local('h');
    const c = cell.cellState ? local('c') : null;
    const gates = local('gates', rows);
    const temporaries = new Map(cell.temporaries.map((name) => [name, local(name)]));
    // The last block walks the last sample again where the batch does not fill it.
    const numberOf = (s: Expr): Expr => {
      const sample = e.add(e.mul(block!, samples), s);
      return samples === 1 || e.valueOf(e.mod(batch, samples)) === 0 ? sample : e.min(sample, e.sub(batch, 1));
    };
    const ends = lengths && b.local('ends', 'i64', [samples]);
    const endOf = (s: Expr): Expr => (ends ? b.load(ends, [s]) : steps);
    const everySample = (extent: Expr, body: (s: Expr, k: Expr) => void): void => b.loop(samples, (s) => independent(extent, (k) => body(s, k)));

    const addStates = (first: Expr, count: Expr, state: Buffer, from: Expr, states: number): void => {
      const each = Array.from({ length: states }, (_, i) => i);
      const factors = Array.from({ length: samples }, (_, s) => each.map((i) => b.let(b.load(state, [s, e.add(from, i)]))));
      independent(count, (row) => {
        const at = e.add(first, row);
        const weights = each.map((i) => b.let(b.load(r, [n!, e.add(from, i), at])));
        factors.forEach((own, s) => b.store(gates, [s, at], own.reduce((sum, factor, i) => e.add(sum, e.mul(factor, weights[i]!)), b.load(gates, [s, at]))));
      });
    };

    if (ends) b.loop(samples, (s) => b.store(ends, [s], e.min(e.max(e.cast(b.load(lengths, [numberOf(s)]), 'i64'), 0), steps)));
    everySample(size, (s, k) => b.store(h, [s, k], initialH ? b.load(initialH, [n!, numberOf(s), k]) : zero));
    if (c) everySample(size, (s, k) => b.store(c, [s, k], initialC ? b.load(initialC, [n!, numberOf(s), k]) : zero));
    const longest = ends && b.let(Array.from({ length: samples }, (_, s) => b.load(ends, [s])).reduce((x, y) => e.max(x, y)));
    b.loop(steps, (t) => {
      const at = (s: Expr): Expr => e.select(reverse, e.sub(e.sub(endOf(s), 1), t), t);
      const whileRunning = (s: Expr, body: () => void, otherwise?: () => void): void => (ends ? b.if(e.lt(t, endOf(s)), body, otherwise) : body());
      const input = (s: Expr, row: Expr): Expr => b.load(products, [at(s), numberOf(s), n!, row]);
      const step = (): void => cell.emit({
        b, size, h, c, gates, input,
        each: (extent, body) => b.loop(samples, (s) => whileRunning(s, () => independent(extent, (i) => body(s, i)))),
        biased: (s, row) => (bias ? e.add(input(s, row), b.load(bias, [n!, row])) : input(s, row)),
        addRecurrent: (first, count, state) => {
          const whole = e.floordiv(size, statesAtOnce);
          b.loop(whole, (k) => addStates(first, count, state, e.mul(k, statesAtOnce), statesAtOnce));
          b.loop(e.mod(size, statesAtOnce), (k) => addStates(first, count, state, e.add(e.mul(whole, statesAtOnce), k), 1));
        },
        recurrentBias: (row) => (bias ? b.load(bias, [n!, row]) : null),
        peephole: (row) => (peepholes ? b.load(peepholes, [n!, row]) : null),
        activate: (i, value) => {
          const [first, other] = [chosen[0]![i]!, chosen.at(-1)![i]!];
          const result = activateExpr(e, first, value);
          return same(first, other) ? result : e.select(second, activateExpr(e, other, value), result);
        },
        clip: (value) => (limit === null ? value : e.min(e.max(value, e.constant(-limit, dtype)), e.constant(limit, dtype))),
        temporary: (name) => temporaries.get(name)!,
      }, attrs);
      if (longest) b.if(e.lt(t, longest), step);
      else step();
      b.loop(samples, (s) => whileRunning(
        s,
        () => independent(size, (k) => b.store(results[0]!, [at(s), n!, numberOf(s), k], b.load(h, [s, k]))),
        () => independent(size, (k) => b.store(results[0]!, [t, n!, numberOf(s), k], zero)),
      ));
    });
    everySample(size, (s, k) => b.store(results[1]!, [n!, numberOf(s), k], b.load(h, [s, k])));
    if (c) everySample(size, (s, k) => b.store(results[2]!, [n!, numberOf(s), k], b.load(c, [s, k])));
  });
}

const same = (a: ChosenActivation, b: ChosenActivation): boolean => a.name === b.name && a.alpha === b.alpha && a.beta === b.beta;

/** The walk over the steps of a recurrent layer whose products with the inputs are given. */
export function stepsOperator(cell: Cell, layer: Operator): Operator {
  return {
    name: `nn.${cell.name}_steps`,
    doc:
      `What is left of ${layer.name} once the inputs' share of the gates is known: products [S, B, N, G·H] = x·wᵀ + the input biases, r as [N, H, G·H], `
      + 'the recurrent biases as [N, G·H]. Everything else is as there.',
    signature: {
      params: ['products', 'r', 'bias?', ...layer.signature.params.slice(4)],
      attrs: layer.signature.attrs,
      results: layer.signature.results,
    },
    facets: {
      infer: (call) => infer(call, cell),
      reference: (call) => evaluate(call, cell),
      define: (call, b) => define(call, b, cell),
      cost: (call) => {
        const { exprs } = call;
        const [steps, batch] = call.tensor(0).shape as readonly [Expr, Expr];
        return { flops: exprs.product([steps, batch, ...call.tensor(1).shape, 2]) };
      },
      samples: () => stepsSamples(cell),
    },
  };
}
