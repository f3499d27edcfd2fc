import type { Expr, ExprLike, Value } from '@tenon/plugin';
import { type Conversion, type Converter, type ConverterTable, scalarConstant } from '../convert.ts';
import { dimsOf, iota, mergeHeads, rotate, splitHeads, typeOf } from './heads.ts';

// Attention operators of onnxruntime (domain com.microsoft), as its optimiser and exporters write them:
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

/** Elements start … start + size − 1 of the last axis. */
function columns(c: Conversion, x: Value, start: ExprLike, size: ExprLike): Value {
  return c.b.call('shape.slice', [x], { starts: [start], sizes: [size], axes: [dimsOf(x).length - 1] });
}

/** Refuses inputs that are given. */
function refuse(c: Conversion, inputs: readonly (readonly [index: number, name: string])[]): void {
  for (const [i, name] of inputs) if (c.optional(i)) c.unsupported('onnx/unsupported-input', `the input ${name} is not supported`);
}

/** A mask to add to the scores from one of ones and zeros (of any dtype): `mask_filter_value` where it is zero. */
function additiveMask(c: Conversion, mask: Value, dtype: string): Value {
  const zero = scalarConstant(c, 0, dtype);
  const open = typeOf(mask).dtype === 'bool' ? mask : c.b.call('math.not_equal', [mask, scalarConstant(c, 0, typeOf(mask).dtype)]);
  return c.b.call('math.where', [open, zero, scalarConstant(c, c.float('mask_filter_value', -10000), dtype)]);
}

/** A mask of keys by sample, [B, T], of queries and keys, [B, S, T], or the number of keys, [B]; broadcasts to [B, H, S, T]. */
function keyMask(c: Conversion, i: number, batch: Expr, keys: Expr, dtype: string): Value | null {
  const mask = c.optional(i);
  if (!mask) return null;
  const { shape, dtype: own } = typeOf(mask);
  const at = (value: Value, to: readonly ExprLike[]): Value => c.b.call('shape.reshape', [value], { shape: to });
  if (shape.length === 2) return additiveMask(c, at(mask, [shape[0]!, 1, 1, shape[1]!]), dtype);
  if (shape.length === 3) return additiveMask(c, at(mask, [shape[0]!, 1, shape[1]!, shape[2]!]), dtype);
  if (shape.length !== 1 || c.exprs.prove(c.exprs.eq(shape[0]!, batch)) !== 'yes') {
    c.unsupported('onnx/unsupported-input', `a mask of shape [${shape.map((d) => c.exprs.valueOf(d) ?? '?').join(', ')}] is not supported`);
  }
  const counts = at(own === 'i64' ? mask : c.b.call('math.cast', [mask], { to: 'i64' }), [batch, 1, 1, 1]);
  return additiveMask(c, c.b.call('math.less', [iota(c, [1, keys], 1), counts]), dtype);
}

const sum = (c: Conversion, a: Value | null, b: Value | null): Value | null => (a && b ? c.b.call('math.add', [a, b]) : (a ?? b));
const appended = (c: Conversion, past: Value | null, now: Value): Value => (past ? c.b.call('shape.concat', [past, now], { axis: 2 }) : now);
const scaleOf = (c: Conversion): number | null => (c.float('scale', 0) === 0 ? null : c.float('scale'));

/** One of the n tensors packed in x along an axis: [B, S, H, n, D] as [B, H, S, D]. */
function unpack(c: Conversion, x: Value, which: number): Value {
  const [batch, length, heads, , depth] = dimsOf(x) as readonly [Expr, Expr, Expr, Expr, Expr];
  const one = c.b.call('shape.slice', [x], { starts: [which], sizes: [1], axes: [3] });
  return c.b.call('shape.transpose', [c.b.call('shape.reshape', [one], { shape: [batch, length, heads, depth] })], { perm: [0, 2, 1, 3] });
}

