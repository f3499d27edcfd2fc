import { describe, expect, test } from 'vitest';
import { explanationPage } from '../src/explain/html.ts';
import { pageData } from '../src/explain/page-data.ts';
import { chromium, visit } from './chromium.ts';
import { network } from './explanations.ts';

// Of the light theme, as in page/style.ts.
const [host, first, second] = ['#64748b', '#2f7de1', '#e0762b'];
const rows = (dom: string): number => dom.match(/<tr data-node/g)?.length ?? 0;

describe.runIf(chromium !== null)('the page in headless Chromium (run where Chromium is installed)', () => {
  test('draws a graph of 20 operators in the colours of its targets', async () => {
    const { dom, screenshot } = await visit(explanationPage(pageData(network(20, ['x1', 'cpu-c']))), 'theme=light');
    expect(dom).toContain('data-state="ready"');
    expect(dom).toContain('13 of 20 operators');
    expect(screenshot).toMatchObject({ width: 1400, height: 900 });
    expect(screenshot.count(host!)).toBeGreaterThan(500);
    expect(screenshot.count(first!)).toBeGreaterThan(1000);
    expect(screenshot.count(second!)).toBe(0);
  });

  test('draws 2,000 operators at once, large enough to see', async () => {
    const { dom, screenshot } = await visit(explanationPage(pageData(network(2000, ['x1', 'npu', 'cpu-c']))), 'theme=light');
    expect(dom).toContain('data-state="ready"');
    for (const colour of [host!, first!, second!]) expect(screenshot.count(colour)).toBeGreaterThan(20_000);
  });

  test('lists, searches and shows details', async () => {
    const page = explanationPage(pageData(network(200, ['x1', 'cpu-c'])));
    const { dom } = await visit(page, 'view=list&search=softmax+x1&select=8');
    expect(rows(dom)).toBe(200);
    const hidden = dom.match(/<tr data-node="\d+"[^>]* hidden=""/g)?.length ?? 0;
    const wanted = network(200, ['x1', 'cpu-c']).operators.filter((o) => o.op === 'nn.softmax').length;
    expect(200 - hidden).toBe(wanted);
    expect(dom).toContain(`${wanted} found`);
    expect(dom).toContain('Not taken by');
    expect(dom).toContain('Add a rule &lt;b&gt;for&lt;/b&gt; it.');
    expect(dom).toContain('encoder/layer.0/block/operator_7');
  });

  test('is dark where that is asked for, and paints by cost', async () => {
    const { screenshot } = await visit(explanationPage(pageData(network(60, ['cpu-c']))), 'theme=dark&colours=cost', [700, 900]);
    expect(screenshot.count('#11151b')).toBeGreaterThan(50_000);
    expect(screenshot.colours).toBeGreaterThan(100);
  });
});
