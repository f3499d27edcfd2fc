/** A vendor's routines for the C target: in place of what would be generated. */
import {
  accept, any, constraint, definePlugin, op, reject, typeOf,
  type Attrs, type Constraint, type Expr, type Library, type LibraryEntry, type Match, type Pattern, type Plugin, type Verdict,
} from '@tenon/plugin';
import { source } from './source.ts';

const f32 = (...names: readonly string[]): Constraint[] => names.map((name) => constraint.dtype(name, 'f32'));
const rank = (n: number, ...names: readonly string[]): Constraint[] => names.map((name) => constraint.rank(name, n));
const shape = (match: Match, name: string): readonly Expr[] => typeOf(match, name)!.shape;
const attrsOf = (match: Match): Attrs => match.bindings[0]!.attrs;

const softmax: LibraryEntry = {
  id: 'softmax-rows', doc: 'softmax along the last of two axes', pattern: op('nn.softmax', [any('x')]), require: [...f32('x'), ...rank(2, 'x')], benefit: 1000,
  check: (match): Verdict => {
    const axis = attrsOf(match)['axis'] ?? -1;
    return axis === -1 || axis === 1 ? accept() : reject('acme-rows/axis', `it works along axis ${String(axis)}`, 'Transpose before the softmax.');
  },
  call: (match) => ({ symbol: 'acme_softmax_rows', operands: ['x'], scalars: shape(match, 'x'), workspace: null, attrs: {} }),
};

const matmul: LibraryEntry = {
  id: 'matmul', doc: 'product of two matrices', pattern: op('nn.matmul', [any('a'), any('b')]), require: [...f32('a', 'b'), ...rank(2, 'a', 'b')], benefit: 1000,
  call: (match, { exprs }) => {
    const [m, k] = shape(match, 'a');
    const n = shape(match, 'b')[1]!;
    return { symbol: 'acme_matmul', operands: ['a', 'b'], scalars: [m!, k!, n], workspace: exprs.mul(n, 8), attrs: {} };
  },
};

const conv: Pattern = op('nn.conv', [any('x'), any('w')], { name: 'y', attrs: { groups: 1, kernel_layout: 'OI', strides: null, dilations: null } });
const conv1d: LibraryEntry = {
  id: 'conv1d', doc: 'convolution along one axis, without strides and bias', pattern: conv, require: [...f32('x', 'w'), ...rank(3, 'x')], benefit: 1000,
  call: (match, { exprs }) => {
    const [n, c, l] = shape(match, 'x');
    const [o, , k] = shape(match, 'w');
    const [before, after] = (attrsOf(match)['pads'] ?? [exprs.int(0), exprs.int(0)]) as readonly (Expr | number)[];
    const padded = exprs.add(exprs.add(l!, before!), after!);
    const dim = (e: Expr | number): Expr => (typeof e === 'number' ? exprs.int(e) : e);
    return {
      symbol: 'acme_conv1d', operands: ['x', 'w'], scalars: [n!, c!, l!, o!, k!, dim(before!), dim(after!)],
      workspace: exprs.mul(exprs.mul(c!, padded), 4), attrs: {},
    };
  },
};

export const acmeRows: Library = {
  name: 'acme-rows', target: 'cpu-c', doc: 'Row-wise routines in C, with sums in double precision.', entries: [softmax, matmul, conv1d],
  provides: [{ format: 'c-source', symbols: ['acme_softmax_rows', 'acme_matmul', 'acme_conv1d'], text: source }],
};

const acmeLibrary: (options?: { readonly library?: Library }) => Plugin = definePlugin(
  { name: '@acme/tenon-library-rows', namespace: 'acme', version: '1' }, ({ library = acmeRows }: { readonly library?: Library }) => ({ libraries: [library] }),
);

export default acmeLibrary;
