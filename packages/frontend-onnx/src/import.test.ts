import type { Binding, Expr, TensorType } from '@tenon/plugin';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { external, graph, info, localFunction, model, node, raw, sequenceInfo, sparse, typed, untyped } from '../test/onnx-writer.ts';
import { hostOf, importBytes, table, testSession, type Imported } from '../test/session.ts';
import { failure, memory } from '../test/source.ts';
import type { ConverterTable } from './convert.ts';
import { axesOf, axis } from './convert.ts';
import { onnx } from './index.ts';

const x = info('x', 'f32', ['n', 4]);
const y = info('y', 'f32', null);
const w4 = raw('w', 'f32', [4], Float32Array.of(1, 2, 3, 4));

const shapeOf = (type: unknown): unknown[] => (type as TensorType).shape.map((d) => d.value);
const only = ({ main }: Imported): Binding => main.bindings[0]!;
const dimNames = ({ module }: Imported): string[] => [...module.dims.keys()];

describe('import', () => {
  it('makes parameters, constants, bindings with locations, and named results', async () => {
    const got = await importBytes(model({
      inputs: [x], outputs: [y], initializers: [w4],
      nodes: [node('Add', ['x', 'w'], ['t'], { name: 'layer/Add' }), node('Add', ['t', 'w'], ['y'])],
    }));
    const { main, module } = got;
    expect(main.params.map((p) => p.name)).toEqual(['x']);
    expect(shapeOf(main.params[0]!.type)).toEqual(['n', 4]);
    expect(main.resultNames).toEqual(['y']);
    expect(main.results[0]).toBe(main.bindings[1]!.results[0]);
    expect(main.bindings.map((b) => [b.callee, b.loc])).toEqual([['test.add', 'layer/Add'], ['test.add', 'Add_1 (y)']]);
    expect(module.constants.get('w')!.data).toEqual({ kind: 'inline', values: [1, 2, 3, 4] });
    expect(module.dims.get('n')).toMatchObject({ min: 0, max: null, binding: 'call' });
  });

  it('names unknown dims, and fixes and bounds dims by option', async () => {
    const bytes = model({
      inputs: [info('x', 'f32', ['batch size', 'seq', null]), info('z', 'f32', ['batch_size', 'seq', -1])], outputs: [y], nodes: [node('Add', ['x', 'z'], ['y'])],
    });
    const free = await importBytes(bytes);
    expect(new Set(free.main.params.flatMap((p) => shapeOf(p.type))).size).toBe(5);
    expect(shapeOf(free.main.params[0]!.type).slice(0, 2)).toEqual(['batch_size', 'seq']);
    const set = await importBytes(bytes, { dims: { 'batch size': 2, seq: { min: 1, max: 64, multipleOf: 8 }, sq: 3 } });
    expect(shapeOf(set.main.params[0]!.type)[0]).toBe(2);
    expect(set.module.dims.get('seq')).toMatchObject({ min: 1, max: 64, multipleOf: 8 });
    expect(set.session.diagnostics).toMatchObject([{ severity: 'warning', code: 'onnx/unknown-dim', message: expect.stringContaining('"sq"') as string, hint: 'its dims are: batch size, seq, x_2, batch_size, z_2' }]);
    expect((await failure(importBytes(bytes, { dims: { seq: -1 } }))).code).toBe('onnx/dim-option');
  });

  it('binds dims by the contents of small integer inputs', async () => {
    const got = await importBytes(model({
      inputs: [info('shape', 'i64', [2]), info('k', 'i32', []), info('ids', 'i64', [1, 4]), info('many', 'i64', [17])], outputs: [y],
      nodes: [node('ConstantOfShape', ['shape'], ['y'])],
    }));
    const contents = got.main.params.map((p) => (p.type as TensorType).annotations['contents'] as readonly Expr[] | undefined);
    expect(contents.map((c) => c?.length)).toEqual([2, 1, undefined, undefined]);
    expect(dimNames(got)).toEqual(['shape_0', 'shape_1', 'k_0_dim']);
    expect(contents.flatMap((c) => c?.map((d) => d.value) ?? [])).toEqual(dimNames(got));
    expect(got.module.dims.get('shape_0')!.min).toBeLessThan(-1e15);
    expect(only(got)).toMatchObject({ callee: 'shape.full', attrs: { shape: contents[0], value: 0, dtype: 'f32' } });
  });

  it('takes initializers that are also inputs as constants', async () => {
    const got = await importBytes(model({ inputs: [x, info('w', 'f32', [4])], outputs: [y], initializers: [w4], nodes: [node('Add', ['x', 'w'], ['y'])] }));
    expect(got.main.params.map((p) => p.name)).toEqual(['x']);
    expect(only(got).args[1]).toMatchObject({ name: 'w', constant: true });
  });

  it('leaves large weights in place, each source declared once', async () => {
    const big = (name: string) => raw(name, 'f32', [2000], new Float32Array(2000).fill(0.25));
    const bytes = model({
      outputs: [y], initializers: [big('a'), big('b'), typed('c', 'i64', [1000], 7, Array<number>(1000).fill(7))], nodes: [node('Add', ['a', 'b'], ['y'])],
    });
    const got = await importBytes(bytes);
    const { a, b, c } = Object.fromEntries(got.module.constants);
    expect([...got.module.sources.keys()]).toEqual(['model', 'c']);
    expect(a!.data).toMatchObject({ kind: 'range', source: 'model', bytes: 8000 });
    expect(b!.data).toMatchObject({ kind: 'range', source: 'model', bytes: 8000 });
    const at = (a!.data as { offset: number }).offset;
    expect(new DataView(bytes.buffer, bytes.byteOffset).getFloat32(at, true)).toBe(0.25);
    const decoded = await got.session.constantBytes(got.module, c!);
    expect(new BigInt64Array(decoded.slice().buffer)).toEqual(new BigInt64Array(1000).fill(7n));
  });

  it('keeps f16 constants exact', async () => {
    const got = await importBytes(model({ outputs: [info('h', 'f16', [2])], initializers: [raw('h', 'f16', [2], Uint16Array.of(0x3c01, 0x7e01))] }));
    const bytes = await got.session.constantBytes(got.module, got.module.constants.get('h')!);
    expect(new Uint16Array(bytes.slice().buffer)).toEqual(Uint16Array.of(0x3c01, 0x7e01));
  });

  it('expands sparse initializers', async () => {
    const linear = sparse(raw('s', 'f32', [2], Float32Array.of(5, 6)), raw('', 'i64', [2], BigInt64Array.of(1n, 5n)), [2, 3]);
    const perAxis = sparse(raw('t', 'f32', [1], Float32Array.of(7)), raw('', 'i64', [1, 2], BigInt64Array.of(1n, 0n)), [2, 3]);
    const got = await importBytes(model({ outputs: [info('s', 'f32', [2, 3])], sparseInitializers: [linear, perAxis] }));
    expect(got.module.constants.get('s')!.data).toEqual({ kind: 'inline', values: [0, 5, 0, 0, 0, 6] });
    expect(got.module.constants.get('t')!.data).toEqual({ kind: 'inline', values: [0, 0, 0, 7, 0, 0] });
    const outside = sparse(raw('s', 'f32', [1], Float32Array.of(5)), raw('', 'i64', [1], BigInt64Array.of(6n)), [2, 3]);
    expect((await failure(importBytes(model({ outputs: [y], sparseInitializers: [outside] })))).code).toBe('onnx/tensor-data');
  });

  it('inlines local functions with their attributes', async () => {
    const f = localFunction('my', 'Shifted', ['a', 'b'], ['r'], [
      node('Constant', [], ['k'], { attrs: { value_float: { ref: 'by', type: 1 } } }),
      node('Add', ['a', 'k'], ['s'], { name: 'inner' }),
      node('Identity', ['s'], ['r']),
    ], ['by']);
    const got = await importBytes(model({
      inputs: [x], outputs: [y], functions: [f], domains: { my: 1 },
      nodes: [node('Shifted', ['x'], ['t'], { domain: 'my', name: 'call', attrs: { by: { f: 2 } } }), node('Shifted', ['t', ''], ['y'], { domain: 'my', attrs: { by: { f: 3 } } })],
    }));
    expect(got.main.bindings.map((b) => b.loc)).toEqual(['call/inner', 'Shifted_1 (y)/inner']);
    const values = got.main.bindings.map((b) => got.module.constants.get(b.args[1]!.name)!.data);
    expect(values).toEqual([{ kind: 'inline', values: [2] }, { kind: 'inline', values: [3] }]);
    const recursive = localFunction('my', 'F', ['a'], ['r'], [node('F', ['a'], ['r'], { domain: 'my' })]);
    expect((await failure(importBytes(model({ inputs: [x], outputs: [y], functions: [recursive], nodes: [node('F', ['x'], ['y'], { domain: 'my' })] })))).code).toBe('onnx/recursive-function');
  });

  it('lists all unsupported operators at once', async () => {
    const d = await failure(importBytes(model({
      inputs: [x], outputs: [y], opset: 13, domains: { 'com.example': 1 },
      nodes: [
        node('NonMaxSuppression', ['x'], ['a'], { name: 'first' }), node('constructor', ['a'], ['b']), node('NonMaxSuppression', ['b'], ['c']),
        node('Relu', ['c'], ['d']), node('Twice', ['d'], ['e'], { domain: 'com.example' }), node('Nothing', ['e'], ['y'], { domain: 'com.example' }),
        node('If', ['x'], ['z'], { name: 'if', attrs: { then_branch: { g: graph({ nodes: [node('Deep', [], ['q'])] }) } } }),
      ],
    })));
    expect(d.code).toBe('onnx/unsupported-operator');
    expect(d.message).toMatch(/^6 operators of this model \(opset ai\.onnx 13, com\.example 1\) are not supported: NonMaxSuppression ×2 \(first at first\)/);
    expect(d.related.map((r) => r.op)).toEqual(['NonMaxSuppression', 'Deep', 'If', 'Relu', 'com.example::Nothing', 'constructor']);
    expect(d.related.map((r) => r.loc)).toEqual(['first', 'if/then_branch/Deep_0 (q)', 'if', 'Relu_3 (d)', 'Nothing_5 (y)', 'constructor_1 (b)']);
    expect(d.related[3]!.message).toContain('before opset 14');
  });

  it('locates what a converter or operator refuses', async () => {
    expect(await failure(importBytes(model({ inputs: [x], outputs: [y], nodes: [node('Fails', ['x'], ['y'], { name: 'here' })] }))))
      .toMatchObject({ code: 'op/refused', op: 'Fails', loc: 'here', message: expect.stringMatching(/^Fails: .*this never works/) as string });
    const broken: ConverterTable = { ...table, Add: { since: 1, convert: () => { throw new RangeError('oops'); } } };
    expect(await failure(importBytes(model({ inputs: [x], outputs: [y], nodes: [node('Add', ['x'], ['y'])] }), { table: broken })))
      .toMatchObject({ code: 'onnx/internal', op: 'Add', loc: 'Add_0 (y)' });
    expect(await failure(importBytes(model({ inputs: [x], outputs: [y], nodes: [node('Add', ['x'], ['y'])] })))).toMatchObject({ code: 'onnx/missing-input' });
  });

  it.each([
    ['onnx/not-sorted', { nodes: [node('Identity', ['a'], ['y']), node('Identity', ['x'], ['a'])] }],
    ['onnx/not-sorted', { nodes: [node('Add', ['x', 'y'], ['y'])] }],
    ['onnx/undefined-value', { nodes: [node('Identity', ['nowhere'], ['y'])] }],
    ['onnx/undefined-value', { nodes: [node('Identity', ['x'], ['z'])] }],
    ['onnx/duplicate-value', { nodes: [node('Identity', ['x'], ['y']), node('Identity', ['x'], ['y'])] }],
    ['onnx/duplicate-value', { inputs: [x, x], nodes: [node('Identity', ['x'], ['y'])] }],
    ['onnx/unsupported-output', { nodes: [node('Identity', ['x'], ['y', 'z'])] }],
    ['onnx/attribute-reference', { nodes: [node('Constant', [], ['y'], { attrs: { value_float: { ref: 'by', type: 1 } } })] }],
    ['onnx/attribute-type', { nodes: [node('Constant', [], ['y'], { attrs: { value_float: { s: 'no' } } })] }],
    ['onnx/no-outputs', { outputs: [], nodes: [] }],
    ['onnx/type-mismatch', { outputs: [info('y', 'i64', null)], nodes: [node('Identity', ['x'], ['y'])] }],
    ['onnx/unknown-rank', { inputs: [info('x', 'f32', null)], nodes: [] }],
    ['onnx/unsupported-type', { inputs: [sequenceInfo('x', 'f32')], nodes: [] }],
    ['onnx/unsupported-type', { inputs: [untyped('x')], nodes: [] }],
    ['onnx/unsupported-opset', { opset: 6, nodes: [] }],
    ['onnx/unsupported-opset', { opset: 9999, nodes: [] }],
    ['onnx/invalid-shape', { inputs: [info('x', 'f32', [-2])], nodes: [] }],
  ])('refuses what is not valid: %s', async (code, parts) => {
    const d = await failure(importBytes(model({ inputs: [x], outputs: [y], ...parts })));
    expect(d.code).toBe(code);
  });

  it('fails with a diagnostic on a model cut at any byte', async () => {
    const bytes = model({
      inputs: [x], outputs: [y], initializers: [w4, typed('v', 'i64', [2], 7, [1, 2])], nodes: [node('Constant', [], ['c'], { attrs: { value: { t: w4 } } }), node('Add', ['x', 'c'], ['y'])],
    });
    const codes = new Set<string>();
    // The last bytes are the opset; without them the model is complete but for its version.
    for (let n = 0; n < bytes.length; n++) codes.add((await failure(importBytes(bytes.subarray(0, n)))).code);
    expect([...codes].sort()).toEqual(['onnx/malformed', 'onnx/missing-opset', 'onnx/not-onnx']);
  });

  it('accepts a newer opset with a warning', async () => {
    const got = await importBytes(model({ inputs: [x], outputs: [y], opset: 28, nodes: [node('Identity', ['x'], ['y'])] }));
    expect(got.session.diagnostics.map((d) => d.code)).toEqual(['onnx/newer-opset']);
  });

  it('treats hostile names as text', async () => {
    for (const name of ['__proto__', 'constructor', 'a\nb', '"); process.exit()//', ' ', 'é'.repeat(1000)]) {
      const got = await importBytes(model({ inputs: [info(name, 'f32', [name, 'toString'])], outputs: [y], initializers: [raw('w', 'f32', [1], Float32Array.of(1))], nodes: [node('Add', [name, 'w'], ['y'])] }));
      expect(got.main.params[0]!.name).toBe(name);
      for (const dim of dimNames(got)) expect(dim).toMatch(/^\w+$/);
    }
  });

  it('knows small constants behind operators', async () => {
    let seen: readonly number[] | null = null;
    const probe: ConverterTable = { ...table, Probe: { since: 1, convert: (c) => { seen = c.numbers(0); return [c.input(0)]; } } };
    const scale = raw('k', 'f32', [2], Float32Array.of(3, 5));
    await importBytes(model({ outputs: [y], initializers: [scale], nodes: [node('Half', ['k'], ['h']), node('Half', ['h'], ['q']), node('Probe', ['q'], ['y'])] }), { table: probe });
    expect(seen).toEqual([0.75, 1.25]);
    await importBytes(model({ inputs: [info('k', 'f32', [2])], outputs: [y], nodes: [node('Half', ['k'], ['h']), node('Probe', ['h'], ['y'])] }), { table: probe });
    expect(seen).toBeNull();
  });
});

