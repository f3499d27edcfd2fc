import { TenonError } from '@tenon/plugin';
import { hash64 } from './hash.ts';

/**
 * The layout of a file:
 *
 *     header      128 bytes, see below
 *     manifest    UTF-8 JSON, white space at its end where sections are to begin further on, zero-padded to 64 bytes
 *     hashes      per chunk of every section, in order: 8 bytes of `hash64`; then per chunk 32 bytes of SHA-256; padded
 *     sections    each zero-padded to 64 bytes, padding included in its last chunk
 *
 * Header, little-endian:
 *
 *       0  magic "TENON\0"            32  offset of the hashes       72  SHA-256 of manifest and hashes, padded
 *       6  u16 format version         40  bytes of the hashes       104  zero
 *       8  bytes of the file          48  u32 bytes of a chunk      120  hash64 of bytes 0 … 119
 *      16  offset of the manifest     52  u32 zero
 *      24  bytes of the manifest      56  hash64 of the manifest, padded
 *                                     64  hash64 of the hashes, padded
 *
 * Sections stand after manifest and hashes so that a reader knows after two small reads what is where; a truncated file
 * can still name the section in which it ends.
 */
export const magic: Uint8Array = Uint8Array.of(0x54, 0x45, 0x4e, 0x4f, 0x4e, 0);
export const formatVersion = 1;
export const headerBytes = 128;
export const alignment = 64;
export const defaultChunkBytes = 1 << 20;
/** Bytes of the hashes of one chunk. */
export const hashBytesPerChunk = 40;

export const align = (offset: number): number => Math.ceil(offset / alignment) * alignment;
export const chunksOf = (bytes: number, chunkBytes: number): number => Math.ceil(align(bytes) / chunkBytes);

export interface Header {
  readonly fileBytes: number;
  readonly manifestOffset: number;
  /** Without padding. */
  readonly manifestBytes: number;
  readonly hashesOffset: number;
  /** Without padding. */
  readonly hashesBytes: number;
  readonly chunkBytes: number;
  readonly manifestHash: bigint;
  readonly hashesHash: bigint;
  /** SHA-256 of manifest and hashes: the identity of the whole artifact, since the hashes cover every section. */
  readonly digest: Uint8Array;
}

export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setUint16(6, formatVersion, true);
  const sizes = [header.fileBytes, header.manifestOffset, header.manifestBytes, header.hashesOffset, header.hashesBytes];
  sizes.forEach((value, i) => view.setBigUint64(8 + 8 * i, BigInt(value), true));
  view.setUint32(48, header.chunkBytes, true);
  view.setBigUint64(56, header.manifestHash, true);
  view.setBigUint64(64, header.hashesHash, true);
  bytes.set(header.digest, 72);
  view.setBigUint64(120, hash64(bytes.subarray(0, 120)), true);
  return bytes;
}

/** Throws `artifact/not-an-artifact`, `artifact/version`, `artifact/truncated` or `artifact/corrupt`. `available`: bytes of the file. */
export function decodeHeader(bytes: Uint8Array, available: number, uri: string): Header {
  const known = bytes.subarray(0, magic.length);
  if (bytes.length === 0 || !known.every((byte, i) => byte === magic[i])) {
    throw new TenonError({
      code: 'artifact/not-an-artifact',
      message: `${uri} is not a Tenon artifact`,
      hint: 'artifacts are made by `tenon compile`; models in other formats must be compiled first',
    });
  }
  if (bytes.length < headerBytes) throw truncated(uri, 'header', available, null);
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const version = view.getUint16(6, true);
  // The version is read before the hash is checked: another version may hash differently.
  if (version !== formatVersion) {
    throw new TenonError({
      code: 'artifact/version',
      message: `${uri} has format version ${version}; this runtime reads version ${formatVersion}`,
      hint: version > formatVersion ? 'update the runtime, or compile the model again' : 'compile the model again',
    });
  }
  if (view.getBigUint64(120, true) !== hash64(bytes.subarray(0, 120))) throw corrupt(uri, 'header', 0);
  const size = (i: number): number => Number(view.getBigUint64(8 + 8 * i, true));
  const header: Header = {
    fileBytes: size(0), manifestOffset: size(1), manifestBytes: size(2), hashesOffset: size(3), hashesBytes: size(4),
    chunkBytes: view.getUint32(48, true),
    manifestHash: view.getBigUint64(56, true),
    hashesHash: view.getBigUint64(64, true),
    digest: bytes.slice(72, 104),
  };
  const consistent =
    header.manifestOffset === headerBytes &&
    header.hashesOffset === headerBytes + align(header.manifestBytes) &&
    header.hashesOffset + align(header.hashesBytes) <= header.fileBytes &&
    header.fileBytes <= Number.MAX_SAFE_INTEGER &&
    header.chunkBytes >= alignment && header.chunkBytes % alignment === 0;
  if (!consistent) throw new TenonError({ code: 'artifact/invalid-header', message: `${uri}: the sizes in its header contradict each other` });
  return header;
}

export const truncated = (uri: string, section: string, available: number, expected: number | null): TenonError =>
  new TenonError({
    code: 'artifact/truncated',
    message: `${uri} ends inside ${quoted(section)}: it has ${available} bytes${expected === null ? '' : ` of ${expected}`}`,
    hint: 'copy or download the file again',
  });

export const corrupt = (uri: string, section: string, chunk: number): TenonError =>
  new TenonError({
    code: 'artifact/corrupt',
    message: `${uri} is damaged: chunk ${chunk} of ${quoted(section)} does not have the hash it was written with`,
    hint: 'copy or download the file again, or compile the model again',
  });

const quoted = (section: string): string => (['header', 'manifest', 'hashes'].includes(section) ? `its ${section}` : `section '${section}'`);
