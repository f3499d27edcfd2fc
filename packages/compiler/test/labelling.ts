import { Evaluator } from '../src/partition/labelling/evaluate.ts';
import type { Candidate, Layout, Problem, ProblemValue } from '../src/partition/labelling/problem.ts';

const between = (random: () => number, low: number, high: number): number => low + (high - low) * random();
const integer = (random: () => number, low: number, high: number): number => Math.floor(between(random, low, high + 1));
const logarithmic = (random: () => number, low: number, high: number): number => low * (high / low) ** random();

/** A random problem of 2 to 5 targets; up to 12 nodes unless `nodes` says otherwise. The last target can run every node. */
export function randomProblem(random: () => number, nodes: number | null = null): Problem {
  const n = nodes ?? integer(random, 3, 12);
  const k = integer(random, 2, 5);
  const chainlike = random();
  const values: { producer: number; users: Set<number>; returned: boolean; bytes: number }[] = [];
  const value = (producer: number): void => void values.push({ producer, users: new Set(), returned: false, bytes: logarithmic(random, 64, 1e6) });
  for (let p = integer(random, 1, 2); p > 0; p--) value(-1);
  for (let i = 0; i < n; i++) {
    for (let a = integer(random, 1, 3); a > 0; a--) {
      const at = random() < chainlike ? values.length - 1 - integer(random, 0, 1) : integer(random, 0, values.length - 1);
      values[Math.max(0, at)]!.users.add(i);
    }
    value(i);
    if (random() < 0.1) value(i);
  }
  for (const v of values) if (v.users.size === 0 || random() < 0.05) v.returned = true;
  // From launches and transfers that hardly matter to such that decide.
  const overhead = logarithmic(random, 0.05, 5);
  const targets = Array.from({ length: k }, (_, t) => ({
    launch: 1e-5 * overhead * logarithmic(random, 0.1, 3),
    transfer: t === k - 1 || random() < 0.2 ? null : { latency: 1e-5 * overhead * random(), bandwidth: logarithmic(random, 1e9, 1e11) },
    memory: null,
  }));
  const candidates: Candidate[] = [];
  const speed = targets.map((_, t) => (t === k - 1 ? 1 : logarithmic(random, 0.05, 1.5)));
  const support = targets.map(() => between(random, 0.3, 1));
  for (let i = 0; i < n; i++) {
    const size = logarithmic(random, 1e-6, 1e-4);
    targets.forEach((_, t) => {
      if (t === k - 1 || random() < support[t]!) candidates.push({ target: t, nodes: [i], seconds: size * speed[t]! * between(random, 0.7, 1.4) });
    });
  }
  const made = values.filter((v) => v.producer >= 0 && v.users.size > 0);
  for (let m = integer(random, 0, 4); m > 0 && made.length > 0; m--) {
    const { producer, users } = made[integer(random, 0, made.length - 1)]!;
    const [user] = users;
    // A third operator between the two would keep them apart: such matches are refused before there is a problem.
    if (reaches(values, producer, user!)) continue;
    const target = integer(random, 0, k - 1);
    const alone = (i: number): number => candidates.find((c) => c.target === target && c.nodes.length === 1 && c.nodes[0] === i)?.seconds ?? 3e-5;
    candidates.push({ target, nodes: [producer, user!], seconds: (alone(producer) + alone(user!)) * between(random, 0.4, 1) });
  }
  return { nodes: n, targets, values: values.map((v): ProblemValue => ({ ...v, users: [...v.users].sort((a, b) => a - b) })), constants: [], candidates };
}

/** Whether a node reaches another through a third. */
function reaches(values: readonly { readonly producer: number; readonly users: ReadonlySet<number> }[], from: number, to: number): boolean {
  const next = new Map<number, number[]>();
  for (const { producer, users } of values) next.set(producer, [...(next.get(producer) ?? []), ...users]);
  const pending = (next.get(from) ?? []).filter((i) => i !== to);
  const seen = new Set<number>();
  while (pending.length > 0) {
    const i = pending.pop()!;
    if (i === to) return true;
    if (i > to || seen.has(i)) continue;
    seen.add(i);
    pending.push(...(next.get(i) ?? []));
  }
  return false;
}

/**
 * The least seconds that any choice of candidates takes. Tries them all, except those whose compute, transfers and one
 * launch per target in use already exceed what is known: further launches only add to that.
 */
export function bruteForce(layout: Layout, known = Infinity): number {
  const { nodes: n, targets: k, problem, pinStart, pins, outside, transfer } = layout;
  const evaluator = new Evaluator(layout);
  const units = new Int32Array(n).fill(-1);
  const byFirst: number[][] = Array.from({ length: n }, () => []);
  const least = new Float64Array(n).fill(Infinity);
  problem.candidates.forEach((c, id) => {
    byFirst[c.nodes[0]!]!.push(id);
    for (const i of c.nodes) least[i] = Math.min(least[i]!, c.seconds / c.nodes.length);
  });
  for (const list of byFirst) list.sort((a, b) => problem.candidates[a]!.seconds - problem.candidates[b]!.seconds);
  const used = new Int32Array(k);
  let best = known * (1 + 1e-12);
  const moved = (): number => {
    let seconds = 0;
    for (let v = 0; v < problem.values.length; v++) {
      let mask = outside[v] === 1 ? 1 << k : 0;
      for (let p = pinStart[v]!; p < pinStart[v + 1]!; p++) {
        const c = units[pins[p]!]!;
        if (c >= 0) mask |= 1 << problem.candidates[c]!.target;
      }
      if ((mask & (mask - 1)) === 0) continue;
      for (let t = 0; t < k; t++) if ((mask & (1 << t)) !== 0) seconds += transfer[v * k + t]!;
    }
    return seconds;
  };
  const search = (compute: number): void => {
    const open = units.indexOf(-1);
    if (open < 0) {
      if (ordered(layout, units)) best = Math.min(best, evaluator.secondsOf(units));
      return;
    }
    let rest = 0;
    for (let i = open; i < n; i++) if (units[i]! < 0) rest += least[i]!;
    let launches = 0;
    for (let t = 0; t < k; t++) if (used[t]! > 0) launches += problem.targets[t]!.launch;
    if (compute + rest + launches + moved() >= best) return;
    for (const c of byFirst[open]!) {
      const { nodes, seconds } = problem.candidates[c]!;
      if (nodes.some((i) => units[i]! >= 0)) continue;
      for (const i of nodes) units[i] = c;
      used[problem.candidates[c]!.target]!++;
      search(compute + seconds);
      used[problem.candidates[c]!.target]!--;
      for (const i of nodes) units[i] = -1;
    }
  };
  search(0);
  return best;
}

/** Whether units can run one after the other: no two wait for each other. */
function ordered({ nodes: n, problem, inputStart, inputs }: Layout, units: Int32Array): boolean {
  const root = (i: number): number => problem.candidates[units[i]!]!.nodes.at(-1)!;
  const done = new Set<number>();
  for (let progress = true; progress;) {
    progress = false;
    for (let i = 0; i < n; i++) {
      if (root(i) !== i || done.has(i)) continue;
      const ready = problem.candidates[units[i]!]!.nodes.every((member) => {
        for (let e = inputStart[member]!; e < inputStart[member + 1]!; e++) {
          const from = root(inputs[e]!);
          if (from !== i && !done.has(from)) return false;
        }
        return true;
      });
      if (!ready) continue;
      done.add(i);
      progress = true;
    }
  }
  for (let i = 0; i < n; i++) if (!done.has(root(i))) return false;
  return true;
}
