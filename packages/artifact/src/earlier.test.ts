import { describe, expect, test } from 'vitest';
import { memorySource, sampleManifest } from '../test/samples.ts';
import { ArtifactWriter, type Contents, EarlierArtifact, identifyRange, openArtifact, type Part } from './index.ts';

const chunkBytes = 256;
const bytesOf = (identity: string, n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (Math.imul(i + identity.charCodeAt(0), 0x9e3779b1) >>> 13) & 255);
const align = (n: number): number => Math.ceil(n / 64) * 64;

/** A section of parts, each of which is all that its identity says, and which of them were made. */
function section(parts: readonly (readonly [identity: string, bytes: number])[]) {
  let end = 0;
  const placed = parts.map(([identity, bytes]): Part => {
    const part = { offset: end, bytes, identity };
    end += align(bytes);
    return part;
  });
  const whole = new Uint8Array(end);
  for (const { offset, bytes, identity } of placed) whole.set(bytesOf(identity!, bytes), offset);
  return { contents: { weights: placed } satisfies Contents, whole };
}

function writerOf({ contents, whole }: ReturnType<typeof section>, made: [number, number][] = []): ArtifactWriter {
  const writer = new ArtifactWriter({ chunkBytes });
  writer.addSection('weights', 'constants', {
    bytes: whole.length,
    identify: (begin, end) => identifyRange(contents.weights, begin, end),
    readInto: async (offset, destination) => {
      made.push([offset, destination.length]);
      destination.set(whole.subarray(offset, offset + destination.length));
    },
  });
  writer.addSection('code', 'blob', Uint8Array.of(1, 2, 3));
  return writer;
}

const earlierOf = async (content: ReturnType<typeof section>, damage: (file: Uint8Array) => void = () => {}): Promise<{ file: Uint8Array; earlier: EarlierArtifact }> => {
  const file = await writerOf(content).toBytes(sampleManifest());
  const { offsetOf, section: find } = await openArtifact(memorySource(file));
  damage(file.subarray(offsetOf(find('weights'))));
  return { file, earlier: new EarlierArtifact(await openArtifact(memorySource(file)), content.contents) };
};

/** Writes with what the earlier one has, into a copy of it or not; gives the file and what was written and made. */
async function written(content: ReturnType<typeof section>, from: { file: Uint8Array; earlier: EarlierArtifact }, copied: boolean) {
  let file = copied ? from.file.slice() : new Uint8Array();
  let bytes = 0;
  const made: [number, number][] = [];
  const sized = (size: number): void => {
    const next = new Uint8Array(size);
    next.set(file.subarray(0, size));
    file = next;
  };
  await writerOf(content, made).write(sampleManifest(), {
    write(offset, piece) {
      bytes += piece.length;
      if (offset + piece.length > file.length) sized(offset + piece.length);
      file.set(piece, offset);
    },
    truncate: sized,
  }, { earlier: from.earlier, copied });
  return { file, bytes, made };
}

const before = section([['a', 300], ['b', 500], ['c', 700], ['d', 100]]);

describe('what an earlier artifact has', () => {
  test('is not made again, and not written again where the file is a copy; the bytes are the same', async () => {
    const after = section([['a', 300], ['b', 500], ['x', 700], ['d', 100]]);
    const expected = await writerOf(after).toBytes(sampleManifest());
    const from = await earlierOf(before);
    const anew = await written(after, from, false);
    const over = await written(after, from, true);
    expect(anew.file).toEqual(expected);
    expect(over.file).toEqual(expected);
    // `x` lies from 832 to 1532, in chunks 3 to 5; the last chunk, with `d`, begins at 1536.
    expect(anew.made).toEqual([[768, 256], [1024, 256], [1280, 256]]);
    expect(over.made).toEqual(anew.made);
    expect(anew.bytes - over.bytes).toBe(3 * 256 + 128);
  });

  test('may lie elsewhere, and end before or behind', async () => {
    for (const parts of [[['c', 700], ['a', 300]], [['a', 300], ['n', 64], ['b', 500], ['c', 700], ['d', 100], ['e', 900]], [['z', 70]]] as (readonly [string, number])[][]) {
      const after = section(parts);
      const expected = await writerOf(after).toBytes(sampleManifest());
      for (const copied of [false, true]) expect((await written(after, await earlierOf(before), copied)).file).toEqual(expected);
    }
  });

  test('is known by its identity alone: the same place and size are another thing', async () => {
    const after = section([['a', 300], ['q', 500], ['c', 700], ['d', 100]]);
    const { file } = await written(after, await earlierOf(before), true);
    expect(file).toEqual(await writerOf(after).toBytes(sampleManifest()));
  });

  test('is read part by part, compared with its hashes', async () => {
    const { earlier } = await earlierOf(before);
    for (const [identity, offset, length] of [['b', 0, 500], ['b', 450, 50], ['c', 1, 600], ['d', 0, 100]] as const) {
      const piece = new Uint8Array(length);
      expect(await earlier.readPart(identity, offset, piece)).toBe(true);
      expect(piece).toEqual(bytesOf(identity, 1000).subarray(offset, offset + length));
    }
    expect(await earlier.readPart('x', 0, new Uint8Array(1))).toBe(false);
    const { earlier: damaged } = await earlierOf(before, (weights) => (weights[900]! ^= 1));
    expect(await damaged.readPart('c', 0, new Uint8Array(700))).toBe(false);
    expect(await damaged.readPart('a', 0, new Uint8Array(300))).toBe(true);
  });
});

test('a range of parts of which one is not known is not known', () => {
  const parts: Part[] = [{ offset: 0, bytes: 10, identity: 'a' }, { offset: 64, bytes: 10, identity: null }, { offset: 128, bytes: 10, identity: 'c' }];
  expect(identifyRange(parts, 0, 70)).toBeNull();
  expect(identifyRange(parts, 0, 64)).not.toBeNull();
  expect(identifyRange(parts, 74, 200)).toBe(identifyRange([{ offset: 64, bytes: 10, identity: 'c' }], 10, 136));
});
