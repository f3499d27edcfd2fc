import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import { packages, root, sourceFiles } from './workspace.ts';

/** A place where the code makes a diagnostic. */
export interface DiagnosticSite {
  readonly code: string;
  /** What it says, with … for what is filled in; null where it is put together elsewhere. */
  readonly message: string | null;
  readonly hint: string | null;
  readonly file: string;
  readonly line: number;
}

/**
 * Functions that make diagnostics of their arguments: code, message, hint. Those that put a prefix before the code do so
 * for a folder, which ends the search for a prefix.
 */
const makers = new Set(['reject', 'refuse', 'fail', 'error', 'report', '#report', 'bad', 'unsupported', 'outward', 'problem', 'pair', 'textError']);
const prefixes: readonly (readonly [folder: string, prefix: string])[] = [
  ['ops/src', 'op/'],
  ['core/src/text', 'text/'],
  ['core/src/verify', 'verify/'],
  ['core/src/session/session.ts', 'op/'],
  ['schedule/src/primitives', 'schedule/'],
  ['target-cpu-c/src/codegen', 'cpu-c/'],
  ['cli/src/explain/work.ts', 'op/'],
];
/** What may stand in codes that are put together, by their beginning. */
const compositions: { readonly [start: string]: () => readonly string[] } = {
  'constraint/': () => kindsOf('pattern.ts', 'Constraint'),
  'kernel/': () => kindsOf('kernel-condition.ts', 'KernelCondition'),
};
/** What is no diagnostic of ours: the kit's findings have tiers of their own. */
const skipped = new Set(['plugin-kit', 'create-tenon-plugin']);

type Node = { readonly type: string; readonly start: number } & { readonly [key: string]: unknown };

/** Every diagnostic that the packages' sources make, in the order of code, file and line. */
export function collectDiagnostics(): readonly DiagnosticSite[] {
  const sites: DiagnosticSite[] = [];
  for (const { folder, path } of packages()) {
    if (skipped.has(folder)) continue;
    for (const file of sourceFiles(join(path, 'src'))) if (!file.endsWith('.test.ts')) sites.push(...sitesOf(file));
  }
  return sites.sort((a, b) => compare(a.code, b.code) || compare(a.file, b.file) || a.line - b.line);
}

