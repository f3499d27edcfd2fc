import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { validateConfig } from '@tenon/core';
import { diagnosticOf, TenonError, type Config, type Loader } from '@tenon/plugin';

export interface ConfigFile {
  readonly path: string;
  readonly config: Config;
  /** The named export `loaders`: run halves of the targets that the configuration adds. */
  readonly loaders: readonly Loader[];
}

const names = ['tenon.config.ts', 'tenon.config.mts', 'tenon.config.js', 'tenon.config.mjs'];

/** The configuration file of a folder; null where there is none. */
export function findConfig(folder: string = process.cwd()): string | null {
  return names.map((name) => resolve(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** Runs a configuration file and checks what it exports. Throws `config/…`. */
export async function loadConfig(file: string): Promise<ConfigFile> {
  const path = resolve(file);
  if (!existsSync(path)) throw new TenonError({ code: 'config/not-found', message: `there is no configuration ${file}` });
  let module: { readonly default?: unknown; readonly loaders?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as typeof module;
  } catch (cause) {
    const inner = diagnosticOf(cause);
    throw new TenonError({
      code: inner?.code ?? 'config/unreadable',
      message: `${file} cannot be run: ${inner?.message ?? (cause instanceof Error ? cause.message : String(cause))}`,
      hint: inner?.hint ?? 'a configuration is a module that runs in Node, in JavaScript or in TypeScript without enums and other syntax that generates code',
    }, { cause });
  }
  if (module.default === undefined) {
    throw new TenonError({ code: 'config/invalid', message: `${file} has no default export`, hint: 'write `export default defineConfig({ … })`' });
  }
  const { loaders = [] } = module;
  if (!Array.isArray(loaders) || !loaders.every(isLoader)) {
    throw new TenonError({ code: 'config/invalid', message: `${file}: the export \`loaders\` is not an array of loaders` });
  }
  return { path, config: validateConfig(module.default, file), loaders };
}

function isLoader(value: unknown): value is Loader {
  const { name, format, load } = (value ?? {}) as Partial<Loader>;
  return typeof name === 'string' && typeof format === 'string' && typeof load === 'function';
}
