import { join } from 'node:path';
import { openArtifact, type ArtifactFile, type ArtifactSink, type Manifest } from '@tenon/artifact';
import type { Diagnostic } from '@tenon/plugin';
import { bytesSource } from '@tenon/runtime';
import { nodeHost } from '@tenon/runtime/node';
import { standaloneFiles } from '@tenon/target-cpu-c';
import { build } from '../build.ts';
import { mergeConfig } from '../config.ts';
import type { BuildOptions, ModelInput } from '../options.ts';
import { nodeEnvironment } from './environment.ts';
import { writeFileAtomically } from './files.ts';

export interface EmitCOptions extends BuildOptions {
  /** The folder to write to; made where it is missing. Files of an earlier model are overwritten. */
  readonly output: string;
  /** What the files, functions and types are called after: a C identifier. Default: `model`. */
  readonly name?: string;
}

export interface EmittedC {
  readonly folder: string;
  /** Relative to the folder. */
  readonly files: readonly string[];
  /** Bytes of all files. */
  readonly bytes: number;
  readonly manifest: Manifest;
  readonly diagnostics: readonly Diagnostic[];
  /** Whether the code was generated before, with nothing changed since. */
  readonly cached: boolean;
}

/** Constants are copied in pieces of this size. */
const pieceBytes = 16 * 1024 * 1024;

/**
 * Compiles a model to C that needs nothing of Tenon, and writes it into a folder: `model.h`, `model.c`, generated code, weights, an
 * example `main.c` and a `Makefile`. Throws `cpu-c/not-standalone` for models that do not run on cpu-c alone.
 */
export async function emitC(model: ModelInput, options: EmitCOptions): Promise<EmittedC> {
  const { output: folder, name = 'model', ...rest } = options;
  const { targets = [] } = mergeConfig(nodeEnvironment.defaults(), rest);
  const target = targets.map((entry) => {
    const [named, given] = typeof entry === 'string' ? [entry, {}] as const : entry;
    return named === 'cpu-c' ? [named, { ...given, emit: 'source' }] as const : entry;
  });
  const built = await build(nodeEnvironment, model, { ...rest, target });
  const source = built.path === null ? bytesSource('memory:artifact', await built.read()) : await nodeHost({ cacheFolder: null }).open(built.path);
  try {
    const artifact = await openArtifact(source);
    const { files, weights } = await standaloneFiles(artifact.manifest, artifact.digest, name, (section) => artifact.read(artifact.section(section)));
    let bytes = 0;
    for (const [path, content] of files) {
      const data = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      bytes += data.length;
      await writeFileAtomically(join(folder, path), async (sink) => sink.write(0, data));
    }
    bytes += await writeFileAtomically(join(folder, weights.path), (sink) => copyWeights(artifact, weights.header, weights.section, sink));
    return { folder, files: [...files.keys(), weights.path], bytes, manifest: artifact.manifest, diagnostics: built.diagnostics, cached: built.cached };
  } finally {
    source.close();
  }
}

/** Chunks are compared with their hashes on the way. */
async function copyWeights(artifact: ArtifactFile, header: Uint8Array, name: string | null, sink: ArtifactSink): Promise<number> {
  await sink.write(0, header);
  if (name === null) return header.length;
  const section = artifact.section(name);
  const chunks = artifact.chunksOf(section);
  const together = Math.max(1, Math.floor(pieceBytes / artifact.chunkBytes));
  for (let first = 0; first < chunks; first += together) {
    const last = Math.min(first + together, chunks) - 1;
    const [begin] = artifact.chunkRange(section, first);
    const [lastBegin, lastBytes] = artifact.chunkRange(section, last);
    const piece = await artifact.source.read(artifact.offsetOf(section) + begin, lastBegin + lastBytes - begin);
    for (let chunk = first; chunk <= last; chunk++) {
      const [at, length] = artifact.chunkRange(section, chunk);
      artifact.checkChunk(section, chunk, piece.subarray(at - begin, at - begin + length));
    }
    await sink.write(header.length + begin, piece.subarray(0, Math.min(piece.length, section.bytes - begin)));
  }
  return header.length + section.bytes;
}
