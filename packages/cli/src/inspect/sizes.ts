import { evaluateDim, printExpr, standardDTypes, type ConstantDecl, type Expr, type Inspection, type IRModule } from 'tenon/tools';
import type { Report } from '../command.ts';
import { formatBytes } from '../terminal/numbers.ts';
import { formatTable } from '../terminal/table.ts';

/** Bytes of a constant. */
export function constantBytes({ type, data }: ConstantDecl): number {
  if (data.kind === 'range') return data.bytes;
  const dtype = standardDTypes.find((d) => d.name === type.dtype);
  return dtype !== undefined && 'bits' in dtype ? Math.ceil((data.values.length * dtype.bits) / 8) : 0;
}

export const totalBytes = (constants: Iterable<ConstantDecl>): number => [...constants].reduce((sum, c) => sum + constantBytes(c), 0);

/** Values for dims that nobody fixed: what the model hints at, else a small size within their bounds. */
export function typicalDims(module: IRModule, fixed: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...module.dims.values()].map((d) => {
    const step = d.multipleOf;
    const wanted = d.hint ?? Math.min(d.max ?? 64, Math.max(d.min, 64));
    return [d.name, fixed.get(d.name) ?? Math.max(Math.ceil(d.min / step) * step, Math.floor(wanted / step) * step)];
  }));
}

/** The value of a formula, null where it depends on what is known only while the model runs. */
export function valueOf(expr: Expr, dims: ReadonlyMap<string, number>): number | null {
  try {
    return evaluateDim(expr, dims);
  } catch {
    return null;
  }
}

/** Where the bytes of a model are: its weights, what folding made of them, working memory, code. */
export function sizesReport(inspection: Inspection, fixed: ReadonlyMap<string, number>): Report {
  const imported = inspection.snapshots[0]!.module;
  const final = inspection.compilation?.module ?? inspection.snapshots.at(-1)!.module;
  const kept = [...final.constants.values()].filter((c) => imported.constants.has(c.name));
  const folded = [...final.constants.values()].filter((c) => !imported.constants.has(c.name));
  const dims = typicalDims(final, fixed);
  const workspaces = [...(inspection.compilation?.plans ?? [])].map(([region, plan]) => ({ region, formula: printExpr(plan.workspace), bytes: valueOf(plan.workspace, dims) }));
  const code = inspection.blobs.map(({ target, blob }) => ({ target, bytes: blob.bytes.length, source: blob.listing.length }));
  const largest = [...final.constants.values()].map((c) => ({ name: c.name, type: `${c.type.dtype}[${c.type.shape.map((d) => printExpr(d)).join(', ')}]`, bytes: constantBytes(c), folded: !imported.constants.has(c.name) }))
    .sort((a, b) => b.bytes - a.bytes).slice(0, 20);
  const json = {
    model: { constants: imported.constants.size, bytes: totalBytes(imported.constants.values()) },
    weights: { constants: kept.length, bytes: totalBytes(kept) }, folded: { constants: folded.length, bytes: totalBytes(folded) },
    dims: Object.fromEntries(dims), workspaces, code, largest,
  };
  return {
    json,
    text: (style) => [
      formatTable([{ title: 'what' }, { title: 'size', right: true }, { title: '', shrink: 10 }], [
        ['constants of the model', formatBytes(json.model.bytes), `${json.model.constants}`],
        ['  of these kept', formatBytes(json.weights.bytes), `${json.weights.constants}`],
        ['  made by folding', formatBytes(json.folded.bytes), `${json.folded.constants}`],
        ...workspaces.map((w) => [`workspace of ${w.region}`, w.bytes === null ? '?' : formatBytes(w.bytes), w.formula]),
        ...code.map((c) => [`code for ${c.target}`, formatBytes(c.bytes), `from ${formatBytes(c.source)} of source`]),
      ], style),
      ...(dims.size === 0 ? [] : [style.paint('dim', `with ${[...dims].map(([name, n]) => `${name} = ${n}`).join(', ')}`)]),
      '',
      formatTable([{ title: 'largest constants', shrink: 16 }, { title: 'type', shrink: 12 }, { title: 'size', right: true }, { title: '' }], largest.map((c) => [c.name, c.type, formatBytes(c.bytes), c.folded ? 'folded' : '']), style),
    ].join('\n'),
  };
}
