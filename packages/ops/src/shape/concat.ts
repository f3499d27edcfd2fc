import type { Expr, ExprBuilder, InferCall, Operator, TypedArray } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { sameDType } from '../common/errors.ts';
import { allocate, elementCount } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { tensorType } from './attributes.ts';
import { knownArgument, movedContents, flatten } from './movement.ts';

function inferConcat(call: InferCall): readonly ReturnType<typeof tensorType>[] {
  const { exprs } = call;
  if (call.args.length === 0) call.fail('argument', 'there is nothing to concatenate');
  const types = call.args.map((_, i) => call.tensor(i));
  const dtype = sameDType(call, types.map((_, i) => i));
  const rank = types[0]!.shape.length;
  const axis = normalizeAxis(call, call.attrs['axis'] ?? null, rank);
  const shape = [...types[0]!.shape];
  for (const type of types.slice(1)) {
    if (type.shape.length !== rank) call.fail('rank', `tensors of rank ${rank} and ${type.shape.length} cannot be concatenated`);
    type.shape.forEach((d, i) => {
      if (i === axis) shape[i] = exprs.add(shape[i]!, d);
      else if (d !== shape[i]) {
        if (exprs.prove(exprs.eq(d, shape[i]!)) !== 'yes') {
          const names = [...new Set([...exprs.variables(d), ...exprs.variables(shape[i]!)])];
          const show = (e: Expr): string => String(exprs.valueOf(e) ?? `an expression of ${exprs.variables(e).join(', ')}`);
          call.fail(
            'shape', `the sizes of axis ${i} differ: ${show(shape[i]!)} and ${show(d)}; only axis ${axis} may differ`,
            names.length > 0 ? `Fix or relate the dims ${names.join(', ')} so that the sizes are equal.` : undefined,
          );
        }
      }
    });
  }
  return [tensorType(dtype, shape)];
}

/** The element that `indices` select from parts laid end to end along `axis`: a balanced tree of selects. */
export function selectPart<P extends { readonly shape: readonly Expr[] }>(
  exprs: ExprBuilder, parts: readonly P[], axis: number, indices: readonly Expr[], load: (part: P, indices: readonly Expr[]) => Expr,
): Expr {
  const offsets: Expr[] = [exprs.int(0)];
  for (const part of parts) offsets.push(exprs.add(offsets.at(-1)!, part.shape[axis]!));
  const within = (first: number, end: number): Expr => {
    if (end - first === 1) return load(parts[first]!, indices.map((i, a) => (a === axis ? exprs.sub(i, offsets[first]!) : i)));
    const middle = (first + end) >> 1;
    return exprs.select(exprs.lt(indices[axis]!, offsets[middle]!), within(first, middle), within(middle, end));
  };
  return within(0, parts.length);
}

export const concat: Operator = {
  name: 'shape.concat',
  doc: 'Lays tensors of one dtype end to end along `axis` (required). Their other axes have equal sizes.',
  signature: { params: ['x*'], attrs: { axis: null }, results: ['y'] },
  facets: {
    infer: inferConcat,
    reference: ({ args, attrs, results }) => {
      const { dtype, shape } = results[0]!;
      const axis = axisOf(attrs['axis']!, shape.length);
      const out = allocate(dtype, shape);
      const outer = elementCount(shape.slice(0, axis));
      let at = 0;
      for (let row = 0; row < outer; row++) {
        for (const x of args) {
          const run = elementCount(x!.shape.slice(axis));
          out.data.set((x!.data as TypedArray).subarray(row * run, (row + 1) * run) as never, at);
          at += run;
        }
      }
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const y = results[0]!;
      const axis = axisOf(attrs['axis']!, y.shape.length);
      // An empty part would only add a comparison.
      const parts = args.map((x) => x!).filter((x) => b.exprs.valueOf(x.shape[axis]!) !== 0);
      const used = parts.length === 0 ? [args[0]!] : parts;
      b.compute(y, (i) => selectPart(b.exprs, used, axis, i, (x, at) => b.load(x, at)));
    },
    cost: ({ exprs }) => ({ flops: exprs.int(0) }),
    shapeValue: (call) => {
      const parts = call.args.map((_, i) => knownArgument(call, i));
      if (!parts.every((p) => p !== null)) return [null];
      const [type] = inferConcat(call);
      const axis = axisOf(call.attrs['axis']!, type!.shape.length);
      return movedContents(call, type!.shape, (index) => {
        let at = index[axis]!;
        let part = 0;
        while (at >= parts[part]!.shape[axis]!) at -= parts[part++]!.shape[axis]!;
        return parts[part]!.elements[flatten(index.map((i, a) => (a === axis ? at : i)), parts[part]!.shape)]!;
      });
    },
    samples: () => [
      ...(['f32', 'i64', 'bool'] as const).map((dtype) => sample([arg([2, 3], dtype), arg([4, 3], dtype)], { axis: 0 })),
      sample([arg([2, 3]), arg([2, 1]), arg([2, 0]), arg([2, 5])], { axis: -1 }),
      sample([arg([3]), arg([1]), arg([2]), arg([4]), arg([1])], { axis: 0 }),
      sample([arg([2, 3, 2])], { axis: 1 }),
      sample([arg([0, 3]), arg([0, 3])], { axis: 0 }),
    ],
  },
};
