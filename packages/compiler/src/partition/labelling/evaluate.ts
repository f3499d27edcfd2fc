import { savingOf, type Layout } from './problem.ts';

/** A complete answer: the candidate that covers each node, and what it takes. */
export interface Plan {
  readonly units: Int32Array;
  readonly labels: Int32Array;
  /** Infinity where units wait for each other. */
  readonly seconds: number;
  readonly compute: number;
  readonly transfers: { readonly count: number; readonly bytes: number; readonly seconds: number };
  /** Regions by target. */
  readonly regions: readonly number[];
  /** Bytes beyond the memory of targets. */
  readonly overflow: number;
}

/** A byte beyond a memory limit weighs more than any model takes: plans that fit always win. */
const overflowSeconds = 1e6;
/** Overlapping candidates up to this number are chosen exactly. */
const exactLimit = 12;

/** Evaluates labellings. One object serves many evaluations of one problem; its arrays are reused. */
export class Evaluator {
  readonly layout: Layout;
  /** How many nodes were visited: the measure of work done, the same on every machine. */
  work = 0;
  /** After `evaluate` or `secondsOf`: the stage of each node. */
  readonly stages: Int32Array;
  readonly #units: Int32Array;
  readonly #labels: Int32Array;
  readonly #roots: Int32Array;
  readonly #seen: Int32Array;
  readonly #waiting: Int32Array;
  readonly #next: Int32Array;
  readonly #done: Int32Array;
  readonly #savings: Float64Array;
  #stamp = 0;
  readonly #limited: boolean;

  constructor(layout: Layout) {
    this.layout = layout;
    const { nodes: n, targets: k, problem } = layout;
    this.#units = new Int32Array(n);
    this.#labels = new Int32Array(n);
    this.#roots = new Int32Array(n);
    this.stages = new Int32Array(n);
    this.#waiting = new Int32Array(n);
    this.#next = new Int32Array(n);
    this.#done = new Int32Array(n);
    this.#seen = new Int32Array((n + 1) * k);
    this.#savings = Float64Array.from(problem.candidates, (c, i) => (c.nodes.length > 1 ? savingOf(layout, i) : 0));
    const all = [...problem.values, ...problem.constants].reduce((sum, v) => sum + v.bytes, 0);
    this.#limited = problem.targets.some((t) => t.memory !== null && t.memory < all);
  }

