/** What the kit found, as data and for people. */

export const tiers = ['package', 'contract', 'rules', 'numerics', 'partition', 'artifact', 'runtime', 'cost'] as const;
export type Tier = (typeof tiers)[number];

export interface Failure {
  readonly tier: Tier;
  /** Stable, e.g. `numerics/wrong`. */
  readonly code: string;
  readonly message: string;
  /** The rule concerned, if one is. */
  readonly rule?: string;
}

/** Something that the author should know, and that is not wrong. */
export interface Note {
  readonly tier: Tier;
  readonly code: string;
  readonly message: string;
}

export interface TierResult {
  readonly tier: Tier;
  readonly checks: number;
  readonly milliseconds: number;
  readonly skipped: string | null;
}

export interface Report {
  readonly ok: boolean;
  readonly plugin: { readonly name: string; readonly version: string };
  readonly failures: readonly Failure[];
  /** Failures that the package expects (`expectedFailures`) or never means to change (`unsupported`). */
  readonly expected: readonly (Failure & { readonly list: 'expectedFailures' | 'unsupported'; readonly reason: string })[];
  readonly notes: readonly Note[];
  readonly tiers: readonly TierResult[];
  readonly milliseconds: number;
}

/** The report for a terminal. */
export function formatReport(report: Report): string {
  const lines = [`${report.plugin.name} ${report.plugin.version}`];
  for (const { tier, checks, milliseconds, skipped } of report.tiers) {
    const failed = report.failures.filter((f) => f.tier === tier).length;
    const what = skipped !== null ? `skipped: ${skipped}` : failed > 0 ? `${failed} of ${checks} checks failed` : `${checks} checks`;
    lines.push(`  ${failed > 0 ? '✗' : skipped !== null ? '–' : '✓'} ${tier.padEnd(10)} ${`${(milliseconds / 1000).toFixed(1)} s`.padStart(7)}  ${what}`);
  }
  for (const { tier, code, message, rule } of report.failures) lines.push('', `✗ ${tier} [${code}]${rule === undefined ? '' : ` ${rule}`}`, indent(message));
  for (const { list, code, message, reason } of report.expected) {
    lines.push('', `– ${list === 'unsupported' ? 'not supported' : 'fails as expected'} [${code}]: ${reason}`, indent(message));
  }
  for (const { code, message } of report.notes) lines.push('', `· [${code}]`, indent(message));
  const checks = report.tiers.reduce((n, t) => n + t.checks, 0);
  lines.push('', report.ok ? `right: ${checks} checks in ${(report.milliseconds / 1000).toFixed(1)} s` : `not right: ${report.failures.length} failures, ${checks} checks in ${(report.milliseconds / 1000).toFixed(1)} s`);
  return lines.join('\n');
}

const indent = (text: string): string => text.split('\n').map((line) => `    ${line}`).join('\n');

/** A badge for a README. */
export function badge(report: Report): string {
  const checks = report.tiers.reduce((n, t) => n + t.checks, 0);
  const [label, value, colour] = ['tenon plugin', report.ok ? `${checks} checks` : `${report.failures.length} failures`, report.ok ? '#2ea44f' : '#cb2431'];
  const width = (text: string): number => Math.round(6.5 * text.length + 12);
  const [left, right] = [width(label), width(value)];
  const text = (at: number, content: string): string =>
    `<text x="${at}" y="14" fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">${content}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="20" role="img" aria-label="${label}: ${value}">`
    + `<title>${label}: ${value}</title><rect width="${left + right}" height="20" rx="3" fill="#555"/>`
    + `<path d="M${left} 0h${right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-${right - 3}z" fill="${colour}"/>`
    + `${text(left / 2, label)}${text(left + right / 2, value)}</svg>\n`;
}
