import type { Evaluator } from './evaluate.ts';
import type { Layout } from './problem.ts';

/** Up to this many nodes, neighbours move in pairs too. */
const pairLimit = 400;
/** Up to this many, to two different targets as well. */
const mixedPairLimit = 64;

/**
 * Local search on the full cost, launches and memory limits included: relabels whole regions, their connected parts,
 * their ends, candidates, and neighbours in pairs, as long as that pays. `labels` changes in place. Stops when the
 * evaluator has done `budget` more work, so that the time is bounded and the result the same on every machine.
 */
export function refine(evaluator: Evaluator, labels: Int32Array, budget: number): number {
  const search = new LocalSearch(evaluator, labels, evaluator.work + budget);
  for (const moves of [regionMoves, partMoves, endMoves, candidateMoves, widenedMoves, pairMoves]) search.add(moves);
  return search.run();
}

/** A set of nodes and the label that they should take; `last`: that of the last of them, where it differs. */
interface Move {
  readonly nodes: readonly number[];
  readonly target: number;
  readonly last?: number;
}
type Neighbourhood = (layout: Layout, labels: Int32Array, stages: Int32Array) => Iterable<Move>;

class LocalSearch {
  readonly #evaluator: Evaluator;
  readonly #labels: Int32Array;
  readonly #until: number;
  readonly #neighbourhoods: Neighbourhood[] = [];
  #seconds: number;

  constructor(evaluator: Evaluator, labels: Int32Array, until: number) {
    this.#evaluator = evaluator;
    this.#labels = labels;
    this.#until = until;
    this.#seconds = evaluator.evaluate(labels);
  }

  add(neighbourhood: Neighbourhood): void {
    this.#neighbourhoods.push(neighbourhood);
  }

  /** Larger neighbourhoods are searched once the smaller ones have nothing left. */
  run(): number {
    let idle = 0;
    for (let at = 0; idle < this.#neighbourhoods.length; at = (at + 1) % this.#neighbourhoods.length) {
      idle = this.#improve(this.#neighbourhoods[at]!) ? 0 : idle + 1;
      if (this.#evaluator.work > this.#until) break;
    }
    return this.#seconds;
  }

  #improve(neighbourhood: Neighbourhood): boolean {
    const labels = this.#labels;
    const { layout } = this.#evaluator;
    this.#evaluator.evaluate(labels);
    const stages = this.#evaluator.stages.slice();
    let improved = false;
    for (const { nodes, target, last = target } of neighbourhood(layout, labels, stages)) {
      const before = nodes.map((i) => labels[i]!);
      for (const i of nodes) labels[i] = target;
      labels[nodes.at(-1)!] = last;
      if (nodes.every((i, j) => labels[i] === before[j])) continue;
      const seconds = this.#evaluator.evaluate(labels);
      if (seconds < this.#seconds * (1 - 1e-9)) {
        this.#seconds = seconds;
        improved = true;
      } else nodes.forEach((i, j) => (labels[i] = before[j]!));
      if (this.#evaluator.work > this.#until) break;
    }
    return improved;
  }
}

const canRun = ({ single, targets: k }: Layout, node: number, target: number): boolean => single[node * k + target]! >= 0;

/** Nodes by region: one label at one stage. */
function regionsOf(layout: Layout, labels: Int32Array, stages: Int32Array): number[][] {
  const regions = new Map<number, number[]>();
  for (let i = 0; i < layout.nodes; i++) {
    const key = stages[i]! * layout.targets + labels[i]!;
    const region = regions.get(key);
    if (region === undefined) regions.set(key, [i]);
    else region.push(i);
  }
  return [...regions.values()];
}

function* toEveryTarget(layout: Layout, labels: Int32Array, nodes: readonly number[]): Generator<Move> {
  for (let target = 0; target < layout.targets; target++) {
    const able = nodes.filter((i) => labels[i] !== target && canRun(layout, i, target));
    if (able.length > 0) yield { nodes: able, target };
  }
}

function* regionMoves(layout: Layout, labels: Int32Array, stages: Int32Array): Generator<Move> {
  for (const region of regionsOf(layout, labels, stages)) yield* toEveryTarget(layout, labels, region);
}

/** Connected parts of regions, the small ones first: they gain least where they are. */
function* partMoves(layout: Layout, labels: Int32Array, stages: Int32Array): Generator<Move> {
  const { inputStart, inputs, nodes: n } = layout;
  const parent = Int32Array.from({ length: n }, (_, i) => i);
  const find = (i: number): number => {
    let at = i;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!;
      at = parent[at]!;
    }
    return at;
  };
  for (let i = 0; i < n; i++) {
    for (let e = inputStart[i]!; e < inputStart[i + 1]!; e++) {
      const from = inputs[e]!;
      if (labels[from] === labels[i] && stages[from] === stages[i]) parent[find(i)] = find(from);
    }
  }
  const parts = new Map<number, number[]>();
  for (let i = 0; i < n; i++) {
    const at = find(i);
    const part = parts.get(at);
    if (part === undefined) parts.set(at, [i]);
    else part.push(i);
  }
  for (const part of [...parts.values()].sort((a, b) => a.length - b.length || a[0]! - b[0]!)) yield* toEveryTarget(layout, labels, part);
}

