import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const root = fileURLToPath(new URL('..', import.meta.url));

export interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly private?: boolean;
  readonly dependencies?: { readonly [name: string]: string };
  readonly devDependencies?: { readonly [name: string]: string };
  readonly peerDependencies?: { readonly [name: string]: string };
  readonly peerDependenciesMeta?: { readonly [name: string]: { readonly optional?: boolean } };
  readonly exports?: { readonly [entry: string]: unknown };
  readonly scripts?: { readonly [name: string]: string };
  readonly bin?: { readonly [name: string]: string };
}

/** A package of `packages/`. */
export interface Package {
  /** The folder's name. */
  readonly folder: string;
  readonly path: string;
  readonly json: PackageJson;
}

export const readPackage = (path: string): PackageJson => JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as PackageJson;

export function packages(): readonly Package[] {
  return readdirSync(join(root, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, 'packages', entry.name, 'package.json')))
    .map(({ name }) => ({ folder: name, path: join(root, 'packages', name), json: readPackage(join(root, 'packages', name)) }));
}

/** Dependencies that the build takes into the package, see bundle-dependency.ts. */
export const bundledDependencies = (json: PackageJson): readonly string[] =>
  [...(json.scripts?.['build'] ?? '').matchAll(/bundle-dependency\.ts (\S+)/g)].map(([, name]) => name!);

/** TypeScript files below a folder, relative to it, in order. */
export function sourceFiles(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !/[\\/](node_modules|dist)([\\/]|$)/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** `@scope/name/entry` → `@scope/name`. */
export const packageName = (specifier: string): string => specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
