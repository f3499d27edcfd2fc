import { accept, op, reject, type Rule } from '@tenon/plugin';
import { supportedDTypes } from './codegen/index.ts';

/** The host takes every operator that has a tensor-level definition. */
const generic: Rule = {
  id: 'cpu-c/generic',
  target: 'cpu-c',
  pattern: op('*'),
  require: [],
  check(match, ctx) {
    const [binding] = match.bindings;
    if (binding === undefined) return reject('cpu-c/no-operator', 'there is no operator');
    const types = [...binding.args.map((a) => a?.type ?? null), ...binding.results.map((r) => r.type)];
    for (const type of types) {
      if (type === null) continue;
      if (type.kind !== 'tensor') return reject('cpu-c/not-a-tensor', `${binding.callee} works on a ${type.kind}`, 'Only tensors are supported so far.');
      if (!supportedDTypes.includes(type.dtype)) {
        return reject('cpu-c/dtype', `${binding.callee} works on ${type.dtype}`, `cpu-c computes with ${supportedDTypes.join(', ')}.`);
      }
    }
    if (ctx.facet(binding.callee, 'define') === undefined && ctx.facet(binding.callee, 'view') === undefined) {
      return reject('cpu-c/no-definition', `${binding.callee} has no tensor-level definition`, 'Add a define or decompose facet for it.');
    }
    return accept();
  },
  doc: 'Takes every operator with a tensor-level definition on supported dtypes.',
};

export const rules: readonly Rule[] = [generic];
