import type { Attrs, Buffer, DefineCall, EvaluateCall, Expr, HostTensor, InferCall, TensorBuilder, TensorType } from '@tenon/plugin';
import { rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { isInteger } from '../common/dtypes.ts';
import { allocate, numbers, reader, writer } from '../common/host-tensor.ts';
import { activateExpr, activateNumber, activationsOf, checkActivations, type ChosenActivation } from './activations.ts';

/** What a recurrent cell computes; the walk over steps, directions and samples is the same for all of them. */
export interface Cell {
  /** Rows of w and r are `gates` blocks of H. */
  readonly gates: number;
  /** Whether a cell state c goes along with the hidden state h. */
  readonly cellState: boolean;
  /** Vectors [H] that a step needs besides its states and gates. */
  readonly temporaries: readonly string[];
  /** Default functions. */
  readonly activations: readonly string[];
  /** One step for numbers: updates h and c. */
  readonly evaluate: (step: NumberStep, attrs: Attrs) => void;
  /** One step as statements: updates h and c. */
  readonly emit: (step: StatementStep, attrs: Attrs) => void;
}

/** A step of one sample in one direction. Gate rows are numbered 0 … gates · H − 1. */
export interface NumberStep {
  readonly size: number;
  readonly h: Float64Array;
  readonly c: Float64Array;
  /** x · w[row] + the input bias. */
  readonly input: Float64Array;
  /** state · r[row]. */
  recurrent(row: number, state: Float64Array): number;
  recurrentBias(row: number): number;
  peephole(row: number): number;
  activate(i: number, x: number): number;
  clip(x: number): number;
}

export interface StatementStep {
  readonly b: TensorBuilder;
  readonly size: Expr;
  readonly h: Buffer;
  readonly c: Buffer | null;
  /** Space for all gates, [gates · H]. */
  readonly gates: Buffer;
  /** x · w[row] + the input bias. */
  input(row: Expr): Expr;
  /** Adds state · r[row] to an element of `gates`. */
  addRecurrent(at: Expr, row: Expr, state: Buffer): void;
  recurrentBias(row: Expr): Expr;
  /** null where the cell has none. */
  peephole(row: Expr): Expr | null;
  activate(i: number, x: Expr): Expr;
  clip(x: Expr): Expr;
  /** One of the cell's temporaries. */
  temporary(name: string): Buffer;
}

const directionsOf = (attrs: Attrs): number => (attrs['direction'] === 'bidirectional' ? 2 : 1);

/** What the operators' docs say of arguments that all of them take. */
export const sequenceDoc =
  'x is [S, B, I]; w [N, G·H, I], r [N, G·H, H] and bias [N, 2·G·H] (input biases, then recurrent ones) hold G gates per direction (N = 2 where `direction` is '
  + '"bidirectional", else 1; "reverse" walks from the last step to the first). `lengths` [B] gives the number of steps per sample: further elements of y are 0, and reverse '
  + 'walks start at the last step of the sample. Initial states [N, B, H] default to 0. Results: y [S, N, B, H] of all steps and the last states [N, B, H]. `clip` '
  + '(null: none) bounds what gate functions are applied to. ';

export function inferSequence(call: InferCall, cell: Cell): readonly TensorType[] {
  const { exprs, attrs } = call;
  const x = tensorOf(call, 0, 'float');
  const [steps, batch, inputs] = rankBetween(call, 0, 3) as readonly [Expr, Expr, Expr];
  rankBetween(call, 1, 3);
  const [n, rows, size] = rankBetween(call, 2, 3) as readonly [Expr, Expr, Expr];
  sameDType(call, call.args.flatMap((_, i) => (i === 4 ? [] : [i])));
  const { direction } = attrs;
  if (direction !== 'forward' && direction !== 'reverse' && direction !== 'bidirectional') call.fail('attribute', 'direction must be forward, reverse or bidirectional');
  const directions = directionsOf(attrs);
  checkActivations(call, cell.activations, directions);
  const { clip } = attrs;
  if (clip !== null && !(typeof clip === 'number' && clip > 0)) call.fail('attribute', 'clip must be null or positive');
  const shaped = (i: number, shape: readonly (Expr | number)[]): void => {
    if (call.args[i] == null) return;
    const own = rankBetween(call, i, shape.length);
    shape.forEach((dim, k) => {
      if (exprs.prove(exprs.eq(own[k]!, dim)) !== 'yes') call.fail('shape', `argument ${i} must have shape [${shape.map((d) => (typeof d === 'number' ? d : (exprs.valueOf(d) ?? `(${exprs.variables(d).join(', ')})`))).join(', ')}]`, 'Sizes must be known to be equal: fix or relate the dims of the inputs.');
    });
  };
  if (exprs.prove(exprs.eq(n, directions)) !== 'yes' || exprs.prove(exprs.eq(rows, exprs.mul(size, cell.gates))) !== 'yes') {
    call.fail('shape', `r must have shape [${directions}, ${cell.gates}·H, H]`);
  }
  shaped(1, [directions, rows, inputs]);
  shaped(3, [directions, exprs.mul(rows, 2)]);
  shaped(4, [batch]);
  shaped(5, [directions, batch, size]);
  if (cell.cellState) {
    shaped(6, [directions, batch, size]);
    shaped(7, [directions, exprs.mul(size, 3)]);
  }
  if (call.args[4] != null && !isInteger(call.tensor(4).dtype)) call.fail('dtype', 'lengths must be integers');
  const state: TensorType = { kind: 'tensor', dtype: x.dtype, shape: [n, batch, size], annotations: {} };
  const y: TensorType = { ...state, shape: [steps, n, batch, size] };
  return cell.cellState ? [y, state, state] : [y, state];
}

export function evaluateSequence({ args, attrs, results }: EvaluateCall, cell: Cell): readonly HostTensor[] {
  const [x, w, r, bias, , initialH, initialC, peepholes] = Array.from({ length: 8 }, (_, i) => (i !== 4 && args[i] ? numbers(args[i]) : null));
  const lengths = args[4] ? reader(args[4]) : null;
  const [steps, batch, inputs] = args[0]!.shape as [number, number, number];
  const [directions, rows, size] = args[2]!.shape as [number, number, number];
  const out = results.map((result) => allocate(result.dtype, result.shape));
  const [writeY, writeH, writeC] = out.map(writer);
  const chosen = activationsOf(attrs['activations']!, cell.activations, directions);
  const limit = attrs['clip'] as number | null;
  for (let n = 0; n < directions; n++) {
    const reverse = attrs['direction'] === 'reverse' || n === 1;
    for (let sample = 0; sample < batch; sample++) {
      const initial = (from: Float64Array | null | undefined): Float64Array =>
        Float64Array.from({ length: size }, (_, k) => (from ? from[(n * batch + sample) * size + k]! : 0));
      const [h, c] = [initial(initialH), initial(initialC)];
      const length = lengths ? Math.min(Math.max(lengths(sample), 0), steps) : steps;
      for (let t = 0; t < length; t++) {
        const at = reverse ? length - 1 - t : t;
        const input = Float64Array.from({ length: rows }, (_, row) => {
          let sum = bias ? bias[n * 2 * rows + row]! : 0;
          for (let k = 0; k < inputs; k++) sum += x![(at * batch + sample) * inputs + k]! * w![(n * rows + row) * inputs + k]!;
          return sum;
        });
        cell.evaluate({
          size, h, c, input,
          recurrent: (row, state) => {
            let sum = 0;
            for (let k = 0; k < size; k++) sum += state[k]! * r![(n * rows + row) * size + k]!;
            return sum;
          },
          recurrentBias: (row) => (bias ? bias[n * 2 * rows + rows + row]! : 0),
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

/** The products with all inputs in one nest; then one block that walks the steps, independent per direction and sample. */
export function defineSequence({ args, attrs, results }: DefineCall, b: TensorBuilder, cell: Cell): void {
  const { exprs: e } = b;
  const [x, w, r] = [args[0]!, args[1]!, args[2]!];
  const [bias, lengths, initialH, initialC, peepholes] = [3, 4, 5, 6, 7].map((i) => args[i] ?? null);
  const [steps, batch, inputs] = x.shape as readonly [Expr, Expr, Expr];
  const [directions, rows, size] = r.shape as readonly [Expr, Expr, Expr];
  const { dtype } = x;
  const zero = e.constant(0, dtype);
  const products = b.alloc('products', dtype, [directions, steps, batch, rows]);
  b.reduce(products, [inputs], zero, (acc, [n, t, sample, row], [k]) =>
    e.add(acc, e.mul(b.load(x, [t!, sample!, k!]), b.load(w, [n!, row!, k!]))));
  const chosen = activationsOf(attrs['activations']!, cell.activations, directionsOf(attrs));
  const limit = attrs['clip'] as number | null;

  b.block('recurrence', [directions, batch], ([n, sample]) => {
    const second = attrs['direction'] === 'bidirectional' ? e.eq(n!, 1) : e.constant(false, 'bool');
    const reverse = attrs['direction'] === 'reverse' ? e.constant(true, 'bool') : second;
    const local = (name: string): Buffer => b.local(name, dtype, [size]);
    const h = local('h');
    const c = cell.cellState ? local('c') : null;
    const gates = b.local('gates', dtype, [rows]);
    const temporaries = new Map(cell.temporaries.map((name) => [name, local(name)]));
    b.loop(size, (k) => {
      b.store(h, [k], initialH ? b.load(initialH, [n!, sample!, k]) : zero);
      if (c) b.store(c, [k], initialC ? b.load(initialC, [n!, sample!, k]) : zero);
    });
    const length = lengths ? b.let(e.min(e.max(e.cast(b.load(lengths, [sample!]), 'i64'), 0), steps)) : steps;
    b.loop(steps, (t) => {
      b.if(e.lt(t, length), () => {
        const at = b.let(e.select(reverse, e.sub(e.sub(length, 1), t), t));
        cell.emit({
          b, size, h, c, gates,
          input: (row) => {
            const product = b.load(products, [n!, at, sample!, row]);
            return bias ? e.add(product, b.load(bias, [n!, row])) : product;
          },
          addRecurrent: (to, row, state) =>
            b.loop(size, (k) => b.store(gates, [to], e.add(b.load(gates, [to]), e.mul(b.load(state, [k]), b.load(r, [n!, row, k]))))),
          recurrentBias: (row) => (bias ? b.load(bias, [n!, e.add(row, rows)]) : zero),
          peephole: (row) => (peepholes ? b.load(peepholes, [n!, row]) : null),
          activate: (i, value) => {
            const [first, other] = [chosen[0]![i]!, chosen.at(-1)![i]!];
            const result = activateExpr(e, first, value);
            return same(first, other) ? result : e.select(second, activateExpr(e, other, value), result);
          },
          clip: (value) => (limit === null ? value : e.min(e.max(value, e.constant(-limit, dtype)), e.constant(limit, dtype))),
          temporary: (name) => temporaries.get(name)!,
        }, attrs);
        b.loop(size, (k) => b.store(results[0]!, [at, n!, sample!, k], b.load(h, [k])));
      }, () => b.loop(size, (k) => b.store(results[0]!, [t, n!, sample!, k], zero)));
    });
    b.loop(size, (k) => {
      b.store(results[1]!, [n!, sample!, k], b.load(h, [k]));
      if (c) b.store(results[2]!, [n!, sample!, k], b.load(c, [k]));
    });
  });
}

const same = (a: ChosenActivation, b: ChosenActivation): boolean => a.name === b.name && a.alpha === b.alpha && a.beta === b.beta;

/** Two operations for every weight, step and sample. */
export function costOfSequence(call: InferCall): { readonly flops: Expr } {
  const { exprs } = call;
  const [steps, batch, inputs] = call.tensor(0).shape as readonly [Expr, Expr, Expr];
  const [directions, rows, size] = call.tensor(2).shape as readonly [Expr, Expr, Expr];
  return { flops: exprs.product([steps, batch, directions, rows, exprs.add(inputs, size), 2]) };
}
