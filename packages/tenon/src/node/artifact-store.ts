import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { EarlierArtifact, openArtifact } from '@tenon/artifact';
import type { Earlier } from '@tenon/compiler';
import { diagnostic, diagnosticOf, type ByteSource, type Diagnostic } from '@tenon/plugin';
import { fileSource } from '@tenon/runtime/node';
import type { ArtifactStore, Draft, StoredRecord } from '../environment.ts';
import { temporaryName, writeFileAtomically } from './files.ts';

export interface ArtifactStoreOptions {
  readonly folder: string;
  /** Limit for all artifacts together; the least recently used go first. Default: 4 GiB. */
  readonly maxBytes?: number;
  /** Told where the folder cannot be written; work goes on without it. */
  readonly onProblem?: (problem: Diagnostic) => void;
}

const artifactSuffix = '.tenon';
const recordSuffix = '.json';
/** Left by processes that died; nobody writes for that long. */
const staleMilliseconds = 3_600_000;

/** What lies beside an artifact. Its own time says when the entry was last used. */
interface Kept {
  readonly record: StoredRecord;
  /** When the artifact's file was written, in nanoseconds. */
  readonly modified: string;
}

/** A draft of this store's. */
interface FileDraft extends Draft {
  /** What there is to begin with, once copying has ended; null: nothing any more. */
  finish(): Promise<Earlier & { /** The copy. */ readonly path: string | null } | null>;
}

const modifiedTime = async (path: string): Promise<string> => String((await stat(path, { bigint: true })).mtimeNs);

/**
 * Artifacts as ordinary files, so that they are loaded from where they lie, by range. Several processes may share the
 * folder: files appear whole, and a record names the digest of the artifact that it belongs to. A user's file may be a
 * link to one of them (`shareFile`), and be written to: what was changed since it was kept is read and compared with its hashes.
 */
export function openArtifactStore({ folder, maxBytes = 4 * 2 ** 30, onProblem }: ArtifactStoreOptions): ArtifactStore {
  const artifactPath = (key: string): string => join(folder, key + artifactSuffix);
  const recordPath = (key: string): string => join(folder, key + recordSuffix);
  const remove = async (key: string): Promise<void> => {
    await Promise.all([artifactPath(key), recordPath(key)].map((path) => rm(path, { force: true }).catch(() => {})));
  };

  const list = async (): Promise<{ key: string; bytes: number; used: number }[]> => {
    const entries: { key: string; bytes: number; used: number }[] = [];
    for (const name of await readdir(folder).catch(() => [])) {
      const info = await stat(join(folder, name)).catch(() => null);
      if (info === null) continue;
      if (name.endsWith(artifactSuffix)) {
        const key = name.slice(0, -artifactSuffix.length);
        entries.push({ key, bytes: info.size, used: ((await stat(recordPath(key)).catch(() => null)) ?? info).mtimeMs });
      }
      else if (name.endsWith('.tmp') && Date.now() - info.mtimeMs > staleMilliseconds) await rm(join(folder, name), { force: true }).catch(() => {});
    }
    return entries;
  };

  /** Keeps within the limit; the entry just written stays. */
  const evict = async (newest: string): Promise<void> => {
    const entries = (await list()).sort((a, b) => a.used - b.used || (a.key < b.key ? -1 : 1));
    let total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const { key, bytes } of entries) {
      if (total <= maxBytes) return;
      if (key === newest) continue;
      await remove(key);
      total -= bytes;
    }
  };

  const keep = async (key: string, record: StoredRecord): Promise<void> => {
    const kept: Kept = { record, modified: await modifiedTime(artifactPath(key)) };
    await writeFileAtomically(recordPath(key), (sink) => Promise.resolve(sink.write(0, new TextEncoder().encode(JSON.stringify(kept)))));
  };

  return {
    folder,
    async get(key) {
      const text = await readFile(recordPath(key), 'utf8').catch(() => null);
      if (text === null) return null;
      const path = artifactPath(key);
      let source: ByteSource | null = null;
      try {
        const { record, modified } = JSON.parse(text) as Kept;
        source = fileSource(path);
        if (await modifiedTime(path) === modified) {
          const now = new Date();
          await utimes(recordPath(key), now, now).catch(() => {});
        } else {
          const artifact = await openArtifact(source);
          await artifact.verify();
          if (artifact.digest !== record.digest) throw new Error('another artifact');
          await keep(key, record).catch(() => {});
        }
        return { path, record, source };
      } catch {
        source?.close();
        await remove(key);
        return null;
      }
    },
    async draft(key) {
      const path = artifactPath(key);
      let source: ByteSource | null = null;
      try {
        const { record, modified } = JSON.parse(await readFile(recordPath(key), 'utf8')) as Kept;
        source = fileSource(path);
        const artifact = await openArtifact(source);
        const unchanged = async (): Promise<boolean> => await modifiedTime(path).catch(() => null) === modified;
        if (!await unchanged() || artifact.digest !== record.digest) throw new Error('another artifact');
        return fileDraft({ path, source, record, artifact: new EarlierArtifact(artifact, record.contents), unchanged });
      } catch {
        source?.close();
        return null;
      }
    },
    async put(key, write, record, draft = null) {
      const path = artifactPath(key);
      try {
        // Who can write here can run code as its owner. Failing is reported by the next step.
        await mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => {});
        const begun = await (draft as FileDraft | null)?.finish() ?? null;
        const written = await writeFileAtomically(path, (sink) => (begun === null ? write(sink) : write(sink, begun)), begun?.path);
        if (written.bytes > maxBytes) {
          await remove(key);
          return null;
        }
        await keep(key, await record(written));
        await evict(key);
        return path;
      } catch (error) {
        const problem = diagnosticOf(error);
        if (problem?.code !== 'tenon/unwritable') throw error;
        onProblem?.(diagnostic({ severity: 'warning', code: 'tenon/cache-unwritable', message: `the artifact is not kept: ${problem.message}`, hint: 'set TENON_CACHE to a folder that can be written' }));
        return null;
      }
    },
    remove,
    async usage() {
      const entries = await list();
      return { entries: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
    },
    async clean() {
      const entries = await list();
      for (const { key } of entries) await remove(key);
      return { entries: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
    },
  };
}

interface DraftOptions {
  /** Of the earlier artifact, which is open as `source`. */
  readonly path: string;
  readonly source: ByteSource;
  readonly record: StoredRecord;
  readonly artifact: EarlierArtifact;
  /** Whether the earlier artifact is still what it was. */
  readonly unchanged: () => Promise<boolean>;
}

function fileDraft({ path, source, record, artifact, unchanged }: DraftOptions): FileDraft {
  const temporary = temporaryName(path);
  let copying: Promise<boolean> = Promise.resolve(false);
  let handedOver = false;
  return {
    record,
    copy() {
      // A clone of its blocks where the file system can.
      copying = copyFile(path, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL).then(() => true, () => false);
    },
    async finish() {
      const copied = await copying;
      if (!await unchanged()) return null;
      handedOver = copied;
      return { artifact, copied, path: copied ? temporary : null };
    },
    async discard() {
      await copying;
      source.close();
      if (!handedOver) await rm(temporary, { force: true }).catch(() => {});
    },
  };
}
