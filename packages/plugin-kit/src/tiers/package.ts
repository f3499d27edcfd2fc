/** The shape of the package: entries, dependencies, and that the two halves stay apart. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, matchesGlob, normalize, relative } from 'node:path';
import type { Failure, Note } from '../report.ts';
import type { PackageJson } from '../settings.ts';
import type { Entries } from '../load.ts';
import { packageOf, reachable, resolveRelative, type ScannedFile } from '../source-scan.ts';

export interface PackageFindings {
  readonly failures: readonly Failure[];
  readonly notes: readonly Note[];
  readonly checks: number;
  /** Files of both halves, for other tiers to look into. */
  readonly files: { readonly plugin: ReadonlyMap<string, ScannedFile>; readonly loader: ReadonlyMap<string, ScannedFile> };
}

/** Parts of the compiler that a running model must not carry. */
const compilerPackages = ['@tenon/core', '@tenon/ops', '@tenon/interp', '@tenon/schedule', '@tenon/compiler', '@tenon/plugin-kit', 'tenon'];
/** What rules are made with: a loader that needs it carries the compile half. */
const rulePieces = /^(definePlugin|op|any|constant|constraint|accept|reject|typeOf)$/;
const isCompiler = (name: string): boolean => compilerPackages.includes(name) || name.startsWith('@tenon/frontend-');

