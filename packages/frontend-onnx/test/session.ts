import { Session } from '@tenon/core';
import type { ByteSource, GraphFunction, Host, ImportOptions, InferCall, IRModule, Operator, Type } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import type { ConverterTable } from '../src/convert.ts';
import { importModel } from '../src/import.ts';
import { converters as core } from '../src/ops/core.ts';
import { memory } from './source.ts';

export function hostOf(files: { readonly [uri: string]: ByteSource }): Host & { readonly opened: string[] } {
  const opened: string[] = [];
  return {
    name: 'test', now: () => 0, cache: null, opened,
    open(uri) {
      opened.push(uri);
      const file = files[uri];
      if (!file) throw new TenonError({ code: 'host/not-found', message: `${uri} does not exist` });
      return Promise.resolve(file);
    },
    resolve: (base, relative) => base.slice(0, base.lastIndexOf('/') + 1) + relative.replace(/^\.\//, ''),
  };
}

const operator = (name: string, params: readonly string[], attrs: Operator['signature']['attrs'], facets: Operator['facets']): Operator => ({
  name, doc: 'for tests', signature: { params, attrs, results: ['out'] }, facets,
});
const dimsOf = (call: InferCall) => call.tensor(0).shape.slice(Number(call.attrs['start']), Number(call.attrs['end']));

/** The least operators that the converters under test need. */
const testOps: readonly Operator[] = [
  operator('test.add', ['a', 'b'], {}, { infer: (c) => (c.tensor(0).shape.length >= c.tensor(1).shape.length ? [c.tensor(0)] : [c.tensor(1)]) }),
  operator('test.half', ['a'], {}, {
    infer: (c) => [c.tensor(0)],
    reference: (c) => [{ ...c.args[0]!, data: (c.args[0]!.data as Float32Array).map((v) => v / 2) }],
  }),
  operator('test.fails', ['a'], {}, { infer: (c) => c.fail('refused', 'this never works') }),
  operator('shape.shape_of', ['a'], { start: 0, end: 0 }, {
    infer: (c): readonly Type[] => [{ kind: 'tensor', dtype: 'i64', shape: [c.exprs.int(dimsOf(c).length)], annotations: {} }],
    shapeValue: (c) => [dimsOf(c)],
  }),
  operator('shape.size_of', ['a'], {}, {
    infer: (): readonly Type[] => [{ kind: 'tensor', dtype: 'i64', shape: [], annotations: {} }],
    shapeValue: (c) => [[c.exprs.product(c.tensor(0).shape)]],
  }),
  operator('shape.full', [], { shape: [], value: 0, dtype: 'f32' }, {
    infer: (c): readonly Type[] => [{ kind: 'tensor', dtype: String(c.attrs['dtype']), shape: c.attrs['shape'] as [], annotations: {} }],
  }),
];

/** Stand-ins for converters that other files own. */
export const table: ConverterTable = {
  ...core,
  Add: { since: 7, convert: (c) => [c.b.call('test.add', [c.input(0), c.input(1)])] },
  Relu: { since: 14, convert: (c) => [c.input(0)] },
  Half: { since: 1, convert: (c) => [c.b.call('test.half', [c.input(0)])] },
  Fails: { since: 1, convert: (c) => [c.b.call('test.fails', [c.input(0)])] },
  'com.example::Twice': { since: 1, convert: (c) => [c.b.call('test.add', [c.input(0), c.input(0)])] },
};

export function testSession(host: Host = hostOf({})): Session {
  return new Session({ config: { plugins: [{ name: 'test', namespace: 'test', contract: 1, ops: testOps.filter((o) => o.name.startsWith('test.')) }, { name: 'shape', namespace: 'shape', contract: 1, ops: testOps.filter((o) => o.name.startsWith('shape.')) }] }, host });
}

export interface Imported {
  readonly session: Session;
  readonly module: IRModule;
  readonly main: GraphFunction;
}
export async function importBytes(
  bytes: Uint8Array | ByteSource, options: { readonly dims?: ImportOptions['dims']; readonly host?: Host; readonly table?: ConverterTable } = {},
): Promise<Imported> {
  const session = testSession(options.host);
  const source = bytes instanceof Uint8Array ? memory('models/model.onnx', bytes) : bytes;
  const module = await importModel(source, session, { dims: options.dims ?? {} }, options.table ?? table);
  return { session, module, main: module.functions.get('main') as GraphFunction };
}
