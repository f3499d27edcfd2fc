/** What source files say without being run: what they import, and whether they make code from strings. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';

export interface ScannedFile {
  readonly path: string;
  /** `names`: what is imported by name, as it is called there, types left out. */
  readonly imports: readonly { readonly specifier: string; readonly typeOnly: boolean; readonly names: readonly string[] }[];
  /** The text without comments; strings are emptied in `code` and kept in `text`. */
  readonly text: string;
  readonly code: string;
}

/** Removes comments; `strings`: whether the contents of strings stay. Good enough for scanning, not for parsing. */
function strip(source: string, strings: boolean): string {
  const pattern = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[=(,:!&|?{};\n]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;
  return source.replace(pattern, (part) => {
    if (part.startsWith('//') || part.startsWith('/*')) return part.replace(/[^\n]/g, ' ');
    if (part.startsWith('/')) return '/ /';
    if (strings) return part;
    // Expressions inside a template are code.
    return part.startsWith('`') ? `\`${[...part.matchAll(/\$\{([^}]*)\}/g)].map((m) => `\${${m[1]!}}`).join('')}\`` : `${part[0]!}${part[0]!}`;
  });
}

export function scanFile(path: string): ScannedFile {
  const source = readFileSync(path, 'utf8');
  const text = strip(source, true);
  const imports: { specifier: string; typeOnly: boolean; names: readonly string[] }[] = [];
  const statement = /(?:^|[;\n}])\s*(import|export)\s+(type\s+(?!from\b|,))?([^'"`;]*?\bfrom\s*)?(['"])([^'"\n]+)\4/g;
  for (const [, keyword, type, clause, , specifier] of text.matchAll(statement)) {
    if (keyword === 'export' && clause === undefined) continue;
    const names = /^\s*\{([^}]*)\}\s*from\s*$/.exec(clause ?? '')?.[1]?.split(',').map((n) => n.trim()).filter((n) => n !== '') ?? [];
    imports.push({ specifier: specifier!, typeOnly: type !== undefined || (names.length > 0 && names.every((n) => n.startsWith('type '))), names: names.filter((n) => !n.startsWith('type ')).map((n) => n.split(/\s+as\s+/)[0]!) });
  }
  for (const [, , specifier] of text.matchAll(/\bimport\s*\(\s*(['"`])([^'"`\n]+)\1\s*\)/g)) imports.push({ specifier: specifier!, typeOnly: false, names: [] });
  for (const [, , specifier] of text.matchAll(/\brequire\s*\(\s*(['"`])([^'"`\n]+)\1\s*\)/g)) imports.push({ specifier: specifier!, typeOnly: false, names: [] });
  return { path, imports, text, code: strip(source, false) };
}

/** The file that a relative specifier means, by Node's rules or a compiler's; null where there is none. */
export function resolveRelative(from: string, specifier: string): string | null {
  const path = resolve(dirname(from), specifier);
  const candidates = [path, path.replace(/\.js$/, '.ts'), path.replace(/\.mjs$/, '.mts'), ...['.ts', '.js', '.mjs', '.json'].map((e) => path + e), join(path, 'index.js'), join(path, 'index.ts')];
  return candidates.find((c) => existsSync(c) && statSync(c).isFile()) ?? null;
}

/** All files that an entry reaches by relative imports that are not erased, the entry first. */
export function reachable(entry: string): ReadonlyMap<string, ScannedFile> {
  const files = new Map<string, ScannedFile>();
  const pending = [entry];
  while (pending.length > 0) {
    const path = pending.pop()!;
    if (files.has(path) || !/\.[cm]?[jt]s$/.test(extname(path))) continue;
    const file = scanFile(path);
    files.set(path, file);
    for (const { specifier, typeOnly } of file.imports) {
      if (typeOnly || !specifier.startsWith('.')) continue;
      const found = resolveRelative(path, specifier);
      if (found !== null) pending.push(found);
    }
  }
  return files;
}

/** Whether code makes code from strings. */
export const evaluatesStrings = (code: string): boolean => /(?<![.\w])eval\s*\(|\(\s*0\s*,\s*eval\s*\)|\bnew\s+Function\s*\(|(?<![.\w])Function\s*\(|globalThis\s*\.\s*(eval|Function)\b/.test(code);

export const packageOf = (specifier: string): string => specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