export function checkPackage(folder: string, json: PackageJson, entries: Entries): PackageFindings {
  const failures: Failure[] = [];
  const notes: Note[] = [];
  let checks = 0;
  const expect = (ok: boolean, code: string, message: string): boolean => {
    checks++;
    if (!ok) failures.push({ tier: 'package', code, message });
    return ok;
  };
  const note = (code: string, message: string): void => void notes.push({ tier: 'package', code, message });

  expect(typeof json.name === 'string' && /^(@[a-z0-9~-][\w.~-]*\/)?[a-z0-9~-][\w.~-]*$/.test(json.name), 'package/name', `package.json: the name ${JSON.stringify(json.name)} is no package name`);
  expect(typeof json.version === 'string' && /^\d+\.\d+\.\d+([-+].+)?$/.test(json.version), 'package/version', `package.json: the version ${JSON.stringify(json.version)} is none (such as 1.2.3)`);
  expect(json.keywords?.includes('tenon-plugin') ?? false, 'package/keyword', 'package.json: the keyword `tenon-plugin` is missing: users find plugins by it');
  const files = { plugin: new Map<string, ScannedFile>() as ReadonlyMap<string, ScannedFile>, loader: new Map<string, ScannedFile>() as ReadonlyMap<string, ScannedFile> };
  const exists = (path: string | null): path is string => path !== null && existsSync(path) && statSync(path).isFile();
  if (!expect(exists(entries.plugin), 'package/entry', entries.plugin === null ? 'package.json: `exports` has no entry "."' : `the entry "." is ${relative(folder, entries.plugin)}, which does not exist${existsSync(join(folder, 'package.json')) ? ' (has it been built?)' : ''}`)) {
    return { failures, notes, checks, files };
  }
  files.plugin = reachable(entries.plugin!);
  if (entries.loader !== null && expect(exists(entries.loader), 'package/entry', `the entry "./loader" is ${relative(folder, entries.loader)}, which does not exist`)) {
    files.loader = reachable(entries.loader);
  }

  // Sources that stand in for what has not been built are not what is published.
  if (json.files !== undefined && entries.built) {
    // npm publishes it in any case.
    const main = json.main === undefined ? null : normalize(json.main);
    for (const file of new Map([...files.plugin, ...files.loader]).keys()) {
      const at = relative(folder, file);
      if (!at.startsWith('..') && at !== main) expect(isPublished(at, json.files), 'package/files', `${at} is not among the \`files\` of package.json: it will be missing where the package is installed`);
    }
  }

  const declared = new Set(Object.keys({ ...json.dependencies, ...json.peerDependencies, ...json.optionalDependencies }));
  const all = new Map([...files.plugin, ...files.loader]);
  const seen = new Set<string>();
  for (const file of all.values()) {
    const at = relative(folder, file.path);
    for (const { specifier, typeOnly } of file.imports) {
      if (specifier.startsWith('.')) {
        const found = resolveRelative(file.path, specifier);
        if (typeOnly) continue;
        if (!expect(found !== null, 'package/import', `${at} imports '${specifier}', which does not exist`)) continue;
        expect(!relative(folder, found!).startsWith('..'), 'package/leaves-folder', `${at} imports '${specifier}', which is outside of the package and will not be published with it`);
        continue;
      }
      if (isBuiltin(specifier) || specifier.startsWith('#') || typeOnly) continue;
      const name = packageOf(specifier);
      if (name === json.name || seen.has(name)) continue;
      seen.add(name);
      expect(declared.has(name), 'package/dependency', `${at} imports ${name}, which is not among the dependencies: it will be missing where the package is installed`);
    }
  }
  checks++;
  if (json.peerDependencies?.['@tenon/plugin'] !== undefined && json.dependencies?.['@tenon/plugin'] === undefined) {
    failures.push({ tier: 'package', code: 'package/peer-dependency', message: '@tenon/plugin is a peer dependency. Make it a regular dependency: the copy that a plugin depends on states the contract that it was written for' });
  }

  for (const file of files.loader.values()) {
    const at = relative(folder, file.path);
    for (const { specifier, typeOnly } of file.imports) {
      if (typeOnly || specifier.startsWith('.')) continue;
      expect(!isCompiler(packageOf(specifier)), 'package/loader-imports-compiler', `${at}, which the entry "./loader" reaches, imports ${specifier}: the run half must do without the compiler`);
    }
  }
  if (entries.loader !== null && files.loader.size > 0) {
    checks += 3;
    const rules = [...files.loader.values()].find((f) => f.imports.some((i) => !i.typeOnly && i.specifier === '@tenon/plugin' && i.names.some((name) => rulePieces.test(name))));
    if (rules !== undefined && !files.loader.has(entries.plugin!)) {
      failures.push({ tier: 'package', code: 'package/loader-imports-compiler', message: `${relative(folder, rules.path)}, which the entry "./loader" reaches, makes rules: they belong to the compile half` });
    }
    if (files.loader.has(entries.plugin!)) {
      failures.push({ tier: 'package', code: 'package/loader-imports-compiler', message: `the entry "./loader" reaches ${relative(folder, entries.plugin!)}, the compile half: a running model would carry it` });
    }
    if (files.plugin.has(entries.loader) && entries.loader !== entries.plugin) {
      failures.push({ tier: 'package', code: 'package/halves', message: `the entry "." reaches ${relative(folder, entries.loader)}, the run half: compiling must not need the device` });
    }
    const compileOnly = [...files.loader.values()].find((f) => f !== undefined && /\b(?:definePlugin)\s*\(/.test(f.code));
    if (compileOnly !== undefined) {
      failures.push({ tier: 'package', code: 'package/loader-imports-compiler', message: `${relative(folder, compileOnly.path)}, which the entry "./loader" reaches, declares a plugin: that belongs to the compile half` });
    }
  }
  const readme = ['README.md', 'readme.md', 'README'].some((name) => existsSync(join(folder, name)));
  if (!readme) note('package/readme', 'there is no README.md');
  return { failures, notes, checks, files };
}

/** Whether npm would put a file into the package. Entries of `files` are files, folders, or patterns, as in .gitignore; the last that fits decides. */
function isPublished(path: string, files: readonly string[]): boolean {
  let published = false;
  for (const entry of files) {
    const pattern = entry.replace(/^!/, '').replace(/^\.?\//, '').replace(/\/+$/, '');
    const fits = [pattern, `${pattern}/**`, ...(pattern.includes('/') ? [] : [`**/${pattern}`, `**/${pattern}/**`])].some((glob) => glob === '' || glob === '.' || matchesGlob(path, glob));
    if (fits) published = !entry.startsWith('!');
  }
  return published;
}

/** Whether sources look as if the loader kept a checksum of its blobs. */
export const mentionsChecksum = (files: ReadonlyMap<string, ScannedFile>): boolean => [...files.values()].some((f) => /checksum|crc32|\bcrc\b|adler|fnv/i.test(f.code));

export const readPackage = (folder: string): PackageJson => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
