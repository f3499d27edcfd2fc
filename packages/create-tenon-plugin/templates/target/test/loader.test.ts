import { expect, it } from 'vitest';
import loader from '../src/loader.ts';
import { encode, format, formatVersion, type Program } from '../src/program.ts';

const product: Program = { symbol: 'f', views: 3, instructions: [{ opcode: 'matmul-relu', a: 0, b: 1, out: 2, k: 8, n: 8 }] };
const blob = { format, formatVersion, requires: { side: 8 }, entries: [{ symbol: 'f', kernels: ['matmul-relu'] }] };

it('runs a program', async () => {
  const { device, load } = loader();
  const queue = device.createQueue();
  const view = (values: readonly number[]) => {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    const placed = { buffer: device.allocate(bytes.length), byteOffset: 0, bytes: bytes.length };
    queue.write(bytes, placed);
    return placed;
  };
  const row = [1, -2, 3, -4, 5, -6, 7, -8];
  const twice = Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 2 : 0));
  const result = view(row);
  const loaded = await load(blob, encode([product]), { threads: 1 });
  const call = loaded.bind('f', [view(row), view(twice), result], []);
  call.enqueue(queue);
  const bytes = new Uint8Array(result.bytes);
  await queue.read(result, bytes).wait();
  expect([...new Float32Array(bytes.buffer)]).toEqual([2, 0, 6, 0, 10, 0, 14, 0]);
  expect(call.kernelTimes?.map((t) => t.kernel)).toEqual(['matmul-relu']);
});

it('refuses programs of another version and damaged ones', () => {
  const bytes = encode([product]);
  const changed = (at: number): Uint8Array => bytes.map((b, i) => (i === at ? b ^ 1 : b));
  const { load, answer } = loader();
  expect(() => load(blob, changed(4), { threads: 1 })).toThrow('version');
  expect(() => load(blob, changed(bytes.length - 4), { threads: 1 })).toThrow('damaged');
  expect(answer({ ...blob, formatVersion: 0 })).toMatchObject({ kind: 'recompile', code: 'acme/version' });
});