const multiHeadAttention: Converter = (c) => {
  refuse(c, [[8, 'past_sequence_length'], [9, 'cache_indirection']]);
  const heads = c.int('num_heads');
  const bias = c.optional(3);
  const [past, pastValue] = [c.optional(6), c.optional(7)];
  const { shape, dtype } = c.tensor(0);
  // Where the next tensor's part begins in the bias of query, key and value.
  let taken: Expr = c.exprs.int(0);
  const biased = (x: Value): Value => {
    const hidden = dimsOf(x)[2]!;
    const start = taken;
    taken = c.exprs.add(taken, hidden);
    return bias ? c.b.call('math.add', [x, columns(c, bias, start, hidden)]) : x;
  };
  let q: Value;
  let k: Value;
  let v: Value;
  if (shape.length === 5) {
    if (bias) c.unsupported('onnx/unsupported-input', 'a bias of packed queries, keys and values is not supported');
    [q, k, v] = [unpack(c, c.input(0), 0), unpack(c, c.input(0), 1), unpack(c, c.input(0), 2)];
  } else {
    q = splitHeads(c, biased(c.input(0)), heads);
    const key = c.input(1);
    const keyRank = dimsOf(key).length;
    if (keyRank === 5) {
      if (bias) c.unsupported('onnx/unsupported-input', 'a bias of packed keys and values is not supported');
      [k, v] = [unpack(c, key, 0), unpack(c, key, 1)];
    } else if (keyRank === 4) {
      [k, v] = [key, c.input(2)];
    } else {
      k = splitHeads(c, biased(key), heads);
      v = splitHeads(c, biased(c.input(2)), heads);
    }
  }
  const previous = past ? dimsOf(past)[2]! : 0;
  k = appended(c, past, k);
  v = appended(c, pastValue, v);
  const mask = sum(c, keyMask(c, 4, dimsOf(q)[0]!, dimsOf(k)[2]!, dtype), c.optional(5));
  if (c.used(3)) c.unsupported('onnx/unsupported-output', 'the output qk is not supported');
  const y = c.b.call('nn.attention', [q, k, v, mask], { scale: scaleOf(c), causal: c.int('unidirectional', 0) === 1, offset: previous });
  return [mergeHeads(c, y), k, v];
};

/** Projections, attention and the heads' merge in one; past and present hold keys and values, [2, B, H, T, D]. */
const packedAttention: Converter = (c) => {
  refuse(c, [[6, 'past_sequence_length']]);
  if (c.int('do_rotary', 0) === 1) c.unsupported('onnx/unsupported-attribute', 'do_rotary is not supported');
  const heads = c.int('num_heads');
  const { dtype } = c.tensor(0);
  const width = c.tensor(1).shape[1]!;
  const third = c.exprs.floordiv(width, 3);
  const [qSize, kSize, vSize] = c.ints('qkv_hidden_sizes', [third, third, third]) as readonly [ExprLike, ExprLike, ExprLike];
  const product = c.b.call('nn.matmul', [c.input(0), c.input(1)]);
  const bias = c.optional(2);
  const projected = bias ? c.b.call('math.add', [product, bias]) : product;
  const part = (start: ExprLike, size: ExprLike): Value => splitHeads(c, columns(c, projected, start, size), heads);
  const q = part(0, qSize);
  const past = c.optional(4);
  const half = (which: number): Value | null => {
    if (!past) return null;
    const [, ...shape] = dimsOf(past);
    return c.b.call('shape.reshape', [c.b.call('shape.slice', [past], { starts: [which], sizes: [1], axes: [0] })], { shape });
  };
  const k = appended(c, half(0), part(qSize, kSize));
  const v = appended(c, half(1), part(c.exprs.add(qSize, kSize), vSize));
  const mask = sum(c, keyMask(c, 3, dimsOf(q)[0]!, dimsOf(k)[2]!, dtype), c.optional(5));
  const y = c.b.call('nn.attention', [q, k, v, mask], { scale: scaleOf(c), causal: c.int('unidirectional', 0) === 1, offset: past ? dimsOf(past)[3]! : 0 });
  if (!c.used(1)) return [mergeHeads(c, y)];
  const stacked = [k, v].map((x) => c.b.call('shape.reshape', [x], { shape: [1, ...dimsOf(x)] }));
  return [mergeHeads(c, y), c.b.call('shape.concat', stacked, { axis: 0 })];
};

