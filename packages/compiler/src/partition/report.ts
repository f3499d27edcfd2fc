import { diagnostic, TenonError, type Config, type Diagnostic, type PartitionReport, type Placement, type TargetShare } from '@tenon/plugin';
import { planKeyOf, type Decision } from './decide.ts';
import { inUnits } from './rejections.ts';
import { whatIfs } from './what-if.ts';

/** The partition as a whole, as plain data. `asked`: the strategy of the configuration. */
export function reportOf(decision: Decision, asked: PartitionReport['strategy']): PartitionReport {
  const { formulation, plan, chosen, totals } = decision;
  const { problem, targets, bindings, costs } = formulation;
  return {
    strategy: asked, chosen, totals, plan: planKeyOf(decision, plan), dims: Object.fromEntries(costs.dims),
    targets: targets.map(({ name }, t): TargetShare => {
      const nodes = bindings.flatMap((_, i) => (plan.labels[i] === t ? [i] : []));
      const units = new Set(nodes.map((i) => plan.units[i]!));
      return {
        target: name, operators: nodes.length, regions: plan.regions[t]!, flops: nodes.reduce((sum, i) => sum + costs.flopsOf(bindings[i]!), 0),
        seconds: [...units].reduce((sum, c) => sum + problem.candidates[c]!.seconds, plan.regions[t]! * problem.targets[t]!.launch),
      };
    }),
    transfers: plan.transfers,
    whatIf: asked === 'host' ? [] : whatIfs(decision),
  };
}

/** Fails where a target does not take on what the configuration requires of it. */
export function checkRequired(config: Config, placements: readonly Placement[], report: PartitionReport | null): void {
  const problems: string[] = [];
  for (const [target, { minCoverage, maxRegions }] of Object.entries(config.partition?.require ?? {})) {
    const mine = placements.filter((p) => p.target === target);
    const coverage = placements.length === 0 ? 1 : mine.length / placements.length;
    const regions = new Set(mine.map((p) => p.region)).size;
    if (minCoverage !== undefined && coverage < minCoverage) {
      problems.push(`${target} runs ${mine.length} of ${placements.length} operators (${percent(coverage)}), ${percent(minCoverage)} are required`);
    }
    if (maxRegions !== undefined && regions > maxRegions) problems.push(`${target} has ${regions} regions, ${maxRegions} are allowed`);
  }
  if (problems.length === 0) return;
  const [gain] = report?.whatIf ?? [];
  throw new TenonError({
    code: 'partition/require', message: problems.join('; '),
    hint: gain === undefined
      ? 'The related diagnostics say why operators run elsewhere. The strategy greedy places all that a target takes on it.'
      : `Most would be gained if ${gain.target} took ${gain.op}${gain.kind === 'constraint' ? ` without this constraint: ${gain.message}` : ''} (${inUnits(gain.gain)}).`,
    related: [...reasons(config, placements), ...summary(report)],
  });
}

const percent = (share: number): string => `${Math.floor(share * 1000) / 10} %`;

/** Why operators do not run on the targets that something is required of, equal reasons once. */
function reasons(config: Config, placements: readonly Placement[]): Diagnostic[] {
  const groups = new Map<string, { placement: Placement; reason: Placement['rejected'][number]; count: number }>();
  for (const placement of placements) {
    for (const reason of placement.rejected) {
      if (config.partition?.require?.[reason.target] === undefined) continue;
      const key = `${placement.op} ${reason.target} ${reason.rule} ${reason.code} ${reason.code === 'partition/cost' ? '' : reason.message}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { placement, reason, count: 1 });
      else group.count++;
    }
  }
  return [...groups.values()].sort((a, b) => b.count - a.count).map(({ placement, reason, count }) => diagnostic({
    severity: 'note', code: reason.code, op: placement.op, loc: placement.loc, hint: reason.hint,
    message: `${placement.op} × ${count} on ${placement.target}, not ${reason.target}: ${reason.message}`,
  }));
}

/** The report in a few lines. */
function summary(report: PartitionReport | null): Diagnostic[] {
  if (report === null) return [];
  const { totals, targets } = report;
  const plans = (['cost', 'greedy', 'host'] as const).flatMap((name) => (totals[name] === null ? [] : [`${name} ${inUnits(totals[name])}`]));
  const note = (message: string): Diagnostic => diagnostic({ severity: 'note', code: 'partition/report', message });
  return [
    note(`estimates of one run: ${plans.join(', ')}; kept: ${report.chosen}`),
    ...targets.map((t) => note(`${t.target}: ${t.operators} operators, ${t.regions} regions, estimated ${inUnits(t.seconds)}`)),
  ];
}
