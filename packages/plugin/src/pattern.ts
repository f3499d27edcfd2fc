import type { Expr } from './expr.ts';
import type { Binding, Value } from './graph.ts';
import type { AttrValue, TensorType } from './types.ts';

/** A pattern over the data flow of a graph function, rooted at the value it produces. Data only. */
export type Pattern =
  | {
      readonly kind: 'op';
      /** Operator names, any of which matches; `*` for every operator. */
      readonly ops: readonly string[];
      /** null: any arguments. Fewer patterns than arguments match only calls with that many arguments. */
      readonly args: readonly Pattern[] | null;
      /** Attributes that must be equal. */
      readonly attrs: { readonly [name: string]: AttrValue } | null;
      /** Try the first two arguments in both orders. */
      readonly commutative: boolean;
      readonly name: string | null;
    }
  | { readonly kind: 'any'; readonly name: string | null }
  | { readonly kind: 'constant'; readonly name: string | null; /** Every element equals this number. */ readonly value: number | null }
  | { readonly kind: 'optional'; readonly op: Pattern; readonly input: Pattern }; // `op` wrapped round `input`, or `input` itself

export interface OpPattern {
  readonly kind: 'op';
  readonly ops: readonly string[];
  readonly args: readonly Pattern[] | null;
  readonly attrs: { readonly [name: string]: AttrValue } | null;
  readonly commutative: boolean;
  readonly name: string | null;
}

/** Matches a call of `ops` (one name or several). A `name` makes the value available to constraints and rewrites. */
export function op(
  ops: string | readonly string[],
  args: readonly Pattern[] | null = null,
  options: { attrs?: { readonly [name: string]: AttrValue }; commutative?: boolean; name?: string } = {},
): OpPattern {
  return {
    kind: 'op',
    ops: typeof ops === 'string' ? [ops] : ops,
    args,
    attrs: options.attrs ?? null,
    commutative: options.commutative ?? false,
    name: options.name ?? null,
  };
}
/** Matches any value. The same name twice must match the same value. */
export function any(name: string | null = null): Pattern {
  return { kind: 'any', name };
}
/** Matches a module constant; with `value`, one whose every element equals it. */
export function constant(name: string | null = null, value: number | null = null): Pattern {
  return { kind: 'constant', name, value };
}

/** What a pattern found: the value at the root, the named values, and the bindings it covers, root first. */
export interface Match {
  readonly root: Value;
  readonly values: ReadonlyMap<string, Value>;
  readonly bindings: readonly Binding[];
}

/** Conditions on a match as data: core evaluates them, a refusal explains itself, and the kit can generate their boundary cases. */
export type Constraint =
  | { readonly kind: 'dtype'; readonly of: string; readonly in: readonly string[] }
  | { readonly kind: 'rank'; readonly of: string; readonly min: number; readonly max: number }
  | { readonly kind: 'static'; readonly of: string; readonly axes: readonly number[] | null }
  | { readonly kind: 'multipleOf'; readonly of: string; readonly axis: number; readonly by: number }
  | { readonly kind: 'range'; readonly of: string; readonly axis: number; readonly min: number; readonly max: number | null }
  | { readonly kind: 'equal'; readonly a: { readonly of: string; readonly axis: number }; readonly b: { readonly of: string; readonly axis: number } }
  | { readonly kind: 'layout'; readonly of: string; readonly is: string }
  | { readonly kind: 'bytes'; readonly of: string; readonly max: number }
  | { readonly kind: 'attr'; readonly of: string; readonly attr: string; readonly in: readonly AttrValue[] };

/** Builders for constraints. */
export const constraint = {
  dtype: (of: string, ...dtypes: string[]): Constraint => ({ kind: 'dtype', of, in: dtypes }),
  rank: (of: string, min: number, max: number = min): Constraint => ({ kind: 'rank', of, min, max }),
  static: (of: string, axes: readonly number[] | null = null): Constraint => ({ kind: 'static', of, axes }),
  multipleOf: (of: string, axis: number, by: number): Constraint => ({ kind: 'multipleOf', of, axis, by }),
  range: (of: string, axis: number, min: number, max: number | null = null): Constraint => ({ kind: 'range', of, axis, min, max }),
  equal: (a: { of: string; axis: number }, b: { of: string; axis: number }): Constraint => ({ kind: 'equal', a, b }),
  layout: (of: string, is: string): Constraint => ({ kind: 'layout', of, is }),
  bytes: (of: string, max: number): Constraint => ({ kind: 'bytes', of, max }),
  attr: (of: string, attr: string, ...values: AttrValue[]): Constraint => ({ kind: 'attr', of, attr, in: values }),
} as const;

/** The answer of a check: never a bare boolean. Guards are conditions on dims that the runtime tests before the region runs. */
export type Verdict =
  | { readonly ok: true; readonly guards: readonly Expr[] }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint: string | null };

export const accept = (guards: readonly Expr[] = []): Verdict => ({ ok: true, guards });
export const reject = (code: string, message: string, hint: string | null = null): Verdict => ({ ok: false, code, message, hint });

/** Convenience for checks: the tensor type of a named value of a match. */
export function typeOf(match: Match, name: string): TensorType | null {
  const type = match.values.get(name)?.type;
  return type?.kind === 'tensor' ? type : null;
}
