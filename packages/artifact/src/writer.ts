import { TenonError } from '@tenon/plugin';
import { checkManifest } from './check-manifest.ts';
import { sha256, toHex } from './digest.ts';
import { align, alignment, chunksOf, defaultChunkBytes, encodeHeader, hashBytesPerChunk, headerBytes } from './format.ts';
import { hash64 } from './hash.ts';
import type { ManifestBody, SectionInfo } from './manifest.ts';

/** Takes the file piece by piece, not in order: the header comes last. Pieces never overlap and leave no gaps; their memory is used again once `write` is done. */
export interface ArtifactSink {
  write(offset: number, bytes: Uint8Array): void | Promise<void>;
}

/** Chunks whose digests and writes are under way at a time. */
const chunksAtOnce = 4;

/**
 * Bytes at hand, which must stay as they are until all is written, or exactly `bytes` bytes made piece by piece while the file is
 * written. A piece is copied before the next is asked for, so that one piece of memory serves for all.
 */
export type SectionContent =
  | Uint8Array
  | { readonly bytes: number; chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> };

export interface WriteOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (written: number, total: number) => void;
}

export interface WrittenArtifact {
  readonly bytes: number;
  /** SHA-256 identity of the artifact, in hex. */
  readonly digest: string;
}

/**
 * Collects sections, then writes them in the order in which they were added. The same sections and manifest give the
 * same bytes.
 */
export class ArtifactWriter {
  readonly #sections: { readonly info: SectionInfo; readonly content: SectionContent }[] = [];
  readonly #chunkBytes: number;
  #end = 0;

