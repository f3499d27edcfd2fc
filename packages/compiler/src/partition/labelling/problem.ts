/**
 * The labelling problem, free of any IR: choose for every operator (node) a target (label) and a candidate that covers
 * it, so that one run takes the least estimated time.
 *
 *   time = Σ candidates' seconds                              compute
 *        + Σ values, Σ devices that hold some but not all of those who touch the value: one transfer
 *        + Σ regions: the launch of its target                a region is one label at one stage, see `cutRegions`
 *
 * A value that leaves its device pays that device's transfer once, and the transfer of every device that it enters
 * once, however many operators use it there. The host's memory is the hub.
 */
export interface Problem {
  /** Operators, numbered in program order: producers before users. */
  readonly nodes: number;
  /** The last is the host. */
  readonly targets: readonly TargetModel[];
  readonly values: readonly ProblemValue[];
  readonly constants: readonly ProblemConstant[];
  readonly candidates: readonly Candidate[];
}

export interface TargetModel {
  /** Seconds to start a region. */
  readonly launch: number;
  /** To and from the host's memory; null where it is shared. */
  readonly transfer: { readonly latency: number; readonly bandwidth: number } | null;
  /** Bytes that values and constants may take; null: no limit. */
  readonly memory: number | null;
}

/** A value between operators. Constants are not among them: they move once, when the model is loaded. */
export interface ProblemValue {
  /** −1: a parameter of the model. */
  readonly producer: number;
  /** Distinct, ascending. */
  readonly users: readonly number[];
  /** It is a result of the model. */
  readonly returned: boolean;
  readonly bytes: number;
}
export interface ProblemConstant {
  readonly users: readonly number[];
  readonly bytes: number;
}

/** A way to run some operators on a target as a unit. */
export interface Candidate {
  readonly target: number;
  /** Ascending; the last is the root of the match. */
  readonly nodes: readonly number[];
  readonly seconds: number;
}

/** The problem laid out for fast evaluation, with what follows from it. */
export interface Layout {
  readonly problem: Problem;
  readonly nodes: number;
  readonly targets: number;
  readonly host: number;
  /** Producers of the values that a node uses: `inputs[inputStart[i] … inputStart[i + 1]]`. */
  readonly inputStart: Int32Array;
  readonly inputs: Int32Array;
  /** Nodes that touch a value, its producer first. */
  readonly pinStart: Int32Array;
  readonly pins: Int32Array;
  /** Whether the world outside touches a value: it is then in its memory too, which no target has but those that share it. */
  readonly outside: Uint8Array;
  /** Seconds to move value v to or from target t: `transfer[v * targets + t]`; 0 where memory is shared. */
  readonly transfer: Float64Array;
  /** Values that a node touches. */
  readonly valueStart: Int32Array;
  readonly valuesOf: Int32Array;
  /** The cheapest candidate for node i alone on target t, or −1: `single[i * targets + t]`. */
  readonly single: Int32Array;
  readonly candidateTarget: Int32Array;
  readonly candidateSeconds: Float64Array;
  /** The root of a candidate of several nodes; −1 for a single node. */
  readonly candidateRoot: Int32Array;
  /** Candidates of several nodes whose inner values are used outside: only these can make a cycle. */
  readonly leaks: Uint8Array;
  /** Stands for the seconds of a candidate that is missing: more than all candidates together. */
  readonly absent: number;
  /** Candidates of several nodes, in groups of one target that overlap. */
  readonly clusters: readonly Cluster[];
}

/** Candidates of one target that share nodes with each other, directly or through others; the best first. */
export interface Cluster {
  readonly target: number;
  readonly candidates: readonly number[];
  readonly disjoint: boolean;
}

