import type { Evaluator, Plan } from './evaluate.ts';
import { Expansion } from './expansion.ts';
import type { Layout } from './problem.ts';
import { refine } from './refine.ts';

/** Shares of launch costs that minimum cuts charge at boundaries: none, and ever more. */
const boundaries = [0, 0.15, 0.5, 1] as const;
/** Labellings that local search starts from. */
const startLimit = 16;
/** Nodes that local search may visit in all. */
const refineBudget = 1e6;
const quickBudget = 1e5;
/** Candidates of several nodes that overlap with better ones: this many get a search of their own. */
const preferenceLimit = 8;
/** From this size on, one cut has to do. */
const largeProblem = 2000;

/**
 * A plan of little cost: minimum cuts with several weights for launches, then local search on the full cost from each,
 * the best first. `starts`: further labellings to start from. null where no labelling covers every node.
 */
export function solve(layout: Layout, evaluator: Evaluator, starts: readonly ArrayLike<number>[] = []): Plan | null {
  const large = layout.nodes > largeProblem;
  const found: { labels: Int32Array; seconds: number }[] = [];
  const keys = new Set<string>();
  const add = (labels: ArrayLike<number>): void => {
    const own = Int32Array.from(labels);
    const key = own.join();
    if (keys.has(key)) return;
    keys.add(key);
    found.push({ labels: own, seconds: evaluator.evaluate(own) });
  };
  for (const labels of starts) add(labels);
  const weights = layout.problem.targets.every((t) => t.launch === 0) ? [0] : large ? [0, 0.5] : boundaries;
  for (const boundary of weights) {
    const expansion = new Expansion(layout, boundary);
    const start = expansion.start();
    // Each target with the host alone: an exact cut.
    if (layout.targets > 2 && !large) for (let t = 0; t < layout.host; t++) add(expansion.expand(start, t) ?? start);
    add(expansion.minimize(start, large ? 1 : 3));
  }
  if (!large) {
    const overlapping = layout.clusters.filter((c) => !c.disjoint).flatMap((c) => c.candidates.slice(1));
    for (const preferred of [null, ...overlapping.slice(0, preferenceLimit)]) {
      const expansion = new Expansion(layout, boundaries[1], preferred);
      for (let t = 0; t < layout.targets; t++) add(expansion.everythingOn(t));
      if (preferred !== null) add(expansion.minimize(expansion.start(), 3));
    }
  }
  found.sort((a, b) => a.seconds - b.seconds);
  const searched = found.slice(0, large ? 1 : startLimit);
  let best: { labels: Int32Array; seconds: number } | null = null;
  for (const { labels } of searched) {
    const seconds = refine(evaluator, labels, refineBudget / searched.length);
    if (seconds < (best?.seconds ?? Infinity)) best = { labels, seconds };
  }
  return best === null ? null : evaluator.plan(best.labels);
}

/**
 * A plan near known labellings, where one target can run more than before: every node may go there, and from there to the
 * host, before local search.
 */
export function solveQuickly(layout: Layout, evaluator: Evaluator, starts: readonly Int32Array[], target: number): Plan | null {
  const expansion = new Expansion(layout, layout.nodes > largeProblem ? 0 : boundaries[1]);
  let best: { labels: Int32Array; seconds: number } | null = null;
  const found = starts.flatMap((labels) => [labels.slice(), expansion.expand(labels, target) ?? labels.slice()]);
  found.push(expansion.expand(expansion.start(), target) ?? expansion.start());
  const rated = found.map((labels) => ({ labels, seconds: evaluator.evaluate(labels) })).sort((a, b) => a.seconds - b.seconds);
  for (const { labels } of rated.slice(0, 2)) {
    const seconds = refine(evaluator, labels, quickBudget);
    if (seconds < (best?.seconds ?? Infinity)) best = { labels, seconds };
  }
  return best === null ? null : evaluator.plan(best.labels);
}
