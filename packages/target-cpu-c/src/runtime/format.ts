/** Format of the blobs that the C target makes: a shared object of this machine's kind. */
export const blobFormat = 'cpu-c.shared-object';
export const blobFormatVersion = 1;

/** What a blob needs of the machine, as `requires` holds it. */
export interface Requirements {
  /** As `process.arch` and `process.platform` name them. */
  readonly arch: string;
  readonly platform: string;
  /** Instruction set extensions by the names that Linux gives them in /proc/cpuinfo. */
  readonly features: readonly string[];
}
