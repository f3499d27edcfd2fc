import { plural } from '../terminal/numbers.ts';
import type { Explanation } from './explanation.ts';
import { layoutGraph, nodeHeight, nodeWidth } from './layout.ts';
import type { PageData, PageEdge, PageNode } from './page/data.ts';
import { formatSeconds, formatShare, notes, targetFigures, whatIfTitle } from './text.ts';

/** Lays the model's graph out and says what the page shows of each operator. */
export function pageData(e: Explanation): PageData {
  const graph = e.graph ?? { inputs: [], outputs: [], uses: e.operators.map(() => []), constants: e.operators.map(() => []) };
  const targetIndex = new Map(e.targets.map((t, i) => [t.target, i]));
  // Only inputs that something reads; the others would stand about.
  const used = new Set(graph.uses.flat());
  const inputs = graph.inputs.filter((v) => used.has(v.value));
  const first = inputs.length;
  const producer = new Map<string, number>(inputs.map((v, i) => [v.value, i]));
  e.operators.forEach((o, i) => o.results.forEach((r) => producer.set(r, first + i)));
  const weights = weightsOf(e);
  const blank = { x: 0, y: 0, target: null, region: null, weight: 0, rejections: [] };
  const nodes: PageNode[] = [
    ...inputs.map((v): PageNode => ({ ...blank, kind: 'input', title: v.name, subtitle: v.type, details: [['input', v.type]] })),
    ...e.operators.map((o, i): PageNode => ({
      ...blank, kind: 'operator', title: o.op, subtitle: o.loc ?? o.results.map((r) => `%${r}`).join(' '), target: targetIndex.get(o.target) ?? null, region: o.region, weight: weights[i]!,
      details: [
        ['target', o.target], ['rule', o.rule], ['region', o.region], ['kernel', o.kernels.join(', ') || 'none of its own'],
        ...(o.library === undefined ? [] : [['library', o.library] as const]),
        ...(o.estimate === undefined ? [] : [['estimate', `${formatSeconds(o.estimate.seconds)} (${o.estimate.source})`] as const]),
        ...(o.flops === null ? [] : [['FLOPs', `${formatCount(o.flops)}${weights[i]! > 0 && o.estimate === undefined ? ` (${formatShare(weights[i]!)})` : ''}`] as const]),
        ...o.types.map((type, r) => [o.types.length === 1 ? 'result' : `result ${r}`, `%${o.results[r] ?? ''} ${type}`] as const),
        ...graph.constants[i]!.map((c) => ['constant', `@${c.name} ${c.type}`] as const),
      ],
      rejections: o.rejected.map((r) => ({ who: r.rule ?? r.target, code: r.code, message: r.message, hint: r.hint })),
    })),
    ...graph.outputs.map((v): PageNode => ({ ...blank, kind: 'output', title: v.name, subtitle: v.type, details: [['output', v.type]] })),
  ];
  const labels = new Map<string, { from: number; to: number; values: Set<string> }>();
  const connect = (value: string, to: number): void => {
    const from = producer.get(value);
    if (from === undefined) return;
    const key = `${from} ${to}`;
    const edge = labels.get(key) ?? { from, to, values: new Set() };
    edge.values.add(value);
    labels.set(key, edge);
  };
  graph.uses.forEach((values, i) => values.forEach((value) => connect(value, first + i)));
  graph.outputs.forEach((v, i) => connect(v.value, first + e.operators.length + i));
  const drawn = [...labels.values()];
  const layout = layoutGraph({ nodes: nodes.length, edges: drawn.map((d) => [d.from, d.to] as const) });
  const edges = drawn.map(({ from, to, values }, i): PageEdge => {
    const [a, b] = [nodes[from]!.target, nodes[to]!.target];
    return { from, to, ...layout.routes[i]!, label: [...values].map((v) => `%${v}`).join(' '), transfer: a !== null && b !== null && a !== b };
  });
  return {
    title: e.subject.split(/[\\/]/).slice(-2).join('/'), subtitle: `${plural(e.operators.length, 'operator')} · ${e.compiler}`,
    targets: e.targets.map((t) => ({ name: t.target, host: t.host, operators: t.operators, summary: targetFigures(t, e.operators.length) })),
    notes: [...notes(e), ...e.problems.map((p) => `${p.message} [${p.code}]`)],
    whatIf: (e.partition?.whatIf ?? []).map((w) => ({
      title: whatIfTitle(w), gain: `−${formatSeconds(w.gain)}`,
      nodes: e.operators.flatMap((o, i) => (o.op === w.op && o.loc !== null && w.locs.includes(o.loc) ? [first + i] : [])),
    })),
    nodes: nodes.map((n, i) => ({ ...n, x: layout.positions[i]![0], y: layout.positions[i]![1] })),
    edges, width: layout.width, height: layout.height, nodeWidth, nodeHeight,
  };
}

/** Shares of the estimated time; of the work where there is no estimate. */
function weightsOf(e: Explanation): number[] {
  const timed = e.operators.some((o) => o.estimate !== undefined);
  const values = e.operators.map((o) => (timed ? o.estimate?.seconds : o.flops) ?? 0);
  const total = values.reduce((a, b) => a + b, 0);
  return values.map((v) => (total === 0 ? 0 : v / total));
}

/** `1.2 M`. */
function formatCount(count: number): string {
  const units = ['', ' k', ' M', ' G', ' T'];
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3)}${units[unit]}`;
}
