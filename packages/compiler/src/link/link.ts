import { ArtifactWriter, encodeDim, type ArtifactSink, type BlobSection, type Contents, type DeviceInfo, type EarlierArtifact, type Json, type ManifestBody, type RegionInfo, type RegionVariant, type WrittenArtifact } from '@tenon/artifact';
import { entryFunction, type Attrs, type AttrValue, type EntryManifest, type Expr, type GraphFunction, type IRModule, type LayoutRecord, type PartitionReport, type Placement, type ScheduleRecord } from '@tenon/plugin';
import type { ResolvedTarget, Session } from '@tenon/core';
import type { GeneratedBlob } from './codegen.ts';
import type { Packings } from '../pack.ts';
import { ConstantTable, layOutConstants } from './constants.ts';
import { constantContent, identifyContents, unidentified } from './contents.ts';
import { collectDims } from './dims.ts';
import { linkEntry, type LinkedRegion } from './program.ts';

export interface LinkInput {
  readonly module: IRModule;
  readonly session: Session;
  readonly targets: readonly ResolvedTarget[];
  readonly blobs: readonly GeneratedBlob[];
  readonly packings: Packings;
  readonly placements: readonly Placement[];
  readonly report: PartitionReport | null;
  readonly schedules: readonly ScheduleRecord[];
  readonly layouts: readonly LayoutRecord[];
  readonly model: { readonly name: string; readonly id: string; readonly uri: string } | null;
  readonly version: string;
}

/** An artifact from which another is made. */
export interface Earlier {
  readonly artifact: EarlierArtifact;
  /** The file that is to be written begins as a copy of it. */
  readonly copied: boolean;
}

/** A finished artifact, ready to be written. Constants are read from their sources while it is written. */
export interface Linked {
  readonly manifest: ManifestBody;
  /** What the sections of constants are made of. */
  contents(): Promise<Contents>;
  /** Takes from an earlier artifact what it has in common with this one. */
  write(sink: ArtifactSink, earlier?: Earlier): Promise<WrittenArtifact>;
  toBytes(): Promise<Uint8Array>;
}

export function link(input: LinkInput): Linked {
  const { module, session, targets } = input;
  const fn = module.functions.get(entryFunction);
  if (fn?.kind !== 'graph') return session.fail({ code: 'module/no-entry', message: `the module has no graph function @${entryFunction}` });

  const table = new ConstantTable();
  const constantIndex = (name: string): number => table.index(name, null);

  const deviceOf = new Map<string, number>();
  const devices: DeviceInfo[] = [{ name: 'host', target: null }];
  for (const target of targets) {
    if (target.device.transfer === null) deviceOf.set(target.name, 0);
    else {
      deviceOf.set(target.name, devices.length);
      devices.push({ name: target.device.name, target: target.name });
    }
  }

  const blobs: BlobSection[] = input.blobs.map(({ target, blob }, i) => ({
    section: `blob ${i}`, target, format: blob.format, formatVersion: blob.formatVersion, requires: toJson(blob.requires) as BlobSection['requires'],
  }));
  const found = entriesByRegion(input);
  const regions: RegionInfo[] = [];
  const linked = new Map<string, LinkedRegion>();
  for (const call of fn.bindings) {
    if (linked.has(call.callee)) continue;
    const info = linkRegion(call.callee, found.get(call.callee) ?? [], input, (name, blob) => table.index(name, input.blobs[blob]!.machine ?? null));
    const target = (module.functions.get(call.callee) as GraphFunction).attrs['target'] as string;
    // Where only the host's variant exists the region's values live on the host.
    const own = info.variants.some((v) => blobs[v.blob]!.target === target);
    linked.set(call.callee, { index: regions.length, dims: info.dims, device: own ? deviceOf.get(target)! : 0 });
    regions.push(info);
  }
  const entry = linkEntry(fn, module, session, linked, constantIndex, devices.length);

  const { constants, sections } = layOutConstants(table, module, session, input.packings);
  const manifest: ManifestBody = {
    info: {
      compiler: `tenon ${input.version}`, model: input.model === null ? null : { name: input.model.name, id: input.model.id }, targets: targets.map((t) => t.name),
      options: Object.fromEntries(targets.map((t) => [t.name, toJson(t.options)])),
    },
    devices, constants, blobs, regions, entries: [entry],
    report: { placements: input.placements, ...(input.report === null ? {} : { partition: input.report }), schedules: input.schedules, layouts: input.layouts },
  };
  const filled = sections.filter(({ bytes }) => bytes > 0);
  let known: Promise<Contents> | null = null;
  const contents = (): Promise<Contents> => (known ??= identifyContents(filled, module, session, input.packings, input.model?.uri ?? null));
  const writer = (made: Contents, earlier: EarlierArtifact | null): ArtifactWriter => {
    const result = new ArtifactWriter();
    for (const section of filled) result.addSection(section.name, 'constants', constantContent(section, module, session, made[section.name]!, earlier));
    input.blobs.forEach(({ blob }, i) => result.addSection(`blob ${i}`, 'blob', blob.bytes));
    return result;
  };
  const options = { signal: session.signal, onProgress: (written: number, total: number) => session.progress('write artifact', written, total) };
  return {
    manifest, contents,
    write: async (sink, earlier) => (earlier === undefined
      ? writer(unidentified(filled), null).write(manifest, sink, options)
      : writer(await contents(), earlier.artifact).write(manifest, sink, { ...options, earlier: earlier.artifact, copied: earlier.copied })),
    toBytes: () => writer(unidentified(filled), null).toBytes(manifest, options),
  };
}

