/** What a rule says of an instance, without compiling it. */
import { diagnosticOf, type Expr, type GraphFunction, type IRModule, type Match, type Rule, type Scope, type TensorType, type Value, type Verdict } from '@tenon/plugin';
import { checkConstraints, matchPattern, type Session } from '@tenon/core';
import { freeze, isWriteToFrozen } from '../frozen.ts';
import { ModuleWriter, type Instance, type SymbolicAxes } from './instance.ts';

export type Answer =
  | { readonly kind: 'claimed'; readonly guards: readonly Expr[]; readonly match: Match; readonly module: IRModule; readonly main: GraphFunction }
  /** `own`: refused by `check`, else by a constraint. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string; readonly own: boolean; readonly match: Match }
  | { readonly kind: 'no-match' }
  /** The check itself is wrong. */
  | { readonly kind: 'broken'; readonly code: string; readonly message: string };

export function dimScope(module: IRModule): Scope {
  return new Map([...module.dims.values()].map((d) => [d.name, { min: d.min, max: d.max, multipleOf: d.multipleOf }]));
}

/** Asks a rule. Throws where the instance cannot be built. */
export function ask(rule: Rule, instance: Instance, session: Session, symbolic: readonly SymbolicAxes[] = []): Answer {
  const { module, main } = new ModuleWriter(session, 1, symbolic).write(instance);
  return askAt(rule, main.results[0]!, main, module, session);
}

export function askAt(rule: Rule, root: Value, main: GraphFunction, module: IRModule, session: Session): Answer {
  const match = matchPattern(rule.pattern, root, main, module, session);
  if (match === null) return { kind: 'no-match' };
  freeze(match.bindings);
  const fixed = checkConstraints(rule.require, match, dimScope(module), session, true);
  if (!fixed.ok) return { kind: 'refused', code: fixed.code, message: fixed.message, own: false, match };
  if (rule.check === undefined) return { kind: 'claimed', guards: fixed.guards, match, module, main };
  let verdict: Verdict;
  try {
    verdict = rule.check(match, session);
  } catch (error) {
    const found = diagnosticOf(error);
    const message = error instanceof Error ? error.message : String(error);
    if (found === null && isWriteToFrozen(message)) return { kind: 'broken', code: 'contract/changes-input', message: `check changes the match that it is given: ${message}` };
    return { kind: 'broken', code: 'rules/check-throws', message: `check throws instead of answering: ${message}` };
  }
  const problem = verdictProblem(verdict, main, session);
  if (problem !== null) return { kind: 'broken', code: 'rules/bad-verdict', message: problem };
  if (!verdict.ok) return { kind: 'refused', code: verdict.code, message: verdict.message, own: true, match };
  return { kind: 'claimed', guards: [...fixed.guards, ...verdict.guards], match, module, main };
}

function verdictProblem(verdict: unknown, main: GraphFunction, session: Session): string | null {
  if (typeof verdict !== 'object' || verdict === null || typeof (verdict as Verdict).ok !== 'boolean') return `check must answer with accept(…) or reject(…), not ${JSON.stringify(verdict)}`;
  const v = verdict as Verdict;
  if (!v.ok) {
    if (typeof v.code !== 'string' || !/^[\w.-]+\/[\w.-]+$/.test(v.code)) return `a refusal needs a code such as 'x1/odd-rows', not ${JSON.stringify(v.code)}`;
    if (typeof v.message !== 'string' || v.message.trim() === '') return `the refusal ${v.code} has no message`;
    return null;
  }
  if (!Array.isArray(v.guards)) return 'an acceptance needs a list of guards';
  const dims = new Set(main.params.flatMap((p) => (p.type as TensorType).shape.flatMap((d) => session.exprs.variables(d))));
  for (const guard of v.guards) {
    if (guard?.tag !== 'expr') return `a guard must be an expression, not ${JSON.stringify(guard)}`;
    const unknown = session.exprs.variables(guard).find((name) => !dims.has(name));
    if (unknown !== undefined) return `a guard depends on ${unknown}, which is no dim of the match`;
  }
  return null;
}

/** Whether all guards hold for these sizes; null where that cannot be told. */
export function guardsHold(guards: readonly Expr[], sizes: ReadonlyMap<string, number>, session: Session): boolean | null {
  const { exprs } = session;
  const values = new Map([...sizes].map(([name, size]) => [name, exprs.int(size)]));
  let all = true;
  for (const guard of guards) {
    const value = exprs.simplify(exprs.substitute(guard, values));
    if (value.op !== 'const') return null;
    if (Number(value.value) === 0) all = false;
  }
  return all;
}
