/**
 * Holds the arrows between packages: which package may import which, what must run without Node, that declared
 * dependencies are the ones imported, and that no code is made from strings.
 */
import { existsSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { readModule, type Module } from './modules.ts';
import { bundledDependencies, packageName, packages, readPackage, root, sourceFiles, type Package, type PackageJson } from './workspace.ts';

/** Packages of ours that each may import, by folder. */
const mayImport: { readonly [folder: string]: readonly string[] } = {
  plugin: [],
  artifact: ['plugin'],
  core: ['plugin'],
  ops: ['plugin', 'core'],
  interp: ['plugin', 'core'],
  schedule: ['plugin', 'core'],
  compiler: ['plugin', 'artifact', 'core', 'ops', 'interp', 'schedule'],
  runtime: ['plugin', 'artifact'],
  'frontend-*': ['plugin', 'core'],
  'target-*': ['plugin', 'artifact', 'core', 'schedule'],
  tenon: ['plugin', 'artifact', 'core', 'ops', 'interp', 'schedule', 'compiler', 'runtime', 'frontend-*', 'target-*'],
  cli: ['tenon'],
  'create-tenon-plugin': ['plugin'],
  'plugin-kit': ['plugin', 'artifact', 'core', 'ops', 'interp', 'compiler', 'runtime'],
};
/** The run half of a target: what its entry `./loader` reaches. */
const loaderMayImport = ['plugin', 'runtime'];
/** Entries that use Node's modules. All others run in browsers and workers too. */
const needsNode: { readonly [folder: string]: readonly string[] } = {
  runtime: ['./node'],
  tenon: ['.', './tools'],
  cli: ['.'],
  'target-cpu-c': ['.', './loader'],
  'create-tenon-plugin': ['.'],
  'plugin-kit': ['.', './vitest'],
};

const problems: string[] = [];
const modules = new Map<string, Module>();
const all = packages();
const byName = new Map(all.map((p) => [p.json.name, p.folder]));

const report = (file: string, line: number, message: string): void => {
  problems.push(`${relative(root, file)}:${line}: ${message}`);
};
const allows = (list: readonly string[], folder: string): boolean =>
  list.some((name) => name === folder || (name.endsWith('-*') && folder.startsWith(name.slice(0, -1))));
const rowOf = (folder: string): readonly string[] | undefined => {
  const key = Object.keys(mayImport).find((name) => allows([name], folder));
  return key === undefined ? undefined : mayImport[key];
};

function moduleOf(file: string): Module {
  let module = modules.get(file);
  if (!module) modules.set(file, (module = readModule(file)));
  return module;
}

/** Test support, of packages and of the repository. */
const isSupport = (path: string): boolean => /^(?:packages[\\/][^\\/]+[\\/]test|tests[\\/]support)[\\/]/.test(relative(root, path));

/** Relative imports stay inside and exist; packages are declared. `support`: test support may be imported. */
function checkSpecifiers(file: string, folder: string, declared: ReadonlySet<string>, support = false): void {
  for (const { specifier, line } of moduleOf(file).imports) {
    if (specifier.startsWith('.')) {
      const target = resolve(dirname(file), specifier);
      const allowed = support && isSupport(target);
      if (relative(folder, target).startsWith('..') && !allowed) report(file, line, `'${specifier}' leaves the package: import it by name`);
      else if (!/\.(ts|json)$/.test(specifier)) report(file, line, `'${specifier}' wants its extension .ts`);
      else if (!existsSync(target)) report(file, line, `'${specifier}' does not exist`);
    } else if (isAbsolute(specifier)) {
      report(file, line, `'${specifier}' exists on one machine only`);
    } else if (isBuiltin(specifier)) {
      if (!specifier.startsWith('node:')) report(file, line, `write 'node:${specifier}'`);
    } else if (!declared.has(packageName(specifier))) {
      report(file, line, `${packageName(specifier)} is not among the package's dependencies`);
    }
  }
}

const names = (...sets: (PackageJson['dependencies'] | undefined)[]): ReadonlySet<string> => new Set(sets.flatMap((set) => Object.keys(set ?? {})));
const isTest = (path: string, file: string): boolean => file.endsWith('.test.ts') || !relative(path, file).startsWith('src');

/** Files that an entry reaches through imports that are not erased. */
function reachable(entry: string): ReadonlySet<string> {
  const seen = new Set([entry]);
  for (const file of seen) {
    for (const { specifier, typeOnly } of moduleOf(file).imports) {
      if (specifier.startsWith('.') && !typeOnly) seen.add(resolve(dirname(file), specifier));
    }
  }
  return seen;
}

/** Source files of a package's entries. */
function entries(p: Package): readonly (readonly [name: string, file: string])[] {
  const sourceOf = (value: unknown): string | null =>
    typeof value === 'object' && value !== null ? ((value as { 'tenon-source'?: string })['tenon-source'] ?? null) : null;
  return Object.entries(p.json.exports ?? {}).flatMap(([name, value]) => {
    const source = sourceOf(value);
    if (source === null) return name === './package.json' ? [] : (report(join(p.path, 'package.json'), 1, `${name} has no condition tenon-source`), []);
    const file = join(p.path, source);
    return existsSync(file) ? [[name, file] as const] : (report(join(p.path, 'package.json'), 1, `${source} does not exist`), []);
  });
}

const rootJson = readPackage(root);
const edges = new Map<string, Set<string>>();
let files = 0;

for (const p of all) {
  const row = rowOf(p.folder);
  if (!row) {
    problems.push(`packages/${p.folder}: has no row in the table of ${relative(root, import.meta.filename)}`);
    continue;
  }
  const used = new Set<string>();
  const edge = new Set<string>();
  edges.set(p.folder, edge);
  for (const file of sourceFiles(p.path)) {
    files++;
    const module = moduleOf(file);
    if (isTest(p.path, file)) {
      checkSpecifiers(file, p.path, names(p.json.dependencies, p.json.devDependencies, rootJson.devDependencies, { [p.json.name]: '' }), true);
      continue;
    }
    checkSpecifiers(file, p.path, new Set([...names(p.json.dependencies, p.json.peerDependencies), ...bundledDependencies(p.json)]));
    for (const { specifier, line } of module.imports) {
      if (specifier.startsWith('.') || isBuiltin(specifier)) continue;
      used.add(packageName(specifier));
      const folder = byName.get(packageName(specifier));
      if (folder === undefined) continue;
      edge.add(folder);
      if (!allows(row, folder)) report(file, line, `${p.folder} may not import ${folder}`);
    }
    for (const { line, message } of module.evaluations) report(file, line, `${message}: code made from strings is forbidden in many places where Tenon runs`);
    for (const { line, message } of module.state) report(file, line, `${message}: state belongs to a session`);
    for (const { line, message } of module.instanceChecks) report(file, line, `${message}: look at the data, there may be two copies of that package`);
  }
  for (const name of names(p.json.dependencies)) {
    if (!used.has(name)) problems.push(`packages/${p.folder}/package.json: no source imports ${name}`);
  }
  for (const [name, file] of entries(p)) {
    const portable = !(needsNode[p.folder] ?? []).includes(name);
    const loader = p.folder.startsWith('target-') && name === './loader';
    for (const reached of reachable(file)) {
      for (const { specifier, typeOnly, line } of moduleOf(reached).imports) {
        if (portable && !typeOnly && isBuiltin(specifier)) report(reached, line, `'${specifier}' is reached from ${p.json.name}${name.slice(1)}, which must run without Node`);
        const folder = byName.get(packageName(specifier));
        if (loader && !typeOnly && folder !== undefined && !allows(loaderMayImport, folder)) report(reached, line, `the run half may not import ${folder}`);
      }
    }
  }
}

/** A cycle among packages, as a path; null where there is none. */
function cycle(): readonly string[] | null {
  const done = new Set<string>();
  const visit = (folder: string, path: readonly string[]): readonly string[] | null => {
    if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
    if (done.has(folder)) return null;
    for (const next of edges.get(folder) ?? []) {
      const found = visit(next, [...path, folder]);
      if (found) return found;
    }
    done.add(folder);
    return null;
  };
  for (const folder of edges.keys()) {
    const found = visit(folder, []);
    if (found) return found;
  }
  return null;
}
const found = cycle();
if (found) problems.push(`packages import each other: ${found.join(' → ')}`);

for (const folder of ['tests', 'examples/quickstart', 'scripts']) {
  const path = join(root, folder);
  if (!existsSync(path)) continue;
  const json: Partial<PackageJson> = existsSync(join(path, 'package.json')) ? readPackage(path) : {};
  for (const file of sourceFiles(path)) {
    files++;
    checkSpecifiers(file, path, names(json.dependencies, json.devDependencies, rootJson.devDependencies), folder !== 'examples/quickstart');
  }
}

for (const problem of new Set(problems)) console.error(problem);
console.log(`import rules: ${files} files of ${all.length} packages, ${new Set(problems).size} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