describe('the plugin', () => {
  const frontend = onnx().frontends![0]!;

  it('recognises models by their first bytes', () => {
    expect(frontend.detect(model({}).subarray(0, 16))).toBe(true);
    for (const text of ['<html>', 'PK\u0003\u0004', '{"a": 1}', '']) expect(frontend.detect(new TextEncoder().encode(text))).toBe(false);
  });

  it('converts with the operators of this package', async () => {
    const bytes = model({ inputs: [x], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] });
    const module = await frontend.import(memory('m.onnx', bytes), testSession(), { dims: {} });
    expect([...module.functions.keys()]).toEqual(['main']);
  });
});

describe('core operators', () => {
  it('follow shapes through Shape, Size and ConstantOfShape', async () => {
    const got = await importBytes(model({
      inputs: [info('x', 'f32', ['n', 4, 5])], outputs: [info('y', 'i64', null)],
      nodes: [
        node('Shape', ['x'], ['s'], { attrs: { start: { i: -3 }, end: { i: -1 } } }),
        node('ConstantOfShape', ['s'], ['y'], { attrs: { value: { t: raw('', 'i64', [1], BigInt64Array.of(3n)) } } }),
        node('Size', ['x'], ['size']),
      ],
    }));
    expect(got.main.bindings[0]).toMatchObject({ callee: 'shape.shape_of', attrs: { start: 0, end: 2 } });
    expect(got.main.bindings[1]).toMatchObject({ callee: 'shape.full', attrs: { value: 3, dtype: 'i64' } });
    expect((got.main.bindings[1]!.attrs['shape'] as Expr[]).map((d) => d.value)).toEqual(['n', 4]);
    expect(got.main.bindings[2]!.callee).toBe('shape.size_of');
  });

  it('reads constants of every form', async () => {
    const forms = {
      value: { t: raw('', 'i32', [2], Int32Array.of(4, 5)) }, value_float: { f: 0.5 }, value_floats: { floats: [1, 2] }, value_int: { i: 2n ** 60n }, value_ints: { ints: [3] },
      sparse_value: { sparse: sparse(raw('', 'f32', [1], Float32Array.of(9)), raw('', 'i64', [1], BigInt64Array.of(1n)), [2]) },
    };
    const want: { [form: string]: [string, number[], (number | bigint)[]] } = {
      value: ['i32', [2], [4, 5]], value_float: ['f32', [], [0.5]], value_floats: ['f32', [2], [1, 2]], value_int: ['i64', [], [2n ** 60n]], value_ints: ['i64', [1], [3]],
      sparse_value: ['f32', [2], [0, 9]],
    };
    for (const [form, value] of Object.entries(forms)) {
      const { module, main } = await importBytes(model({ outputs: [untyped('y')], nodes: [node('Constant', [], ['y'], { attrs: { [form]: value } })] }));
      const constant = module.constants.get(main.results[0]!.name)!;
      expect([constant.type.dtype, shapeOf(constant.type), (constant.data as { values: unknown }).values]).toEqual(want[form]);
    }
    expect((await failure(importBytes(model({ outputs: [y], nodes: [node('Constant', [], ['y'])] })))).code).toBe('onnx/missing-attribute');
  });
});

