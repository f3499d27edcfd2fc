import type { Expr, ExprBuilder, InferCall } from '@tenon/plugin';
import { isFloat } from '../common/dtypes.ts';
import { bigReader, bigWriter, reader, roundTo, writer, type NumericTensor } from '../common/host-tensor.ts';
import { choiceAttr } from '../shape/attributes.ts';

export const reductions = ['none', 'add', 'mul', 'max', 'min'] as const;
/** What a scatter makes of the element that is there and the update. */
export type Reduction = (typeof reductions)[number];

/** The `reduction` attribute; bool has no arithmetic: `add` and `mul`, `max` and `min` are refused for it. */
export function reductionAttr(call: InferCall, dtype: string): Reduction {
  const reduction = choiceAttr(call, 'reduction', reductions);
  if (dtype === 'bool' && reduction !== 'none') call.fail('dtype', `bool elements cannot be reduced with ${reduction}`);
  return reduction;
}

/** Writes update u to element `at` of a tensor, combined with what is there; each step is rounded to the dtype. */
export function combiner(out: NumericTensor, updates: NumericTensor, reduction: Reduction): (at: number, u: number) => void {
  if (isFloat(out.dtype)) {
    const [before, update, write] = [reader(out), reader(updates), writer(out)];
    return (at, u) => {
      const [a, x] = [before(at), update(u)];
      write(at, roundTo(out.dtype, reduction === 'none' ? x : reduction === 'add' ? a + x : reduction === 'mul' ? a * x : reduction === 'max' ? Math.max(a, x) : Math.min(a, x)));
    };
  }
  const [before, update, write] = [bigReader(out), bigReader(updates), out.dtype === 'bool' ? boolWriter(out) : bigWriter(out)];
  return (at, u) => {
    const [a, x] = [before(at), update(u)];
    write(at, reduction === 'none' ? x : reduction === 'add' ? a + x : reduction === 'mul' ? a * x : (a > x) === (reduction === 'max') ? a : x);
  };
}
const boolWriter = (out: NumericTensor) => (i: number, value: bigint): void => void ((out.data as Uint8Array)[i] = value ? 1 : 0);

export function combined(exprs: ExprBuilder, reduction: Reduction, before: () => Expr, update: Expr): Expr {
  switch (reduction) {
    case 'none': return update;
    case 'add': return exprs.add(before(), update);
    case 'mul': return exprs.mul(before(), update);
    case 'max': return exprs.max(before(), update);
    case 'min': return exprs.min(before(), update);
  }
}
