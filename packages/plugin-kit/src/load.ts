/** Finds and imports the two halves of a plugin's package. */
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Loader, Plugin } from '@tenon/plugin';
import type { PackageJson } from './settings.ts';

export interface Entries {
  /** The compile half: exports["."]. */
  readonly plugin: string | null;
  /** The run half: exports["./loader"]. */
  readonly loader: string | null;
  /** Whether these are what is published, not sources that stand in for it. */
  readonly built: boolean;
}

/** Whether this process prefers sources, as the repository does. */
const preferSources = process.execArgv.some((arg) => arg === '--conditions=tenon-source' || arg === '-C=tenon-source');

/** The files behind the exports of a package. Sources stand in for what has not been built. */
export function findEntries(folder: string, json: PackageJson): Entries {
  const sources: string[] = [];
  const fileOf = (name: string): string | null => {
    const { exports } = json;
    const isMap = typeof exports === 'object' && exports !== null && Object.keys(exports).some((k) => k.startsWith('.'));
    const value = isMap ? (exports as { readonly [name: string]: unknown })[name] : name === '.' ? (exports ?? json.main ?? './index.js') : undefined;
    const targets = (wanted: readonly string[]): readonly string[] => {
      const walk = (v: unknown): string[] => {
        if (typeof v === 'string') return [v];
        if (Array.isArray(v)) return v.flatMap(walk);
        if (typeof v !== 'object' || v === null) return [];
        return Object.entries(v).filter(([condition]) => wanted.includes(condition)).flatMap(([, inner]) => walk(inner));
      };
      return walk(value);
    };
    const [built, unbuilt] = [['node', 'import', 'module-sync', 'default'], ['tenon-source']].map((wanted) => targets(wanted!).map((path) => join(folder, path)));
    sources.push(...unbuilt!.filter((path) => !built!.includes(path)));
    const paths = preferSources ? [...unbuilt!, ...built!] : [...built!, ...unbuilt!];
    return paths.find((path) => existsSync(path)) ?? paths[0] ?? null;
  };
  const [plugin, loader] = [fileOf('.'), fileOf('./loader')];
  return { plugin, loader, built: ![plugin, loader].some((path) => path !== null && sources.includes(path)) };
}

/** Lets a plugin without `node_modules` of its own use the packages that come with the kit. */
export function provideOwnPackages(): void {
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!specifier.startsWith('@tenon/') || (error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

type Factory<T> = (options?: unknown) => T;

/** A module's default export, else its only export that fits. */
async function importFactory<T>(file: string, fits: (value: unknown) => value is T): Promise<Factory<T>> {
  const module = (await import(pathToFileURL(file).href)) as { readonly [name: string]: unknown };
  const candidates = 'default' in module ? [module['default']] : Object.values(module);
  for (const candidate of candidates) {
    if (fits(candidate)) return () => candidate;
    if (typeof candidate !== 'function') continue;
    if ('default' in module) return candidate as Factory<T>;
    try {
      if (fits((candidate as Factory<unknown>)())) return candidate as Factory<T>;
    } catch {
      // Some other function.
    }
  }
  throw new Error(`${file} exports nothing that fits; it should have a default export`);
}

const hasStrings = (value: unknown, ...names: readonly string[]): boolean =>
  typeof value === 'object' && value !== null && names.every((name) => typeof (value as { readonly [name: string]: unknown })[name] === 'string');

export const isPlugin = (value: unknown): value is Plugin => hasStrings(value, 'name', 'namespace') && typeof (value as Plugin).contract === 'number';
export const isLoader = (value: unknown): value is Loader =>
  hasStrings(value, 'name', 'format') && typeof (value as Loader).load === 'function' && typeof (value as Loader).answer === 'function' && typeof (value as Loader).device === 'object';

export const importPlugin = (file: string): Promise<Factory<Plugin>> => importFactory(file, isPlugin);
export const importLoader = (file: string): Promise<Factory<Loader>> => importFactory(file, isLoader);
