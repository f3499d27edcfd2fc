import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, relative as relativePath, resolve as resolvePath, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Diagnostic, Host } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { resolveUrl, urlSource } from '../browser/url-source.ts';
import { defaultCacheFolder, type DiskCache, openDiskCache } from './disk-cache.ts';
import { fileSource } from './file-source.ts';

export interface NodeHostOptions {
  /** Folder of the cache; null: no cache. Default: see `defaultCacheFolder`. */
  readonly cacheFolder?: string | null;
  /** Limit of the cache in bytes. Default: 4 GiB. */
  readonly cacheBytes?: number;
  readonly onProblem?: (problem: Diagnostic) => void;
}

export interface NodeHost extends Host {
  readonly cache: DiskCache | null;
}

/** Files, `file:` and `http(s):` URLs, a cache on disk, and the clock, for Node. */
export function nodeHost(options: NodeHostOptions = {}): NodeHost {
  const { cacheFolder = defaultCacheFolder(), cacheBytes, onProblem } = options;
  return {
    name: `node ${process.version}`,
    now: () => performance.now(),
    async open(uri) {
      return isUrl(uri) ? urlSource(uri) : fileSource(pathOf(uri));
    },
    resolve: (base, relative) => (isUrl(base) ? resolveUrl(base, relative) : resolveFile(pathOf(base), relative)),
    cache: cacheFolder === null ? null : openDiskCache({ folder: cacheFolder, ...(cacheBytes === undefined ? {} : { maxBytes: cacheBytes }), ...(onProblem ? { onProblem } : {}) }),
  };
}

const isUrl = (uri: string): boolean => /^https?:/i.test(uri);
const pathOf = (uri: string): string => (/^file:/i.test(uri) ? fileURLToPath(uri) : uri);

/** A path from inside a model, within the model's folder. Links are followed before that is decided. */
function resolveFile(base: string, relative: string): string {
  const refuse = (): TenonError => new TenonError({
    code: 'host/outside-folder',
    message: `'${relative}' leads out of the folder of ${base}`,
    hint: 'put the file beside the model, and not as a link to elsewhere',
  });
  const folder = resolvePath(dirname(base));
  const path = resolvePath(folder, relative);
  // A backslash or a drive separates on Windows only; a model must mean the same everywhere.
  if (relative === '' || relative.includes('\0') || relative.includes('\\') || /^[a-z][a-z0-9+.-]*:/i.test(relative) || isAbsolute(relative) || !isWithin(folder, path)) throw refuse();
  const real = realPath(path);
  if (real !== null && !isWithin(realPath(folder) ?? folder, real)) throw refuse();
  return path;
}

function isWithin(folder: string, path: string): boolean {
  const way = relativePath(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** null where there is no such file: opening it says so. */
function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}
