import type { Attrs, DecomposeCall, Expr, GraphBuilder, InferCall, Operator, OperatorSample, TensorType, Value } from '@tenon/plugin';
import { broadcastDims, broadcastOffsets } from '../common/broadcast.ts';
import { rankBetween, sameDType, tensorOf } from '../common/errors.ts';
import { allocate, numbers, reader, writer } from '../common/host-tensor.ts';
import { arg, given, sample } from '../common/samples.ts';

/** Refuses dims that are known to differ, and those of which nobody can say. */
function equalDims(call: InferCall, a: Expr, b: Expr, what: string): void {
  if (call.exprs.prove(call.exprs.eq(a, b)) !== 'yes') call.fail('shape', `${what} must be equal`, 'Fix or relate the dims of the arguments.');
}

function infer(call: InferCall): readonly TensorType[] {
  const { exprs, attrs } = call;
  const q = tensorOf(call, 0, 'float');
  const dtype = sameDType(call, [0, 1, 2]);
  const [batch, heads, queries, depth] = rankBetween(call, 0, 4) as readonly [Expr, Expr, Expr, Expr];
  const [kBatch, kHeads, keys, kDepth] = rankBetween(call, 1, 4) as readonly [Expr, Expr, Expr, Expr];
  const [vBatch, vHeads, values, vDepth] = rankBetween(call, 2, 4) as readonly [Expr, Expr, Expr, Expr];
  equalDims(call, batch, kBatch, 'the batch sizes of q and k');
  equalDims(call, batch, vBatch, 'the batch sizes of q and v');
  equalDims(call, depth, kDepth, 'the head sizes of q and k');
  equalDims(call, kHeads, vHeads, 'the numbers of heads of k and v');
  equalDims(call, keys, values, 'the lengths of k and v');
  const [h, g] = [exprs.valueOf(heads), exprs.valueOf(kHeads)];
  if (h === null || g === null) call.fail('shape', 'the numbers of heads must be constant');
  if (g === 0 ? h !== 0 : h % g !== 0) call.fail('shape', `${h} query heads do not divide over ${g} key heads`);
  if (attrs['scale'] === null && exprs.valueOf(depth) === null) call.fail('shape', 'the head size must be constant where no scale is given');
  for (const name of ['left_window', 'right_window']) {
    const window = attrs[name];
    if (window !== null && !(typeof window === 'number' && Number.isInteger(window) && window >= 0)) call.fail('attribute', `${name} must be null or a non-negative integer`);
  }
  if (call.args[3] != null) {
    const mask = call.tensor(3);
    if (mask.dtype !== 'bool' && mask.dtype !== dtype) call.fail('dtype', `the mask must be bool or ${dtype}, not ${mask.dtype}`);
    const scores = [batch, heads, queries, keys];
    if (mask.shape.length > 4) call.fail('rank', 'the mask must have rank 4 or less');
    mask.shape.forEach((dim, k) => {
      const against = scores[4 - mask.shape.length + k]!;
      equalDims(call, broadcastDims(call, against, dim), against, 'the mask and the scores it broadcasts to');
    });
  }
  return [{ kind: 'tensor', dtype: q.dtype, shape: [batch, heads, queries, vDepth], annotations: {} }];
}

/** The range of keys that query i may see by position: first and last, inclusive. */
interface Visibility {
  readonly causal: boolean;
  readonly left: number | null;
  readonly right: number | null;
}
function visibility(attrs: Attrs): Visibility {
  return { causal: attrs['causal'] === true, left: attrs['left_window'] as number | null, right: attrs['right_window'] as number | null };
}

/** A bool tensor [S, T] of the keys that a query sees by position; null where it sees all. */
function visibleByPosition(attrs: Attrs, queries: Expr, keys: Expr, b: GraphBuilder): Value | null {
  const { causal, left, right } = visibility(attrs);
  const last = causal ? 0 : right;
  if (last === null && left === null) return null;
  const offset = attrs['offset'] as Expr | number;
  const i = b.call('shape.iota', [], { shape: [queries, 1], axis: 0, dtype: 'i64' });
  const j = b.call('shape.iota', [], { shape: [1, keys], axis: 1, dtype: 'i64' });
  // The distance of a key from the query's own position.
  const distance = b.call('math.sub', [j, b.call('math.add', [i, b.dims([offset], [])])]);
  const until = last === null ? null : b.call('math.less_equal', [distance, b.constant([last], 'i64', [])]);
  const from = left === null ? null : b.call('math.greater_equal', [distance, b.constant([-left], 'i64', [])]);
  return until === null ? from : from === null ? until : b.call('math.and', [from, until]);
}

