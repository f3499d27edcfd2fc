import type { Inspection, RegionPlan } from 'tenon/tools';
import { printExpr } from 'tenon/tools';
import type { Report } from '../command.ts';
import { formatBytes } from '../terminal/numbers.ts';
import type { Style } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { typicalDims, valueOf } from './sizes.ts';

/** A buffer in the workspace of a region. Launches are counted from 0. */
export interface BufferLife {
  readonly name: string;
  readonly type: string;
  readonly offset: number | null;
  readonly offsetFormula: string;
  readonly bytes: number | null;
  readonly first: number;
  readonly last: number;
}

/** The planned buffers of a region, by their offset. */
export function bufferLives(plan: RegionPlan, dims: ReadonlyMap<string, number>): readonly BufferLife[] {
  return plan.buffers.flatMap((buffer, index): BufferLife[] => {
    const { storage } = buffer;
    if (storage.kind !== 'workspace') return [];
    const uses = plan.launches.flatMap((launch, i) => (launch.args.includes(index) ? [i] : []));
    return [{
      name: buffer.name, type: `${buffer.dtype}[${buffer.shape.map((d) => printExpr(d)).join(', ')}]`, offset: valueOf(storage.offset, dims),
      offsetFormula: printExpr(storage.offset), bytes: valueOf(buffer.bytes, dims), first: uses[0] ?? 0, last: uses.at(-1) ?? 0,
    }];
  }).sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0) || a.first - b.first);
}

/** Columns of the chart; a model with more launches shows several in one. */
const chartColumns = 60;

/** `·` before and after, `█` while the buffer lives. */
export function lifetime(first: number, last: number, launches: number, columns: number): string {
  const width = Math.min(launches, columns);
  const column = (launch: number): number => Math.floor((launch * width) / Math.max(1, launches));
  return Array.from({ length: width }, (_, i) => (i >= column(first) && i <= column(last) ? '█' : '·')).join('');
}

/** Where every buffer lies and during which launches it lives. */
export function memoryReport(inspection: Inspection, fixed: ReadonlyMap<string, number>): Report {
  const compilation = inspection.compilation!;
  const dims = typicalDims(compilation.module, fixed);
  const regions = [...compilation.plans].map(([region, plan]) => {
    const buffers = bufferLives(plan, dims);
    const workspace = valueOf(plan.workspace, dims);
    const together = buffers.reduce((sum, b) => sum + (b.bytes ?? 0), 0);
    return { region, launches: plan.launches.length, workspace, workspaceFormula: printExpr(plan.workspace), unshared: together, buffers };
  });
  return {
    json: { dims: Object.fromEntries(dims), regions },
    text: (style) => [
      ...(dims.size === 0 ? [] : [style.paint('dim', `with ${[...dims].map(([name, n]) => `${name} = ${n}`).join(', ')}`), '']),
      ...regions.map((r) => {
        const saved = r.workspace === null || r.unshared === 0 ? '' : `, ${formatBytes(r.unshared)} without sharing`;
        return [
          `${style.paint('bold', r.region)}: ${r.launches} launches, workspace ${r.workspace === null ? r.workspaceFormula : formatBytes(r.workspace)}${saved}`,
          ...(r.buffers.length === 0 ? [] : [bufferTable(r.buffers, r.launches, style)]),
        ].join('\n');
      }),
    ].join('\n'),
  };
}

function bufferTable(buffers: readonly BufferLife[], launches: number, style: Style): string {
  const columns = Math.min(chartColumns, Math.max(16, style.width - 56));
  return formatTable(
    [{ title: 'buffer', shrink: 8 }, { title: 'type', shrink: 8 }, { title: 'offset', right: true }, { title: 'size', right: true }, { title: 'launches', right: true }, { title: 'lifetime' }],
    buffers.map((b) => [
      b.name, b.type, b.offset === null ? b.offsetFormula : String(b.offset), b.bytes === null ? '?' : formatBytes(b.bytes), `${b.first}–${b.last}`,
      lifetime(b.first, b.last, launches, columns),
    ]),
    style,
  );
}
