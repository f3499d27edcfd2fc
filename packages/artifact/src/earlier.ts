import { diagnosticOf } from '@tenon/plugin';
import { type Contents, identifyRange } from './contents.ts';
import type { ArtifactFile, ChunkHashes } from './reader.ts';
import { readInto } from './source.ts';

/** A chunk that an earlier artifact has. */
export interface EarlierChunk extends ChunkHashes {
  /** In the file. */
  readonly offset: number;
}

/**
 * An artifact of which it is known what it is made of, and from which another one takes what it has in common with it. Its chunks come with
 * their hashes: damage to them is found where the new artifact is loaded, as it would be in the earlier one.
 */
export class EarlierArtifact {
  readonly file: ArtifactFile;
  readonly #chunks = new Map<string, EarlierChunk>();
  readonly #parts = new Map<string, { readonly section: string; readonly offset: number }>();
  readonly #memory: Uint8Array;
  #held: { readonly section: string; readonly chunk: number; readonly intact: boolean } | null = null;

  constructor(file: ArtifactFile, contents: Contents) {
    this.file = file;
    this.#memory = new Uint8Array(file.chunkBytes);
    for (const [name, parts] of Object.entries(contents)) {
      const section = file.section(name);
      for (let chunk = 0; chunk < file.chunksOf(section); chunk++) {
        const begin = chunk * file.chunkBytes;
        const identity = identifyRange(parts, begin, Math.min(begin + file.chunkBytes, section.bytes));
        if (identity !== null) this.#chunks.set(identity, { offset: file.offsetOf(section) + begin, ...file.chunkHashes(section, chunk) });
      }
      for (const { offset, identity } of parts) if (identity !== null) this.#parts.set(identity, { section: name, offset });
    }
  }

  /** By what `identifyRange` says of it. */
  chunk(identity: string | null): EarlierChunk | null {
    return identity === null ? null : (this.#chunks.get(identity) ?? null);
  }

  /** Fills `destination` with what a part has from `offset` on, compared with the hashes; false where there is no such part, or it is damaged. */
  async readPart(identity: string, offset: number, destination: Uint8Array): Promise<boolean> {
    const part = this.#parts.get(identity);
    if (part === undefined) return false;
    const { chunkBytes } = this.file;
    for (let at = 0; at < destination.length; ) {
      const place = part.offset + offset + at;
      const chunk = Math.floor(place / chunkBytes);
      if (!await this.#hold(part.section, chunk)) return false;
      const from = place - chunk * chunkBytes;
      const length = Math.min(chunkBytes - from, destination.length - at);
      destination.set(this.#memory.subarray(from, from + length), at);
      at += length;
    }
    return true;
  }

  async #hold(name: string, chunk: number): Promise<boolean> {
    if (this.#held?.section === name && this.#held.chunk === chunk) return this.#held.intact;
    this.#held = null;
    const section = this.file.section(name);
    const [begin, length] = this.file.chunkRange(section, chunk);
    const bytes = this.#memory.subarray(0, length);
    let intact = true;
    try {
      await readInto(this.file.source, this.file.offsetOf(section) + begin, bytes);
      this.file.checkChunk(section, chunk, bytes);
    } catch (error) {
      if (diagnosticOf(error) === null) throw error;
      intact = false;
    }
    this.#held = { section: name, chunk, intact };
    return intact;
  }
}
