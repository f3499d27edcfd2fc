import type { TenonError } from '@tenon/plugin';
import { beforeAll, describe, expect, test } from 'vitest';
import { memorySource, sampleManifest } from '../test/samples.ts';
import { type ArtifactFile, ArtifactWriter, type MadeContent, openArtifact } from './index.ts';
import type { ManifestBody } from './manifest.ts';

const bytesOf = (n: number, seed: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (Math.imul(i + seed, 0x9e3779b1) >>> 13) & 255);
const weights = bytesOf(1000, 1);
const blob = bytesOf(130, 2);
const chunkBytes = 256;

const made = (bytes: Uint8Array): MadeContent => ({
  bytes: bytes.length,
  readInto: async (offset, destination) => destination.set(bytes.subarray(offset, offset + destination.length)),
});

function writer(): ArtifactWriter {
  const w = new ArtifactWriter({ chunkBytes });
  w.addSection('weights', 'constants', weights);
  w.addSection('code', 'blob', blob);
  w.addSection('empty', 'other', new Uint8Array(0));
  return w;
}
const failure = async (run: () => unknown): Promise<TenonError['diagnostic']> => {
  try {
    await run();
  } catch (error) {
    const { diagnostic } = error as TenonError;
    if (!diagnostic) throw error;
    return diagnostic;
  }
  throw new Error('nothing was thrown');
};

let file: Uint8Array;
beforeAll(async () => {
  file = await writer().toBytes(sampleManifest());
});
const open = (bytes: Uint8Array): Promise<ArtifactFile> => openArtifact(memorySource(bytes));
const changed = (at: number): Uint8Array => {
  const copy = file.slice();
  copy[at]! ^= 0x10;
  return copy;
};

describe('reading what was written', () => {
  test('manifest and sections come back', async () => {
    const artifact = await open(file);
    const { sections, ...body } = artifact.manifest;
    expect(body).toEqual(sampleManifest());
    expect(sections.map(({ name, kind, bytes }) => [name, kind, bytes])).toEqual([['weights', 'constants', 1000], ['code', 'blob', 130], ['empty', 'other', 0]]);
    expect(await artifact.read(artifact.section('weights'))).toEqual(weights);
    expect(await artifact.read(artifact.section('code'))).toEqual(blob);
    expect(await artifact.read(artifact.section('empty'))).toEqual(new Uint8Array(0));
    await artifact.verify();
  });

  test('sections are aligned to 64 bytes', async () => {
    const artifact = await open(file);
    for (const section of artifact.manifest.sections) expect(artifact.offsetOf(section) % 64).toBe(0);
  });

  test('sections of some size begin at the same place, whatever the manifest has to say besides', async () => {
    const large = bytesOf(5 << 20, 4);
    for (const compiler of ['a', 'a'.repeat(20_000)]) {
      const w = new ArtifactWriter();
      w.addSection('weights', 'constants', large);
      w.addSection('code', 'blob', blob);
      const body = sampleManifest();
      const artifact = await open(await w.toBytes({ ...body, info: { ...body.info, compiler } }));
      expect(artifact.offsetOf(artifact.section('weights'))).toBe(64 << 10);
      expect(artifact.manifest.info.compiler).toBe(compiler);
      await artifact.verify();
    }
  });

  test('opening reads the beginning only', async () => {
    const source = memorySource(file);
    const artifact = await openArtifact(source);
    const data = artifact.offsetOf(artifact.section('weights'));
    expect(source.reads).toHaveLength(3);
    for (const [offset, length] of source.reads) expect(offset + length).toBeLessThanOrEqual(data);
  });

  test('the same contents give the same bytes, at hand or made', async () => {
    const w = new ArtifactWriter({ chunkBytes });
    w.addSection('weights', 'constants', made(weights));
    w.addSection('code', 'blob', made(blob));
    w.addSection('empty', 'other', made(new Uint8Array(0)));
    expect(await w.toBytes(sampleManifest())).toEqual(file);
  });

  test('the digest says what the artifact is', async () => {
    const sink = new Uint8Array(file.length);
    const written = await writer().write(sampleManifest(), { write: (offset, bytes) => sink.set(bytes, offset) });
    expect(sink).toEqual(file);
    expect(written.bytes).toBe(file.length);
    expect((await open(file)).digest).toBe(written.digest);
    const w = new ArtifactWriter({ chunkBytes });
    w.addSection('weights', 'constants', bytesOf(1000, 3));
    w.addSection('code', 'blob', blob);
    const other = await w.write(sampleManifest(), { write() {} });
    expect(other.digest).not.toBe(written.digest);
  });
});

