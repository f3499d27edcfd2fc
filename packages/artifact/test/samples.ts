import type { ByteSource } from '@tenon/plugin';
import type { ManifestBody } from '../src/index.ts';

/** A manifest with one entry that returns its parameter through one region call, over the given sections. */
export function sampleManifest(change: Partial<ManifestBody> = {}): ManifestBody {
  return {
    info: { compiler: 'test 1', model: { name: 'sample', id: 'x' }, targets: ['js'], options: {} },
    devices: [{ name: 'host', target: null }],
    constants: [{ name: 'w', dtype: 'f32', shape: [16], bytes: 64, data: { kind: 'section', section: 'weights', offset: 0 } }],
    blobs: [{ section: 'code', target: 'js', format: 'js-test', formatVersion: 1, requires: {} }],
    regions: [{
      name: 'r', dims: ['n'], runDims: [],
      variants: [{ blob: 0, symbol: 'r', constants: [0], dims: ['n'], runDims: [], workspace: ['$n', 4, '*'], guards: [[0, '$n', 'lt']], kernels: [] }],
    }],
    entries: [{
      name: 'main',
      params: [{ name: 'x', dtype: 'f32', shape: [['$n']], contents: null }],
      results: [{ name: 'y', dtype: 'f32', shape: [['$n']] }],
      dims: [{ name: 'n', min: 0, max: null, multipleOf: 1, binding: { kind: 'axis', param: 0, axis: 0 } }],
      values: [
        { dtype: 'f32', shape: [['$n']], bytes: ['$n', 4, '*'], device: 0, storage: { kind: 'param', index: 0 } },
        { dtype: 'f32', shape: [['$n']], bytes: ['$n', 4, '*'], device: 0, storage: { kind: 'result', index: 0 } },
      ],
      arenas: [],
      program: [{ op: 'call', region: 0, args: [0], results: [1], dims: [['$n']], runDims: [] }, { op: 'return', values: [1] }],
    }],
    report: { placements: [] },
    ...change,
  };
}

/** Bytes in memory, counting what is read. */
export function memorySource(bytes: Uint8Array): ByteSource & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    uri: 'sample.tenon', bytes: bytes.length, id: 'x', reads,
    async read(offset, length) {
      if (offset + length > bytes.length) throw new RangeError(`read of ${length} at ${offset} of ${bytes.length}`);
      reads.push([offset, length]);
      return bytes.slice(offset, offset + length);
    },
    close() {},
  };
}
