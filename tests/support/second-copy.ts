import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type * as core from '@tenon/core';
import type * as ops from '@tenon/ops';
import type * as plugin from '@tenon/plugin';
import { build } from 'esbuild';
import { cacheFolder } from './data.ts';

export interface SecondCopy {
  readonly core: typeof core;
  readonly plugin: typeof plugin;
  readonly ops: typeof ops;
}

/** A copy of the packages plugin, core and ops that shares no module with those of this process. */
export async function secondCopy(): Promise<SecondCopy> {
  const file = join(cacheFolder, 'second-copy', `copy-${process.pid}.cjs`);
  await build({
    stdin: {
      contents: ['core', 'plugin', 'ops'].map((name) => `export * as ${name} from '@tenon/${name}';`).join('\n'),
      resolveDir: fileURLToPath(new URL('..', import.meta.url)),
    },
    bundle: true, format: 'cjs', platform: 'node', conditions: ['tenon-source'], outfile: file, logLevel: 'error',
  });
  try {
    return ((await import(/* @vite-ignore */ pathToFileURL(file).href)) as { readonly default: SecondCopy }).default;
  } finally {
    rmSync(file, { force: true });
  }
}
