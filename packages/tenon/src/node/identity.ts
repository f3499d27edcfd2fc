import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Identity of the code of this package and of all Tenon packages that it stands on: names and versions, and where they
 * run from sources (inside the repository), sizes and times of the files, so that a change of the compiler is never
 * answered with what the compiler before it made. null where the packages cannot be found, as in a bundle.
 */
export function codeIdentity(): string | null {
  const here = fileURLToPath(import.meta.url);
  const own = packageAbove(dirname(here));
  if (own === null) return null;
  const fromSources = here.endsWith('.ts');
  const hash = createHash('sha256');
  const seen = new Set<string>();
  const visit = (folder: string): boolean => {
    if (seen.has(folder)) return true;
    seen.add(folder);
    const manifest = readManifest(folder);
    if (manifest === null) return false;
    hash.update(`${manifest.name}@${manifest.version}\n`);
    if (fromSources) hashSources(join(folder, 'src'), hash);
    return Object.keys(manifest.dependencies ?? {}).filter((name) => name.startsWith('@tenon/')).sort().every((name) => {
      const found = findPackage(folder, name);
      return found !== null && visit(found);
    });
  };
  return visit(own) ? hash.digest('hex') : null;
}

interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: { readonly [name: string]: string };
}

function readManifest(folder: string): PackageManifest | null {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageManifest;
  } catch {
    return null;
  }
}

/** The folder of this package; null in a bundle, which is some other package's. */
function packageAbove(start: string): string | null {
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = readManifest(folder);
    if (manifest !== null) return manifest.name === 'tenon' ? folder : null;
    if (dirname(folder) === folder) return null;
  }
}

/** As Node finds packages: in `node_modules` of the folder or of one above it. */
function findPackage(from: string, name: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate);
    if (dirname(folder) === folder) return null;
  }
}

function hashSources(folder: string, hash: ReturnType<typeof createHash>): void {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) hashSources(path, hash);
    else if (!entry.name.endsWith('.test.ts')) {
      const { size, mtimeMs } = statSync(path);
      hash.update(`${entry.name} ${size} ${mtimeMs}\n`);
    }
  }
}
