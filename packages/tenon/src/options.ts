import type { Attrs, ByteSource, Config, Diagnostic, Loader } from '@tenon/plugin';

/** A model: a path or URL, the bytes of the file, or any source that is read by range (and closed in the end). */
export type ModelInput = string | URL | Uint8Array | ByteSource;

/** What a long step is doing: `done` of `total` where they are known. */
export interface Progress {
  readonly step: string;
  readonly done: number | null;
  readonly total: number | null;
}

export interface BuildOptions {
  /** Where the model runs, in order of preference; goes before `config.targets`. Default: this machine's. */
  readonly target?: string | readonly (string | readonly [string, Attrs])[];
  /** Further plugins, passes, targets. Plugins are added to the default ones; one of the same name replaces them. */
  readonly config?: Config;
  /** Dims to fix or bound by name: `{ n: 1, length: { min: 1, max: 512 } }`. */
  readonly dims?: NonNullable<Config['dims']>;
  /** Stops the compilation; it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Receives warnings and notes. Default: warnings go to `console.warn`. */
  readonly onDiagnostic?: (diagnostic: Diagnostic) => void;
  /**
   * Whether to keep compiled code and artifacts, and where. Default: true, in the operating system's folder for caches
   * (`TENON_CACHE` names another). Browsers keep nothing.
   */
  readonly cache?: boolean | string;
  /** A file to write the artifact to. */
  readonly output?: string;
}

export interface LoadOptions {
  /** Threads; 0, the default: as many as there are cores. */
  readonly threads?: number;
  /** Run halves of further targets. One of the same name replaces the default. */
  readonly loaders?: readonly Loader[];
  /** Values of dims that are bound when loading. */
  readonly loadDims?: { readonly [name: string]: number };
  /** Whether constants are compared with their hashes before results are returned. Default: true. */
  readonly verify?: boolean;
}

export interface CompileOptions extends BuildOptions, LoadOptions {}

export interface LoadArtifactOptions extends LoadOptions {
  /**
   * Whether the artifact may bring native code, which can do anything that this process can: say true only for
   * artifacts that you would also run as a program. Default: false.
   */
  readonly allowNative?: boolean;
}
