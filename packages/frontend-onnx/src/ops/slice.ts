import type { Expr, Scope, Value } from '@tenon/plugin';
import type { Conversion } from '../convert.ts';
import { axis } from '../convert.ts';
import { scopeOf, sizes } from './sizes.ts';

/** Exporters write the ends of int32 and int64 for "to the end". */
const endless = 2 ** 31 - 1;

interface Taken {
  readonly start: Expr;
  readonly size: Expr;
}

/** The elements of an axis that ONNX's start, end and step mean, with its clamping. `step` is not 0. */
function taken(c: Conversion, scope: Scope, dim: Expr, start: Expr, end: Expr, step: Expr): Taken {
  const { exprs } = c;
  const simplify = (e: Expr): Expr => exprs.simplify(e, scope);
  const clamp = (e: Expr, low: Expr, high: Expr): Expr => {
    const value = e.op === 'const' ? Number(e.value) : null;
    if (value !== null && value >= endless) return high;
    if (value !== null && value <= -endless) return low;
    const negative = exprs.prove(exprs.lt(e, 0), scope);
    const wrapped = negative === 'no' ? e : negative === 'yes' ? exprs.add(e, dim) : exprs.select(exprs.lt(e, 0), exprs.add(e, dim), e);
    return simplify(exprs.max(simplify(exprs.min(wrapped, high)), low));
  };
  const count = (from: Expr, to: Expr, by: Expr): Expr => simplify(exprs.max(simplify(exprs.neg(exprs.floordiv(exprs.sub(from, to), by))), 0));
  const forwards = (): Taken => {
    const zero = exprs.int(0);
    const first = clamp(start, zero, dim);
    const last = clamp(end, zero, dim);
    // The last k of n elements are min(n, k), which simplifies better than n − max(n − k, 0).
    const k = exprs.valueOf(start);
    if (k !== null && k < 0 && k > -endless && last === dim && exprs.valueOf(step) === 1) return { start: first, size: simplify(exprs.min(dim, -k)) };
    return { start: first, size: count(first, last, step) };
  };
  const backwards = (): Taken => {
    const last = exprs.sub(dim, 1);
    const first = clamp(start, simplify(exprs.min(last, 0)), last);
    return { start: first, size: count(first, clamp(end, exprs.int(-1), last), step) };
  };
  const down = exprs.prove(exprs.lt(step, 0), scope);
  if (down === 'no') return forwards();
  if (down === 'yes') return backwards();
  const [f, b, negative] = [forwards(), backwards(), exprs.lt(step, 0)];
  return { start: exprs.select(negative, b.start, f.start), size: exprs.select(negative, b.size, f.size) };
}

/**
 * Taking the first n of a constant number of elements (position embeddings, say) is meant for n up to that number: the
 * model's other operators combine the result with tensors of size n. The dim is bounded accordingly, and this is said.
 */
function boundBy(c: Conversion, end: Expr, dim: Expr): void {
  const most = c.exprs.valueOf(dim);
  if (most === null || end.op !== 'var') return;
  const decl = c.module.dims.get(end.value as string);
  // Only sizes: a number that users give as an input may be anything.
  if (decl === undefined || decl.min < 0 || (decl.max !== null && decl.max <= most) || decl.min > most) return;
  c.module.dim({ name: decl.name, max: most });
  c.ctx.report({
    severity: 'note', code: 'onnx/dim-bounded', op: c.opType, loc: c.b.loc,
    message: `${decl.name} is at most ${most}: the model takes the first ${decl.name} of ${most} elements`,
  });
}

export function slice(c: Conversion): readonly Value[] {
  const { exprs } = c;
  const { shape } = c.tensor(0);
  const asInput = c.opset >= 10;
  const attr = (name: string): readonly Expr[] => c.ints(name).map((v) => exprs.int(v));
  const starts = asInput ? sizes(c, 1, 'starts') : attr('starts');
  const ends = asInput ? sizes(c, 2, 'ends') : attr('ends');
  const byDefault = starts.map((_, i) => exprs.int(i));
  const axes = asInput ? (c.optional(3) ? sizes(c, 3, 'axes') : byDefault) : c.has('axes') ? attr('axes') : byDefault;
  const steps = asInput && c.optional(4) ? sizes(c, 4, 'steps') : starts.map(() => exprs.int(1));
  if ([ends, axes, steps].some((list) => list.length !== starts.length)) c.unsupported('onnx/invalid-shape', 'starts, ends, axes and steps must have equal lengths');
  if (steps.some((s) => exprs.valueOf(s) === 0)) c.unsupported('onnx/invalid-shape', 'a step is 0');

  if (axes.every((a) => exprs.valueOf(a) !== null)) {
    const normal = axes.map((a) => axis(c, exprs.valueOf(a)!, shape.length));
    if (new Set(normal).size !== normal.length) c.unsupported('onnx/repeated-axis', 'an axis occurs twice');
    normal.forEach((a, i) => {
      if (exprs.valueOf(starts[i]!) === 0 && exprs.valueOf(steps[i]!) === 1) boundBy(c, ends[i]!, shape[a]!);
    });
    const scope = scopeOf(c);
    const parts = normal.map((a, i) => taken(c, scope, shape[a]!, starts[i]!, ends[i]!, steps[i]!));
    return [c.b.call('shape.slice', [c.input(0)], { axes: normal, starts: parts.map((p) => p.start), sizes: parts.map((p) => p.size), steps })];
  }
  // Axes that are only known when the model is called: every axis is sliced, by what applies to it.
  const scope = scopeOf(c);
  const rank = shape.length;
  const all = shape.map((dim, a) => {
    let [start, count, step]: readonly [Expr, Expr, Expr] = [exprs.int(0), dim, exprs.int(1)];
    axes.forEach((given, i) => {
      const here = exprs.or(exprs.eq(given, a), exprs.eq(given, a - rank));
      const part = taken(c, scope, dim, starts[i]!, ends[i]!, steps[i]!);
      start = exprs.select(here, part.start, start);
      count = exprs.select(here, part.size, count);
      step = exprs.select(here, steps[i]!, step);
    });
    return { start, count, step };
  });
  return [c.b.call('shape.slice', [c.input(0)], { axes: all.map((_, a) => a), starts: all.map((p) => p.start), sizes: all.map((p) => p.count), steps: all.map((p) => p.step) })];
}
