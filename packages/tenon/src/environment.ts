import type { ArtifactSink, Contents, WrittenArtifact } from '@tenon/artifact';
import type { Earlier } from '@tenon/compiler';
import type { ByteSource, Diagnostic, Host, Loader } from '@tenon/plugin';
import type { Defaults } from './config.ts';

/** What compiling and loading need of the world, and what it offers: Node's, or a browser's. */
export interface Environment {
  readonly defaults: () => Defaults;
  /** Run halves of the default targets. Throws where this machine cannot load one. */
  readonly loaders: () => Promise<readonly Loader[]>;
  readonly host: (cache: boolean | string, onProblem: (problem: Diagnostic) => void) => Host;
  /** Where whole artifacts are kept; null: nowhere. */
  readonly store: (cache: boolean | string, onProblem: (problem: Diagnostic) => void) => ArtifactStore | null;
  /** Identity of Tenon's own code, all packages of it; null where it cannot be told, which means that nothing is kept. */
  readonly identity: () => string | null;
  /** The same file always has the same absolute name. */
  readonly absolute: (uri: string) => string;
  /** null: there are no files to write. */
  readonly files: Files | null;
}

export interface Files {
  /** Writes a file that appears under its name when it is complete, and not at all otherwise. */
  write(path: string, content: (sink: ArtifactSink) => Promise<WrittenArtifact>): Promise<WrittenArtifact>;
  /** Gives a file of the cache another name, under which it appears whole. */
  share(from: string, to: string): Promise<void>;
}

/** What is kept of a compilation beside its artifact. */
export interface StoredRecord {
  /** SHA-256 identity of the artifact. */
  readonly digest: string;
  readonly bytes: number;
  /** Files besides the model that were opened, with their identities then: external data. */
  readonly dependencies: readonly { readonly uri: string; readonly id: string }[];
  readonly diagnostics: readonly Diagnostic[];
  /** What its constants are made of, by which later artifacts find what they have in common with it. */
  readonly contents: Contents;
}

/** The beginning of an artifact for which an earlier one is at hand. */
export interface Draft {
  /** Of the earlier one. */
  readonly record: StoredRecord;
  /** Begins to copy the earlier one to where the artifact will be written. */
  copy(): void;
  /** Ends it, if it was not put. */
  discard(): Promise<void>;
}

/** Whole artifacts by key, as files, within a limit of size. */
export interface ArtifactStore {
  readonly folder: string;
  /** A source over a kept artifact, which the caller closes, and its record; null where there is none. */
  get(key: string): Promise<{ readonly path: string; readonly record: StoredRecord; readonly source: ByteSource } | null>;
  /** A draft from the artifact with this key; null where it is not there, or not whole. */
  draft(key: string): Promise<Draft | null>;
  /** The path it got; null where it could not be kept, for which `write` may or may not have been called. */
  put(key: string, write: (sink: ArtifactSink, earlier?: Earlier) => Promise<WrittenArtifact>, record: (written: WrittenArtifact) => Promise<StoredRecord>, draft?: Draft | null): Promise<string | null>;
  remove(key: string): Promise<void>;
  usage(): Promise<{ readonly entries: number; readonly bytes: number }>;
  clean(): Promise<{ readonly entries: number; readonly bytes: number }>;
}
