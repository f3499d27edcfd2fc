import { reject, type Constraint, type Context, type Expr, type Match, type Scope, type TensorType, type Verdict } from '@tenon/plugin';
import { equalAttr, fullAttrs } from './match.ts';

/**
 * Evaluates a rule's constraints on a match. What holds only for some values of dims becomes a guard where `guards`
 * allows it, and a refusal otherwise: unknown never means yes.
 */
export function checkConstraints(constraints: readonly Constraint[], match: Match, scope: Scope, ctx: Context, guards: boolean): Verdict {
  const conditions: Expr[] = [];
  for (const constraint of constraints) {
    const verdict = checkConstraint(constraint, match, scope, ctx);
    if (!verdict.ok) return verdict;
    if (verdict.guards.length > 0 && !guards) {
      return reject('constraint/unproved', `${describe(constraint)} cannot be proved for all values of ${verdict.guards.flatMap((g) => ctx.exprs.variables(g)).join(', ')}`, 'Fix or bound the dim in the configuration.');
    }
    conditions.push(...verdict.guards);
  }
  return { ok: true, guards: conditions };
}

function checkConstraint(c: Constraint, match: Match, scope: Scope, ctx: Context): Verdict {
  const { exprs } = ctx;
  const ok: Verdict = { ok: true, guards: [] };
  const type = (name: string): TensorType | null => {
    const t = match.values.get(name)?.type;
    return t?.kind === 'tensor' ? t : null;
  };
  const refuse = (what: string): Verdict => reject(`constraint/${c.kind}`, `${describe(c)}; ${what}`);
  const holds = (condition: Expr, found: string): Verdict => {
    const proof = exprs.prove(condition, scope);
    return proof === 'yes' ? ok : proof === 'no' ? refuse(found) : { ok: true, guards: [condition] };
  };
  const dim = (of: string, axis: number): Expr | null => {
    const shape = type(of)?.shape;
    return shape === undefined ? null : (shape.at(axis) ?? null);
  };
  if (c.kind === 'equal') {
    const a = dim(c.a.of, c.a.axis);
    const b = dim(c.b.of, c.b.axis);
    return a === null || b === null ? refuse('there is no such axis') : holds(exprs.eq(a, b), 'they differ');
  }
  if (c.kind === 'attr') {
    const binding = match.bindings.find((b) => b.results.some((r) => r === match.values.get(c.of)));
    const value = binding === undefined ? undefined : fullAttrs(binding, ctx)[c.attr];
    return c.in.some((wanted) => equalAttr(value, wanted)) ? ok : refuse(`it is ${JSON.stringify(value ?? null, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`);
  }
  const t = type(c.of);
  if (t === null) return refuse(`${c.of} is no tensor`);
  switch (c.kind) {
    case 'dtype':
      return c.in.includes(t.dtype) ? ok : refuse(`it is ${t.dtype}`);
    case 'rank':
      return t.shape.length >= c.min && t.shape.length <= c.max ? ok : refuse(`it is ${t.shape.length}`);
    case 'static': {
      const axes = c.axes ?? t.shape.map((_, i) => i);
      if (axes.some((a) => t.shape.at(a) === undefined)) return refuse('there is no such axis');
      const open = axes.filter((a) => exprs.valueOf(t.shape.at(a)!) === null);
      return open.length === 0 ? ok : refuse(`axis ${open.join(', ')} is symbolic`);
    }
    case 'multipleOf': {
      const d = dim(c.of, c.axis);
      return d === null ? refuse('there is no such axis') : holds(exprs.eq(exprs.simplify(exprs.mod(d, c.by), scope), 0), 'it is not');
    }
    case 'range': {
      const d = dim(c.of, c.axis);
      if (d === null) return refuse('there is no such axis');
      const above = exprs.ge(d, c.min);
      return holds(c.max === null ? above : exprs.and(above, exprs.le(d, c.max)), 'it is not');
    }
    case 'layout':
      return t.annotations['layout'] === c.is ? ok : refuse(`it is ${JSON.stringify(t.annotations['layout'] ?? null)}`);
    case 'bytes':
      return holds(exprs.le(ctx.bytesOf(t), c.max), 'it is larger');
  }
}

/** A constraint in words. */
export function describe(c: Constraint): string {
  switch (c.kind) {
    case 'dtype': return `the dtype of ${c.of} must be ${c.in.join(' or ')}`;
    case 'rank': return `the rank of ${c.of} must be ${c.min === c.max ? c.min : `${c.min} to ${c.max}`}`;
    case 'static': return `the shape of ${c.of} must be static${c.axes === null ? '' : ` along axis ${c.axes.join(', ')}`}`;
    case 'multipleOf': return `axis ${c.axis} of ${c.of} must be a multiple of ${c.by}`;
    case 'range': return `axis ${c.axis} of ${c.of} must be ${c.max === null ? `at least ${c.min}` : `${c.min} to ${c.max}`}`;
    case 'equal': return `axis ${c.a.axis} of ${c.a.of} must equal axis ${c.b.axis} of ${c.b.of}`;
    case 'layout': return `the layout of ${c.of} must be ${c.is}`;
    case 'bytes': return `${c.of} must be at most ${c.max} bytes`;
    case 'attr': return `${c.attr} of ${c.of} must be ${c.in.map((v) => String(v)).join(' or ')}`;
  }
}
