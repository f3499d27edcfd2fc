import { definePlugin, diagnosticOf, type BuildOptions, type Config, type Diagnostic, type Loader, type Plugin } from 'tenon';
import { inspectModel, nodeHost, openArtifact, printType, version, type Binding, type Context, type GraphFunction, type IRModule, type Manifest, type PartitionReport, type Placement } from 'tenon/tools';
import { summarize, type ExplainedGraph, type ExplainedOperator, type Explanation } from './explanation.ts';
import { schedulesOf } from './schedules.ts';
import { workOf } from './work.ts';

type Settings = Omit<BuildOptions, 'config' | 'output'> & { readonly config: Config; readonly loaders: readonly Loader[] };

/** What a compilation had decided, as far as it came. */
interface Decided {
  module: IRModule;
  placements: readonly Placement[];
  report: PartitionReport | null;
  flops: ReadonlyMap<string, number | null>;
}

/**
 * Compiles a model and explains it. Where the compilation fails after its operators were placed (a C compiler is
 * missing, for instance), what was decided until then is explained, and the failure is told with it. Without `codegen`
 * it stops there.
 */
export async function explainModel(path: string, settings: Settings, codegen = true): Promise<Explanation> {
  let imported: IRModule | null = null;
  let decided: Decided | null = null;
  const observer = definePlugin({ name: 'tenon-explain', namespace: 'tenon-explain' }, () => ({
    apply(hooks, ctx) {
      hooks.moduleImported.tap({ name: 'tenon-explain', stage: 1000 }, (module) => (imported = module));
      hooks.partitioned.tap({ name: 'tenon-explain', stage: 1000 }, (placements, module, report) => {
        decided = { module, placements, report, flops: flopsOf(module, ctx) };
        return placements;
      });
    },
  }));
  const problems: Diagnostic[] = [];
  let manifest: Pick<Manifest, 'regions' | 'blobs' | 'report' | 'info'> | null = null;
  try {
    const plugins: readonly Plugin[] = [...(settings.config.plugins ?? []), observer()];
    const { compilation, diagnostics } = await inspectModel(path, { ...settings, config: { ...settings.config, plugins }, ...(codegen ? {} : { until: 'partition' }), onDiagnostic: () => {} });
    problems.push(...diagnostics.filter((d) => d.severity !== 'note'));
    manifest = compilation?.manifest ?? null;
  } catch (error) {
    const problem = diagnosticOf(error);
    if (problem === null || decided === null || settings.signal?.aborted) throw error;
    problems.push(problem);
  }
  const { module, placements, flops } = decided! as Decided;
  const report = manifest?.report.partition ?? (decided! as Decided).report;
  const placed = manifest?.report.placements ?? placements;
  const kernels = manifest === null ? () => [] : kernelsOf(manifest);
  const bindings = bindingsByResult(module);
  const operators = placed.map((p): ExplainedOperator => {
    const binding = bindings.get(p.results[0] ?? '');
    return { ...p, types: binding?.results.map((r) => printType(r.type)) ?? [], kernels: kernels(p), flops: p.estimate?.flops ?? flops.get(p.results[0] ?? '') ?? null };
  });
  const targets = manifest?.info.targets ?? report?.targets.map((t) => t.target) ?? [...new Set(placed.map((p) => p.target))];
  return {
    subject: path, compiler: manifest?.info.compiler ?? `tenon ${version}`, targets: summarize(operators, targets, report), operators, eliminated: eliminatedFrom(imported!, placed),
    graph: graphOf(module, placed, bindings), transfers: countTransfers(placed, bindings), partition: report, ...schedulesOf(manifest, operators), problems,
  };
}

