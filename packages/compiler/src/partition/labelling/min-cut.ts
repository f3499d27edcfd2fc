const free = 0;
const source = 1;
const sink = 2;
/** Instead of a parent: */
const none = -1;
const terminal = -2;
const orphan = -3;

/**
 * Minimum cuts with two search trees that are kept from one augmentation to the next: Boykov & Kolmogorov, "An
 * Experimental Comparison of Min-Cut/Max-Flow Algorithms for Energy Minimization in Vision", 2004. Capacities are
 * integers below 2^53 in sum, so that arithmetic on them is exact.
 */
export class FlowNetwork {
  /** What the source can still send to a node; negative: what the node can still send to the sink. */
  readonly #terminals: number[] = [];
  readonly #heads: number[] = [];
  readonly #capacities: number[] = [];

  node(): number {
    return this.#terminals.push(0) - 1;
  }

  /** `fromSource` is cut where the node is on the sink's side, `toSink` where it is on the source's. */
  terminal(node: number, fromSource: number, toSink: number): void {
    // What flows straight from source to sink needs no network: only the difference decides.
    this.#terminals[node]! += fromSource - toSink;
  }

  /** `forward` is cut where `from` is on the source's side and `to` on the sink's; `backward` the other way round. */
  edge(from: number, to: number, forward: number, backward: number): void {
    this.#heads.push(to, from);
    this.#capacities.push(forward, backward);
  }

  /** Marks the nodes on the source's side of a minimum cut: all that cannot reach the sink. */
  sourceSide(): Uint8Array {
    const { trees } = new Search(this.#terminals, this.#heads, this.#capacities);
    return trees.map((tree) => (tree === sink ? 0 : 1));
  }
}

class Search {
  readonly trees: Uint8Array;
  readonly #n: number;
  /** Arc a leads to `head[a]`; the arc back is `a ^ 1`. Arcs that leave node i: `arcs[first[i] … first[i + 1]]`. */
  readonly #head: Int32Array;
  readonly #residual: Float64Array;
  readonly #terminals: Float64Array;
  readonly #first: Int32Array;
  readonly #arcs: Int32Array;
  /** The arc to the parent in the tree, or one of the marks above. */
  readonly #parent: Int32Array;
  /** A node's distance to its terminal, known at a time. */
  readonly #distance: Int32Array;
  readonly #stamp: Int32Array;
  #time = 0;
  /** Active nodes, first in, first out; each at most once. */
  readonly #queue: Int32Array;
  readonly #queued: Uint8Array;
  #front = 0;
  #waiting = 0;
  #orphans: number[] = [];

  constructor(terminals: readonly number[], heads: readonly number[], capacities: readonly number[]) {
    const n = terminals.length;
    this.#n = n;
    this.#head = Int32Array.from(heads);
    this.#residual = Float64Array.from(capacities);
    this.#terminals = Float64Array.from(terminals);
    this.#first = new Int32Array(n + 1);
    const first = this.#first;
    for (let a = 0; a < heads.length; a++) first[heads[a ^ 1]! + 1]!++;
    for (let i = 0; i < n; i++) first[i + 1]! += first[i]!;
    const next = first.slice(0, n);
    this.#arcs = new Int32Array(heads.length);
    for (let a = 0; a < heads.length; a++) this.#arcs[next[heads[a ^ 1]!]!++] = a;
    this.trees = new Uint8Array(n);
    this.#parent = new Int32Array(n).fill(none);
    this.#distance = new Int32Array(n);
    this.#stamp = new Int32Array(n);
    this.#queue = new Int32Array(n);
    this.#queued = new Uint8Array(n);
    this.#run();
  }