function decompose({ args, attrs, results }: DecomposeCall, b: GraphBuilder): readonly Value[] | null {
  const [q, k, v] = args as [Value, Value, Value];
  const mask = args[3] ?? null;
  const types = [q.type, k.type, v.type, results[0]];
  if (!types.every((t): t is TensorType => t?.kind === 'tensor')) return null;
  const [qType, kType, vType] = types as [TensorType, TensorType, TensorType];
  const { dtype } = qType;
  const e = b.exprs;
  const [batch, heads, queries, depth] = qType.shape as readonly [Expr, Expr, Expr, Expr];
  const [, groups, keys] = kType.shape as readonly [Expr, Expr, Expr, Expr];
  const vDepth = vType.shape[3]!;
  const scalar = (value: number): Value => b.constant([value], dtype, []);

  // Query heads that share a key head lie next to each other, so they are further rows of that head's product.
  const grouped = heads !== groups;
  const rows = grouped ? e.mul(e.floordiv(heads, groups), queries) : queries;
  const byGroup = (x: Value, last: Expr): Value => (grouped ? b.call('shape.reshape', [x], { shape: [batch, groups, rows, last] }) : x);
  const byHead = (x: Value, last: Expr): Value => (grouped ? b.call('shape.reshape', [x], { shape: [batch, heads, queries, last] }) : x);

  const scale = (attrs['scale'] as number | null) ?? 1 / Math.sqrt(e.valueOf(depth)!);
  const scaled = scale === 1 ? q : b.call('math.mul', [q, scalar(scale)]);
  const transposed = b.call('shape.transpose', [k], { perm: [0, 1, 3, 2] });
  let scores = byHead(b.call('nn.matmul', [byGroup(scaled, depth), transposed]), keys);
  const softcap = attrs['softcap'] as number;
  if (softcap > 0) scores = b.call('math.mul', [b.call('math.tanh', [b.call('math.div', [scores, scalar(softcap)])]), scalar(softcap)]);

  const { causal, left, right } = visibility(attrs);
  let visible = visibleByPosition(attrs, queries, keys, b);
  // A causal query at or behind the first key always sees that key.
  const ahead = e.prove(e.ge(attrs['offset'] as Expr | number, 0)) === 'yes';
  const maySeeNone = mask !== null || (visible !== null && !((causal || right !== null) && left === null && ahead));
  if (mask?.type.kind === 'tensor') {
    if (mask.type.dtype === 'bool') visible = visible === null ? mask : b.call('math.and', [visible, mask]);
    else {
      scores = b.call('math.add', [scores, mask]);
      if (visible !== null) scores = b.call('math.where', [visible, scores, scalar(-Infinity)]);
      const open = b.call('math.not_equal', [mask, scalar(-Infinity)]);
      visible = visible === null ? open : b.call('math.and', [visible, open]);
    }
  }
  const additive = mask?.type.kind === 'tensor' && mask.type.dtype !== 'bool';
  if (visible !== null && !additive) scores = b.call('math.where', [visible, scores, scalar(-Infinity)]);
  const weights = b.call('nn.softmax', [scores], { axis: -1 });
  const y = byHead(b.call('nn.matmul', [byGroup(weights, keys), v]), vDepth);
  if (visible === null || !maySeeNone) return [y];
  const any = b.call('reduce.any', [visible], { axes: [-1], keepdims: true });
  return [b.call('math.where', [any, y, scalar(0)])];
}