export function layOut(problem: Problem): Layout {
  const { nodes: n, values, candidates } = problem;
  const k = problem.targets.length;
  const outside = new Uint8Array(values.length);
  const transfer = new Float64Array(values.length * k);
  const pinLists: number[][] = [];
  const touched: number[][] = Array.from({ length: n }, () => []);
  const producers: Set<number>[] = Array.from({ length: n }, () => new Set());
  values.forEach((value, v) => {
    if (value.producer < 0 || value.returned) outside[v] = 1;
    problem.targets.forEach(({ transfer: model }, t) => {
      if (model !== null) transfer[v * k + t] = model.latency + value.bytes / model.bandwidth;
    });
    const pins = value.producer < 0 ? [...value.users] : [value.producer, ...value.users];
    pinLists.push(pins);
    for (const pin of pins) touched[pin]!.push(v);
    if (value.producer >= 0) for (const user of value.users) producers[user]!.add(value.producer);
  });
  const single = new Int32Array(n * k).fill(-1);
  const leaks = new Uint8Array(candidates.length);
  const returnedFrom = new Uint8Array(n);
  for (const value of values) if (value.returned && value.producer >= 0) returnedFrom[value.producer] = 1;
  candidates.forEach((candidate, c) => {
    if (candidate.nodes.length === 1) {
      const at = candidate.nodes[0]! * k + candidate.target;
      if (single[at]! < 0 || candidate.seconds < candidates[single[at]!]!.seconds) single[at] = c;
      return;
    }
    const members = new Set(candidate.nodes);
    const inner = candidate.nodes.slice(0, -1);
    const used = (i: number): boolean => touched[i]!.some((v) => values[v]!.producer === i && values[v]!.users.some((u) => !members.has(u)));
    if (inner.some((i) => returnedFrom[i] === 1 || used(i))) leaks[c] = 1;
  });
  const [inputStart, inputs] = compress(producers.map((set) => [...set]));
  const [pinStart, pins] = compress(pinLists);
  const [valueStart, valuesOf] = compress(touched);
  const layout = {
    problem, nodes: n, targets: k, host: k - 1, inputStart, inputs, pinStart, pins, outside, transfer, valueStart, valuesOf, single,
    candidateTarget: Int32Array.from(candidates, (c) => c.target), candidateSeconds: Float64Array.from(candidates, (c) => c.seconds), leaks,
    candidateRoot: Int32Array.from(candidates, (c) => (c.nodes.length > 1 ? c.nodes.at(-1)! : -1)),
    absent: 4 * candidates.reduce((sum, c) => sum + c.seconds, 0) + 1e-6,
  };
  return { ...layout, clusters: clustersOf(layout) };
}

/** What a candidate of several nodes saves against its nodes one by one; more than `absent / 2` where one of them has no candidate alone. */
export function savingOf(layout: Omit<Layout, 'clusters'>, candidate: number): number {
  const { nodes, target, seconds } = layout.problem.candidates[candidate]!;
  let alone = 0;
  for (const i of nodes) {
    const c = layout.single[i * layout.targets + target]!;
    alone += c < 0 ? layout.absent : layout.candidateSeconds[c]!;
  }
  return alone - seconds;
}

function clustersOf(layout: Omit<Layout, 'clusters'>): Cluster[] {
  const { candidates } = layout.problem;
  const groups = new Map<string, number[]>();
  const parent = new Map<string, string>();
  const root = (key: string): string => {
    let at = key;
    for (let up = parent.get(at); up !== undefined && up !== at; up = parent.get(at)) {
      const above = parent.get(up) ?? up;
      parent.set(at, above);
      at = up;
    }
    return at;
  };
  const wanted: number[] = [];
  candidates.forEach((candidate, c) => {
    if (candidate.nodes.length < 2 || savingOf(layout, c) < 0) return;
    wanted.push(c);
    const [first, ...rest] = candidate.nodes.map((i) => `${candidate.target} ${i}`);
    if (!parent.has(first!)) parent.set(first!, first!);
    for (const key of rest) parent.set(root(key), root(first!));
  });
  for (const c of wanted) {
    const key = root(`${candidates[c]!.target} ${candidates[c]!.nodes[0]!}`);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [c]);
    else group.push(c);
  }
  return [...groups.values()].map((group) => {
    const seen = new Set<number>();
    let disjoint = true;
    for (const c of group) {
      for (const i of candidates[c]!.nodes) {
        if (seen.has(i)) disjoint = false;
        seen.add(i);
      }
    }
    const size = (c: number): number => candidates[c]!.nodes.length;
    return {
      target: candidates[group[0]!]!.target, disjoint,
      candidates: group.sort((a, b) => savingOf(layout, b) - savingOf(layout, a) || size(b) - size(a) || a - b),
    };
  });
}

/** Lists in one array, with the places at which they start. */
function compress(lists: readonly (readonly number[])[]): [start: Int32Array, items: Int32Array] {
  const start = new Int32Array(lists.length + 1);
  lists.forEach((list, i) => (start[i + 1] = start[i]! + list.length));
  const items = new Int32Array(start[lists.length]!);
  lists.forEach((list, i) => items.set(list, start[i]!));
  return [start, items];
}
