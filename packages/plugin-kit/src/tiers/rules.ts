/** Every rule, asked with cases that are made from its own pattern and constraints. */
import type { Constraint, Pattern, Rule, Target } from '@tenon/plugin';
import { describe } from '@tenon/core';
import { resize } from '../cases/axes.ts';
import { explore, type Exploration } from '../cases/explore.ts';
import { describeInstance } from '../cases/instance.ts';
import { ask, guardsHold } from '../cases/verdict.ts';
import type { ScannedFile } from '../source-scan.ts';
import { describeError, type Workbench } from '../workbench.ts';
import { entryRules } from './libraries.ts';

export async function checkRules(bench: Workbench, files: ReadonlyMap<string, ScannedFile>): Promise<void> {
  const { rules, target } = bench;
  const plugin = bench.makePlugin();
  for (const rule of plugin.rules ?? []) checkDeclaration(bench, rule);
  const entries = await entryRules(bench);
  for (const { rule } of entries) checkDeclaration(bench, rule);
  if (target === null && entries.length === 0) return;
  if (target !== null) bench.check('rules/none', rules.length > 0 ? null : `no rule gives ${target.name} anything to do`);
  const explored = (rule: Rule, on: Target, seed: number): readonly Exploration[] => {
    try {
      bench.step(`cases of the rule ${rule.id}`);
      return [explore(rule, on, bench.session, seed)];
    } catch (error) {
      bench.fail('rules/not-explored', `no case can be made of its pattern: ${describeError(error)}`, rule.id);
      return [];
    }
  };
  bench.explorations = rules.flatMap((rule, i) => explored(rule, target!, i + 1));
  bench.entries = entries.flatMap(({ rule, target: on, bench: own }, i) => explored(rule, on, i + 1).map((exploration) => ({ exploration, bench: own })));
  const explorations = [...bench.explorations, ...bench.entries.map((e) => e.exploration)];
  const reached = new Set<string>();
  for (const exploration of explorations) {
    const { rule, bases, broken, codes, asked, refusal } = exploration;
    bench.checks += asked;
    for (const code of codes.keys()) reached.add(code);
    for (const { code, message, instance } of broken) bench.fail(code, `${describeInstance(instance)}: ${message}`, rule.id);
    bench.check('rules/never-claims', bases.length > 0 ? null : `none of ${asked} cases made from its pattern and constraints is taken${refusal === null ? '' : `; one is refused with: ${refusal}`}`, rule.id);
    for (const c of rule.require) {
      if (!codes.has(`constraint/${c.kind}`) && bases.length > 0 && (c.kind === 'multipleOf' || c.kind === 'range')) {
        bench.note('rules/constraint-not-reached', `${rule.id}: no case is refused because ${describe(c)}`);
      }
    }
    for (const base of bases.slice(0, 6)) checkGuards(bench, exploration, base);
  }
  for (const code of bench.settings.rejections) {
    bench.check('rules/rejection-not-reached', reached.has(code) ? null : `no generated case is refused with ${code}`);
  }
  for (const code of rejectionsIn(files)) {
    if (!reached.has(code) && !bench.settings.rejections.includes(code)) bench.note('rules/rejection-not-reached', `no generated case is refused with ${code}`);
  }
}

/** Codes of calls of `reject` in the sources. */
function rejectionsIn(files: ReadonlyMap<string, ScannedFile>): readonly string[] {
  return [...new Set([...files.values()].flatMap((f) => [...f.text.matchAll(/\breject\(\s*(['"`])([\w./-]+)\1/g)].map((m) => m[2]!)))];
}

function checkDeclaration(bench: Workbench, rule: Rule): void {
  const { session } = bench;
  bench.check('rules/id', /^[\w.-]+\/[\w.-]+$/.test(rule.id) ? null : `its id must look like target/what`, rule.id);
  bench.check('rules/doc', typeof rule.doc === 'string' && rule.doc.trim() !== '' ? null : 'it has no doc', rule.id);
  bench.check('rules/pattern', rule.pattern.kind === 'op' ? null : 'its pattern must be rooted at an operator: it is never offered', rule.id);
  const names = new Set<string>();
  const walk = (p: Pattern): void => {
    switch (p.kind) {
      case 'op':
        if (p.name !== null) names.add(p.name);
        for (const op of p.ops) {
          if (op === '*') continue;
          const operator = session.operator(op);
          bench.check('rules/unknown-operator', operator !== undefined ? null : `there is no operator ${op}`, rule.id);
          for (const attr of Object.keys(p.attrs ?? {})) {
            bench.check('rules/unknown-attribute', operator === undefined || attr in operator.signature.attrs ? null : `${op} has no attribute ${attr}: the pattern never matches`, rule.id);
          }
        }
        p.args?.forEach(walk);
        break;
      case 'optional':
        walk(p.op);
        walk(p.input);
        break;
      default:
        if (p.name !== null) names.add(p.name);
    }
  };
  walk(rule.pattern);
  for (const c of rule.require) {
    for (const name of namesIn(c)) {
      bench.check('rules/unknown-name', names.has(name) ? null : `a constraint is about ‘${name}’, which the pattern does not name: the rule refuses everything (${describe(c)})`, rule.id);
    }
    if (c.kind === 'dtype') {
      for (const dtype of c.in) {
        let known = true;
        try {
          session.dtype(dtype);
        } catch {
          known = false;
        }
        bench.check('rules/unknown-dtype', known ? null : `there is no dtype ${dtype} (${describe(c)})`, rule.id);
      }
    }
  }
}

const namesIn = (c: Constraint): readonly string[] => (c.kind === 'equal' ? [c.a.of, c.b.of] : [c.of]);

/** What a rule says of a symbolic size must not be weaker than what it says of that size when it is known. */
function checkGuards(bench: Workbench, { rule, cases }: Exploration, base: Exploration['bases'][number]): void {
  const { session } = bench;
  for (const c of cases) {
    if (c.symbolic.length !== 1 || c.instance !== base.instance) continue;
    const [symbolic] = c.symbolic;
    const general = ask(rule, c.instance, session, c.symbolic);
    if (general.kind !== 'claimed') continue;
    const axes = { axes: symbolic!.axes, size: 1 };
    for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 512, 1000, 1023, 1024, 1025, 2048, 4096]) {
      const holds = guardsHold(general.guards, new Map([[symbolic!.name, size]]), session);
      if (holds !== true) continue;
      let answer;
      try {
        answer = ask(rule, resize(c.instance, [axes], [size * (symbolic!.times ?? 1)]), session);
      } catch {
        continue;
      }
      bench.checks++;
      if (answer.kind !== 'refused') continue;
      const guards = general.guards.length === 0 ? 'without a guard' : 'and its guards hold';
      bench.fail('rules/guard-too-weak', `${describeInstance(c.instance)}: taken for a symbolic ${symbolic!.name} ${guards}; with ${symbolic!.name} = ${size} known it is refused: ${answer.message} [${answer.code}]`, rule.id);
      return;
    }
  }
}
