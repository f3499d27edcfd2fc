import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { checkManifest } from './check-manifest.ts';
import { sha256, toHex } from './digest.ts';
import { align, chunksOf, corrupt, decodeHeader, hashBytesPerChunk, type Header, headerBytes, truncated } from './format.ts';
import { hash64 } from './hash.ts';
import type { Manifest, SectionInfo } from './manifest.ts';

export interface ChunkHashes {
  /** `hash64`. */
  readonly hash: bigint;
  /** SHA-256. */
  readonly digest: Uint8Array;
}

/** An artifact whose header, manifest and hashes have been read and checked; sections are read when asked for. */
export interface ArtifactFile {
  readonly source: ByteSource;
  readonly manifest: Manifest;
  /** SHA-256 identity of the artifact, in hex. */
  readonly digest: string;
  readonly bytes: number;
  readonly chunkBytes: number;
  section(name: string): SectionInfo;
  /** Bytes that a section takes in the file: with its padding, which hashes cover too. */
  paddedBytes(section: SectionInfo): number;
  /** Offset of a section in the file. */
  offsetOf(section: SectionInfo): number;
  chunksOf(section: SectionInfo): number;
  /** Where a chunk lies within its padded section: first byte and length. */
  chunkRange(section: SectionInfo, chunk: number): readonly [begin: number, bytes: number];
  chunkHashes(section: SectionInfo, chunk: number): ChunkHashes;
  /** Compares the bytes of a chunk with its hash. Throws `artifact/corrupt`. */
  checkChunk(section: SectionInfo, chunk: number, bytes: Uint8Array): void;
  /** The same for a chunk whose `hash64` is known. */
  checkHash(section: SectionInfo, chunk: number, hash: bigint): void;
  /** Reads a section and checks it. Without padding. */
  read(section: SectionInfo): Promise<Uint8Array>;
  /** Reads everything and compares SHA-256 digests. Throws `artifact/corrupt` for the first chunk that differs. */
  verify(options?: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void }): Promise<void>;
}

/**
 * Opens an artifact. Throws `artifact/not-an-artifact`, `artifact/version`, `artifact/truncated`, `artifact/corrupt`
 * or `artifact/invalid-manifest`.
 */
export async function openArtifact(source: ByteSource): Promise<ArtifactFile> {
  const header = decodeHeader(await source.read(0, Math.min(headerBytes, source.bytes)), source.bytes, source.uri);
  const end = (offset: number, bytes: number): number => offset + align(bytes);
  const manifestEnd = end(header.manifestOffset, header.manifestBytes);
  const dataOffset = end(header.hashesOffset, header.hashesBytes);
  if (source.bytes < manifestEnd) throw truncated(source.uri, 'manifest', source.bytes, header.fileBytes);
  const manifestBytes = await source.read(header.manifestOffset, align(header.manifestBytes));
  if (hash64(manifestBytes) !== header.manifestHash) throw corrupt(source.uri, 'manifest', 0);
  const manifest = parseManifest(manifestBytes.subarray(0, header.manifestBytes));
  if (source.bytes < dataOffset) throw truncated(source.uri, 'hashes', source.bytes, header.fileBytes);
  if (source.bytes < header.fileBytes) {
    const section = manifest.sections.find((s) => dataOffset + s.offset + align(s.bytes) > source.bytes);
    throw truncated(source.uri, section?.name ?? 'manifest', source.bytes, header.fileBytes);
  }
  if (source.bytes > header.fileBytes) {
    throw new TenonError({
      code: 'artifact/corrupt',
      message: `${source.uri} is damaged: it has ${source.bytes} bytes, ${source.bytes - header.fileBytes} more than were written`,
      hint: 'copy or download the file again',
    });
  }
  const hashes = await source.read(header.hashesOffset, align(header.hashesBytes));
  if (hash64(hashes) !== header.hashesHash) throw corrupt(source.uri, 'hashes', 0);
  return artifactFile(source, header, manifest, manifestBytes, hashes, dataOffset);
}

function parseManifest(bytes: Uint8Array): Manifest {
  let manifest: unknown;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new TenonError({ code: 'artifact/invalid-manifest', message: 'the manifest is invalid: it is not JSON' }, { cause });
  }
  checkManifest(manifest as Manifest);
  return manifest as Manifest;
}

function artifactFile(source: ByteSource, header: Header, manifest: Manifest, manifestBytes: Uint8Array, hashes: Uint8Array, dataOffset: number): ArtifactFile {
  const { chunkBytes } = header;
  const totalChunks = header.hashesBytes / hashBytesPerChunk;
  const hashView = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  const sections = new Map(manifest.sections.map((section) => [section.name, section]));
  const firstChunk = new Map<string, number>();
  let chunks = 0;
  for (const section of manifest.sections) {
    firstChunk.set(section.name, chunks);
    chunks += chunksOf(section.bytes, chunkBytes);
  }
  if (chunks !== totalChunks) {
    throw new TenonError({ code: 'artifact/invalid-manifest', message: `${source.uri}: ${totalChunks} hashes for ${chunks} chunks` });
  }
  const file: ArtifactFile = {
    source, manifest, chunkBytes,
    digest: toHex(header.digest),
    bytes: header.fileBytes,
    section(name) {
      const section = sections.get(name);
      if (!section) throw new TenonError({ code: 'artifact/no-section', message: `${source.uri} has no section '${name}'` });
      return section;
    },
    paddedBytes: (section) => align(section.bytes),
    offsetOf: (section) => dataOffset + section.offset,
    chunksOf: (section) => chunksOf(section.bytes, chunkBytes),
    chunkRange(section, chunk) {
      const begin = chunk * chunkBytes;
      return [begin, Math.min(chunkBytes, align(section.bytes) - begin)];
    },
    chunkHashes(section, chunk) {
      const index = firstChunk.get(section.name)! + chunk;
      const at = 8 * totalChunks + 32 * index;
      return { hash: hashView.getBigUint64(8 * index, true), digest: hashes.subarray(at, at + 32) };
    },
    checkChunk: (section, chunk, bytes) => file.checkHash(section, chunk, hash64(bytes)),
    checkHash(section, chunk, hash) {
      if (hash !== file.chunkHashes(section, chunk).hash) throw corrupt(source.uri, section.name, chunk);
    },
    async read(section) {
      const bytes = await source.read(file.offsetOf(section), align(section.bytes));
      for (let chunk = 0; chunk < file.chunksOf(section); chunk++) {
        const [begin, length] = file.chunkRange(section, chunk);
        file.checkChunk(section, chunk, bytes.subarray(begin, begin + length));
      }
      return bytes.subarray(0, section.bytes);
    },
    async verify(options = {}) {
      const described = new Uint8Array(manifestBytes.length + hashes.length);
      described.set(manifestBytes);
      described.set(hashes, manifestBytes.length);
      if (toHex(await sha256(described)) !== file.digest) throw corrupt(source.uri, 'manifest', 0);
      let done = 0;
      for (const section of manifest.sections) {
        for (let chunk = 0; chunk < file.chunksOf(section); chunk++) {
          options.signal?.throwIfAborted();
          const [begin, length] = file.chunkRange(section, chunk);
          const digest = await sha256(await source.read(file.offsetOf(section) + begin, length));
          const expected = file.chunkHashes(section, chunk).digest;
          if (digest.some((byte, i) => byte !== expected[i])) throw corrupt(source.uri, section.name, chunk);
          done += length;
          options.onProgress?.(done, header.fileBytes - dataOffset);
        }
      }
    },
  };
  return file;
}
