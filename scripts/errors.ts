/**
 * Writes docs/errors.md: one entry per diagnostic code, with what it says, its cause and its remedy.
 *
 *     node scripts/errors.ts           writes it
 *     node scripts/errors.ts --check   fails where it is not current, a code has no entry, or an entry no code
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { collectDiagnostics, type DiagnosticSite } from './diagnostics.ts';
import { entries, families } from './errors-data.ts';
import { root } from './workspace.ts';

const file = join(root, 'docs/errors.md');
/** So many ways of saying it are quoted. */
const quoted = 4;

const byCode = new Map<string, DiagnosticSite[]>();
for (const site of collectDiagnostics()) byCode.set(site.code, [...(byCode.get(site.code) ?? []), site]);
const familyOf = (code: string): string => code.split('/')[0]!;
const distinct = (texts: readonly (string | null)[]): string[] => [...new Set(texts.filter((text) => text !== null && /[a-z]/i.test(text)).map((text) => text!.trim()))];
const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}${/[.?!…]$/.test(text) ? '' : '.'}`;

const problems: string[] = [];
for (const [code, sites] of byCode) {
  const family = families[familyOf(code)];
  const entry = entries[code];
  const at = `${sites[0]!.file}:${sites[0]!.line}`;
  if (family === undefined) problems.push(`${code} (${at}): its family has no entry in \`families\``);
  if (entry === undefined && (family?.remedy === undefined || distinct(sites.map((s) => s.message)).length === 0)) problems.push(`${code} (${at}): there is no cause`);
  if (entry?.remedy === undefined && family?.remedy === undefined && distinct(sites.map((s) => s.hint)).length === 0) problems.push(`${code} (${at}): there is no remedy`);
}
for (const code of Object.keys(entries)) if (!byCode.has(code)) problems.push(`${code}: nothing reports it any more`);

function entryText(code: string, sites: readonly DiagnosticSite[]): string {
  const messages = distinct(sites.map((s) => s.message));
  const hints = distinct(sites.map((s) => s.hint));
  const entry = entries[code];
  const family = families[familyOf(code)];
  const says = messages.slice(0, quoted).map((m) => `“${m.replaceAll('\n', ' ')}”`);
  const cause = entry?.cause ?? (messages.length === 1 ? sentence(messages[0]!) : 'As the message says.');
  const remedy = entry?.remedy ?? (hints.length > 0 ? hints.map(sentence).join(' ') : (family?.remedy ?? ''));
  return [
    `### \`${code}\``, '',
    ...(says.length === 0 ? [] : [`- Says: ${says.join(', ')}${messages.length > quoted ? `, and ${messages.length - quoted} more` : ''}`]),
    `- Cause: ${cause}`,
    `- Remedy: ${remedy}`, '',
  ].join('\n');
}

function page(): string {
  const present = Object.keys(families).filter((family) => [...byCode.keys()].some((code) => familyOf(code) === family));
  const anchor = (title: string): string => title.toLowerCase().replaceAll(/[^a-z0-9 -]/g, '').replaceAll(' ', '-');
  const lines = [
    '# Diagnostics', '',
    '<!-- Written by `npm run docs:errors` from the sources and scripts/errors-data.ts. -->', '',
    'Every error, warning and note of Tenon has a code that does not change, such as `onnx/unsupported-operator`. It is in brackets',
    'after the message, and in `diagnosticOf(error).code`. Search this page for it. … stands for what is filled in.', '',
    'Plugins bring codes of their own, under their own names.', '',
    ...present.map((family) => `- [${families[family]!.title}](#${anchor(families[family]!.title)}): \`${family}\``), '',
  ];
  for (const family of present) {
    const { title, about } = families[family]!;
    lines.push(`## ${title}`, '', about, '');
    for (const [code, sites] of byCode) if (familyOf(code) === family) lines.push(entryText(code, sites));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

const check = process.argv.includes('--check');
const text = problems.length === 0 || !check ? page() : '';
if (check && problems.length === 0 && (!existsSync(file) || readFileSync(file, 'utf8') !== text)) problems.push('docs/errors.md is not current: run `npm run docs:errors`');
if (!check) writeFileSync(file, text);
for (const problem of problems) console.error(problem);
console.log(`${byCode.size} codes in ${check ? 'the sources' : 'docs/errors.md'}${problems.length === 0 ? '' : `, ${problems.length} problems`}`);
if (problems.length > 0) process.exitCode = 1;
