/** A vector unit of four lanes, compile half. */
import { accept, any, constraint, definePlugin, op, reject, typeOf } from '@tenon/plugin';
import { writeProgram } from './encode.js';
import { format, formatVersion, lanes } from './opcodes.js';

const target = {
  name: 'wave',
  doc: 'A vector unit of four lanes that shares memory with the host.',
  form: 'graph',
  dtypes: ['f32'],
  device: () => ({
    name: 'wave', peak: { f32: 2e8 }, bandwidth: 2e9, launch: { region: 2e-6, kernel: 5e-7 }, transfer: null,
    memory: [{ space: 'host', bytes: null }], features: { lanes },
  }),
  codegen(regions, ctx) {
    const programs = regions.map((region) => writeProgram(region, ctx));
    const bytes = new Uint8Array(programs.reduce((n, p) => n + p.bytes.length, 0));
    let at = 0;
    for (const p of programs) {
      bytes.set(p.bytes, at);
      at += p.bytes.length;
    }
    return [{ format, formatVersion, bytes, entries: programs.map((p) => p.entry), requires: { lanes }, listing: programs.map((p) => p.listing).join('\n') }];
  },
};

/** Whole vectors only: guards see to it where a size is not known. */
const wholeVectors = [constraint.dtype('y', 'f32'), constraint.rank('y', 1, 4), constraint.multipleOf('y', -1, lanes)];

/** The second argument may be a row for all rows of the first. */
function checkShapes(match) {
  const out = typeOf(match, 'y');
  for (const name of ['a', 'b']) {
    const type = typeOf(match, name);
    if (type.shape.length === 0) return reject('wave/scalar', `${name} is a scalar`, 'Expand it to a row.');
    const whole = type.shape.length === out.shape.length && type.shape.every((d, i) => d === out.shape[i]);
    const row = name === 'b' && type.shape.length === 1 && type.shape[0] === out.shape.at(-1);
    if (!whole && !row) return reject('wave/broadcast', `${name} must have the shape of the result${name === 'b' ? ' or be one row of it' : ''}`);
  }
  return accept();
}

const unary = ['math.neg', 'nn.relu', 'nn.leaky_relu', 'math.sigmoid'];
const rules = [
  {
    id: 'wave/binary', target: 'wave', pattern: op(['math.add', 'math.sub', 'math.mul'], [any('a'), any('b')], { name: 'y' }),
    require: wholeVectors, check: checkShapes, doc: 'Sums, differences and products of tensors of one shape, or of a tensor and a row.',
  },
  { id: 'wave/unary', target: 'wave', pattern: op(unary, [any('x')], { name: 'y' }), require: wholeVectors, doc: 'Functions of one tensor.' },
  {
    id: 'wave/silu', target: 'wave', pattern: op('math.mul', [any('x'), op('math.sigmoid', [any('x')])], { commutative: true, name: 'y' }),
    require: wholeVectors, doc: 'x · sigmoid(x) in one step.',
  },
];

export default definePlugin({ name: '@acme/tenon-target-wave', namespace: 'wave', version: '1.2.0' }, () => ({ targets: [target], rules }));
