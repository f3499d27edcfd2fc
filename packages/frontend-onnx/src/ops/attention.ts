import type { Expr, ExprLike, Value } from '@tenon/plugin';
import { type Conversion, type Converter, type ConverterTable, scalarConstant } from '../convert.ts';
import { dimsOf, hideIn, iota, mergeHeads, rotate, splitHeads, typeOf } from './heads.ts';

/** What a query sees by position; the attributes of `nn.attention`. */
interface Positions {
  readonly causal: boolean;
  readonly offset: ExprLike;
  readonly left_window: number | null;
  readonly right_window: number | null;
}

/**
 * A bool tensor of the keys within the window round each query's position `i + offset`, for offsets [B, 1, 1, 1] or [];
 * null where there is no window.
 */
function withinWindow(c: Conversion, positions: Positions, offset: Value, queries: ExprLike, keys: ExprLike): Value | null {
  const last = positions.causal ? 0 : positions.right_window;
  const left = positions.left_window;
  if (last === null && left === null) return null;
  const at = c.b.call('math.add', [iota(c, [queries, 1], 0), offset]);
  const distance = c.b.call('math.sub', [iota(c, [1, keys], 1), at]);
  const bounds: Value[] = [];
  if (last !== null) bounds.push(c.b.call('math.less_equal', [distance, scalarConstant(c, last, 'i64')]));
  if (left !== null) bounds.push(c.b.call('math.greater_equal', [distance, scalarConstant(c, -left, 'i64')]));
  return bounds.reduce((a, b) => c.b.call('math.and', [a, b]));
}

/** Since opset 24 a mask may cover the first keys only; the rest is hidden. */
function padMask(c: Conversion, mask: Value, keys: Expr): Value {
  const { shape, dtype } = typeOf(mask);
  const own = shape.at(-1);
  if (own === undefined || c.exprs.prove(c.exprs.eq(own, keys)) === 'yes' || (c.opset < 24 && c.exprs.valueOf(own) === 1)) return mask;
  const pads: ExprLike[] = [...shape.map(() => 0), ...shape.map((_, k) => (k === shape.length - 1 ? c.exprs.sub(keys, own) : 0))];
  return c.b.call('shape.pad', [mask, dtype === 'bool' ? scalarConstant(c, 0, 'bool') : scalarConstant(c, -Infinity, dtype)], { pads, mode: 'constant' });
}

interface Scoring extends Positions {
  readonly scale: number | null;
  readonly softcap: number;
}

/**
 * Attention in its steps, for models that want the scores as an output. `mode`: scaled products, after the soft cap, with
 * the mask, after the softmax.
 */
function attentionWithScores(c: Conversion, q: Value, k: Value, v: Value, mask: Value | null, scoring: Scoring, mode: number): { readonly y: Value; readonly scores: Value } {
  const { b, exprs: e } = c;
  const [batch, heads, queries, depth] = dimsOf(q) as readonly [Expr, Expr, Expr, Expr];
  const [, groups, keys] = dimsOf(k) as readonly [Expr, Expr, Expr, Expr];
  const { dtype } = typeOf(q);
  const rows = e.mul(e.floordiv(heads, groups), queries);
  const reshape = (x: Value, shape: readonly ExprLike[]): Value => b.call('shape.reshape', [x], { shape });
  const size = e.valueOf(depth);
  if (scoring.scale === null && size === null) c.unsupported('onnx/dynamic-size', 'the head size must be constant where no scale is given');
  const scale = scoring.scale ?? 1 / Math.sqrt(size!);
  const scaled = reshape(b.call('math.mul', [q, scalarConstant(c, scale, dtype)]), [batch, groups, rows, depth]);
  const products = reshape(b.call('nn.matmul', [scaled, b.call('shape.transpose', [k], { perm: [0, 1, 3, 2] })]), [batch, heads, queries, keys]);
  const cap = scalarConstant(c, scoring.softcap, dtype);
  const capped = scoring.softcap > 0 ? b.call('math.mul', [b.call('math.tanh', [b.call('math.div', [products, cap])]), cap]) : products;
  const hidden = scalarConstant(c, -Infinity, dtype);
  const window = withinWindow(c, scoring, b.dims([scoring.offset], []), queries, keys);
  const visibility = window ? hideIn(c, mask, window) : mask;
  let masked = capped;
  let seen: Value | null = visibility;
  if (visibility && typeOf(visibility).dtype === 'bool') masked = b.call('math.where', [visibility, capped, hidden]);
  else if (visibility) {
    masked = b.call('math.add', [capped, visibility]);
    seen = b.call('math.not_equal', [visibility, hidden]);
  }
  let weights = b.call('nn.softmax', [masked], { axis: -1 });
  // A query that sees no key gives 0.
  if (seen) weights = b.call('math.where', [b.call('reduce.any', [seen], { axes: [-1], keepdims: true }), weights, scalarConstant(c, 0, dtype)]);
  const y = reshape(b.call('nn.matmul', [reshape(weights, [batch, groups, rows, keys]), v]), [batch, heads, queries, dimsOf(v)[3]!]);
  return { y, scores: [products, capped, masked, weights][mode] ?? products };
}

