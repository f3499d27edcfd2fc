import type { ByteSource } from '@tenon/plugin';
import { describe, expect, it } from 'vitest';
import { failure, memory } from '../../test/source.ts';
import { info, model, node, raw, typed } from '../../test/onnx-writer.ts';
import type { OnnxModel } from '../model.ts';
import { readModel } from '../read.ts';
import { decodeSource } from './decode.ts';
import { model as modelSchema } from './schema.ts';
import { ProtoWriter } from './writer.ts';

const small = () => model({
  nodes: [node('Add', ['x', 'w'], ['y'], { name: 'n', attrs: { a: { f: 0.5 }, b: { ints: [1, -1, 9223372036854775807n] }, c: { s: 'text' }, d: { floats: [1, 2] } } })],
  inputs: [info('x', 'f32', ['batch', 3, null])], outputs: [info('y', 'f32', ['batch', 3, null])],
  initializers: [raw('w', 'f32', [3], Float32Array.of(1, 2, 3)), typed('v', 'i64', [2], 7, [-1, 5])],
});

/** A source of any size: `parts` at offsets, zeros between; refuses to read between them. */
function fake(bytes: number, parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[]): ByteSource & { total: number } {
  return {
    uri: 'fake', id: 'fake', bytes, total: 0,
    read(offset, length) {
      expect(offset + length).toBeLessThanOrEqual(bytes);
      this.total += length;
      const out = new Uint8Array(length);
      for (const part of parts) {
        const from = Math.max(offset, part.offset);
        const to = Math.min(offset + length, part.offset + part.bytes.length);
        if (from < to) out.set(part.bytes.subarray(from - part.offset, to - part.offset), from - offset);
      }
      return Promise.resolve(out);
    },
    close() {},
  };
}

/** The tag and length of a bytes field, without the bytes. */
function head(field: number, length: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest of [BigInt(field * 8 + 2), BigInt(length)]) {
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
  }
  return Uint8Array.from(bytes);
}
function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