const attention: Operator = {
  name: 'nn.attention',
  doc: 'Scaled dot-product attention of q [B, H, S, D] over k [B, G, T, D] and v [B, G, T, E]; result [B, H, S, E]. H is a multiple of G: query head h uses key head '
    + 'floor(h · G / H). With s = scale · q·kᵀ (`scale`: null means 1/√D), then s = softcap · tanh(s / softcap) where `softcap` > 0, the result is softmax(s) · v over the '
    + 'keys that a query sees. A bool `mask`, broadcast to [B, H, S, T], hides keys where it is false; a mask of the dtype of q is added to s, and −∞ hides a key. By position, '
    + 'query i stands at p = i + `offset` (a dim): `causal` hides keys j > p, `left_window` keys j < p − left_window, `right_window` keys j > p + right_window. '
    + 'A query that sees no key gives 0. Source: Vaswani et al. 2017; grouped heads: Ainslie et al. 2023.',
  signature: {
    params: ['q', 'k', 'v', 'mask?'],
    attrs: { scale: null, softcap: 0, causal: false, offset: 0, left_window: null, right_window: null } satisfies Attrs,
    results: ['y'],
  },
  facets: {
    infer,
    reference: ({ args, attrs, results }) => {
      const [q, k, v] = [numbers(args[0]!), numbers(args[1]!), numbers(args[2]!)];
      const [batch, heads, queries, depth] = args[0]!.shape as [number, number, number, number];
      const [, groups, keys] = args[1]!.shape as [number, number, number, number];
      const vDepth = args[2]!.shape[3]!;
      const mask = args[3] && { read: reader(args[3]), bool: args[3].dtype === 'bool', at: broadcastOffsets(args[3].shape, [batch, heads, queries, keys]) };
      const scale = (attrs['scale'] as number | null) ?? 1 / Math.sqrt(depth);
      const [softcap, offset] = [attrs['softcap'] as number, attrs['offset'] as number];
      const { causal, left, right } = visibility(attrs);
      const out = allocate(results[0]!.dtype, results[0]!.shape);
      const write = writer(out);
      const scores = new Float64Array(keys);
      for (let row = 0; row < batch * heads * queries; row++) {
        const i = row % queries;
        const head = Math.floor(row / queries);
        const group = Math.floor(head / heads) * groups + Math.floor(((head % heads) * groups) / heads);
        const position = i + offset;
        let largest = -Infinity;
        let seen = 0;
        for (let j = 0; j < keys; j++) {
          let s = 0;
          for (let d = 0; d < depth; d++) s += q[row * depth + d]! * k[(group * keys + j) * depth + d]!;
          s *= scale;
          if (softcap > 0) s = softcap * Math.tanh(s / softcap);
          const bias = mask ? mask.read(mask.at[row * keys + j]!) : 0;
          const hidden = (causal && j > position) || (left !== null && j < position - left) || (right !== null && j > position + right)
            || (mask != null && (mask.bool ? bias === 0 : bias === -Infinity));
          // A hidden key takes no part, whatever its score.
          scores[j] = hidden ? -Infinity : mask && !mask.bool ? s + bias : s;
          if (!hidden) seen++;
          largest = Math.max(largest, scores[j]!);
        }
        let sum = 0;
        for (let j = 0; j < keys; j++) sum += scores[j] = Math.exp(scores[j]! - largest);
        for (let c = 0; c < vDepth; c++) {
          let y = 0;
          for (let j = 0; j < keys; j++) y += (scores[j]! / sum) * v[(group * keys + j) * vDepth + c]!;
          write(row * vDepth + c, seen === 0 ? 0 : y);
        }
      }
      return [out];
    },
    decompose,
    cost: (call) => {
      const { exprs } = call;
      const [batch, heads, queries, depth] = call.tensor(0).shape as readonly [Expr, Expr, Expr, Expr];
      const [, , keys, vDepth] = call.tensor(2).shape as readonly [Expr, Expr, Expr, Expr];
      const perScore = exprs.add(exprs.mul(exprs.add(depth, vDepth), 2), 6);
      return { flops: exprs.product([batch, heads, queries, keys, perScore]) };
    },
    samples: (): readonly OperatorSample[] => {
      const qkv = (b: number, h: number, s: number, g: number, t: number, d: number, e: number, dtype = 'f32') =>
        [arg([b, h, s, d], dtype), arg([b, g, t, d], dtype), arg([b, g, t, e], dtype)] as const;
      return [
        sample(qkv(2, 3, 5, 3, 7, 4, 6)),
        sample(qkv(1, 4, 3, 2, 5, 4, 4), { scale: 0.3, softcap: 2 }),
        sample(qkv(1, 4, 5, 1, 5, 8, 3), { causal: true }),
        sample(qkv(2, 2, 1, 2, 9, 4, 4), { causal: true, offset: 8 }),
        sample(qkv(1, 2, 6, 2, 6, 4, 4), { causal: true, left_window: 2 }),
        sample(qkv(1, 2, 6, 2, 6, 4, 4), { left_window: 1, right_window: 2, offset: 1 }),
        sample(qkv(1, 2, 5, 2, 3, 4, 4), { causal: true, offset: -2 }),
        sample([...qkv(2, 2, 3, 2, 4, 4, 4), arg([2, 1, 3, 4], 'bool')]),
        sample([...qkv(2, 4, 3, 2, 4, 4, 4), arg([3, 4])], { causal: true }),
        sample([...qkv(1, 2, 2, 2, 3, 4, 4), given([-Infinity, -Infinity, -Infinity, 0, -Infinity, 1], 'f32', [2, 3])]),
        sample([...qkv(1, 2, 2, 2, 3, 4, 4), given([0, 0, 0, 1, 0, 1], 'bool', [2, 3])]),
        sample([...qkv(2, 2, 3, 2, 4, 4, 4), arg([4], 'bool')], { scale: 1 }),
        sample(qkv(1, 2, 3, 2, 0, 4, 4)),
        sample(qkv(1, 2, 0, 2, 3, 4, 4)),
        sample(qkv(1, 2, 3, 1, 5, 4, 4, 'f64'), {}, 1e-12),
      ];
    },
  },
};

export const operators: readonly Operator[] = [attention];