const attention: Converter = (c) => {
  const rank = c.tensor(0).shape.length;
  if (rank !== 3 && rank !== 4) c.unsupported('onnx/unsupported-rank', `Q must have rank 3 or 4, not ${rank}`);
  const heads = (x: Value, count: string): Value => (rank === 3 ? splitHeads(c, x, c.int(count)) : x);
  const q = heads(c.input(0), 'q_num_heads');
  let k = heads(c.input(1), 'kv_num_heads');
  let v = heads(c.input(2), 'kv_num_heads');
  const [pastKey, pastValue, filled] = [c.optional(4), c.optional(5), c.optional(6)];
  if ((pastKey === null) !== (pastValue === null)) c.unsupported('onnx/missing-input', 'past_key and past_value come together');
  if (pastKey && pastValue) {
    k = c.b.call('shape.concat', [pastKey, k], { axis: 2 });
    v = c.b.call('shape.concat', [pastValue, v], { axis: 2 });
  }
  const [batch, , queries] = dimsOf(q) as readonly [Expr, Expr, Expr, Expr];
  const keys = dimsOf(k)[2]!;
  const window = (name: string): number | null => {
    const size = c.int(name, -1);
    return size < 0 ? null : size;
  };
  let positions: Positions = {
    causal: c.int('is_causal', 0) === 1, offset: pastKey ? dimsOf(pastKey)[2]! : 0, left_window: window('left_window_size'), right_window: window('right_window_size'),
  };
  let mask = c.optional(3) && padMask(c, c.input(3), keys);
  if (filled) {
    // How many keys are filled is data, per sample: that and the positions that follow from it become part of the mask.
    const counts = c.b.call('shape.reshape', [c.b.call('math.cast', [filled], { to: 'i64' })], { shape: [batch, 1, 1, 1] });
    mask = hideIn(c, mask, c.b.call('math.less', [iota(c, [1, keys], 1), counts]));
    const visible = withinWindow(c, positions, c.b.call('math.sub', [counts, c.b.dims([queries], [])]), queries, keys);
    if (visible) mask = hideIn(c, mask, visible);
    positions = { causal: false, offset: 0, left_window: null, right_window: null };
  }
  const scoring: Scoring = { ...positions, scale: c.has('scale') ? c.float('scale') : null, softcap: c.float('softcap', 0) };
  const merged = (y: Value): Value => (rank === 3 ? mergeHeads(c, y) : y);
  if (c.used(3)) {
    const { y, scores } = attentionWithScores(c, q, k, v, mask, scoring, c.int('qk_matmul_output_mode', 0));
    return [merged(y), k, v, scores];
  }
  return [merged(c.b.call('nn.attention', [q, k, v, mask], { ...scoring })), k, v];
};

const rotaryEmbedding: Converter = (c) => {
  const positions = c.optional(3);
  const table = (i: number): Value => (positions ? c.b.call('index.gather', [c.input(i), positions], { axis: 0 }) : c.input(i));
  return [rotate(c, table(1), table(2))];
};

export const converters: ConverterTable = {
  Attention: { since: 23, convert: attention },
  RotaryEmbedding: { since: 23, convert: rotaryEmbedding },
};