  #run(): void {
    for (let i = 0; i < this.#n; i++) {
      if (this.#terminals[i] === 0) continue;
      this.trees[i] = this.#terminals[i]! > 0 ? source : sink;
      this.#parent[i] = terminal;
      this.#distance[i] = 1;
      this.#activate(i);
    }
    let current = none;
    for (;;) {
      if (current === none || this.#parent[current] === none) current = this.#next();
      if (current === none) return;
      const bridge = this.#grow(current);
      this.#time++;
      if (bridge === none) current = none;
      else {
        this.#augment(bridge);
        this.#adopt();
      }
    }
  }

  #activate(i: number): void {
    if (this.#queued[i] === 1) return;
    this.#queued[i] = 1;
    this.#queue[(this.#front + this.#waiting++) % this.#n] = i;
  }
  #next(): number {
    while (this.#waiting > 0) {
      const i = this.#queue[this.#front]!;
      this.#front = (this.#front + 1) % this.#n;
      this.#waiting--;
      this.#queued[i] = 0;
      if (this.#parent[i] !== none) return i;
    }
    return none;
  }

  /** Takes free neighbours into the tree of a node; returns the arc that leads from the source's tree to the sink's. */
  #grow(i: number): number {
    const { trees } = this;
    const mine = trees[i]!;
    for (let e = this.#first[i]!; e < this.#first[i + 1]!; e++) {
      const a = this.#arcs[e]!;
      const along = mine === source ? a : a ^ 1;
      if (this.#residual[along]! <= 0) continue;
      const j = this.#head[a]!;
      if (trees[j] === free) {
        trees[j] = mine;
        this.#follow(j, a, i);
        this.#activate(j);
      } else if (trees[j] !== mine) return along;
      else if (this.#stamp[j]! <= this.#stamp[i]! && this.#distance[j]! > this.#distance[i]!) this.#follow(j, a, i);
    }
    return none;
  }
  #follow(child: number, arc: number, parent: number): void {
    this.#parent[child] = arc ^ 1;
    this.#stamp[child] = this.#stamp[parent]!;
    this.#distance[child] = this.#distance[parent]! + 1;
  }

  /** Sends as much as fits through a path from source to sink; nodes that it cuts from their tree become orphans. */
  #augment(bridge: number): void {
    const head = this.#head;
    const residual = this.#residual;
    const parent = this.#parent;
    const terminals = this.#terminals;
    let flow = residual[bridge]!;
    let i = head[bridge ^ 1]!;
    for (let a = parent[i]!; a !== terminal; a = parent[i]!) {
      flow = Math.min(flow, residual[a ^ 1]!);
      i = head[a]!;
    }
    flow = Math.min(flow, terminals[i]!);
    i = head[bridge]!;
    for (let a = parent[i]!; a !== terminal; a = parent[i]!) {
      flow = Math.min(flow, residual[a]!);
      i = head[a]!;
    }
    flow = Math.min(flow, -terminals[i]!);

    residual[bridge]! -= flow;
    residual[bridge ^ 1]! += flow;
    i = head[bridge ^ 1]!;
    for (let a = parent[i]!; a !== terminal; a = parent[i]!) {
      residual[a]! += flow;
      residual[a ^ 1]! -= flow;
      if (residual[a ^ 1] === 0) this.#orphan(i);
      i = head[a]!;
    }
    terminals[i]! -= flow;
    if (terminals[i] === 0) this.#orphan(i);
    i = head[bridge]!;
    for (let a = parent[i]!; a !== terminal; a = parent[i]!) {
      residual[a ^ 1]! += flow;
      residual[a]! -= flow;
      if (residual[a] === 0) this.#orphan(i);
      i = head[a]!;
    }
    terminals[i]! += flow;
    if (terminals[i] === 0) this.#orphan(i);
  }
  #orphan(i: number): void {
    this.#orphans.push(i);
  }

  /** Finds new parents for orphans, or sets them free together with what hangs on them. */
  #adopt(): void {
    // Orphans keep their arc to the parent until the path is walked; from here on it is gone.
    const queue = this.#orphans;
    for (const i of queue) this.#parent[i] = orphan;
    for (let at = 0; at < queue.length; at++) this.#adoptOne(queue[at]!, queue);
    this.#orphans = [];
  }

  #adoptOne(i: number, queue: number[]): void {
    const { trees } = this;
    const mine = trees[i]!;
    let best = none;
    let least = Infinity;
    for (let e = this.#first[i]!; e < this.#first[i + 1]!; e++) {
      const a = this.#arcs[e]!;
      if (this.#residual[mine === source ? a ^ 1 : a]! <= 0) continue;
      const j = this.#head[a]!;
      if (trees[j] !== mine || this.#parent[j] === none) continue;
      const distance = this.#distanceOf(j);
      if (distance >= least) continue;
      best = a;
      least = distance;
    }
    if (best !== none) {
      this.#parent[i] = best;
      this.#stamp[i] = this.#time;
      this.#distance[i] = least + 1;
      return;
    }
    for (let e = this.#first[i]!; e < this.#first[i + 1]!; e++) {
      const a = this.#arcs[e]!;
      const j = this.#head[a]!;
      if (trees[j] !== mine || this.#parent[j] === none) continue;
      if (this.#residual[mine === source ? a ^ 1 : a]! > 0) this.#activate(j);
      const up = this.#parent[j]!;
      if (up >= 0 && this.#head[up] === i) {
        this.#parent[j] = orphan;
        queue.push(j);
      }
    }
    this.#parent[i] = none;
    trees[i] = free;
  }

  /** Steps from a node to its terminal; Infinity where an orphan is on the way. Remembers them for what lies between. */
  #distanceOf(from: number): number {
    let steps = 0;
    let j = from;
    for (;;) {
      if (this.#stamp[j] === this.#time) {
        steps += this.#distance[j]!;
        break;
      }
      const a = this.#parent[j]!;
      if (a === orphan || a === none) return Infinity;
      steps++;
      if (a === terminal) {
        this.#stamp[j] = this.#time;
        this.#distance[j] = 1;
        break;
      }
      j = this.#head[a]!;
    }
    let distance = steps;
    for (let at = from; this.#stamp[at] !== this.#time; at = this.#head[this.#parent[at]!]!) {
      this.#stamp[at] = this.#time;
      this.#distance[at] = distance--;
    }
    return steps;
  }
}