  /** `chunkBytes`: bytes under one hash, a multiple of 64. */
  constructor(options: { readonly chunkBytes?: number } = {}) {
    this.#chunkBytes = options.chunkBytes ?? defaultChunkBytes;
    if (!Number.isInteger(this.#chunkBytes) || this.#chunkBytes < alignment || this.#chunkBytes % alignment !== 0 || this.#chunkBytes > 2 ** 30) {
      throw new TenonError({ code: 'artifact/chunk-size', message: `chunks of ${this.#chunkBytes} bytes: must be a multiple of ${alignment} up to 1 GiB` });
    }
  }

  /** Adds a section under a name that is unique in the file. */
  addSection(name: string, kind: SectionInfo['kind'], content: SectionContent): void {
    if (this.#sections.some((section) => section.info.name === name)) {
      throw new TenonError({ code: 'artifact/duplicate-section', message: `there are two sections named '${name}'` });
    }
    const bytes = ArrayBuffer.isView(content) ? content.byteLength : content.bytes;
    this.#sections.push({ info: { name, kind, offset: this.#end, bytes }, content });
    this.#end = align(this.#end + bytes);
  }

  async write(body: ManifestBody, sink: ArtifactSink, options: WriteOptions = {}): Promise<WrittenArtifact> {
    const layout = this.#layout(body);
    const hashes = new Uint8Array(align(layout.hashesBytes));
    const hashView = new DataView(hashes.buffer);
    let chunk = 0;
    let written = layout.dataOffset;
    // Digests and writes of the last chunks go on, on other threads, while the next chunk is made. Memory is used again: fresh
    // pages cost more than what is done with them.
    const pending: Promise<unknown>[] = [];
    const memory: Uint8Array[] = [];
    const memoryFor = (): Uint8Array => (memory[chunk % (chunksAtOnce + 1)] ??= new Uint8Array(this.#chunkBytes));
    const finish = async (bytes: Uint8Array, at: number, digestAt: number): Promise<void> => {
      const [digest] = await Promise.all([sha256(bytes), sink.write(at, bytes)]);
      hashes.set(digest, digestAt);
    };
    try {
      for (const { info, content } of this.#sections) {
        let expected = align(info.bytes);
        for await (const bytes of ArrayBuffer.isView(content) ? chunksAt(content, this.#chunkBytes) : rechunk(content.chunks(), info, memoryFor)) {
          options.signal?.throwIfAborted();
          if (pending.length === chunksAtOnce) await pending.shift();
          const finished = finish(bytes, written, 8 * layout.chunks + 32 * chunk);
          // Its failure is told where it is awaited.
          finished.catch(() => {});
          pending.push(finished);
          hashView.setBigUint64(8 * chunk, hash64(bytes), true);
          chunk++;
          written += bytes.length;
          expected -= bytes.length;
          options.onProgress?.(written, layout.fileBytes);
        }
        if (expected !== 0) throw wrongSize(info);
      }
      await Promise.all(pending);
    } finally {
      // Nobody writes to the sink any more when this returns.
      await Promise.allSettled(pending);
    }
    const described = new Uint8Array(layout.manifest.length + hashes.length);
    described.set(layout.manifest);
    described.set(hashes, layout.manifest.length);
    const digest = await sha256(described);
    await sink.write(headerBytes, described);
    await sink.write(0, encodeHeader({
      fileBytes: layout.fileBytes,
      manifestOffset: headerBytes,
      manifestBytes: layout.manifestBytes,
      hashesOffset: headerBytes + layout.manifest.length,
      hashesBytes: layout.hashesBytes,
      chunkBytes: this.#chunkBytes,
      manifestHash: hash64(layout.manifest),
      hashesHash: hash64(hashes),
      digest,
    }));
    return { bytes: layout.fileBytes, digest: toHex(digest) };
  }

  /** The whole file in memory. */
  async toBytes(body: ManifestBody, options: WriteOptions = {}): Promise<Uint8Array> {
    const file = new Uint8Array(this.#layout(body).fileBytes);
    await this.write(body, { write: (offset, bytes) => file.set(bytes, offset) }, options);
    return file;
  }

  #layout(body: ManifestBody) {
    const manifest = { ...body, sections: this.#sections.map((section) => section.info) };
    checkManifest(manifest);
    const text = new TextEncoder().encode(JSON.stringify(manifest));
    const padded = new Uint8Array(align(text.length));
    padded.set(text);
    let chunks = 0;
    for (const { info } of this.#sections) chunks += chunksOf(info.bytes, this.#chunkBytes);
    const hashesBytes = chunks * hashBytesPerChunk;
    const dataOffset = headerBytes + padded.length + align(hashesBytes);
    return { manifest: padded, manifestBytes: text.length, chunks, hashesBytes, dataOffset, fileBytes: dataOffset + this.#end };
  }
}

/** Bytes at hand as chunks of equal size, the last one padded to the alignment. */
function* chunksAt(content: Uint8Array, chunkBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < content.length; at += chunkBytes) {
    const chunk = content.subarray(at, at + chunkBytes);
    if (chunk.length % alignment === 0) yield chunk;
    else {
      const padded = new Uint8Array(align(chunk.length));
      padded.set(chunk);
      yield padded;
    }
  }
}

/** The pieces of a section as chunks of equal size, the last one padded to the alignment. `memoryFor` gives memory for the next chunk. */
async function* rechunk(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, info: SectionInfo, memoryFor: () => Uint8Array): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array | null = null;
  let filled = 0;
  let received = 0;
  for await (const piece of pieces) {
    received += piece.length;
    if (received > info.bytes) throw wrongSize(info);
    for (let at = 0; at < piece.length; ) {
      pending ??= memoryFor();
      const taken = Math.min(pending.length - filled, piece.length - at);
      pending.set(piece.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled === pending.length) {
        yield pending;
        pending = null;
        filled = 0;
      }
    }
  }
  if (received !== info.bytes) throw wrongSize(info);
  if (pending !== null) yield pending.fill(0, filled, align(filled)).subarray(0, align(filled));
}

const wrongSize = (info: SectionInfo): TenonError =>
  new TenonError({ code: 'artifact/section-size', message: `section '${info.name}' was declared with ${info.bytes} bytes, but its content is of another size` });
