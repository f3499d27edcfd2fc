import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { unpack } from '../support/archive.ts';

/** An entry of `index.json`. Its folder is `KIND/CASE`. */
export interface Case {
  readonly kind: string;
  readonly case: string;
  readonly folder: string;
  readonly op: string;
  readonly opset: number | null;
  readonly dtypes: readonly string[];
  readonly rtol: number;
  readonly atol: number;
  readonly tier: string;
}

interface IndexEntry extends Omit<Case, 'folder' | 'dtypes'> {
  readonly dtypes: string;
}

const countedTypes = new Set(['FLOAT', 'INT32', 'INT64', 'BOOL']);

/** Tier A, opset ≤ 26, and no element types beyond f32, i32, i64 and bool. */
export const scored = (c: Case): boolean =>
  c.tier === 'A' && c.opset !== null && c.opset <= 26 && c.dtypes.length > 0 && c.dtypes.every((t) => countedTypes.has(t));
/** The cases by which coverage is counted. */
export const counted = (c: Case): boolean => c.kind === 'node' && scored(c);

/** Folders with an `index.json`: the given one, or what is unpacked from the archives in it. */
export function caseFolders(given: string, cache: string): readonly string[] {
  if (existsSync(join(given, 'index.json'))) return [given];
  const archives = readdirSync(given).filter((name) => /\.(tar\.gz|tgz)$/.test(name)).sort();
  return archives.map((name) => unpack(join(given, name), cache));
}

/** All cases below the folders. An index of another form (that of malformed inputs, say) is passed over. */
export function readCases(folders: readonly string[]): readonly Case[] {
  return folders.flatMap((folder) => {
    const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as { readonly cases?: readonly IndexEntry[] };
    return (index.cases ?? []).map((entry): Case => ({
      kind: entry.kind, case: entry.case, folder: join(folder, entry.kind, entry.case), op: entry.op,
      opset: typeof entry.opset === 'number' ? entry.opset : null, dtypes: entry.dtypes.split(/\s+/).filter((t) => t !== ''),
      rtol: entry.rtol, atol: entry.atol, tier: entry.tier,
    }));
  });
}

/** Names of a case's data sets, and of the numbered files in one, in order. */
export function dataSets(c: Case): readonly string[] {
  return readdirSync(c.folder).filter((name) => /^test_data_set_\d+$/.test(name)).sort(byNumber).map((name) => join(c.folder, name));
}
export function numbered(folder: string, prefix: 'input' | 'output'): readonly string[] {
  return readdirSync(folder).filter((name) => new RegExp(`^${prefix}_\\d+\\.pb$`).test(name)).sort(byNumber).map((name) => join(folder, name));
}
const byNumber = (a: string, b: string): number => Number(/\d+/.exec(basename(a))![0]) - Number(/\d+/.exec(basename(b))![0]);