  /** Seconds of the best covering of a labelling; Infinity where it has none. */
  evaluate(labels: ArrayLike<number>): number {
    return this.cover(labels, this.#units) ? this.secondsOf(this.#units) : Infinity;
  }

  /** The plan of a labelling, or null where it has none. */
  plan(labels: ArrayLike<number>): Plan | null {
    const units = new Int32Array(this.layout.nodes);
    return this.cover(labels, units) ? this.planOf(units) : null;
  }

  /** Covers every node with a candidate of its label: as many of the larger ones as pay, the rest alone. */
  cover(labels: ArrayLike<number>, units: Int32Array): boolean {
    const { nodes: n, targets: k, single, clusters, problem } = this.layout;
    for (let i = 0; i < n; i++) units[i] = single[i * k + labels[i]!]!;
    for (const { target, candidates, disjoint } of clusters) {
      const open = candidates.filter((c) => problem.candidates[c]!.nodes.every((i) => labels[i] === target));
      if (open.length === 0) continue;
      const chosen = disjoint || open.length === 1 ? open : this.#choose(open);
      for (const c of chosen) for (const i of problem.candidates[c]!.nodes) units[i] = c;
    }
    for (let i = 0; i < n; i++) if (units[i]! < 0) return false;
    return !clusters.length || this.#breakCycles(units);
  }

  /** Candidates without a common node, with the greatest saving in sum; for many, the best one after the other. */
  #choose(open: readonly number[]): readonly number[] {
    const { candidates } = this.layout.problem;
    const taken = new Set<number>();
    const free = (c: number): boolean => candidates[c]!.nodes.every((i) => !taken.has(i));
    if (open.length > exactLimit) {
      return open.filter((c) => {
        if (!free(c)) return false;
        candidates[c]!.nodes.forEach((i) => taken.add(i));
        return true;
      });
    }
    const rest = new Float64Array(open.length + 1);
    for (let j = open.length - 1; j >= 0; j--) rest[j] = rest[j + 1]! + this.#savings[open[j]!]!;
    let best: readonly number[] = [];
    let bestSaving = -1;
    const chosen: number[] = [];
    const search = (j: number, saving: number): void => {
      if (saving > bestSaving) {
        best = [...chosen];
        bestSaving = saving;
      }
      if (j === open.length || saving + rest[j]! <= bestSaving) return;
      const c = open[j]!;
      if (free(c)) {
        candidates[c]!.nodes.forEach((i) => taken.add(i));
        chosen.push(c);
        search(j + 1, saving + this.#savings[c]!);
        chosen.pop();
        candidates[c]!.nodes.forEach((i) => taken.delete(i));
      }
      search(j + 1, saving);
    };
    search(0, 0);
    return best;
  }

  /** Takes apart candidates that stand in a cycle with others, the least useful first. False where that is not possible. */
  #breakCycles(units: Int32Array): boolean {
    const { absent, leaks, problem, single, targets: k } = this.layout;
    let leaking = [...new Set(units)].filter((c) => leaks[c] === 1);
    while (leaking.length > 0) {
      const stuck = this.#cyclic(units);
      if (stuck === null) return true;
      const loose = leaking.filter((c) => stuck.has(c) && this.#savings[c]! < absent / 2).sort((a, b) => this.#savings[a]! - this.#savings[b]! || b - a);
      const [least] = loose;
      if (least === undefined) return false;
      const { nodes, target } = problem.candidates[least]!;
      for (const i of nodes) units[i] = single[i * k + target]!;
      leaking = leaking.filter((c) => c !== least);
    }
    return true;
  }

  /** Candidates that a cycle keeps from being ordered, or null where there is none. */
  #cyclic(units: Int32Array): Set<number> | null {
    this.#readUnits(units);
    if (this.#stageInOrder()) return null;
    return new Set(units.filter((_, i) => this.#waiting[this.#roots[i]!]! > 0));
  }

  /** Seconds of a covering, memory overflow included. */
  secondsOf(units: ArrayLike<number>): number {
    return this.#measure(units).seconds;
  }

  /** A covering with all figures. */
  planOf(units: Int32Array): Plan {
    const { compute, launch, moved, overflow } = this.#measure(units);
    const { targets: k, problem, candidateTarget } = this.layout;
    const regions = Array.from({ length: k }, () => 0);
    for (let at = 0; at < this.#seen.length; at++) if (this.#seen[at] === this.#stamp) regions[at % k]!++;
    let count = 0;
    let bytes = 0;
    problem.values.forEach((value, v) => {
      const mask = this.#maskOf(v);
      if ((mask & (mask - 1)) === 0) return;
      for (let t = 0; t < k; t++) {
        if ((mask & (1 << t)) === 0 || problem.targets[t]!.transfer === null) continue;
        count++;
        bytes += value.bytes;
      }
    });
    return { units: units.slice(), labels: Int32Array.from(units, (c) => candidateTarget[c]!), seconds: compute + launch + moved, compute, transfers: { count, bytes, seconds: moved }, regions, overflow };
  }

  /** Seconds of transfers of the values that some nodes touch, under the labels given. */
  transfersOf(nodes: readonly number[], labels: ArrayLike<number>): number {
    const { targets: k, valueStart, valuesOf, transfer } = this.layout;
    this.#labels.set(labels);
    let seconds = 0;
    for (const v of new Set(nodes.flatMap((i) => [...valuesOf.subarray(valueStart[i], valueStart[i + 1])]))) {
      const mask = this.#maskOf(v);
      if ((mask & (mask - 1)) === 0) continue;
      for (let t = 0; t < k; t++) if ((mask & (1 << t)) !== 0) seconds += transfer[v * k + t]!;
    }
    return seconds;
  }

  /** The labels that touch a value, as bits; the world outside has one of its own. */
  #maskOf(v: number): number {
    const { pinStart, pins, outside, targets: k } = this.layout;
    let mask = outside[v] === 1 ? 1 << k : 0;
    for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) mask |= 1 << this.#labels[pins[p]!]!;
    return mask;
  }

  #measure(units: ArrayLike<number>): { seconds: number; compute: number; launch: number; moved: number; overflow: number } {
    const { nodes: n, targets: k, inputStart, inputs, problem, transfer } = this.layout;
    this.work += n;
    const labels = this.#labels;
    const roots = this.#roots;
    const { stages } = this;
    const seen = this.#seen;
    const stamp = ++this.#stamp;
    const { compute, leaking } = this.#readUnits(units);
    if (leaking) {
      if (!this.#stageInOrder()) return { seconds: Infinity, compute, launch: Infinity, moved: 0, overflow: 0 };
    } else {
      // Users outside use the value of a match's root, which comes last: one walk is enough.
      for (let i = 0; i < n; i++) {
        const root = roots[i]!;
        const label = labels[i]!;
        let stage = stages[root]!;
        for (let e = inputStart[i]!; e < inputStart[i + 1]!; e++) {
          const from = roots[inputs[e]!]!;
          if (from === root) continue;
          const after = labels[from] === label ? stages[from]! : stages[from]! + 1;
          if (after > stage) stage = after;
        }
        stages[root] = stage;
      }
    }
    let launch = 0;
    for (let i = 0; i < n; i++) {
      const at = stages[roots[i]!]! * k + labels[i]!;
      if (seen[at] === stamp) continue;
      seen[at] = stamp;
      launch += problem.targets[labels[i]!]!.launch;
    }
    let moved = 0;
    for (let v = 0; v < problem.values.length; v++) {
      const mask = this.#maskOf(v);
      if ((mask & (mask - 1)) === 0) continue;
      for (let t = 0; t < k; t++) if ((mask & (1 << t)) !== 0) moved += transfer[v * k + t]!;
    }
    const overflow = this.#limited ? this.#overflow() : 0;
    for (let i = 0; i < n; i++) stages[i] = stages[roots[i]!]!;
    return { seconds: compute + launch + moved + overflow * overflowSeconds, compute, launch, moved, overflow };
  }

  /** Takes in a covering: labels, and what stands for each node's unit, its root. */
  #readUnits(units: ArrayLike<number>): { compute: number; leaking: boolean } {
    const { nodes: n, candidateTarget, candidateSeconds, candidateRoot, leaks } = this.layout;
    let compute = 0;
    let leaking = false;
    for (let i = 0; i < n; i++) {
      const c = units[i]!;
      const root = candidateRoot[c]! < 0 ? i : candidateRoot[c]!;
      this.#labels[i] = candidateTarget[c]!;
      this.#roots[i] = root;
      this.stages[i] = 0;
      if (root === i) compute += candidateSeconds[c]!;
      if (leaks[c] === 1) leaking = true;
    }
    return { compute, leaking };
  }

  /** Stages in an order in which no unit comes before one that it waits for. False where there is no such order. */
  #stageInOrder(): boolean {
    const { nodes: n, inputStart, inputs, pinStart, pins, valueStart, valuesOf, problem } = this.layout;
    const roots = this.#roots;
    const labels = this.#labels;
    const waiting = this.#waiting.fill(0);
    const next = this.#next.fill(-1);
    for (let i = 0; i < n; i++) {
      const root = roots[i]!;
      for (let e = inputStart[i]!; e < inputStart[i + 1]!; e++) if (roots[inputs[e]!] !== root) waiting[root]!++;
    }
    // Members of a unit as a list, the root first.
    for (let i = n - 1; i >= 0; i--) {
      const root = roots[i]!;
      if (root === i) continue;
      next[i] = next[root]!;
      next[root] = i;
    }
    const ready: number[] = [];
    let left = 0;
    for (let i = 0; i < n; i++) {
      if (roots[i] !== i) continue;
      left++;
      if (waiting[i] === 0) ready.push(i);
    }
    const done = this.#done.fill(-1);
    while (ready.length > 0) {
      const root = ready.pop()!;
      left--;
      for (let member = root; member >= 0; member = next[member]!) {
        for (let e = valueStart[member]!; e < valueStart[member + 1]!; e++) {
          const v = valuesOf[e]!;
          if (problem.values[v]!.producer !== member) continue;
          for (let p = pinStart[v]! + 1; p < pinStart[v + 1]!; p++) {
            const user = pins[p]!;
            // A node counts one producer once, however many of its values it uses.
            if (roots[user] === root || done[user] === member) continue;
            done[user] = member;
            const at = roots[user]!;
            const stage = this.stages[root]! + (labels[at] === labels[root] ? 0 : 1);
            if (stage > this.stages[at]!) this.stages[at] = stage;
            if (--waiting[at]! === 0) ready.push(at);
          }
        }
      }
    }
    return left === 0;
  }

  /**
   * Bytes by which targets' memory is exceeded: constants stay, values are there from the first to the last of their
   * uses on the device.
   */
  #overflow(): number {
    const { nodes: n, problem, pinStart, pins } = this.layout;
    const labels = this.#labels;
    let overflow = 0;
    problem.targets.forEach(({ memory }, t) => {
      if (memory === null) return;
      let constants = 0;
      for (const c of problem.constants) if (c.users.some((i) => labels[i] === t)) constants += c.bytes;
      const change = new Float64Array(n + 1);
      problem.values.forEach(({ bytes }, v) => {
        let first = -1;
        let last = -1;
        for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) {
          const i = pins[p]!;
          if (labels[i] !== t) continue;
          if (first < 0) first = i;
          last = i;
        }
        if (first < 0) return;
        change[first]! += bytes;
        change[last + 1]! -= bytes;
      });
      let live = 0;
      let peak = 0;
      for (let i = 0; i < n; i++) {
        live += change[i]!;
        if (live > peak) peak = live;
      }
      if (constants + peak > memory) overflow += constants + peak - memory;
    });
    return overflow;
  }
}
