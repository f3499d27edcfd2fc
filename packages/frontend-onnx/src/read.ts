import type { ByteSource } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import type { OnnxModel, Span } from './model.ts';
import { Cursor } from './proto/cursor.ts';
import { decode, decodeSource } from './proto/decode.ts';
import { model as modelSchema } from './proto/schema.ts';

/** A model and access to what was left in its file. */
export interface ModelFile {
  readonly model: OnnxModel;
  readonly source: ByteSource;
  read(span: Span): Promise<Uint8Array>;
}

/** Files up to this size are read at once. */
const wholeBytes = 64 * 2 ** 20;

/** Beginnings of files that are often mistaken for models. */
const impostors: readonly (readonly [start: string, what: string])[] = [
  ['<', 'an HTML or XML page, perhaps the error page of a failed download'],
  ['PK\u0003\u0004', 'a zip archive'],
  ['version https://git-lfs', 'a Git LFS pointer: fetch the file itself with `git lfs pull`'],
  ['GGUF', 'a GGUF file'],
  ['\u0089HDF', 'an HDF5 file'],
  ['{', 'a JSON file'],
];

export function impostor(head: Uint8Array): string | null {
  const text = String.fromCharCode(...head.subarray(0, 32));
  return impostors.find(([start]) => text.startsWith(start))?.[1] ?? null;
}

/**
 * Reads a model's structure. Tensor data stay in the source, so that the memory used does not depend on their size.
 * Fails with `onnx/malformed` or `onnx/not-onnx`.
 */
export async function readModel(source: ByteSource): Promise<ModelFile> {
  const head = await source.read(0, Math.min(source.bytes, 32));
  const what = impostor(head);
  if (what) throw new TenonError({ code: 'onnx/not-onnx', message: `${source.uri} is no ONNX model: it looks like ${what}` });
  if (source.bytes === 0) throw new TenonError({ code: 'onnx/not-onnx', message: `${source.uri} is empty` });
  if (source.bytes > wholeBytes) {
    const model = (await decodeSource(modelSchema, source)) as unknown as OnnxModel;
    return { model, source, read: (span) => source.read(span.offset, span.bytes) };
  }
  const bytes = await source.read(0, source.bytes);
  const model = decode(modelSchema, new Cursor(bytes, 0, [])) as unknown as OnnxModel;
  return { model, source, read: (span) => Promise.resolve(bytes.subarray(span.offset, span.offset + span.bytes)) };
}
