/** Routines in C for the target cpu-c, in the place of kernels that would be generated. */
import { readFileSync } from 'node:fs';
import { accept, any, constraint, op, reject, typeOf, type Library, type LibraryEntry, type Match, type Verdict } from '@tenon/plugin';

const softmax: LibraryEntry = {
  id: 'softmax',
  doc: 'softmax along rows',
  pattern: op('nn.softmax', [any('x')], { name: 'y' }),
  // Conditions that are data: a refusal explains itself, and the kit makes test cases from them.
  require: [constraint.dtype('x', 'f32'), constraint.rank('x', 2)],
  check: checkAxis,
  // So many times as fast as the generated kernel. Measure yours; or give a `cost` in seconds, as a formula of sizes.
  benefit: 1.5,
  call: (match) => ({ symbol: 'acme_softmax', operands: ['x'], scalars: typeOf(match, 'x')!.shape, workspace: null, attrs: {} }),
};

/** A condition that is no constraint. */
function checkAxis(match: Match): Verdict {
  const axis = match.bindings[0]!.attrs['axis'] ?? -1;
  return axis === -1 || axis === 1 ? accept() : reject('acme/axis', `the routine works along the last axis, not along axis ${String(axis)}`, 'Transpose before the softmax.');
}

export const library: Library = {
  name: 'acme',
  target: 'cpu-c',
  doc: 'Routines of acme.',
  entries: [softmax],
  // One unit or several; all are compiled with the flags of generated code. Object files can be provided, too.
  provides: [{ format: 'c-source', symbols: ['acme_softmax'], text: readFileSync(new URL('../c/softmax.c', import.meta.url), 'utf8') }],
};
