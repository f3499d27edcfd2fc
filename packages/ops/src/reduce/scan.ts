import type { Buffer, Expr, ExprBuilder, HostTensor, Operator, OperatorSample } from '@tenon/plugin';
import { axisOf, normalizeAxis } from '../common/axes.ts';
import { isInteger } from '../common/dtypes.ts';
import { tensorOf } from '../common/errors.ts';
import { allocate, bigReader, bigWriter, elementCount, reader, writer } from '../common/host-tensor.ts';
import { arg, oddShapes, sample } from '../common/samples.ts';
import { arithmeticDType } from '../math/pointwise.ts';

interface Scan {
  readonly what: string;
  readonly identity: number;
  readonly real: (acc: number, x: number) => number;
  readonly exact: (acc: bigint, x: bigint) => bigint;
  readonly step: (e: ExprBuilder, acc: Expr, x: Expr) => Expr;
}

function scan(name: string, spec: Scan): Operator {
  return {
    name: `reduce.${name}`,
    doc: `The ${spec.what} of all elements up to each one along \`axis\`, itself included unless \`exclusive\` (then ${spec.identity} at the start); from the end with \`reverse\`. Integers wrap.`,
    signature: { params: ['x'], attrs: { axis: 0, exclusive: false, reverse: false }, results: ['out'] },
    facets: {
      infer: (call) => {
        const { dtype, shape } = tensorOf(call, 0, 'numeric');
        normalizeAxis(call, call.attrs['axis']!, shape.length);
        return [{ kind: 'tensor', dtype, shape, annotations: {} }];
      },
      reference: (call) => {
        const [x] = call.args as [HostTensor];
        const { exclusive, reverse } = call.attrs as { exclusive: boolean; reverse: boolean };
        const axis = axisOf(call.attrs['axis']!, x.shape.length);
        const out = allocate(x.dtype, x.shape);
        const extent = x.shape[axis]!;
        const inner = elementCount(x.shape.slice(axis + 1));
        const run = <T>(identity: T, read: (i: number) => T, step: (acc: T, v: T) => T, write: (i: number, v: T) => void): void => {
          for (let line = 0; line < out.data.length / Math.max(extent, 1); line++) {
            const base = Math.floor(line / inner) * extent * inner + (line % inner);
            let acc = identity;
            for (let j = 0; j < extent; j++) {
              const at = base + (reverse ? extent - 1 - j : j) * inner;
              const next = step(acc, read(at));
              write(at, exclusive ? acc : next);
              acc = next;
            }
          }
        };
        if (isInteger(x.dtype)) run(BigInt(spec.identity), bigReader(x), spec.exact, bigWriter(out));
        else run(spec.identity, reader(x), spec.real, writer(out));
        return [out];
      },
      define: (call, b) => {
        const e = b.exprs;
        const [x] = call.args as [Buffer];
        const [out] = call.results as [Buffer];
        const { exclusive, reverse } = call.attrs;
        const axis = axisOf(call.attrs['axis']!, x.shape.length);
        const extent = x.shape[axis]!;
        const dtype = arithmeticDType(x.dtype);
        b.block(name, x.shape.filter((_, i) => i !== axis), (lines) => {
          const acc = b.local('acc', dtype, [1]);
          b.store(acc, [0], e.constant(spec.identity, dtype));
          b.loop(extent, (j) => {
            const position = reverse ? e.sub(e.sub(extent, 1), j) : j;
            const index = [...lines.slice(0, axis), position, ...lines.slice(axis)];
            const next = b.let(spec.step(e, b.load(acc, [0]), e.cast(b.load(x, index), dtype)));
            b.store(out, index, e.cast(exclusive ? b.load(acc, [0]) : next, out.dtype));
            b.store(acc, [0], next);
          });
        });
      },
      cost: (call) => ({ flops: call.exprs.product(call.tensor(0).shape) }),
      samples: () => {
        const samples: OperatorSample[] = oddShapes.filter((s) => s.length > 0).flatMap((shape) => [sample([arg(shape)]), sample([arg(shape)], { axis: -1, reverse: true })]);
        for (const dtype of ['f32', 'f64', 'i32', 'i64', 'i8']) {
          for (const exclusive of [false, true]) for (const reverse of [false, true]) samples.push(sample([arg([2, 5, 3], dtype)], { axis: 1, exclusive, reverse }));
        }
        return samples;
      },
    },
  };
}

export const operators: readonly Operator[] = [
  scan('cumsum', { what: 'sum', identity: 0, real: (s, x) => s + x, exact: (s, x) => s + x, step: (e, s, x) => e.add(s, x) }),
  scan('cumprod', { what: 'product', identity: 1, real: (s, x) => s * x, exact: (s, x) => s * x, step: (e, s, x) => e.mul(s, x) }),
];
