import type { InferCall } from '@tenon/plugin';
import { sameDType, tensorOf, type DTypeKind } from '../common/errors.ts';

/** The result has the dtype of the arguments, which must agree and be of `kind`. */
export const same = (kind: DTypeKind) => (call: InferCall): string => {
  call.args.forEach((type, i) => type && tensorOf(call, i, kind));
  return sameDType(call, call.args.map((_, i) => i));
};

/** The result is bool; the arguments agree and are of `kind`. */
export const predicate = (kind: DTypeKind) => (call: InferCall): string => {
  same(kind)(call);
  return 'bool';
};