interface FoundEntry {
  readonly blob: number;
  readonly entry: EntryManifest;
}

/** The entries that implement each region: its own target's first, its fallbacks after it. */
function entriesByRegion({ module, blobs }: LinkInput): ReadonlyMap<string, readonly FoundEntry[]> {
  const found = new Map<string, FoundEntry[]>();
  blobs.forEach(({ blob }, i) => {
    for (const entry of blob.entries) {
      const fn = module.functions.get(entry.region);
      const variantOf = fn?.kind === 'graph' ? fn.attrs['variantOf'] : undefined;
      const region = typeof variantOf === 'string' ? variantOf : entry.region;
      const list = found.get(region);
      if (list === undefined) found.set(region, [{ blob: i, entry }]);
      else list.push({ blob: i, entry });
    }
  });
  for (const [region, list] of found) list.sort((a, b) => Number(a.entry.region !== region) - Number(b.entry.region !== region));
  return found;
}

function linkRegion(name: string, found: readonly FoundEntry[], input: LinkInput, constantIndex: (name: string, blob: number) => number): RegionInfo {
  const { module, session } = input;
  const own = module.functions.get(name) as GraphFunction;
  const guardsOf = (fn: string): readonly Expr[] => ((module.functions.get(fn) as GraphFunction | undefined)?.attrs['guards'] ?? []) as readonly Expr[];
  if (found.length === 0) {
    return session.fail({ code: 'link/missing-region', message: `no code generator returned an entry for ${name}`, hint: 'A code generator must return an entry for every region that it is given.' });
  }
  const dims = new Set(collectDims(own, session.exprs));
  for (const { entry } of found) entry.dims.forEach((d) => dims.add(d));
  return {
    name, dims: [...dims].sort(), runDims: [],
    variants: found.map(({ blob, entry }): RegionVariant => ({
      blob, symbol: entry.symbol, constants: entry.constants.map((constant) => constantIndex(constant, blob)), dims: entry.dims, runDims: entry.runDims,
      workspace: entry.workspace === null ? null : encodeDim(entry.workspace),
      guards: guardsOf(entry.region).map(encodeDim),
      kernels: entry.kernels.map((k) => ({
        name: k.name, ops: k.ops, locs: k.locs,
        flops: k.flops === null ? null : encodeDim(k.flops), bytes: k.bytes === null ? null : encodeDim(k.bytes),
      })),
    })),
  };
}

function toJson(attrs: Attrs | AttrValue): Json {
  const visit = (a: AttrValue): Json => {
    if (a === null || typeof a === 'boolean' || typeof a === 'string' || typeof a === 'number') return a;
    if (typeof a === 'bigint') return String(a);
    if (Array.isArray(a)) return a.map((x: AttrValue) => visit(x));
    return Object.fromEntries(Object.entries(a as Attrs).sort(([x], [y]) => (x < y ? -1 : 1)).map(([k, v]) => [k, visit(v)]));
  };
  return visit(attrs as AttrValue);
}
