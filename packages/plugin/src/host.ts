/**
 * What the compiler and the runtime need of the world around them. Packages that also run in a browser reach files,
 * cache and clock only through it.
 */
export interface Host {
  readonly name: string;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Opens a file or URL for reading by range. Throws a diagnostic where it cannot. */
  open(uri: string): Promise<ByteSource>;
  /** Resolves a path found in a model (external data) against the model's own. Refuses paths that leave its folder. */
  resolve(base: string, relative: string): string;
  readonly cache: Cache | null;
}

/** Bytes that are read by range, of any size. */
export interface ByteSource {
  readonly uri: string;
  readonly bytes: number;
  /** Identity of the contents: changes when they do. */
  readonly id: string;
  /** Of a file of the system's: its descriptor, for devices that read it as memory. Open until `close`. */
  readonly descriptor?: number;
  /** Exactly `length` bytes from `offset`; throws a diagnostic past the end. Where this cannot answer at once (URLs), `read` must be used. */
  readSync?(offset: number, length: number): Uint8Array;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Like `read`, into memory of the caller's: fills `destination`. For large ranges that have a place already. */
  readInto?(offset: number, destination: Uint8Array): Promise<void>;
  close(): void;
}

/** A content-addressed store with a size limit that the host enforces. Keys are hex strings. */
export interface Cache {
  get(key: string): Promise<Uint8Array | null>;
  put(key: string, bytes: Uint8Array): Promise<void>;
}

/**
 * Results kept from one compilation to the next by the same code, with the same plugins, configuration and target: `of` is
 * all else that a result depends on, in full. Values are plain data. What is not there, or damaged, is made again; a
 * compilation gives the same bytes with a memo as without.
 */
export interface Memo {
  /** null: nothing is kept of this. */
  get(kind: string, of: string): Promise<unknown>;
  /** Begins to keep a result; the compilation waits for that before it ends. */
  put(kind: string, of: string, value: unknown): void;
}