describe('a truncated file', () => {
  test('is refused at every length, naming where it ends', async () => {
    const artifact = await open(file);
    const start = (name: string): number => artifact.offsetOf(artifact.section(name));
    const end = (name: string): number => start(name) + artifact.paddedBytes(artifact.section(name));
    const hashes = start('weights') - 320; // 6 chunks × 40 bytes, padded
    for (let length = 1; length < file.length; length++) {
      const problem = await failure(() => open(file.subarray(0, length)));
      expect(problem.code, `length ${length}`).toBe('artifact/truncated');
      const where = length < 128 ? 'its header' : length < hashes + 64 ? /its (manifest|hashes)/ : length < start('weights') ? 'its hashes' : length < end('weights') ? "section 'weights'" : "section 'code'";
      expect(problem.message, `length ${length}`).toMatch(where);
    }
  });
  test('nothing at all is no artifact', async () => {
    expect((await failure(() => open(new Uint8Array(0)))).code).toBe('artifact/not-an-artifact');
    expect((await failure(() => open(new TextEncoder().encode('{"json": true}'.repeat(20))))).code).toBe('artifact/not-an-artifact');
  });
  test('trailing bytes are refused too', async () => {
    const longer = new Uint8Array(file.length + 1);
    longer.set(file);
    expect(await failure(() => open(longer))).toMatchObject({ code: 'artifact/corrupt', message: expect.stringContaining('1 more') });
  });
});

describe('a damaged file', () => {
  test('any changed byte is found, and its section named', async () => {
    const good = await open(file);
    const at = (name: string): number => good.offsetOf(good.section(name));
    for (let i = 0; i < file.length; i += i < 256 ? 1 : 7) {
      const problem = await failure(async () => {
        const artifact = await open(changed(i));
        await artifact.verify();
      });
      const expected = i < 6 ? ['artifact/not-an-artifact', ''] : i < 8 ? ['artifact/version', 'version'] : i < 128 ? ['artifact/corrupt', 'header']
        : i < at('weights') ? ['artifact/corrupt', '(manifest|hashes)']
        : i < at('code') ? ['artifact/corrupt', `chunk ${Math.floor((i - at('weights')) / chunkBytes)} of section 'weights'`]
        : ['artifact/corrupt', `chunk ${Math.floor((i - at('code')) / chunkBytes)} of section 'code'`];
      expect(problem.code, `byte ${i}`).toBe(expected[0]);
      expect(problem.message, `byte ${i}`).toMatch(new RegExp(expected[1]!));
    }
  });
  test('reading a section finds it as well', async () => {
    const good = await open(file);
    const artifact = await open(changed(good.offsetOf(good.section('weights')) + 513));
    expect(await failure(() => artifact.read(artifact.section('weights')))).toMatchObject({ code: 'artifact/corrupt', message: expect.stringContaining("chunk 2 of section 'weights'") });
    expect(await artifact.read(artifact.section('code'))).toEqual(blob);
  });
});

