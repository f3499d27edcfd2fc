import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { biasRelu, buildArtifact } from '../../test/build.ts';
import { failure } from '../../test/failure.ts';
import { testLoader } from '../../test/js-loader.ts';
import { createRuntime } from '../index.ts';
import { browserHost } from './host.ts';
import { resolveUrl, urlSource } from './url-source.ts';

const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7) & 255);
const files: { [path: string]: Uint8Array } = { '/data': bytes, '/empty': new Uint8Array(0), '/plain': bytes };
let etag = '"1"';
let requests: string[] = [];
let server: Server;
let origin: string;

beforeAll(async () => {
  files['/m.tenon'] = await buildArtifact(biasRelu());
  server = createServer((request, response) => {
    const file = files[request.url!];
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    requests.push(`${request.url} ${request.headers.range ?? ''}`);
    if (!file) return void response.writeHead(request.url === '/broken' ? 500 : 404).end();
    if (!range || request.url === '/plain') return void response.writeHead(200).end(file);
    const [begin, end] = [Number(range[1]), Number(range[2])];
    if (begin >= file.length) return void response.writeHead(416, { 'Content-Range': `bytes */${file.length}`, ETag: etag }).end();
    response.writeHead(206, { 'Content-Range': `bytes ${begin}-${Math.min(end, file.length - 1)}/${file.length}`, ETag: etag }).end(file.subarray(begin, end + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe('urlSource', () => {
  test('asks for ranges only', async () => {
    requests = [];
    const source = await urlSource(`${origin}/data`);
    expect(source.bytes).toBe(5000);
    expect(await source.read(1000, 10)).toEqual(bytes.slice(1000, 1010));
    expect((await source.read(5000, 0)).length).toBe(0);
    expect(requests).toEqual(['/data bytes=0-0', '/data bytes=1000-1009']);
    expect((await failure(() => source.read(4999, 2))).code).toBe('host/past-end');
  });
  test('takes all from a server without ranges, and nothing from an empty file', async () => {
    const plain = await urlSource(`${origin}/plain`);
    expect(await plain.read(10, 5)).toEqual(bytes.slice(10, 15));
    expect((await urlSource(`${origin}/empty`)).bytes).toBe(0);
  });
  test('notices that the file changed', async () => {
    const source = await urlSource(`${origin}/data`);
    etag = '"2"';
    expect((await failure(() => source.read(0, 10))).code).toBe('host/changed');
    expect((await urlSource(`${origin}/data`)).id).not.toBe(source.id);
  });
  test('says what went wrong', async () => {
    expect((await failure(() => urlSource(`${origin}/none`))).code).toBe('host/not-found');
    expect((await failure(() => urlSource(`${origin}/broken`))).message).toContain('status 500');
    expect((await failure(() => urlSource('http://127.0.0.1:1/x'))).code).toBe('host/unreachable');
  });
  test('a model runs from a URL', async () => {
    using model = await createRuntime({ loaders: [testLoader()], host: browserHost() }).load(new URL(`${origin}/m.tenon`));
    expect([...(await model.run({ x: [2, 3] }))['y']!.data]).toEqual([1, 2]);
  });
});

describe('resolveUrl', () => {
  test('stays in the folder', async () => {
    expect(resolveUrl('https://x.org/m/a.onnx?v=1', 'w/1.bin')).toBe('https://x.org/m/w/1.bin');
    for (const relative of ['../w', '/w', 'https://x.org/m/w', '//y.org/m/w', '%2e%2e/w', 'a%2f..%2f..%2fw', 'a/%2e%2e/../w', '']) {
      expect((await failure(() => resolveUrl('https://x.org/m/a.onnx', relative))).code, relative).toBe('host/outside-folder');
    }
  });
});
