import { TenonError } from '@tenon/plugin';
import { checkManifest } from './check-manifest.ts';
import { sha256, toHex } from './digest.ts';
import type { EarlierArtifact } from './earlier.ts';
import { align, alignment, chunksOf, defaultChunkBytes, encodeHeader, hashBytesPerChunk, headerBytes } from './format.ts';
import { hash64 } from './hash.ts';
import type { ManifestBody, SectionInfo } from './manifest.ts';
import { readInto } from './source.ts';

/** Takes the file piece by piece, not in order: the header comes last. Pieces never overlap and leave no gaps; their memory is used again once `write` is done. */
export interface ArtifactSink {
  write(offset: number, bytes: Uint8Array): void | Promise<void>;
  /** Ends the file after so many bytes. Needed where it begins as a copy of another. */
  truncate?(bytes: number): void | Promise<void>;
}

/** Chunks whose digests and writes are under way at a time. */
const chunksAtOnce = 4;

/**
 * Sections of some size begin at multiples of this: an artifact that differs in little from an earlier one has them in the same place,
 * so that most of it may be a copy, and constants lie on pages of the system's.
 */
const dataAlignment = 64 << 10;
/** Bytes of sections from which on that is worth its space. */
const leastAligned = 64 * dataAlignment;
const space = 0x20;

/** Bytes at hand, which must stay as they are until all is written, or such that are made while the file is written. */
export type SectionContent = Uint8Array | MadeContent;

/** `bytes` bytes that are made when they are written. */
export interface MadeContent {
  readonly bytes: number;
  /** Fills `destination` with what lies from `offset` on. Ranges are asked for in their order, each when the one before is made. */
  readInto(offset: number, destination: Uint8Array): Promise<void>;
  /** Says what a range holds: equal answers are equal bytes, in any artifact. null: that cannot be told. */
  identify?(begin: number, end: number): string | null;
}

export interface WriteOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (written: number, total: number) => void;
  /** Whose chunks are taken where their content is the same. The bytes of the file are what they are without it. */
  readonly earlier?: EarlierArtifact;
  /** The sink's file begins as a copy of `earlier`: what lies in its place is not written again. */
  readonly copied?: boolean;
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
    const memoryFor = (bytes: number): Uint8Array => (memory[chunk % (chunksAtOnce + 1)] ??= new Uint8Array(this.#chunkBytes)).subarray(0, bytes);
    const { earlier } = options;
    const finish = async (bytes: Uint8Array, at: number, digestAt: number): Promise<void> => {
      const [digest] = await Promise.all([sha256(bytes), sink.write(at, bytes)]);
      hashes.set(digest, digestAt);
    };
    const copy = async (from: number, bytes: Uint8Array, at: number): Promise<void> => {
      await readInto(earlier!.file.source, from, bytes);
      await sink.write(at, bytes);
    };
    try {
      for (const { info, content } of this.#sections) {
        for (let begin = 0; begin < info.bytes; begin += this.#chunkBytes) {
          options.signal?.throwIfAborted();
          if (pending.length === chunksAtOnce) await pending.shift();
          const end = Math.min(begin + this.#chunkBytes, info.bytes);
          const at = written;
          const digestAt = 8 * layout.chunks + 32 * chunk;
          written += align(end - begin);
          const known = earlier === undefined || ArrayBuffer.isView(content) ? null : earlier.chunk(content.identify?.(begin, end) ?? null);
          if (known !== null) {
            hashView.setBigUint64(8 * chunk, known.hash, true);
            hashes.set(known.digest, digestAt);
            if (options.copied !== true || known.offset !== at) pending.push(quiet(copy(known.offset, memoryFor(written - at), at)));
          } else {
            const bytes = await chunkBytes(content, begin, end, () => memoryFor(written - at));
            hashView.setBigUint64(8 * chunk, hash64(bytes), true);
            pending.push(quiet(finish(bytes, at, digestAt)));
          }
          chunk++;
          options.onProgress?.(written, layout.fileBytes);
        }
      }
      await Promise.all(pending);
    } finally {
      // Nobody writes to the sink any more when this returns.
      await Promise.allSettled(pending);
    }
    if (options.copied === true) await sink.truncate?.(layout.fileBytes);
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
    let chunks = 0;
    for (const { info } of this.#sections) chunks += chunksOf(info.bytes, this.#chunkBytes);
    const hashesBytes = chunks * hashBytesPerChunk;
    const taken = headerBytes + align(text.length) + align(hashesBytes);
    const unit = this.#end >= leastAligned ? dataAlignment : alignment;
    const dataOffset = Math.ceil(taken / unit) * unit;
    // White space of the text fills the file up to there.
    const filled = dataOffset > taken;
    const padded = new Uint8Array(align(text.length) + dataOffset - taken);
    padded.set(text);
    if (filled) padded.fill(space, text.length);
    return { manifest: padded, manifestBytes: filled ? padded.length : text.length, chunks, hashesBytes, dataOffset, fileBytes: dataOffset + this.#end };
  }
}

/** What fails is told where it is awaited. */
function quiet<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {});
  return work;
}

/** A chunk with its padding: bytes at hand where they need none, else in `memory`. */
async function chunkBytes(content: SectionContent, begin: number, end: number, memory: () => Uint8Array): Promise<Uint8Array> {
  const length = end - begin;
  if (ArrayBuffer.isView(content) && length % alignment === 0) return content.subarray(begin, end);
  const bytes = memory();
  if (ArrayBuffer.isView(content)) bytes.set(content.subarray(begin, end));
  else await content.readInto(begin, bytes.subarray(0, length));
  return bytes.fill(0, length);
}
