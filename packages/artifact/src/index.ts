export { type DimProgram, dimsOf, encodeDim, evaluateDim, formatDim } from './dim-program.ts';
export type * from './manifest.ts';
export { hash64 } from './hash.ts';
export { sha256, toHex } from './digest.ts';
export { alignment, formatVersion } from './format.ts';
export { type ArtifactSink, ArtifactWriter, type SectionContent, type WrittenArtifact, type WriteOptions } from './writer.ts';
export { type ArtifactFile, openArtifact } from './reader.ts';
export { checkManifest } from './check-manifest.ts';