/** Explains an artifact from the report that it carries. */
export async function explainArtifact(path: string): Promise<Explanation> {
  const source = await nodeHost({ cacheFolder: null }).open(path);
  try {
    const { manifest } = await openArtifact(source);
    const kernels = kernelsOf(manifest);
    const operators = manifest.report.placements.map((p): ExplainedOperator => ({ ...p, types: [], kernels: kernels(p), flops: p.estimate?.flops ?? null }));
    const report = manifest.report.partition ?? null;
    return {
      subject: path, compiler: manifest.info.compiler, targets: summarize(operators, manifest.info.targets, report), operators, eliminated: [],
      graph: null, transfers: null, partition: report, ...schedulesOf(manifest, operators), problems: [],
    };
  } finally {
    source.close();
  }
}

const graphFunctions = (module: IRModule): GraphFunction[] => [...module.functions.values()].filter((f) => f.kind === 'graph');

/** The operators that run, not those of variants for the host. */
function operatorsOf(module: IRModule): Binding[] {
  return graphFunctions(module).filter((f) => f.attrs['variantOf'] === undefined).flatMap((f) => f.bindings.filter((b) => b.kind === 'op'));
}

function bindingsByResult(module: IRModule): ReadonlyMap<string, Binding> {
  return new Map(operatorsOf(module).flatMap((b) => b.results.map((r) => [r.name, b] as const)));
}

function flopsOf(module: IRModule, ctx: Context): ReadonlyMap<string, number | null> {
  const work = workOf(module, ctx);
  return new Map(operatorsOf(module).map((b) => [b.results[0]?.name ?? '', work(b)]));
}

/** The kernels of a placement's region that work on the same node of the model. */
function kernelsOf({ regions }: Pick<Manifest, 'regions'>): (placement: Placement) => readonly string[] {
  const byRegion = new Map(regions.map((region) => {
    const byLocation = new Map<string, string[]>();
    for (const kernel of region.variants[0]?.kernels ?? []) {
      for (const loc of new Set(kernel.locs)) byLocation.set(loc, [...(byLocation.get(loc) ?? []), kernel.name]);
    }
    return [region.name, byLocation];
  }));
  // A region that fell back to the host says so after its name.
  const find = (region: string): ReadonlyMap<string, readonly string[]> | undefined => byRegion.get(region) ?? byRegion.get(region.replace(/_on_.*$/, ''));
  return ({ region, loc }) => (loc === null ? [] : (find(region)?.get(loc) ?? []));
}

function eliminatedFrom(imported: IRModule, placements: readonly Placement[]): Explanation['eliminated'] {
  const alive = new Set(placements.map((p) => p.loc));
  return operatorsOf(imported).flatMap(({ callee, loc }) => (loc === null || alive.has(loc) ? [] : [{ op: callee, loc }]));
}

function graphOf(module: IRModule, placements: readonly Placement[], bindings: ReadonlyMap<string, Binding>): ExplainedGraph {
  const main = module.functions.get('main') as GraphFunction;
  const typed = (name: string, value: GraphFunction['params'][number]): ExplainedGraph['inputs'][number] => ({ name, value: value.name, type: printType(value.type) });
  const args = placements.map((p) => (bindings.get(p.results[0] ?? '')?.args ?? []).filter((a) => a !== null));
  return {
    inputs: main.params.map((p) => typed(p.name, p)),
    outputs: main.results.map((r, i) => typed(main.resultNames[i] ?? r.name, r)),
    uses: args.map((mine) => mine.filter((a) => !a.constant).map((a) => a.name)),
    constants: args.map((mine) => mine.filter((a) => a.constant).map((a) => typed(a.name, a))),
  };
}

function countTransfers(placements: readonly Placement[], bindings: ReadonlyMap<string, Binding>): number {
  const target = new Map(placements.flatMap((p) => p.results.map((r) => [r, p.target] as const)));
  const crossing = new Set<string>();
  for (const p of placements) {
    for (const arg of bindings.get(p.results[0] ?? '')?.args ?? []) {
      const from = arg === null || arg.constant ? undefined : target.get(arg.name);
      if (from !== undefined && from !== p.target) crossing.add(`${arg!.name} ${p.target}`);
    }
  }
  return crossing.size;
}