/** The kinds of a union type of the contract. */
function kindsOf(file: string, name: string): readonly string[] {
  const source = readFileSync(join(root, 'packages/plugin/src', file), 'utf8');
  const [type] = new RegExp(`export type ${name} =[^;]*(?:;[^;]*)*?\\};\n\n`).exec(source) ?? [''];
  return [...type.matchAll(/kind: '(\w+)'/g)].map(([, kind]) => kind!);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function sitesOf(path: string): DiagnosticSite[] {
  const source = readFileSync(path, 'utf8');
  const { program, errors } = parseSync(path, source);
  if (errors[0]) throw new Error(`${path}: ${errors[0].message}`);
  const file = relative(join(root, 'packages'), path).replaceAll('\\', '/');
  const prefix = prefixes.find(([folder]) => file.startsWith(folder))?.[1] ?? null;
  const lineOf = (node: Node): number => source.slice(0, node.start).split('\n').length;
  const sites: DiagnosticSite[] = [];
  const add = (codes: readonly string[], node: Node, message: string | null, hint: string | null): void => {
    for (const code of codes) sites.push({ code, message, hint, file, line: lineOf(node) });
  };
  const functions: { readonly name: string; readonly start: number; readonly end: number; readonly params: readonly string[] }[] = [];
  const shortcuts = new Map<string, { readonly codes: readonly string[]; readonly at: number }>();
  const constants: { readonly name: string; readonly at: number; readonly text: string }[] = [];
  /** Also of a constant: the one of that name defined last before. */
  const textAt = (node: Node | undefined): string | null =>
    node?.type === 'Identifier' ? (constants.findLast((c) => c.name === node['name'] && c.at < node.start)?.text ?? null) : textOf(node);
  const calls: { readonly name: string; readonly node: Node; readonly args: readonly Node[] }[] = [];
  const note = (name: unknown, fn: Node): void => {
    const params = (fn['params'] as Node[]).map((p) => ((p['name'] ?? (p['left'] as Node | undefined)?.['name']) as string | undefined) ?? '');
    if (typeof name === 'string') functions.push({ name, start: fn.start, end: fn['end'] as number, params });
  };
  new Visitor({
    FunctionDeclaration(node) {
      note(node.id?.name, node as unknown as Node);
    },
    VariableDeclarator(node) {
      const text = node.id.type === 'Identifier' && node.init !== null ? textOf(node.init as unknown as Node) : null;
      if (text !== null) constants.push({ name: (node.id as { readonly name: string }).name, at: node.start, text });
      if (node.init?.type === 'ArrowFunctionExpression' && node.id.type === 'Identifier') note(node.id.name, node.init as unknown as Node);
    },
    ObjectExpression(node) {
      const properties = new Map((node.properties as unknown as Node[]).flatMap((p) => {
        const key = p['key'] as Node | undefined;
        return p.type === 'Property' && key !== undefined ? [[(key['name'] ?? key['value']) as string, p['value'] as Node] as const] : [];
      }));
      const code = properties.get('code');
      if (code === undefined) return;
      const message = properties.get('message') ?? properties.get('reason');
      const codes = literals(code).filter((text) => text.includes('/') || text === 'internal');
      const shortcut = message?.type === 'Identifier' ? functions.findLast((f) => f.start <= node.start && node.end <= f.end && f.params.includes(message['name'] as string)) : undefined;
      if (shortcut !== undefined && codes.length > 0) shortcuts.set(shortcut.name, { codes, at: shortcut.params.indexOf(message!['name'] as string) });
      add(codes, node as unknown as Node, textAt(message), textAt(properties.get('hint')));
      const composed = templateStart(code);
      if (composed !== null && composed !== prefix) throw new Error(`${file}:${lineOf(code)}: a code is put together from ${composed}…: say so in the table \`prefixes\` of scripts/diagnostics.ts`);
    },
    CallExpression(node) {
      const callee = node.callee as unknown as Node;
      const property = callee['property'] as Node | undefined;
      const name = callee.type === 'Identifier' ? (callee['name'] as string) : property?.type === 'PrivateIdentifier' ? `#${property['name'] as string}` : (property?.['name'] as string | undefined);
      if (name === undefined) return;
      const args = node.arguments as unknown as Node[];
      calls.push({ name, node: node as unknown as Node, args });
      if (!makers.has(name)) return;
      const composed = args[0] === undefined ? null : templateStart(args[0]);
      if (composed !== null && composed.endsWith('/')) {
        const endings = compositions[composed];
        if (endings === undefined) throw new Error(`${file}:${lineOf(args[0]!)}: a code is put together from ${composed}…: say of what in \`compositions\` of scripts/diagnostics.ts`);
        add(endings().map((ending) => composed + ending), node as unknown as Node, textOf(args[1]), textOf(args[2]));
      }
      const at = args.findIndex((arg) => literals(arg).some(isCode));
      if (at < 0 || at > 3) return;
      const codes = literals(args[at]!).filter(isCode).flatMap((text) => (text.includes('/') ? [text] : prefix === null ? [] : [prefix + text]));
      const texts = args.slice(at + 1).map(textOf).filter((text) => text !== null);
      add(codes, node as unknown as Node, texts[0] ?? null, texts[1] ?? null);
    },
  }).visit(program);
  // A function of the file that gives every message it gets the same code.
  for (const { name, node, args } of calls) {
    const shortcut = shortcuts.get(name);
    const message = shortcut === undefined ? null : textOf(args[shortcut.at]);
    if (message !== null) add(shortcut!.codes, node, message, textOf(args[shortcut!.at + 1]));
  }
  return sites;
}

const isCode = (text: string): boolean => /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:\/[a-z0-9]+(?:-[a-z0-9]+)*)?$/.test(text);

/** The strings that an expression may be: literals, and the sides of conditions. */
function literals(node: Node): string[] {
  switch (node.type) {
    case 'Literal': return typeof node['value'] === 'string' ? [node['value']] : [];
    case 'ConditionalExpression': return [...literals(node['consequent'] as Node), ...literals(node['alternate'] as Node)];
    case 'LogicalExpression': return [...literals(node['left'] as Node), ...literals(node['right'] as Node)];
    default: return [];
  }
}

function templateStart(node: Node): string | null {
  return node.type === 'TemplateLiteral' && (node['expressions'] as Node[]).length > 0 ? ((node['quasis'] as { readonly value: { readonly cooked: string } }[])[0]!.value.cooked) : null;
}

/** A message or hint as text, with … where something is filled in; null where there is none to see. */
function textOf(node: Node | undefined): string | null {
  switch (node?.type) {
    case 'Literal': return typeof node['value'] === 'string' ? node['value'] : null;
    case 'TemplateLiteral': {
      const quasis = node['quasis'] as { readonly value: { readonly cooked: string } }[];
      const text = quasis.map((q) => q.value.cooked).join('…').replaceAll(/\s+/g, ' ');
      return /[a-z]{2}/.test(text) ? text : null;
    }
    case 'BinaryExpression': {
      const [left, right] = [textOf(node['left'] as Node), textOf(node['right'] as Node)];
      return left === null && right === null ? null : `${left ?? '…'}${right ?? '…'}`;
    }
    case 'ConditionalExpression': return textOf(node['consequent'] as Node) ?? textOf(node['alternate'] as Node);
    case 'LogicalExpression': return textOf(node['right'] as Node) ?? textOf(node['left'] as Node);
    default: return null;
  }
}
