import {
  contractLevel, standardDTypes, TenonError,
  type DType, type Facets, type Frontend, type Library, type Operator, type Pass, type Plugin, type Rule, type ScheduleRule, type Target, type TensorIntrinsic,
} from '@tenon/plugin';

/** Everything that the plugins of a session declare, in an order that does not depend on the order of plugins. */
export interface Registry {
  readonly plugins: readonly Plugin[];
  readonly ops: ReadonlyMap<string, Operator>;
  readonly facets: ReadonlyMap<string, Facets & { readonly [name: string]: unknown }>;
  readonly dtypes: ReadonlyMap<string, DType>;
  readonly frontends: readonly Frontend[];
  readonly targets: ReadonlyMap<string, Target>;
  readonly rules: readonly Rule[];
  readonly schedules: readonly ScheduleRule[];
  readonly intrinsics: ReadonlyMap<string, TensorIntrinsic>;
  readonly libraries: readonly Library[];
  readonly passes: readonly Pass[];
}

export function buildRegistry(given: readonly Plugin[]): Registry {
  const plugins = [...given].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  plugins.forEach((plugin, i) => {
    if (plugin.contract !== contractLevel) {
      throw new TenonError({
        code: 'session/contract-level',
        message: `${plugin.name} was built for contract level ${plugin.contract}; this compiler speaks level ${contractLevel}`,
        hint: plugin.contract > contractLevel ? 'Update Tenon.' : `Update ${plugin.name}, or install the Tenon release it was built for.`,
      });
    }
    if (plugins[i - 1]?.name === plugin.name) {
      throw new TenonError({ code: 'session/duplicate-plugin', message: `the plugin ${plugin.name} is listed twice`, hint: 'Remove one of the two.' });
    }
  });

  const owners = new Map<string, string>();
  const own = (kind: string, name: string, plugin: Plugin): void => {
    const key = `${kind} ${name}`;
    const owner = owners.get(key);
    if (owner !== undefined) {
      throw new TenonError({
        code: 'session/conflict',
        message: `${kind} ${name} is declared by both ${owner} and ${plugin.name}`,
        hint: 'Use only one of the two plugins, or rename one of the declarations.',
      });
    }
    owners.set(key, plugin.name);
  };
  const collect = <T>(kind: string, list: (p: Plugin) => readonly T[] | undefined, name: (t: T) => string): T[] => {
    const all: T[] = [];
    for (const plugin of plugins) {
      for (const item of list(plugin) ?? []) {
        own(kind, name(item), plugin);
        all.push(item);
      }
    }
    return all.sort((a, b) => (name(a) < name(b) ? -1 : 1));
  };
  const byName = <T extends { readonly name: string }>(items: readonly T[]): Map<string, T> => new Map(items.map((t) => [t.name, t]));

  const ops = collect('operator', (p) => p.ops, (o) => o.name);
  const facets = new Map<string, Record<string, unknown>>();
  for (const op of ops) {
    facets.set(op.name, { ...op.facets });
    const owner = owners.get(`operator ${op.name}`)!;
    for (const name of Object.keys(op.facets)) owners.set(`facet ${op.name} ${name}`, owner);
  }
  for (const plugin of plugins) {
    for (const extension of plugin.facets ?? []) {
      const known = facets.get(extension.op) ?? {};
      for (const [name, facet] of Object.entries(extension.facets)) {
        own('facet', `${extension.op} ${name}`, plugin);
        known[name] = facet;
      }
      facets.set(extension.op, known);
    }
  }
  const libraries = collect('library', (p) => p.libraries, (l) => l.name);
  for (const plugin of plugins) {
    for (const { target, entries, provides, name } of plugin.libraries ?? []) {
      for (const entry of entries) own('library entry', `${name}/${entry.id}`, plugin);
      for (const symbol of provides.flatMap((unit) => unit.symbols)) own('library symbol', `${symbol} for ${target}`, plugin);
    }
  }
  for (const dtype of standardDTypes) owners.set(`dtype ${dtype.name}`, '@tenon/plugin');
  return {
    plugins,
    ops: byName(ops),
    facets,
    dtypes: byName([...standardDTypes, ...collect('dtype', (p) => p.dtypes, (d) => d.name)]),
    frontends: collect('frontend', (p) => p.frontends, (f) => f.name),
    targets: byName(collect('target', (p) => p.targets, (t) => t.name)),
    rules: collect('rule', (p) => p.rules, (r) => r.id),
    schedules: collect('schedule', (p) => p.schedules, (s) => s.id),
    intrinsics: byName(collect('intrinsic', (p) => p.intrinsics, (i) => i.name)),
    libraries,
    passes: collect('pass', (p) => p.passes, (p) => p.name),
  };
}
