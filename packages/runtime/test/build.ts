import type { ArenaInfo, BlobSection, ConstantInfo, DeviceInfo, DimInfo, DimProgram, Instruction, ManifestBody, ParamInfo, RegionInfo, RegionVariant, ResultInfo, ValueInfo } from '@tenon/artifact';
import { ArtifactWriter } from '@tenon/artifact';
import type { TestEntry } from './js-loader.ts';

/** What a test says of an artifact; the rest has defaults. */
export interface TestArtifact {
  /** Blobs by section name: format (default `js-test`), target (default the name), entries. */
  readonly blobs: { readonly [section: string]: { readonly format?: string; readonly target?: string; readonly entries: { readonly [symbol: string]: TestEntry } } };
  readonly devices?: readonly DeviceInfo[];
  readonly constants?: readonly { readonly name: string; readonly values: Float32Array; readonly external?: { readonly uri: string; readonly id: string | null } }[];
  readonly regions: readonly (Pick<RegionInfo, 'name'> & Partial<RegionInfo> & { readonly on: readonly (Partial<RegionVariant> & { readonly blob: number })[] })[];
  readonly params: readonly (Partial<ParamInfo> & Pick<ParamInfo, 'name'>)[];
  readonly results: readonly (Partial<ResultInfo> & Pick<ResultInfo, 'name'>)[];
  readonly dims?: readonly (Partial<DimInfo> & Pick<DimInfo, 'name' | 'binding'>)[];
  readonly values: readonly ValueInfo[];
  readonly arenas?: readonly ArenaInfo[];
  readonly program: readonly Instruction[];
}

const n: DimProgram = ['$n'];

/** A register of f32[n] unless said otherwise. */
export const value = (storage: ValueInfo['storage'], change: Partial<ValueInfo> = {}): ValueInfo => ({ dtype: 'f32', shape: [n], bytes: ['$n', 4, '*'], device: 0, storage, ...change });
export const param = (index: number, change: Partial<ValueInfo> = {}): ValueInfo => value({ kind: 'param', index }, change);
export const result = (index: number, change: Partial<ValueInfo> = {}): ValueInfo => value({ kind: 'result', index }, change);
export const call = (region: number, args: readonly number[], results: readonly number[], dims: readonly DimProgram[] = [], runDims: readonly string[] = []): Instruction => ({ op: 'call', region, args, results, dims, runDims });
export const ret = (...values: number[]): Instruction => ({ op: 'return', values });
export const axis = (name: string, parameter = 0, at = 0, change: Partial<DimInfo> = {}): Partial<DimInfo> & Pick<DimInfo, 'name' | 'binding'> => ({ name, binding: { kind: 'axis', param: parameter, axis: at }, ...change });

export async function buildArtifact(artifact: TestArtifact, options: { readonly chunkBytes?: number } = {}): Promise<Uint8Array> {
  const writer = new ArtifactWriter(options);
  const constants: ConstantInfo[] = [];
  let weights = new Uint8Array();
  for (const { name, values, external } of artifact.constants ?? []) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const info = { name, dtype: 'f32', shape: [values.length], bytes: bytes.length };
    if (external) {
      constants.push({ ...info, data: { kind: 'external', ...external, offset: 0 } });
      continue;
    }
    constants.push({ ...info, data: { kind: 'section', section: 'weights', offset: weights.length } });
    const longer = new Uint8Array(weights.length + Math.ceil(bytes.length / 64) * 64);
    longer.set(weights);
    longer.set(bytes, weights.length);
    weights = longer;
  }
  if (weights.length > 0) writer.addSection('weights', 'constants', weights);
  const blobs: BlobSection[] = [];
  for (const [section, { format = 'js-test', target = section, entries }] of Object.entries(artifact.blobs)) {
    writer.addSection(section, 'blob', new TextEncoder().encode(JSON.stringify(entries)));
    blobs.push({ section, target, format, formatVersion: 1, requires: {} });
  }
  const body: ManifestBody = {
    info: { compiler: 'test', model: null, targets: [], options: {} },
    devices: artifact.devices ?? [{ name: 'host', target: null }],
    constants, blobs,
    regions: artifact.regions.map(({ name, on, dims = [], runDims = [] }) => ({
      name, dims, runDims,
      variants: on.map((variant) => ({ symbol: name, constants: [], dims, runDims, workspace: null, guards: [], kernels: [], ...variant })),
    })),
    entries: [{
      name: 'main',
      params: artifact.params.map((p) => ({ dtype: 'f32', shape: [n], contents: null, ...p })),
      results: artifact.results.map((r) => ({ dtype: 'f32', shape: [n], ...r })),
      dims: (artifact.dims ?? [axis('n')]).map((d) => ({ min: 0, max: null, multipleOf: 1, ...d })),
      values: artifact.values,
      arenas: artifact.arenas ?? [],
      program: artifact.program,
    }],
    report: { placements: [] },
  };
  return writer.toBytes(body, {});
}

/** `y = relu(x + w)` over f32[n], w of length 1 and value `bias`. */
export const biasRelu = (bias = -1): TestArtifact => ({
  blobs: { code: { entries: { r: { steps: [{ op: 'add', dtype: 'f32', a: 0, b: 2, out: 1 }, { op: 'relu', dtype: 'f32', a: 1, out: 1 }] } } } },
  constants: [{ name: 'w', values: Float32Array.of(bias) }],
  regions: [{
    name: 'r', dims: ['n'],
    on: [{
      blob: 0, constants: [0],
      kernels: [
        { name: 'k0', ops: ['math.add'], locs: ['add'], flops: ['$n'], bytes: ['$n', 8, '*'] },
        { name: 'k1', ops: ['nn.relu'], locs: ['relu'], flops: ['$n'], bytes: ['$n', 8, '*'] },
      ],
    }],
  }],
  params: [{ name: 'x' }],
  results: [{ name: 'y' }],
  values: [param(0), result(0)],
  program: [call(0, [0], [1], [['$n']]), ret(1)],
});
