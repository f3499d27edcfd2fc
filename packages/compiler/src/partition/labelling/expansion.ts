import { FlowNetwork } from './min-cut.ts';
import { savingOf, type Layout } from './problem.ts';

/**
 * The part of the problem that minimum cuts decide: compute, transfers, and what larger candidates save. `boundary` adds
 * launches as a share of each target's launch cost for every value that crosses from or to its operators: a stand-in for
 * the number of regions, which depends on all labels at once.
 *
 * Every term asks of a set of nodes and one label whether all, some or none of them carry it. So a move that gives any
 * number of nodes one label ("expansion": Boykov, Veksler & Zabih, "Fast Approximate Energy Minimization via Graph Cuts",
 * 2001) is a minimum cut with two auxiliary nodes per term (Kohli, Ladický & Torr, "Robust Higher Order Potentials for
 * Enforcing Label Consistency", 2009). With two labels, one expansion from all-host is the exact minimum.
 */
export class Expansion {
  readonly #layout: Layout;
  /** Candidates of several nodes that cuts count on: disjoint ones of each target, the best of them. */
  readonly #tiles: readonly { readonly target: number; readonly nodes: readonly number[]; readonly saving: number }[];
  readonly #alone: Float64Array;
  readonly #tiled: Uint8Array;
  /** Integer capacities for one second. */
  readonly #scale: number;
  readonly #absent: number;
  readonly #boundary: number;

