import type { Buffer, Expr, ExprBuilder, HostTensor, Operator, OperatorSample } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { isFloat } from '../common/dtypes.ts';
import { tensorOf } from '../common/errors.ts';
import { allocate, bigReader, elementCount, reader } from '../common/host-tensor.ts';
import { reduceOver } from '../common/reduce.ts';
import { arg, given, sample } from '../common/samples.ts';

/** Whether a beats b regardless of where they stand: by value, NaN beats every number. */
function beats(a: number | bigint, b: number | bigint, largest: boolean): boolean {
  if (b !== b) return false;
  return a !== a || (largest ? a > b : a < b);
}

function argExtreme(name: string, largest: boolean): Operator {
  const better = (e: ExprBuilder, a: Expr, b: Expr): Expr => {
    const byValue = largest ? e.gt(a, b) : e.lt(a, b);
    return isFloat(a.dtype) ? e.or(byValue, e.and(e.call('isnan', [a]), e.not(e.call('isnan', [b])))) : byValue;
  };
  const equal = (e: ExprBuilder, a: Expr, b: Expr): Expr =>
    isFloat(a.dtype) ? e.or(e.eq(a, b), e.and(e.call('isnan', [a]), e.call('isnan', [b]))) : e.eq(a, b);
  return {
    name: `reduce.${name}`,
    doc: `The index along \`axis\` of the ${largest ? 'largest' : 'smallest'} element, as i64; NaN counts as ${largest ? 'larger' : 'smaller'} than any number. `
      + 'Of equals the first, or the last with `select_last_index`. The axis stays with size 1 with `keepdims`. 0 along an empty axis.',
    signature: { params: ['x'], attrs: { axis: 0, keepdims: true, select_last_index: false }, results: ['indices'] },
    facets: {
      infer: (call) => {
        const { shape } = tensorOf(call, 0, 'numeric');
        const axis = normalizeAxis(call, call.attrs['axis']!, shape.length);
        const kept = call.attrs['keepdims'] ? shape.map((d, i) => (i === axis ? call.exprs.int(1) : d)) : shape.filter((_, i) => i !== axis);
        return [{ kind: 'tensor', dtype: 'i64', shape: kept, annotations: {} }];
      },
      reference: (call) => {
        const [x] = call.args as [HostTensor];
        const axis = axisOf(call.attrs['axis']!, x.shape.length);
        const out = allocate('i64', call.results[0]!.shape);
        const extent = x.shape[axis]!;
        const inner = elementCount(x.shape.slice(axis + 1));
        const read: (i: number) => number | bigint = isFloat(x.dtype) ? reader(x) : bigReader(x);
        for (let i = 0; i < out.data.length; i++) {
          const base = Math.floor(i / inner) * extent * inner + (i % inner);
          let best = 0;
          for (let r = 1; r < extent; r++) {
            const candidate = read(base + r * inner);
            const current = read(base + best * inner);
            if (beats(candidate, current, largest) || (call.attrs['select_last_index'] && !beats(current, candidate, largest))) best = r;
          }
          out.data[i] = BigInt(best);
        }
        return [out];
      },
      define: (call, b) => {
        const e = b.exprs;
        const [x] = call.args as [Buffer];
        const axis = axisOf(call.attrs['axis']!, x.shape.length);
        const at = (i: readonly Expr[], r: Expr): Expr =>
          b.load(x, call.attrs['keepdims'] ? i.map((v, n) => (n === axis ? r : v)) : [...i.slice(0, axis), r, ...i.slice(axis)]);
        const last = call.attrs['select_last_index'];
        // Ties are broken by the index and not by the order of visits, so that the reduction may be reordered.
        reduceOver(b, call.results[0]!, [x.shape[axis]!], e.int(0), (best, i, [r]) => {
          const candidate = at(i, r!);
          const current = at(i, best);
          const tie = last ? e.lt(best, r!) : e.lt(r!, best);
          return e.select(e.or(better(e, candidate, current), e.and(equal(e, candidate, current), tie)), r!, best);
        });
      },
      cost: (call) => ({ flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), 4) }),
      samples: () => {
        const samples: OperatorSample[] = [];
        for (const dtype of ['f32', 'f64', 'i32', 'i64', 'u8']) {
          for (const attrs of [{}, { keepdims: false }, { axis: -1 }, { axis: 1, keepdims: false, select_last_index: true }]) {
            samples.push(sample([arg([3, 4, 5], dtype, dtype === 'u8' ? [0, 3] : [-2, 2])], attrs));
          }
          samples.push(sample([arg([7], dtype, [0, 2])]), sample([arg([0, 3], dtype, [0, 2])], { axis: 1 }), sample([arg([2, 1], dtype, [0, 2])], { axis: 1 }));
        }
        samples.push(
          sample([given([2, 2, 1, 3, 3, 3], 'f32', [2, 3])], { axis: 1 }), sample([given([2, 2, 1, 3, 3, 3], 'f32', [2, 3])], { axis: 1, select_last_index: true }),
          sample([given([1, NaN, Infinity, NaN, -Infinity])]), sample([given([1, NaN, Infinity, NaN, -Infinity])], { select_last_index: true }),
        );
        return samples;
      },
    },
  };
}

export const operators: readonly Operator[] = [argExtreme('argmax', true), argExtreme('argmin', false)];