describe('the writer', () => {
  test('refuses two sections of one name and odd chunk sizes', async () => {
    const w = writer();
    expect((await failure(() => w.addSection('code', 'blob', blob))).code).toBe('artifact/duplicate-section');
    expect((await failure(() => new ArtifactWriter({ chunkBytes: 100 }))).code).toBe('artifact/chunk-size');
  });
  test('reports progress and stops when told to', async () => {
    const seen: number[] = [];
    await writer().write(sampleManifest(), { write() {} }, { onProgress: (done, total) => seen.push(done / total) });
    expect(seen).toHaveLength(5);
    expect(seen.at(-1)).toBe(1);
    const controller = new AbortController();
    const writing = writer().write(sampleManifest(), { write() {} }, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(writing).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('an invalid manifest', () => {
  const entry = sampleManifest().entries[0]!;
  const region = sampleManifest().regions[0]!;
  const variant = region.variants[0]!;
  const packed = { axis: 1, tile: 4, order: [0] };
  const smaller = { axis: 1, tile: 2, order: [0] };
  const repacked = (change: object, bytes = 64): Partial<ManifestBody> => ({
    constants: [...sampleManifest().constants, { name: 'v', dtype: 'f32', shape: [2, 4, 2], bytes, data: { kind: 'repacked', of: 0, shape: [4, 4], from: packed, to: smaller, ...change } }],
  });
  test('a constant that is packed anew from another is none', async () => {
    expect((await open(await writer().toBytes(sampleManifest(repacked({}))))).manifest.constants[1]!.data.kind).toBe('repacked');
  });
  const cases: readonly (readonly [string, Partial<ManifestBody>, RegExp])[] = [
    ['a constant packed anew from itself', repacked({ of: 1 }), /in no section/],
    ['a layout that names an axis twice', repacked({ to: { axis: 0, tile: 2, order: [0] } }), /axes of a layout/],
    ['a layout of an axis that is not there', repacked({ from: { axis: 2, tile: 4, order: [0] } }), /axes of a layout/],
    ['a layout without tiles', repacked({ to: { ...smaller, tile: 0 } }), /tiles of a layout/],
    ['a layout larger than what it is packed from', repacked({ shape: [4, 5], from: packed }), /a layout takes 128 bytes, not 64/],
    ['a layout larger than its constant', repacked({ to: { ...smaller, tile: 32 } }), /a layout takes 512 bytes, not 64/],
    ['a missing layout', repacked({ to: undefined }), /missing or of the wrong kind/],
    ['a constant beyond its section', { constants: [{ name: 'w', dtype: 'f32', shape: [16], bytes: 64, data: { kind: 'section', section: 'weights', offset: 960 } }] }, /beyond its section/],
    ['an unaligned constant', { constants: [{ name: 'w', dtype: 'f32', shape: [16], bytes: 64, data: { kind: 'section', section: 'weights', offset: 4 } }] }, /not aligned/],
    ['an unknown section', { blobs: [{ section: 'cod', target: 'js', format: 'x', formatVersion: 1, requires: {} }] }, /no section 'cod'/],
    ['an unknown dim', { entries: [{ ...entry, arenas: [{ device: 0, bytes: ['$m'] }] }] }, /unknown dim 'm'/],
    ['a register that does not exist', { entries: [{ ...entry, program: [{ op: 'return', values: [7] }] }] }, /7 is not one of 2/],
    ['no return', { entries: [{ ...entry, program: [] }] }, /does not end in a return/],
    ['too few dims', { entries: [{ ...entry, program: [{ op: 'call', region: 0, args: [0], results: [1], dims: [], runDims: [] }, { op: 'return', values: [1] }] }] }, /0 of 1 dims/],
    ['a bad formula', { regions: [{ ...region, variants: [{ ...variant, workspace: ['+'] }] }] }, /lacks operands/],
    ['no variant', { regions: [{ ...region, variants: [] }] }, /no variant/],
    ['a missing part', { devices: undefined as never }, /missing or of the wrong kind/],
    ['an unknown instruction', { entries: [{ ...entry, program: [{ op: 'jump' } as never, { op: 'return', values: [1] }] }] }, /unknown instruction 'jump'/],
    ['setting a dim of the call', { entries: [{ ...entry, program: [{ op: 'dim', name: 'n', value: { kind: 'formula', formula: [1] } }, { op: 'return', values: [1] }] }] }, /not bound while running/],
  ];
  test.each(cases)('%s', async (_, change, message) => {
    const problem = await failure(() => writer().toBytes(sampleManifest(change)));
    expect(problem.code).toBe('artifact/invalid-manifest');
    expect(problem.message).toMatch(message);
  });
});
