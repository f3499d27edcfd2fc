import {
  diagnosticOf, reject,
  type Binding, type Expr, type GraphFunction, type IRModule, type LibraryCall, type Match, type RejectedAlternative, type TargetContext, type Value, type Verdict,
} from '@tenon/plugin';
import { checkConstraints, matchValue, producersOf, type Session } from '@tenon/core';
import { dimScope, usersOf } from '../graph.ts';
import type { NamedEntry } from './entries.ts';

/** A call that could replace some operators of a kernel. */
export interface LibraryOffer {
  readonly by: NamedEntry;
  readonly match: Match;
  /** What it covers, in program order; the last is the root. */
  readonly operators: readonly Binding[];
  readonly call: LibraryCall;
  /** The values that it is passed. */
  readonly operands: readonly Value[];
}

export interface LibraryOffers {
  readonly offers: readonly LibraryOffer[];
  /** Why entries do not compute an operator, by the operator at their root. */
  readonly refused: ReadonlyMap<Binding, readonly RejectedAlternative[]>;
}

/** Offers the operators of one kernel to every entry. Each entry that is not among the offers of an operator has said why. */
export function collectLibraryOffers(kernel: GraphFunction, module: IRModule, entries: readonly NamedEntry[], session: Session, ctx: TargetContext): LibraryOffers {
  const offers: LibraryOffer[] = [];
  const refused = new Map<Binding, RejectedAlternative[]>();
  const producers = producersOf(kernel);
  const users = usersOf(kernel);
  for (const binding of kernel.bindings) {
    const reasons: RejectedAlternative[] = [];
    refused.set(binding, reasons);
    const refuse = (rule: string, code: string, message: string, hint: string | null = null): void => {
      reasons.push({ target: ctx.target.name, rule, code, message, hint });
    };
    const named = new Set<string>();
    for (const by of entries) {
      const { pattern } = by.entry;
      if (pattern.kind !== 'op' || !(pattern.ops.includes('*') || pattern.ops.includes(binding.callee))) continue;
      named.add(by.library.name);
      const match = matchValue(pattern, binding.results[0]!, (v) => producers.get(v), module.constants, session);
      if (match === null) {
        refuse(by.name, 'dispatch/pattern', `the operators around ${binding.callee} do not match the entry's pattern, or are in another kernel`);
        continue;
      }
      const members = new Set(match.bindings);
      const operators = kernel.bindings.filter((b) => members.has(b));
      const leak = operators.find((b) => b !== binding && b.results.some((r) => kernel.results.includes(r) || users.get(r)?.some((u) => !members.has(u))));
      if (leak !== undefined) {
        refuse(by.name, 'dispatch/inner-result', `the result of ${leak.callee} inside the pattern has other uses`);
        continue;
      }
      const verdict = checkEntry(by, match, module, session);
      if (!verdict.ok) {
        refuse(by.name, verdict.code, verdict.message, verdict.hint);
        continue;
      }
      const call = callOf(by, match, operators, ctx);
      if ('problem' in call) refuse(by.name, 'dispatch/bad-call', call.problem, 'Report this to the authors of the library.');
      else offers.push({ by, match, operators, ...call });
    }
    for (const { library } of entries) {
      if (named.has(library.name)) continue;
      named.add(library.name);
      refuse(library.name, 'dispatch/no-entry', `${library.name} has no entry for ${binding.callee}`);
    }
  }
  return { offers, refused };
}

/** A kernel has no guards: what holds for some dims only is a refusal. */
function checkEntry({ entry }: NamedEntry, match: Match, module: IRModule, session: Session): Verdict {
  const scope = dimScope(module);
  const required = checkConstraints(entry.require, match, scope, session, false);
  if (!required.ok) return required;
  const verdict = entry.check?.(match, session) ?? required;
  if (!verdict.ok) return verdict;
  const open = verdict.guards.find((guard) => session.exprs.prove(guard, scope) !== 'yes');
  if (open === undefined) return verdict;
  return reject('dispatch/guard', `it holds for some values of ${session.exprs.variables(open).join(', ')} only`, 'Fix or bound the dim in the configuration.');
}

/** The call of an entry, if it is one: of a symbol that is there, with every tensor that the operators read. */
function callOf(by: NamedEntry, match: Match, operators: readonly Binding[], ctx: TargetContext): { call: LibraryCall; operands: readonly Value[] } | { problem: string } {
  let call: LibraryCall;
  try {
    call = by.entry.call(match, ctx);
  } catch (error) {
    return { problem: `${by.name} could not make its call: ${diagnosticOf(error)?.message ?? String(error)}` };
  }
  const numbers = [...call.scalars, ...(call.workspace === null ? [] : [call.workspace])];
  if (!numbers.every((e) => (e as Partial<Expr> | undefined)?.tag === 'expr')) return { problem: `a scalar or the workspace of ${by.name} is no expression` };
  if (!by.library.provides.some((unit) => unit.symbols.includes(call.symbol))) return { problem: `${by.name} calls ${call.symbol}, which ${by.library.name} does not provide` };
  const inner = new Set(operators.flatMap((b) => b.results));
  const operands: Value[] = [];
  for (const name of call.operands) {
    const value = match.values.get(name);
    if (value === undefined || value.type.kind !== 'tensor' || inner.has(value)) return { problem: `${by.name} passes ${name}, which is no tensor that its pattern takes in` };
    operands.push(value);
  }
  for (const arg of operators.flatMap((b) => b.args)) {
    if (arg === null || arg.constant || inner.has(arg) || operands.includes(arg)) continue;
    return { problem: `${by.name} does not pass %${arg.name}, on which its result depends` };
  }
  return { call, operands };
}
