import { plural } from '../terminal/numbers.ts';
import type { Style } from '../terminal/style.ts';
import { formatTable, wrap } from '../terminal/table.ts';
import type { ExplainedLayout, ExplainedOperator, ExplainedSchedule, Explanation } from './explanation.ts';

/** Which rule took each kernel with which choices, why the others did not, and the layouts of values between kernels. */
export function scheduleText({ schedules, layouts, operators }: Explanation, style: Style): string {
  const title = (text: string): string => style.paint('bold', text);
  if (schedules === null) return 'of its kernels nothing is known: no code was generated';
  const lines = [title('schedules'), ...counts(schedules)];
  for (const schedule of schedules) lines.push('', ...scheduleLines(schedule, style));
  const called = operators.filter((o) => o.library !== undefined);
  if (called.length > 0) lines.push('', title('computed by libraries'), ...libraryLines(called, style));
  if (layouts !== null && layouts.length > 0) lines.push('', title('otherwise in memory than in the model'), ...layoutLines(layouts, style));
  return lines.join('\n');
}

/** `cpu-c: 12 kernels, 9 by cpu-c/contraction, 3 by cpu-c/rows`. */
function counts(schedules: readonly ExplainedSchedule[]): string[] {
  return [...new Set(schedules.map((s) => s.target))].map((target) => {
    const mine = schedules.filter((s) => s.target === target);
    const rules = [...new Set(mine.map((s) => s.rule))].map((rule) => ({ rule, count: mine.filter((s) => s.rule === rule).length })).sort((a, b) => b.count - a.count);
    return `${target}: ${plural(mine.length, 'kernel')}, ${rules.map(({ rule, count }) => `${count} by ${rule ?? 'no rule'}`).join(', ')}`;
  });
}

function scheduleLines(s: ExplainedSchedule, style: Style): string[] {
  const faint = (text: string): string[] => wrap(text, style.width - 4).map((line) => `    ${style.paint('dim', line)}`);
  const choices = s.choices.length === 0 ? '' : `: ${s.choices.map(({ name, value }) => `${name} = ${value}`).join(', ')}`;
  const cut = s.launches.length > 1 ? [`launched as ${s.launches.join(', ')}`] : [];
  const reason = (hint: string | null): string => (hint === null ? '' : ` – ${hint}`);
  return [
    ...wrap(`${style.paint('cyan', s.kernel)} by ${s.rule ?? 'no rule, the loops are as definitions have them'}${choices}`, style.width).map((line, i) => (i === 0 ? line : `    ${line}`)),
    ...[[...s.ops].join(' '), where(s.locs), ...cut].filter((text) => text !== '').flatMap((text) => wrap(text, style.width - 4).map((line) => `    ${line}`)),
    ...s.rejected.flatMap((r) => faint(`not ${r.rule}: ${r.message} [${r.code}]${reason(r.hint)}`)),
    ...s.libraries.flatMap((r) => faint(`not ${r.entry} for ${r.op}: ${r.message} [${r.code}]${reason(r.hint)}`)),
  ];
}

const where = (locs: readonly string[]): string => (locs.length <= 6 ? locs.join(', ') : `${locs.slice(0, 5).join(', ')} and ${locs.length - 5} more`);

const libraryLines = (called: readonly ExplainedOperator[], style: Style): string[] => formatTable(
  [{ title: 'operator', shrink: 10 }, { title: 'in the model', shrink: 10 }, { title: 'by', shrink: 10 }],
  called.map((o) => [o.op, o.loc ?? '', o.library ?? '']), style,
).split('\n');

const layoutLines = (layouts: readonly ExplainedLayout[], style: Style): string[] => formatTable(
  [{ title: 'value', shrink: 8 }, { title: 'in the model', shrink: 10 }, { title: 'axes' }, { title: 'as it lies in memory', shrink: 12 }, { title: 'inside of' }, { title: 'region', shrink: 6 }],
  layouts.map((l) => [`%${l.value}`, l.loc ?? '', l.order.join(' '), l.type, l.within === undefined ? '' : `%${l.within.value} at ${l.within.before.join(' ')}`, l.region]), style,
).split('\n');