  /** `preferred`: a candidate of several nodes that cuts count on before those that overlap with it. */
  constructor(layout: Layout, boundary: number, preferred: number | null = null) {
    this.#layout = layout;
    this.#boundary = boundary;
    const { nodes: n, targets: k, absent, single, candidateSeconds, problem, clusters } = layout;
    let sum = 0;
    this.#alone = new Float64Array(n * k).fill(absent);
    for (let at = 0; at < n * k; at++) {
      if (single[at]! < 0) continue;
      this.#alone[at] = candidateSeconds[single[at]!]!;
      sum += this.#alone[at]!;
    }
    for (const seconds of layout.transfer) sum += seconds;
    for (const { launch } of problem.targets) sum += launch * boundary * problem.values.length;
    for (const { candidates } of clusters) for (const c of candidates) sum += candidateSeconds[c]!;
    // Absent candidates cost more than everything else together, and n of them still less than 2^53.
    const limit = 2 ** Math.max(20, 49 - Math.ceil(Math.log2(n + 2)));
    this.#scale = sum > 0 ? limit / sum / 2 : 1;
    this.#absent = limit;
    this.#tiled = new Uint8Array(n * k);
    this.#tiles = clusters.flatMap(({ target, candidates }) => {
      const taken = new Set<number>();
      const ordered = preferred !== null && candidates.includes(preferred) ? [preferred, ...candidates.filter((c) => c !== preferred)] : candidates;
      return ordered.flatMap((c) => {
        const { nodes } = problem.candidates[c]!;
        if (nodes.some((i) => taken.has(i))) return [];
        nodes.forEach((i) => {
          taken.add(i);
          this.#tiled[i * k + target] = 1;
        });
        // Savings count from the integers that stand for nodes alone.
        const alone = nodes.reduce((total, i) => total + this.#aloneOf(i, target), 0);
        return [{ target, nodes, saving: savingOf(layout, c) <= 0 ? 0 : Math.max(0, alone - this.#integer(candidateSeconds[c]!)) }];
      });
    });
  }

  #integer(seconds: number): number {
    return Math.round(seconds * this.#scale);
  }
  #aloneOf(node: number, target: number): number {
    const seconds = this.#alone[node * this.#layout.targets + target]!;
    return seconds >= this.#layout.absent ? this.#absent : this.#integer(seconds);
  }

  /** Labels for the start of a search: all on the host, or on the first target that can where the host cannot. */
  start(): Int32Array {
    const { nodes: n, targets: k, host } = this.#layout;
    return Int32Array.from({ length: n }, (_, i) => {
      if (this.#possible(i, host)) return host;
      for (let t = 0; t < k; t++) if (this.#possible(i, t)) return t;
      return host;
    });
  }
  /** As much as possible on one target, the rest as at the start. */
  everythingOn(target: number): Int32Array {
    return this.start().map((label, i) => (this.#possible(i, target) ? target : label));
  }
  #possible(node: number, target: number): boolean {
    const at = node * this.#layout.targets + target;
    return this.#alone[at]! < this.#layout.absent || this.#tiled[at] === 1;
  }

  /** Expands one label after the other until nothing gets better. */
  minimize(from: ArrayLike<number>, rounds: number): Int32Array {
    const { targets: k } = this.#layout;
    let labels: Int32Array = Int32Array.from(from);
    let energy = this.#energy(labels);
    let idle = 0;
    for (let step = 0; step < rounds * k && idle < k; step++) {
      // The host comes last of each round: it is where most searches start.
      const next = this.expand(labels, step % k);
      const better = next === null ? energy : this.#energy(next);
      if (next === null || better >= energy) idle++;
      else {
        labels = next;
        energy = better;
        idle = 0;
      }
    }
    return labels;
  }

  /** The best labelling in which every node keeps its label or takes `alpha`; null where none could take it. */
  expand(labels: Int32Array, alpha: number): Int32Array | null {
    const { nodes: n, targets: k, problem, pinStart, pins, outside, transfer } = this.#layout;
    const network = new FlowNetwork();
    /** The network's node for a free operator; −1 where it keeps its label, −2 where it carries `alpha` already. */
    const variable = new Int32Array(n).fill(-1);
    let free = 0;
    for (let i = 0; i < n; i++) {
      if (labels[i] === alpha) variable[i] = -2;
      else if (this.#possible(i, alpha)) {
        variable[i] = network.node();
        network.terminal(variable[i]!, this.#aloneOf(i, labels[i]!), this.#aloneOf(i, alpha));
        free++;
      }
    }
    if (free === 0) return null;
    const infinite = 2 ** 52;
    // The source's side takes alpha.
    const unlessAll = (set: readonly number[], cost: number): void => {
      if (set.length === 0) return;
      const w = set.length === 1 ? variable[set[0]!]! : network.node();
      network.terminal(w, cost, 0);
      if (set.length > 1) for (const i of set) network.edge(w, variable[i]!, infinite, 0);
    };
    const ifAny = (set: readonly number[], cost: number): void => {
      if (set.length === 0) return;
      const u = set.length === 1 ? variable[set[0]!]! : network.node();
      network.terminal(u, 0, cost);
      if (set.length > 1) for (const i of set) network.edge(variable[i]!, u, infinite, 0);
    };
    const ifMixed = (set: readonly number[], cost: number): void => {
      if (set.length === 2) network.edge(variable[set[0]!]!, variable[set[1]!]!, cost, cost);
      if (set.length < 3) return;
      const u = network.node();
      const w = network.node();
      network.edge(u, w, cost, 0);
      for (const i of set) {
        network.edge(variable[i]!, u, infinite, 0);
        network.edge(w, variable[i]!, infinite, 0);
      }
    };
    /** A cost where some, but not all of these carry label t. `others`: so do not some that are not listed. */
    const split = (set: readonly number[], t: number, others: boolean, cost: number): void => {
      if (cost === 0) return;
      const open = set.filter((i) => variable[i]! >= 0);
      if (open.length === 0) return;
      if (t === alpha) {
        const on = set.some((i) => variable[i] === -2);
        const off = others || set.some((i) => variable[i] === -1);
        if (on && off) return;
        if (on) unlessAll(open, cost);
        else if (off) ifAny(open, cost);
        else ifMixed(open, cost);
        return;
      }
      const on = set.filter((i) => labels[i] === t);
      if (on.length === 0 || on.some((i) => variable[i] === -1) && (others || on.length < set.length)) return;
      const leaving = on.filter((i) => variable[i]! >= 0);
      if (on.length < set.length || others) unlessAll(leaving, cost);
      else if (leaving.length === on.length) ifMixed(leaving, cost);
      else ifAny(leaving, cost);
    };
    const set: number[] = [];
    for (let v = 0; v < problem.values.length; v++) {
      set.length = 0;
      for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) set.push(pins[p]!);
      if (set.every((i) => variable[i]! < 0)) continue;
      for (let t = 0; t < k; t++) {
        const move = this.#integer(transfer[v * k + t]!);
        const launch = this.#integer(problem.targets[t]!.launch * this.#boundary);
        if (outside[v] === 1) {
          split(set, t, true, move);
          split(set, t, false, launch);
        } else split(set, t, false, move + launch);
      }
    }
    for (const { target, nodes, saving } of this.#tiles) {
      if (saving === 0) continue;
      if (target === alpha) {
        if (nodes.some((i) => variable[i] === -1)) continue;
        unlessAll(nodes.filter((i) => variable[i]! >= 0), saving);
      } else if (nodes.every((i) => labels[i] === target)) ifAny(nodes.filter((i) => variable[i]! >= 0), saving);
    }
    const side = network.sourceSide();
    return labels.map((label, i) => (variable[i]! >= 0 && side[variable[i]!] === 1 ? alpha : label));
  }

  #energy(labels: Int32Array): number {
    const { nodes: n, targets: k, problem, pinStart, pins, outside, transfer } = this.#layout;
    let energy = 0;
    for (let i = 0; i < n; i++) energy += this.#aloneOf(i, labels[i]!);
    for (const { target, nodes, saving } of this.#tiles) if (nodes.every((i) => labels[i] === target)) energy -= saving;
    for (let v = 0; v < problem.values.length; v++) {
      let mask = 0;
      for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) mask |= 1 << labels[pins[p]!]!;
      const all = outside[v] === 1 ? mask | (1 << k) : mask;
      for (let t = 0; t < k; t++) {
        const bit = 1 << t;
        if ((mask & bit) === 0) continue;
        if (all !== bit) energy += this.#integer(transfer[v * k + t]!);
        if (mask !== bit) energy += this.#integer(problem.targets[t]!.launch * this.#boundary);
      }
    }
    return energy;
  }
}