describe('decode', () => {
  it('reads every part of a small model', async () => {
    const { model: m } = await readModel(memory('m', small()));
    expect(m.irVersion).toBe(8);
    expect(m.opsets).toEqual([{ domain: '', version: 18 }]);
    const g = m.graph!;
    expect(g.nodes[0]).toMatchObject({ opType: 'Add', name: 'n', inputs: ['x', 'w'], outputs: ['y'], domain: '' });
    const [a, b, c, d] = g.nodes[0]!.attributes;
    expect(a).toMatchObject({ name: 'a', type: 1, f: 0.5 });
    expect(b!.ints).toEqual([1, -1, 9223372036854775807n]);
    expect(c!.s).toBe('text');
    expect(d!.floats).toEqual([1, 2]);
    expect(g.inputs[0]!.type!.tensor).toEqual({
      elemType: 1, shape: { dims: [{ dimValue: null, dimParam: 'batch' }, { dimValue: 3, dimParam: null }, { dimValue: null, dimParam: null }] },
    });
    expect(g.initializers[0]).toMatchObject({ name: 'w', dims: [3], dataType: 1, rawData: { bytes: 12 } });
  });

  it('reads the same by window as from memory', async () => {
    const bytes = small();
    const windowed = (await decodeSource(modelSchema, memory('m', bytes))) as unknown as OnnxModel;
    expect(windowed).toEqual((await readModel(memory('m', bytes))).model);
  });

  it('refuses or reads, but never crashes on, a model cut at any byte', async () => {
    const bytes = small();
    let refused = 0;
    for (let n = 0; n < bytes.length; n++) {
      for (const read of [() => readModel(memory('m', bytes.subarray(0, n))), () => decodeSource(modelSchema, memory('m', bytes.slice(0, n)))]) {
        await read().then(() => {}, (error: { diagnostic?: { code: string } }) => {
          expect(error.diagnostic?.code).toMatch(/^onnx\/(malformed|not-onnx)$/);
          refused++;
        });
      }
    }
    expect(refused).toBeGreaterThan(bytes.length);
  });

  it('names byte and field of damage', async () => {
    const bytes = small();
    const d = await failure(readModel(memory('m', bytes.subarray(0, bytes.length - 60))));
    expect(d.code).toBe('onnx/malformed');
    expect(d.message).toMatch(/^malformed at byte \d+ in graph: the length \d+ exceeds the \d+ bytes that are left$/);
    const bad = model({ initializers: [new ProtoWriter().int(9, 3)] });
    expect((await failure(readModel(memory('m', bad)))).message).toMatch(/in graph\.initializer\[0\]\.raw_data: wire type 0 does not fit/);
  });

  it('refuses overlong numbers, groups and lengths beyond the file', async () => {
    for (const bytes of [
      [0x08, ...Array<number>(10).fill(0xff), 0x01], // more than 64 bits
      [0x0b, 0x0c], // a group
      [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // length 2^64 − 1
      [0x3a, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0], // length 2^31 − 1
      [0x0f], // wire type 7
      [0x00, 0x00], // field 0
    ]) expect((await failure(readModel(memory('m', Uint8Array.from(bytes))))).code).toBe('onnx/malformed');
  });

  it('limits nesting', async () => {
    let type = new ProtoWriter();
    for (let i = 0; i < 200; i++) type = new ProtoWriter().message(4, new ProtoWriter().message(1, type));
    const bytes = model({ inputs: [new ProtoWriter().string(1, 'x').message(2, type)] });
    const d = await failure(readModel(memory('m', bytes)));
    expect(d).toMatchObject({ code: 'onnx/malformed' });
    expect(d.message).toContain('nested more than 100 deep');
  });

  it('says what a file is that is no model', async () => {
    expect((await failure(readModel(memory('m', new TextEncoder().encode('<!doctype html>'))))).message).toContain('HTML');
    expect((await failure(readModel(memory('m', new TextEncoder().encode('PK\u0003\u0004…'))))).message).toContain('zip');
    expect((await failure(readModel(memory('m', new Uint8Array(0))))).code).toBe('onnx/not-onnx');
  });

  it('walks a file of 5 GB without reading its weights', async () => {
    const weight = 5_000_000_000;
    // graph { node, initializer { dims, data_type, name, raw_data (5 GB), data_location }, output }, opset_import
    const before = new ProtoWriter().packed(1, [weight / 4]).int(2, 1).string(8, 'big').finish();
    const rawHead = head(9, weight);
    const afterRaw = new ProtoWriter().int(14, 0).finish();
    const tensorBytes = before.length + rawHead.length + weight + afterRaw.length;
    const nodeBytes = new ProtoWriter().message(1, node('Relu', ['big'], ['y'])).finish();
    const afterTensor = new ProtoWriter().message(12, info('y', 'f32', [weight / 4])).finish();
    const tensorHead = head(5, tensorBytes);
    const graphBytes = nodeBytes.length + tensorHead.length + tensorBytes + afterTensor.length;
    const start = concat(new ProtoWriter().int(1, 8).finish(), head(7, graphBytes), nodeBytes, tensorHead, before, rawHead);
    const tail = concat(afterRaw, afterTensor, new ProtoWriter().message(8, new ProtoWriter().string(1, '').int(2, 18)).finish());
    const source = fake(start.length + weight + tail.length, [{ offset: 0, bytes: start }, { offset: start.length + weight, bytes: tail }]);
    const { model: m } = await readModel(source);
    expect(m.graph!.initializers[0]).toMatchObject({ name: 'big', dims: [weight / 4], rawData: { offset: start.length, bytes: weight } });
    expect(m.graph!.outputs[0]!.name).toBe('y');
    expect(m.opsets).toEqual([{ domain: '', version: 18 }]);
    expect(source.total).toBeLessThan(4 << 20);
  });
});
