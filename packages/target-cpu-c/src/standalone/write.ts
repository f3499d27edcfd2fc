import type { Manifest } from '@tenon/artifact';
import { comment } from '../codegen/index.ts';
import { describe, weightsHeaderBytes, type StandaloneModel } from './describe.ts';
import { exampleText } from './example.ts';
import { headerText } from './header.ts';
import { makefileText } from './makefile.ts';
import { programText } from './program.ts';
import { decodeSource, sourceFormat, type SourceBlob, type SourceUnit } from './source.ts';

/** A model as C that needs nothing of Tenon, without its weights. */
export interface StandaloneFiles {
  /** Contents by path, relative to the folder. */
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  /** The file of weights: this header, then the bytes of the artifact's section `section` (null: none). */
  readonly weights: { readonly path: string; readonly header: Uint8Array; readonly section: string | null };
}

/**
 * Writes an artifact whose regions are C source (the option `emit: 'source'` of cpu-c) as files: `NAME.h`, `NAME.c`, generated
 * code, an example `main.c`, a `Makefile`. `digest` is the artifact's; `blob` reads a section of code. Throws
 * `cpu-c/not-standalone` for artifacts that need the runtime.
 */
export async function standaloneFiles(manifest: Manifest, digest: string, name: string, blob: (section: string) => Promise<Uint8Array>): Promise<StandaloneFiles> {
  const model = describe(manifest, name, digest);
  const used = new Set(model.variants.map((v) => v.blob));
  const sources: SourceBlob[] = [];
  for (const [i, info] of manifest.blobs.entries()) {
    if (info.format === sourceFormat && used.has(i)) sources.push(decodeSource(await blob(info.section), info.formatVersion));
  }
  const files = new Map<string, string | Uint8Array>([[`${name}.h`, headerText(model)], [`${name}.c`, programText(model)], ['main.c', exampleText(model)]]);
  const generated: string[] = [];
  const objects: string[] = [];
  const seen = new Set<string>();
  for (const unit of sources.flatMap((s) => s.units)) {
    if (unit.object === null && seen.has(unit.text)) continue;
    seen.add(unit.text);
    if (unit.object === null) {
      const path = `generated/${String(generated.length).padStart(3, '0')}_${slug(unit.name)}.c`;
      generated.push(path);
      files.set(path, `${comment(unit.name)}\n${renamed(unit, model)}`);
    } else {
      const path = `generated/library_${objects.length}.o`;
      objects.push(path);
      files.set(path, unit.object);
    }
  }
  files.set('Makefile', makefileText(model, sources[0] ?? { cc: 'cc', machine: [], units: [] }, generated, objects));
  const section = manifest.sections.find((s) => s.kind === 'constants')?.name ?? null;
  return { files, weights: { path: `${name}.weights`, header: weightsHeader(model), section } };
}

const slug = (text: string): string => text.replace(/^(kernel|the) /, '').replace(/[^A-Za-z0-9]+/g, '_').slice(0, 60);

/** Our own functions carry the model's name, so that several models may be linked into one program; a library's keep theirs. */
const renamed = (unit: SourceUnit, model: StandaloneModel): string =>
  unit.name.startsWith('the library ') ? unit.text : unit.text.replace(/\btenon_(?=\w)/g, `${model.name}_i_`);

function weightsHeader(model: StandaloneModel): Uint8Array {
  const header = new Uint8Array(weightsHeaderBytes);
  header.set(new TextEncoder().encode('TENONWTS'));
  const view = new DataView(header.buffer);
  view.setUint32(8, 1, true);
  view.setBigUint64(16, BigInt(model.weightBytes), true);
  view.setBigUint64(24, BigInt(`0x${model.fingerprint}`), true);
  return header;
}
