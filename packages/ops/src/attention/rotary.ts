import type { Attrs, Expr, InferCall, Operator, OperatorSample } from '@tenon/plugin';
import { broadcastIndex, broadcastOffsets } from '../common/broadcast.ts';
import { rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { allocate, elementCount, numbers, writer } from '../common/host-tensor.ts';
import { arg, sample } from '../common/samples.ts';
import { broadcastsTo } from '../norm/rows.ts';

/** 1 for x [B, S, H, D], 2 for x [B, H, S, D]. */
const sequenceAxis = (attrs: Attrs): 1 | 2 => (attrs['sequence_axis'] === 1 ? 1 : 2);

const rotaryEmbedding: Operator = {
  name: 'nn.rotary_embedding',
  doc: 'Rotates pairs of elements of every head by angles that depend on the position. x is [B, H, S, D], or [B, S, H, D] with `sequence_axis: 1` (default 2); cos and sin '
    + 'broadcast to [B, S, R/2], where R ≤ D is the rotated part; elements from R on are copied. Pair p is (x[p], x[p + R/2]), with `interleaved: true` (x[2p], x[2p + 1]), and '
    + 'becomes (a·cos[p] − b·sin[p], a·sin[p] + b·cos[p]). Source: Su et al. 2021, RoFormer.',
  signature: { params: ['x', 'cos', 'sin'], attrs: { interleaved: false, sequence_axis: 2 } satisfies Attrs, results: ['y'] },
  facets: {
    infer: (call: InferCall) => {
      const { exprs, attrs } = call;
      const x = tensorOf(call, 0, 'float');
      sameDType(call, [0, 1, 2]);
      const shape = rankBetween(call, 0, 4);
      if (attrs['sequence_axis'] !== 1 && attrs['sequence_axis'] !== 2) call.fail('attribute', 'sequence_axis must be 1 or 2');
      for (const i of [1, 2]) {
        const half = rankBetween(call, i, 1, 3).at(-1)!;
        if (exprs.prove(exprs.le(exprs.mul(half, 2), shape[3]!)) !== 'yes') call.fail('shape', 'cos and sin must have at most half as many columns as x has elements per head');
        broadcastsTo(call, i, [shape[0]!, shape[sequenceAxis(attrs)]!, half]);
      }
      const [a, b] = [call.tensor(1).shape.at(-1)!, call.tensor(2).shape.at(-1)!];
      if (exprs.prove(exprs.eq(a, b)) !== 'yes') call.fail('shape', 'cos and sin must have the same number of columns');
      return [{ kind: 'tensor', dtype: x.dtype, shape: x.shape, annotations: {} }];
    },
    reference: ({ args, attrs, results }) => {
      const [x, cos, sin] = [numbers(args[0]!), numbers(args[1]!), numbers(args[2]!)];
      const { shape } = args[0]!;
      const half = args[1]!.shape.at(-1)!;
      const depth = shape[3]!;
      const angles = [shape[0]!, shape[sequenceAxis(attrs)]!, half];
      const [cosAt, sinAt] = [broadcastOffsets(args[1]!.shape, angles), broadcastOffsets(args[2]!.shape, angles)];
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const write = writer(out);
      const [, second, third] = shape as [number, number, number, number];
      for (let row = 0; row < elementCount(shape.slice(0, 3)); row++) {
        const sample = Math.floor(row / (second * third));
        const position = sequenceAxis(attrs) === 1 ? Math.floor(row / third) % second : row % third;
        const start = row * depth;
        for (let p = 0; p < half; p++) {
          const angle = (sample * angles[1]! + position) * half + p;
          const [c, s] = [cos[cosAt[angle]!]!, sin[sinAt[angle]!]!];
          const [i, j] = attrs['interleaved'] === true ? [start + 2 * p, start + 2 * p + 1] : [start + p, start + p + half];
          write(i, x[i]! * c - x[j]! * s);
          write(j, x[i]! * s + x[j]! * c);
        }
        for (let i = 2 * half; i < depth; i++) write(start + i, x[start + i]!);
      }
      return [out];
    },
    define: ({ args, attrs, results }, b) => {
      const [x, cos, sin] = [args[0]!, args[1]!, args[2]!];
      const { exprs: e } = b;
      const half = cos.shape.at(-1)!;
      const rotated = e.mul(half, 2);
      b.compute(results[0]!, (i) => {
        const [n, , , d] = i as readonly [Expr, Expr, Expr, Expr];
        const at = (k: Expr): Expr => b.load(x, [...i.slice(0, 3), k]);
        const turn = (first: boolean, pair: Expr, other: Expr): Expr => {
          const angle = [n, i[sequenceAxis(attrs)]!, pair];
          const [c, s] = [cos, sin].map((table) => b.load(table, broadcastIndex(e, angle, table.shape))) as [Expr, Expr];
          return first ? e.sub(e.mul(at(d), c), e.mul(at(other), s)) : e.add(e.mul(at(other), s), e.mul(at(d), c));
        };
        const whole = attrs['interleaved'] === true
          ? e.select(e.eq(e.mod(d, 2), 0), turn(true, e.floordiv(d, 2), e.add(d, 1)), turn(false, e.floordiv(d, 2), e.sub(d, 1)))
          : e.select(e.lt(d, half), turn(true, d, e.add(d, half)), turn(false, e.sub(d, half), e.sub(d, half)));
        return e.prove(e.eq(rotated, x.shape[3]!)) === 'yes' ? whole : e.select(e.lt(d, rotated), whole, at(d));
      });
    },
    cost: (call) => ({ flops: call.exprs.mul(call.exprs.product(call.tensor(0).shape), 3) }),
    samples: (): readonly OperatorSample[] => [false, true].flatMap((interleaved) => [
      sample([arg([2, 3, 5, 8]), arg([2, 5, 4]), arg([2, 5, 4])], { interleaved }),
      sample([arg([2, 5, 3, 8]), arg([2, 5, 4]), arg([2, 5, 4])], { interleaved, sequence_axis: 1 }),
      sample([arg([2, 3, 5, 9]), arg([5, 2]), arg([5, 2])], { interleaved }),
      sample([arg([2, 3, 5, 6]), arg([1, 1, 3]), arg([3])], { interleaved }),
      sample([arg([1, 3, 0, 6]), arg([0, 3]), arg([0, 3])], { interleaved }),
      sample([arg([1, 2, 3, 4]), arg([3, 0]), arg([3, 0])], { interleaved }),
      sample([arg([1, 2, 3, 4], 'f64'), arg([3, 2], 'f64'), arg([3, 2], 'f64')], { interleaved }, 1e-12),
    ]),
  },
};

export const operators: readonly Operator[] = [rotaryEmbedding];
