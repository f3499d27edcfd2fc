import { formatDiagnostic } from 'tenon';
import type { WhatIf } from 'tenon/tools';
import { formatTime, plural } from '../terminal/numbers.ts';
import type { Style } from '../terminal/style.ts';
import { formatTable, wrap } from '../terminal/table.ts';
import type { ExplainedOperator, ExplainedTarget, Explanation } from './explanation.ts';

/** `96 %`, `0.4 %`. */
export function formatShare(share: number): string {
  const percent = share * 100;
  return `${percent === 0 || percent === 100 || (percent >= 9.95 && percent < 99.5) ? percent.toFixed(0) : percent >= 99.95 ? '> 99.9' : percent >= 0.1 ? percent.toFixed(1) : '< 0.1'} %`;
}

export const formatSeconds = (seconds: number): string => formatTime(seconds * 1000);

/** `92 of 176 operators, 3 regions, 96 % of FLOPs, est. 4.1 ms`. */
export function targetFigures(t: ExplainedTarget, all: number): string {
  return [
    `${t.operators} of ${plural(all, 'operator')}`, plural(t.regions, 'region'), ...(t.kernels === null || t.kernels === 0 ? [] : [plural(t.kernels, 'kernel')]),
    ...(t.flopsShare === null || t.operators === 0 ? [] : [`${formatShare(t.flopsShare)} of FLOPs`]), ...(t.seconds === null || t.operators === 0 ? [] : [`est. ${formatSeconds(t.seconds)}`]),
  ].join(', ');
}

const strategyNames = { cost: 'by cost', greedy: 'greedy', host: 'all on the host' };

/** What holds for the whole model. */
export function notes(e: Explanation): string[] {
  const result: string[] = [];
  if (e.partition !== null) {
    const { chosen, totals } = e.partition;
    const others = (['cost', 'greedy', 'host'] as const).filter((name) => name !== chosen && totals[name] !== null).map((name) => `${strategyNames[name]} ${formatSeconds(totals[name]!)}`);
    result.push(`whole model: est. ${formatSeconds(totals[chosen] ?? NaN)} (${strategyNames[chosen]}${others.length === 0 ? '' : `; ${others.join(', ')}`})`);
    const dims = Object.entries(e.partition.dims);
    if (dims.length > 0) result.push(`estimates at ${dims.map(([name, value]) => `${name} = ${value}`).join(', ')}`);
  }
  if (e.transfers !== null && e.transfers > 0) result.push(`${plural(e.transfers, 'value')} cross${e.transfers === 1 ? 'es' : ''} between targets`);
  if (e.eliminated.length > 0) result.push(`${plural(e.eliminated.length, 'operator')} of the model ${e.eliminated.length === 1 ? 'does' : 'do'} not run: known while compiling, or equal to others`);
  return result;
}

/** `x1 takes math.erf (encoder/Erf, encoder/Erf_1)`. */
export function whatIfTitle(w: WhatIf): string {
  const where = w.locs.length === 0 ? '' : ` (${w.locs.slice(0, 2).join(', ')}${w.operators > 2 ? `, ${w.operators - 2} more` : ''})`;
  return w.kind === 'operator' ? `${w.target} takes ${w.op}${where}` : `${w.rule ?? w.target} takes ${w.op} in spite of: ${w.message} [${w.code}]${where}`;
}

/** A line per target, what would gain most, then operator by operator with everybody who refused it. */
export function explanationText(e: Explanation, style: Style): string {
  const lines = [overview(e, style), '', ...operatorLines(e.operators, style)];
  if (e.eliminated.length > 0) {
    lines.push('', style.paint('bold', 'does not run'), ...formatTable([{ title: 'operator', shrink: 10 }, { title: 'in the model', shrink: 10 }], e.eliminated.map((o) => [o.op, o.loc]), style).split('\n'));
  }
  return lines.join('\n');
}

/** What there is to say without naming every operator. */
export function overview(e: Explanation, style: Style): string {
  const { paint } = style;
  const lines: string[] = [];
  const add = (text: string, indent = '', more = '  '): void => void lines.push(...wrap(text, style.width - more.length).map((line, i) => (i === 0 ? indent : more) + line));
  for (const t of e.targets) add(`${paint('bold', t.target)}: ${targetFigures(t, e.operators.length)}`);
  for (const note of notes(e)) add(note);
  for (const problem of e.problems) lines.push('', formatDiagnostic(problem, (part, text) => paint(part === 'severity' ? 'yellow' : 'dim', text)));
  const { whatIf = [] } = e.partition ?? {};
  if (whatIf.length > 0) {
    lines.push('', paint('bold', 'what would gain most'));
    whatIf.forEach((w, i) => add(`${i + 1}. ${whatIfTitle(w)}: ${formatSeconds(w.gain)} less, est. ${formatSeconds(w.seconds)} in all`, '  ', '     '));
  }
  return lines.join('\n');
}

function operatorLines(operators: readonly ExplainedOperator[], style: Style): string[] {
  const costs = operators.some((o) => o.estimate !== undefined);
  const [head, ...rows] = formatTable(
    [{ title: 'operator', shrink: 10 }, { title: 'in the model', shrink: 10 }, { title: 'target' }, { title: 'rule', shrink: 8 }, { title: 'region', shrink: 6 }, { title: 'kernel', shrink: 8 }, ...(costs ? [{ title: 'est.', right: true }, { title: 'by' }] : [])],
    operators.map((o) => [
      o.op, o.loc ?? o.results.map((r) => `%${r}`).join(' '), o.target, o.rule, o.region, o.library === undefined ? o.kernels.join(', ') || '–' : `library: ${o.library}`,
      ...(costs ? [o.estimate === undefined ? '' : formatSeconds(o.estimate.seconds), o.estimate?.source ?? ''] : []),
    ]),
    style,
  ).split('\n');
  return [head!, ...rows.flatMap((row, i) => [row, ...operators[i]!.rejected.flatMap((r) => {
    const text = `not ${r.rule ?? r.target}: ${r.message} [${r.code}]${r.hint === null ? '' : ` – ${r.hint}`}`;
    return wrap(text, style.width - 4).map((line) => `    ${style.paint('dim', line)}`);
  })])];
}