describe('external data', () => {
  const floats = Float32Array.from({ length: 2000 }, (_, i) => i);
  const file = new Uint8Array(floats.buffer);
  const sha = createHash('sha1').update(file).digest('hex');
  const withEntries = (entries: { readonly [key: string]: string }, dims: readonly number[] = [1500]) =>
    model({ outputs: [info('w', 'f32', dims)], initializers: [external('w', 'f32', dims, entries)] });

  it('is used in place, each file opened once', async () => {
    const weights = memory('models/w.bin', file);
    const host = hostOf({ 'models/w.bin': weights });
    const bytes = model({
      outputs: [info('w', 'f32', [1500])],
      initializers: [
        external('w', 'f32', [1500], { location: 'w.bin', offset: '400', length: '6000', checksum: sha }), external('v', 'f32', [1500], { location: './w.bin' }),
        external('small', 'f32', [2], { location: 'w.bin', offset: '8' }),
      ],
    });
    const { module, session } = await importBytes(bytes, { host });
    expect(host.opened).toEqual(['models/w.bin']);
    expect([...module.sources.keys()]).toEqual(['w.bin']);
    expect(module.constants.get('w')!.data).toEqual({ kind: 'range', source: 'w.bin', offset: 400, bytes: 6000 });
    expect(module.constants.get('small')!.data).toEqual({ kind: 'inline', values: [2, 3] });
    expect(await session.constantBytes(module, module.constants.get('w')!)).toEqual(file.subarray(400, 6400));
    expect(weights.closed).toBe(false);
  });

  it('must lie below the model', async () => {
    const host = hostOf({});
    for (const location of ['../w.bin', 'a/../../w.bin', '/w.bin', '..\\w.bin', 'C:/w.bin', 'https://example.org/w.bin', '//server/w.bin', '', 'w\0.bin'])
      expect((await failure(importBytes(withEntries({ location }), { host }))).code).toBe('onnx/external-path');
    expect(host.opened).toEqual([]);
  });

  it('must be there and fit', async () => {
    const at = (entries: { readonly [key: string]: string }) => failure(importBytes(withEntries(entries), { host: hostOf({ 'models/w.bin': memory('models/w.bin', file) }) }));
    expect(await at({ location: 'x.bin' })).toMatchObject({ code: 'onnx/external-file', message: expect.stringMatching(/"w".*"x\.bin"/) as string });
    expect(await at({})).toMatchObject({ code: 'onnx/tensor-data', loc: 'w' });
    expect((await at({ location: 'w.bin', offset: '2004' })).code).toBe('onnx/external-length');
    expect((await at({ location: 'w.bin', length: '8' })).code).toBe('onnx/external-length');
    expect((await at({ location: 'w.bin', offset: '-4' })).code).toBe('onnx/tensor-data');
    expect((await at({ location: 'w.bin', length: '0x1770' })).code).toBe('onnx/tensor-data');
    expect((await at({ location: 'w.bin', checksum: '0'.repeat(40) })).code).toBe('onnx/external-checksum');
  });
});

