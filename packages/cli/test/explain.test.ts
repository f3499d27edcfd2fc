import { describe, expect, test } from 'vitest';
import { layoutGraph, nodeHeight, nodeWidth, type LayoutGraph } from '../src/explain/layout.ts';
import { pageData } from '../src/explain/page-data.ts';
import { explanationPage } from '../src/explain/html.ts';
import { explanationText } from '../src/explain/text.ts';
import { plainPaint } from '../src/terminal/style.ts';
import { network } from './explanations.ts';
import { generator } from '../../../tests/support/generator.ts';

const style = { width: Infinity, paint: plainPaint };
const chain = (n: number): LayoutGraph => ({ nodes: n, edges: Array.from({ length: n - 1 }, (_, i) => [i, i + 1] as const) });
function randomGraph(seed: number): LayoutGraph {
  const next = generator(seed);
  const nodes = 1 + Math.floor(next() * 60);
  const edges: [number, number][] = [];
  for (let to = 1; to < nodes; to++) {
    for (const from of new Set(Array.from({ length: Math.floor(next() * 4) }, () => Math.floor(next() * to)))) edges.push([from, to]);
  }
  return { nodes, edges };
}

describe('the layout', () => {
  test('of random graphs keeps nodes apart and connects what is connected', () => {
    for (let seed = 0; seed < 200; seed++) {
      const graph = randomGraph(seed);
      const { positions, routes, width, height } = layoutGraph(graph);
      expect(positions).toHaveLength(graph.nodes);
      positions.forEach(([x, y], i) => {
        expect(x >= 0 && y >= 0 && x + nodeWidth <= width && y + nodeHeight <= height, `seed ${seed}: node ${i} is outside`).toBe(true);
        positions.slice(i + 1).forEach(([x2, y2], j) => {
          if (Math.abs(x - x2) < nodeWidth && Math.abs(y - y2) < nodeHeight) expect.fail(`seed ${seed}: nodes ${i} and ${i + 1 + j} overlap`);
        });
      });
      graph.edges.forEach(([from, to], e) => {
        const { points } = routes[e]!;
        const [start, end] = [positions[from]!, positions[to]!];
        expect(points[1], `seed ${seed}: edge ${e}`).toBe(start[1] + nodeHeight);
        expect(points.at(-1), `seed ${seed}: edge ${e}`).toBe(end[1]);
        expect(points[0]! > start[0] && points[0]! < start[0] + nodeWidth && points.at(-2)! > end[0] && points.at(-2)! < end[0] + nodeWidth).toBe(true);
        for (let i = 0; i < points.length; i += 2) expect(points[i]! >= 0 && points[i]! <= width, `seed ${seed}: edge ${e} leaves the drawing`).toBe(true);
      });
    }
  });

  test('of a chain is straight, and a long one is set in columns', () => {
    const short = layoutGraph(chain(5));
    expect(new Set(short.positions.map(([x]) => x)).size).toBe(1);
    const long = layoutGraph(chain(1000));
    expect(long.width / long.height).toBeGreaterThan(0.6);
    expect(long.width / long.height).toBeLessThan(2.4);
    expect(new Set(long.positions.map(([x]) => x)).size).toBeGreaterThan(10);
  });

  test('of nothing, of one node, of nodes without edges', () => {
    expect(layoutGraph({ nodes: 0, edges: [] })).toMatchObject({ positions: [], routes: [] });
    expect(layoutGraph({ nodes: 1, edges: [] })).toMatchObject({ positions: [[0, 0]], width: nodeWidth, height: nodeHeight });
    expect(new Set(layoutGraph({ nodes: 3, edges: [] }).positions.map(([x]) => x)).size).toBe(3);
    expect(() => layoutGraph({ nodes: 2, edges: [[1, 0]] })).toThrow(RangeError);
  });

  test('of ten thousand operators takes seconds', () => {
    const begin = performance.now();
    const data = pageData(network(10_000, ['x1', 'npu', 'cpu-c']));
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect(data.nodes).toHaveLength(10_002);
  });
});

describe('the text', () => {
  test('begins with a line per target and names everybody who refused', () => {
    const lines = explanationText(network(20, ['x1', 'cpu-c']), style).split('\n');
    expect(lines.slice(0, 3)).toEqual([
      'x1: 13 of 20 operators, 2 regions, 13 kernels, 63 % of FLOPs, est. 0.133 ms', 'cpu-c: 7 of 20 operators, 1 region, 7 kernels, 37 % of FLOPs, est. 77 µs',
      'whole model: est. 4.10 ms (by cost; greedy 5.20 ms, all on the host 7.70 ms)',
    ]);
    expect(lines[5]).toBe('  1. x1 takes math.sigmoid (encoder/layer.0/block/operator_1, encoder/layer.0/block/operator_9, 1 more): 1.20 ms less, est. 2.90 ms in all');
    const at = lines.findIndex((line) => line.startsWith('nn.layer_norm'));
    expect(lines[at]).toMatch(/^nn\.layer_norm +encoder\/layer\.0\/block\/operator_7 +cpu-c +cpu-c\/rule +region_1_cpu-c +kernel_7 +8\.0 µs +roofline$/);
    expect(lines[at + 1]).toBe('    not x1: x1 has no rule for it [partition/no-rule] – Add a rule <b>for</b> it.');
    expect(lines.filter((line) => line.includes('[partition/no-rule]'))).toHaveLength(7);
  });

  test('fits into a narrow terminal', () => {
    for (const line of explanationText(network(20, ['x1', 'cpu-c']), { ...style, width: 80 }).split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });
});

describe('the page', () => {
  test('refers to nothing outside of itself', () => {
    const page = explanationPage(pageData(network(20, ['x1', 'cpu-c'])));
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`);
    expect(page).not.toMatch(/(?:src|href)=|url\(|@import|https?:|\bfetch\(|XMLHttpRequest|import\(/);
  });

  test('is safe with any text in a model', () => {
    const explanation = network(3, ['cpu-c']);
    const evil = '</script><script>alert(1)</script><!--';
    const page = explanationPage(pageData({ ...explanation, subject: `${evil}.onnx`, operators: explanation.operators.map((o) => ({ ...o, loc: evil, rule: evil })) }));
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page.match(/<\/script/g)).toHaveLength(1);
  });
});
