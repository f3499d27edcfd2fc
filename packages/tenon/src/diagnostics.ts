import type { Diagnostic } from '@tenon/plugin';

/**
 * A diagnostic as people read it: `error[code]: message`, then where, then what to do. `paint` may colour the parts.
 */
export function formatDiagnostic(d: Diagnostic, paint: (part: 'severity' | 'detail', text: string) => string = (_, text) => text): string {
  const lines = [`${paint('severity', `${d.severity}[${d.code}]`)}: ${d.message}`];
  const add = (label: string, text: string): void => {
    lines.push(`  ${paint('detail', `${label}:`)} ${text.replaceAll('\n', '\n    ')}`);
  };
  if (d.text !== null) {
    add('at', `${d.text.file ?? 'text'}:${d.text.line}:${d.text.column}`);
    if (d.text.excerpt !== '') lines.push(d.text.excerpt.replace(/^/gm, '    '));
  }
  if (d.loc !== null && !d.message.includes(d.loc)) add('at', d.op === null || d.loc.includes(d.op) ? d.loc : `${d.loc} (${d.op})`);
  if (d.hint !== null) add('hint', d.hint);
  return lines.join('\n');
}