describe('axes', () => {
  const probe = (nodes: Parameters<typeof node>[3], inputs: readonly string[], convert: ConverterTable[string]['convert']) =>
    importBytes(model({ inputs: [x], outputs: [y], initializers: [raw('axes', 'i64', [2], BigInt64Array.of(-1n, 0n))], nodes: [node('Probe', inputs, ['y'], nodes)] }), {
      table: { ...table, Probe: { since: 1, convert } },
    });

  it('come from an attribute or an input, counted from the front', async () => {
    const seen: unknown[] = [];
    await probe({ attrs: { axes: { ints: [-1] }, axis: { i: -2 } } }, ['x'], (c) => (seen.push(axesOf(c, 1, 'axes'), axis(c, 'axis', 2), axis(c, 'other', 2, 1)), [c.input(0)]));
    await probe({}, ['x', 'axes'], (c) => (seen.push(axesOf(c, 1, 'axes')), [c.input(0)]));
    await probe({}, ['x'], (c) => (seen.push(axesOf(c, 1, 'axes')), [c.input(0)]));
    expect(seen).toEqual([[1], 0, 1, [1, 0], null]);
  });

  it('out of range or repeated are refused', async () => {
    expect((await failure(probe({ attrs: { axes: { ints: [2] } } }, ['x'], (c) => (axesOf(c, 1, 'axes'), [c.input(0)])))).code).toBe('onnx/axis-out-of-range');
    expect((await failure(probe({ attrs: { axes: { ints: [1, -1] } } }, ['x'], (c) => (axesOf(c, 1, 'axes'), [c.input(0)])))).code).toBe('onnx/repeated-axis');
  });
});
