import { isAbsolute, join, resolve } from 'node:path';
import { onnx } from '@tenon/frontend-onnx';
import { standardOps } from '@tenon/ops';
import { defaultCacheFolder, nodeHost } from '@tenon/runtime/node';
import { cpuC } from '@tenon/target-cpu-c';
import { TenonError, type Loader } from '@tenon/plugin';
import type { Environment } from '../environment.ts';
import { openArtifactStore } from './artifact-store.ts';
import { shareFile, writeFileAtomically } from './files.ts';
import { codeIdentity } from './identity.ts';

/** The folder of the cache for the option `cache`; null: none. */
export function cacheFolder(cache: boolean | string): string | null {
  return cache === false ? null : cache === true ? defaultCacheFolder() : cache;
}

/** Whole artifacts lie beside the objects they were linked from, in a folder with a limit of its own. */
export const artifactFolder = (cache: string): string => join(cache, 'artifacts');

/** Imported when a model is loaded: it needs a native module, which compiling and inspecting do without. */
async function cpuCLoader(): Promise<Loader> {
  try {
    return (await import('@tenon/target-cpu-c/loader')).cpuC();
  } catch (cause) {
    throw new TenonError({
      code: 'tenon/no-koffi', message: `the module that calls compiled code (koffi) cannot be loaded: ${(cause as Error).message}`,
      hint: 'install dependencies again on this machine; koffi has builds for Linux, macOS and Windows on x64 and arm64',
    }, { cause });
  }
}

/** Node on a machine with a C compiler. */
export const nodeEnvironment: Environment = {
  defaults: () => ({ plugins: [standardOps(), onnx(), cpuC()], targets: ['cpu-c'] }),
  loaders: async () => [await cpuCLoader()],
  host: (cache, onProblem) => nodeHost({ cacheFolder: cacheFolder(cache), onProblem }),
  store(cache, onProblem) {
    const folder = cacheFolder(cache);
    return folder === null ? null : openArtifactStore({ folder: artifactFolder(folder), onProblem });
  },
  identity: codeIdentity,
  absolute: (uri) => (/^[a-z][a-z0-9+.-]+:/i.test(uri) || isAbsolute(uri) ? uri : resolve(uri)),
  files: { write: writeFileAtomically, share: shareFile },
};