/** First and last halves, quarters … of regions: where a region reaches too far. */
function* endMoves(layout: Layout, labels: Int32Array, stages: Int32Array): Generator<Move> {
  for (const region of regionsOf(layout, labels, stages)) {
    for (let length = region.length >> 1; length >= 1; length >>= 1) {
      yield* toEveryTarget(layout, labels, region.slice(0, length));
      yield* toEveryTarget(layout, labels, region.slice(region.length - length));
    }
  }
}

/** What one candidate covers. Of single nodes in large problems those that have a neighbour of that label. */
function* candidateMoves(layout: Layout, labels: Int32Array): Generator<Move> {
  const { problem, single, targets: k, pinStart, pins, valueStart, valuesOf } = layout;
  const large = layout.nodes > pairLimit;
  const borders = (node: number, target: number): boolean => {
    for (let e = valueStart[node]!; e < valueStart[node + 1]!; e++) {
      const v = valuesOf[e]!;
      for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) if (labels[pins[p]!] === target) return true;
    }
    return false;
  };
  for (let c = 0; c < problem.candidates.length; c++) {
    const { nodes, target } = problem.candidates[c]!;
    const [only] = nodes;
    if (nodes.length === 1 && (single[only! * k + target] !== c || labels[only!] === target || (large && !borders(only!, target)))) continue;
    yield { nodes, target };
  }
}

/** What a candidate of several nodes covers, together with one neighbour more. */
function* widenedMoves(layout: Layout): Generator<Move> {
  const { problem, pinStart, pins, valueStart, valuesOf, nodes: n } = layout;
  if (n > pairLimit) return;
  for (const { nodes, target } of problem.candidates) {
    if (nodes.length === 1) continue;
    const around = new Set<number>();
    for (const i of nodes) {
      for (let e = valueStart[i]!; e < valueStart[i + 1]!; e++) {
        const v = valuesOf[e]!;
        for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) around.add(pins[p]!);
      }
    }
    for (const i of around) if (!nodes.includes(i) && canRun(layout, i, target)) yield { nodes: [...nodes, i], target };
  }
}

/** A node together with one that uses its value, or that uses a value which it uses. */
function* pairMoves(layout: Layout, labels: Int32Array): Generator<Move> {
  if (layout.nodes > pairLimit) return;
  const { pinStart, pins, problem } = layout;
  const done = new Set<number>();
  for (let v = 0; v < problem.values.length; v++) {
    const set = pins.subarray(pinStart[v]!, Math.min(pinStart[v + 1]!, pinStart[v]! + 8));
    for (let a = 0; a < set.length; a++) {
      for (let b = a + 1; b < set.length; b++) {
        const key = Math.min(set[a]!, set[b]!) * layout.nodes + Math.max(set[a]!, set[b]!);
        if (done.has(key)) continue;
        done.add(key);
        const pair = [set[a]!, set[b]!];
        yield* toEveryTarget(layout, labels, pair);
        if (layout.nodes > mixedPairLimit) continue;
        for (let target = 0; target < layout.targets; target++) {
          for (let last = 0; last < layout.targets; last++) {
            if (target !== last && canRun(layout, pair[0]!, target) && canRun(layout, pair[1]!, last)) yield { nodes: pair, target, last };
          }
        }
      }
    }
  }
}
