import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const repository = fileURLToPath(new URL('../..', import.meta.url));
/** Where tests keep what they fetched or made; git ignores it. */
export const cacheFolder = resolve(repository, '.cache');

/** A folder of the data that `TENON_DATA` names (default: `../shared` beside the repository), or null where it is absent. */
export function dataFolder(name: string): string | null {
  const folder = resolve(repository, process.env['TENON_DATA'] ?? '../shared', name);
  return existsSync(folder) ? folder : null;
}

/**
 * Ends a command whose data is absent: skipped, with the reason; a failure where `CI` is set, since there all data
 * must be present.
 */
export function absent(what: string): void {
  const fails = Boolean(process.env['CI']);
  console.log(`skipped: ${what}${fails ? ' (a failure, because CI is set)' : ''}`);
  console.log(`0 passed, ${fails ? 1 : 0} failed, ${fails ? 0 : 1} skipped`);
  process.exitCode = fails ? 1 : 0;
}