/** Positions of the current tokens: given, or the last `S` of a sequence of `last + 1` tokens; i64 [B, S]. */
function positionsOf(c: Conversion, given: Value | null, last: Value, batch: Expr, length: Expr): Value {
  if (given) return given;
  const wide = typeOf(last).dtype === 'i64' ? last : c.b.call('math.cast', [last], { to: 'i64' });
  const start = c.b.call('math.sub', [c.b.call('shape.reshape', [wide], { shape: [batch, 1] }), c.b.dims([c.exprs.sub(length, 1)], [])]);
  // A sample that is shorter than the block starts before 0; its first positions are padding.
  return c.b.call('math.max', [c.b.call('math.add', [start, iota(c, [1, length], 1)]), scalarConstant(c, 0, 'i64')]);
}

/**
 * Causal attention of grouped heads with a cache that grows: the past holds exactly the tokens before the current ones.
 * `seqlens_k` (the number of tokens per sample less one) gives the positions of rotary embeddings.
 */
const groupQueryAttention: Converter = (c) => {
  refuse(c, [[11, 'head_sink'], [12, 'k_scale'], [13, 'v_scale']]);
  if (c.int('smooth_softmax', 0) > 0) c.unsupported('onnx/unsupported-attribute', 'smooth_softmax is not supported');
  const [heads, groups] = [c.int('num_heads'), c.int('kv_num_heads')];
  const [batch, length, hidden] = c.tensor(0).shape as readonly [Expr, Expr, Expr];
  const packed = c.optional(1) === null;
  const depth = c.exprs.floordiv(hidden, packed ? heads + 2 * groups : heads);
  const part = (from: number, count: number): Value => columns(c, c.input(0), c.exprs.mul(depth, from), c.exprs.mul(depth, count));
  let q = splitHeads(c, packed ? part(0, heads) : c.input(0), heads);
  let k = splitHeads(c, packed ? part(heads, groups) : c.input(1), groups);
  let v = splitHeads(c, packed ? part(heads + groups, groups) : c.input(2), groups);
  if (c.int('do_rotary', 0) === 1) {
    const positions = positionsOf(c, c.optional(9), c.input(5), batch, length);
    const [cos, sin] = [7, 8].map((i) => c.b.call('index.gather', [c.input(i), positions], { axis: 0 })) as [Value, Value];
    const attrs = { interleaved: c.int('rotary_interleaved', 0) === 1 };
    q = c.b.call('nn.rotary_embedding', [q, cos, sin], attrs);
    k = c.b.call('nn.rotary_embedding', [k, cos, sin], attrs);
  }
  const past = c.optional(3);
  k = appended(c, past, k);
  v = appended(c, c.optional(4), v);
  const window = c.int('local_window_size', -1);
  const y = c.b.call('nn.attention', [q, k, v, c.optional(10)], {
    scale: scaleOf(c), softcap: c.float('softcap', 0), causal: true, offset: past ? dimsOf(past)[2]! : 0, left_window: window > 0 ? window - 1 : null,
  });
  return [mergeHeads(c, y), k, v];
};

/** Positions are [B, S], or the position of the first token of all samples, [1]. */
const rotaryEmbedding: Converter = (c) => {
  if (c.int('is_packed_batching', 0) === 1) c.unsupported('onnx/unsupported-attribute', 'is_packed_batching is not supported');
  const { shape } = c.tensor(0);
  const length = shape[shape.length === 4 ? 2 : 1]!;
  let positions = c.input(1);
  if (dimsOf(positions).length === 1) positions = c.b.call('math.add', [positions, iota(c, [1, length], 1)]);
  const [cos, sin] = [2, 3].map((i) => c.b.call('index.gather', [c.input(i), positions], { axis: 0 })) as [Value, Value];
  return [rotate(c, cos, sin)];
};

export const converters: ConverterTable = {
  'com.microsoft::Attention': { since: 1, convert: packedAttention },
  'com.microsoft::MultiHeadAttention': { since: 1, convert: multiHeadAttention },
  'com.microsoft::GroupQueryAttention': { since: 1, convert: groupQueryAttention },
  'com.microsoft::RotaryEmbedding': { since: 1, convert: rotaryEmbedding },
};
