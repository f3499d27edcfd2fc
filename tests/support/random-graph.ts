import { diagnosticOf, type ExprLike, type FunctionBuilder, type IRModule, type TensorType, type Value } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { generator } from './generator.ts';
import { integer, pick } from './random.ts';

export interface RandomGraphOptions {
  /** Operator calls. */
  readonly calls: number;
  /** Whether shapes may have symbolic dims. */
  readonly symbolic: boolean;
  /** Only operators in which a small error stays small. */
  readonly continuous?: boolean;
}

type Step = (b: FunctionBuilder, pickValue: (dtype: string) => Value, random: () => number) => readonly Value[];

const unary = ['math.neg', 'math.abs', 'nn.relu', 'math.tanh', 'math.sigmoid', 'nn.softplus', 'math.sin', 'nn.gelu'];
const binary = ['math.add', 'math.sub', 'math.mul', 'math.min', 'math.max'];
const typeOf = (v: Value): TensorType => v.type as TensorType;
const rank = (v: Value): number => typeOf(v).shape.length;
const axisOf = (v: Value, random: () => number): number => integer(random, 0, Math.max(0, rank(v) - 1));
function shuffled(n: number, random: () => number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = integer(random, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Steps of a random graph. One whose shapes do not fit throws a diagnostic, and another is taken. */
const steps: readonly Step[] = [
  (b, value, random) => [b.call(pick(random, unary), [value('f32')])],
  (b, value, random) => [b.call(pick(random, unary), [value('f32')])],
  (b, value, random) => [b.call(pick(random, binary), [value('f32'), value('f32')])],
  (b, value, random) => [b.call(pick(random, binary), [value('f32'), value('f32')])],
  (b, value, random) => [b.call(pick(random, binary), [value('f32'), b.constant([random() * 2 - 1], 'f32', [])])],
  (b, value, random) => {
    const x = value('f32');
    return [b.call(pick(random, ['reduce.sum', 'reduce.max', 'reduce.mean']), [x], { axes: [axisOf(x, random)], keepdims: random() < 0.5 })];
  },
  (b, value, random) => {
    const x = value('f32');
    return [b.call('shape.transpose', [x], { perm: shuffled(rank(x), random) })];
  },
  (b, value) => {
    // Flattening: a view.
    const x = value('f32');
    return [b.call('shape.reshape', [x], { shape: [b.exprs.product(typeOf(x).shape)] })];
  },
  (b, value) => {
    const x = value('f32');
    return [b.call('shape.reshape', [x], { shape: [1, ...typeOf(x).shape] })];
  },
  (b, value, random) => {
    const x = value('f32');
    return [b.call('shape.concat', [x, value('f32'), ...(random() < 0.3 ? [x] : [])], { axis: axisOf(x, random) })];
  },
  (b, value, random) => {
    const x = value('f32');
    const axis = axisOf(x, random);
    const size = typeOf(x).shape[axis];
    if (size === undefined) return [];
    return [b.call('shape.slice', [x], { starts: [0], sizes: [b.exprs.floordiv(b.exprs.add(size, 1), 2)], axes: [axis], steps: [random() < 0.5 ? 1 : 2] })];
  },
  (b, value, random) => {
    const x = value('f32');
    return [b.call('shape.pad', [x], { pads: Array.from({ length: 2 * rank(x) }, () => integer(random, 0, 2)) })];
  },
  (b, value) => {
    const x = value('f32');
    if (rank(x) < 2) return [];
    return [b.call('nn.matmul', [x, b.call('shape.transpose', [x], { perm: [...Array.from({ length: rank(x) - 2 }, (_, i) => i), rank(x) - 1, rank(x) - 2] })])];
  },
  (b, value, random) => {
    const x = value('f32');
    return [b.call(pick(random, ['nn.softmax', 'nn.log_softmax', 'reduce.cumsum']), [x], { axis: axisOf(x, random) })];
  },
  (b, value) => [...b.op('nn.layer_norm', [value('f32')], { axis: -1 })].slice(0, 1),
  (b, value, random) => {
    const x = value('f32');
    return [b.call('index.gather', [x, b.constant([0, 0, 0], 'i64', [3])], { axis: axisOf(x, random) })];
  },
];

const jumps: readonly Step[] = [
  (b, value) => [...b.op('index.topk', [value('f32')], { k: 1, axis: -1 })].slice(0, 1),
  (b, value) => {
    const x = value('f32');
    return [b.call('math.where', [b.call('math.less', [x, value('f32')]), x, value('f32')])];
  },
  (b, value) => [b.call('math.cast', [b.call('math.cast', [value('f32')], { to: 'i32' })], { to: 'f32' })],
];

/** A module whose entry is a random graph of operators. The same seed gives the same graph. */
export function randomGraph(session: Session, seed: number, { calls, symbolic, continuous = false }: RandomGraphOptions): IRModule {
  const random = generator(seed);
  const allowed = continuous ? steps : [...steps, ...jumps];
  const module = session.module();
  const names = ['n', 'm'].map((name) => module.dim({ name, min: 1, max: 64 }));
  const dim = (): ExprLike => (symbolic && random() < 0.5 ? pick(random, names) : integer(random, 1, 5));
  const params = Array.from({ length: integer(random, 1, 3) }, (_, i) => ({
    name: `x${i}`, type: session.types.tensor('f32', Array.from({ length: integer(random, 1, 3) }, dim)),
  }));
  // Values of equal shape, so that binary operators find partners.
  params.push({ ...params[0]!, name: `x${params.length}` });
  const b = module.graph('main', params);
  const values: Value[] = [...b.params];
  const bound = (v: Value): number => {
    const most = session.exprs.bounds(session.exprs.product(typeOf(v).shape), new Map(names.map((d) => [d.value as string, { min: 1, max: 64 }]))).max;
    return most ?? Infinity;
  };
  const pickValue = (dtype: string): Value => {
    const fitting = values.filter((v) => typeOf(v).dtype === dtype);
    // Recent values are taken more often: chains become long.
    return random() < 0.5 ? fitting.at(-integer(random, 1, Math.min(3, fitting.length)))! : pick(random, fitting);
  };
  for (let made = 0, tries = 0; made < calls && tries < 20 * calls; tries++) {
    try {
      const results = pick(random, allowed)(b, pickValue, random);
      const usable = results.filter((v) => rank(v) <= 4 && bound(v) <= 2 ** 22);
      values.push(...usable);
      made += usable.length;
    } catch (error) {
      if (diagnosticOf(error) === null) throw error;
    }
  }
  const results = Array.from({ length: integer(random, 1, 4) }, () => (random() < 0.7 ? values.at(-integer(random, 1, Math.min(4, values.length)))! : pick(random, values)));
  b.finish(results, results.map((_, i) => `y${i}`));
  return module.finish();
}

/** Concrete values for the dims of random graphs. */
export const dimValues: readonly ReadonlyMap<string, number>[] = [[1, 1], [3, 2], [17, 5], [64, 64]].map(([n, m]) => new Map([['n', n!], ['m', m!]]));
