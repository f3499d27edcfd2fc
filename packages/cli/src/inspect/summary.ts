import { formatDim, printExpr, type ArtifactFile, type DimDecl, type Inspection } from 'tenon/tools';
import type { Report } from '../command.ts';
import { countOps, placementSummary, summaryLines } from '../placements.ts';
import { formatBytes, plural } from '../terminal/numbers.ts';
import { formatList } from '../terminal/table.ts';
import { totalBytes } from './sizes.ts';

type Tensor = { readonly name: string; readonly type: string };
const tensorLines = (title: string, tensors: readonly Tensor[]): readonly (readonly [string, string])[] => tensors.map((t, i) => [i === 0 ? title : '', `${t.name} ${t.type}`] as const);
const range = (d: Pick<DimDecl, 'min' | 'max' | 'multipleOf'>): string => `${d.min} … ${d.max ?? '∞'}${d.multipleOf > 1 ? `, a multiple of ${d.multipleOf}` : ''}`;

/** What a model takes and gives, and what it is made of, as it stands after partitioning. */
export function modelSummary(path: string, inspection: Inspection): Report {
  const module = inspection.snapshots.find((s) => s.phase === 'canonicalize')!.module;
  const main = module.functions.get('main');
  if (main?.kind !== 'graph') throw new TypeError('a module without an entry function was partitioned');
  const typeText = (value: (typeof main.params)[number]): string => {
    const { type } = value;
    return type.kind === 'tensor' ? `${type.dtype}[${type.shape.map((d) => printExpr(d)).join(', ')}]` : type.kind;
  };
  const inputs = main.params.map((p) => ({ name: p.name, type: typeText(p) }));
  const outputs = main.results.map((r, i) => ({ name: main.resultNames[i] ?? r.name, type: typeText(r) }));
  const dims = [...module.dims.values()].map((d) => ({ name: d.name, min: d.min, max: d.max, multipleOf: d.multipleOf, binding: d.binding }));
  const constants = { count: module.constants.size, bytes: totalBytes(module.constants.values()) };
  const summary = placementSummary(inspection.placements ?? []);
  const operators = countOps(main.bindings.map((b) => b.callee));
  return {
    json: { model: path, inputs, outputs, dims, operators, constants, targets: summary },
    text: (style) => [
      formatList([
        ['model', path], ...tensorLines('inputs', inputs), ...tensorLines('outputs', outputs),
        ...dims.map((d, i) => [i === 0 ? 'dims' : '', `${d.name} in ${range(d)} (${d.binding})`] as const),
        ['constants', `${constants.count}, ${formatBytes(constants.bytes)}`],
        ['operators', `${main.bindings.length}: ${operators.map(({ op, count }) => `${op} × ${count}`).join(', ')}`],
      ], style),
      '',
      ...summaryLines(summary, style),
    ].join('\n'),
  };
}

/** What an artifact holds. */
export function artifactSummary(path: string, file: ArtifactFile): Report {
  const { manifest } = file;
  const entry = manifest.entries[0]!;
  const typeText = (t: (typeof entry.params)[number] | (typeof entry.results)[number]): string => `${t.dtype}[${t.shape.map(formatDim).join(', ')}]`;
  const inputs = entry.params.map((p) => ({ name: p.name, type: typeText(p) }));
  const outputs = entry.results.map((r) => ({ name: r.name, type: typeText(r) }));
  const summary = placementSummary(manifest.report.placements);
  const regions = manifest.regions.map((r) => ({ name: r.name, variants: r.variants.map((v) => ({ target: manifest.blobs[v.blob]!.target, kernels: v.kernels.length, workspace: v.workspace === null ? null : formatDim(v.workspace) })) }));
  return {
    json: {
      artifact: path, digest: file.digest, bytes: file.bytes, info: manifest.info, inputs, outputs, dims: entry.dims, sections: manifest.sections,
      blobs: manifest.blobs, constants: { count: manifest.constants.length, bytes: manifest.constants.reduce((sum, c) => sum + c.bytes, 0) }, regions, targets: summary,
    },
    text: (style) => [
      formatList([
        ['artifact', `${path}, ${formatBytes(file.bytes)}`], ['digest', file.digest], ['compiler', manifest.info.compiler],
        ['model', manifest.info.model?.name ?? 'unknown'], ...tensorLines('inputs', inputs), ...tensorLines('outputs', outputs),
        ...entry.dims.map((d, i) => [i === 0 ? 'dims' : '', `${d.name} in ${range(d)} (${d.binding.kind})`] as const),
        ...manifest.sections.map((s, i) => [i === 0 ? 'sections' : '', `${s.name}, ${formatBytes(s.bytes)}`] as const),
        ...regions.map((r, i) => [i === 0 ? 'regions' : '', `${r.name}: ${r.variants.map((v) => `${v.target}, ${plural(v.kernels, 'kernel')}`).join('; ')}`] as const),
      ], style),
      '',
      ...summaryLines(summary, style),
    ].join('\n'),
  };
}
