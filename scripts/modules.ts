import { readFileSync } from 'node:fs';
import { parseSync, Visitor } from 'oxc-parser';

export interface Import {
  readonly specifier: string;
  /** Erased: `import type`, `export type`, or a type in the form `import('x').T`. */
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface Finding {
  readonly line: number;
  readonly message: string;
}

export interface Module {
  readonly imports: readonly Import[];
  /** Code made from strings. */
  readonly evaluations: readonly Finding[];
  /** Variables that a module keeps between calls, shared by all sessions. */
  readonly state: readonly Finding[];
  /** `x instanceof C`, where C comes from another package: fails between two copies of it. */
  readonly instanceChecks: readonly Finding[];
}

/** What a TypeScript file imports, and what our rules forbid in it. Throws where it does not parse. */
export function readModule(file: string): Module {
  const source = readFileSync(file, 'utf8');
  const { program, errors } = parseSync(file, source);
  if (errors[0]) throw new Error(`${file}: ${errors[0].message}`);
  const line = (node: { readonly start: number }): number => source.slice(0, node.start).split('\n').length;

  const imports: Import[] = [];
  const evaluations: Finding[] = [];
  const instanceChecks: Finding[] = [];
  const foreign = new Map<string, string>();
  const add = (node: { readonly start: number }, specifier: string, typeOnly: boolean): void => {
    imports.push({ specifier, typeOnly, line: line(node) });
  };
  new Visitor({
    ImportDeclaration(node) {
      const typeOnly = node.importKind === 'type'
        || (node.specifiers.length > 0 && node.specifiers.every((s) => s.type === 'ImportSpecifier' && s.importKind === 'type'));
      add(node, node.source.value, typeOnly);
      if (!node.source.value.startsWith('.')) for (const s of node.specifiers) foreign.set(s.local.name, node.source.value);
    },
    ExportAllDeclaration(node) {
      add(node, node.source.value, node.exportKind === 'type');
    },
    ExportNamedDeclaration(node) {
      if (node.source) add(node, node.source.value, node.exportKind === 'type' || node.specifiers.every((s) => s.exportKind === 'type'));
    },
    ImportExpression(node) {
      if (node.source.type === 'Literal' && typeof node.source.value === 'string') add(node, node.source.value, false);
    },
    TSImportType(node) {
      add(node, node.source.value, true);
    },
    CallExpression(node) {
      const { callee } = node;
      const name = callee.type === 'Identifier' ? callee.name : callee.type === 'MemberExpression' && callee.property.type === 'Identifier' ? callee.property.name : '';
      if (name === 'eval' || name === 'Function') evaluations.push({ line: line(node), message: `${name}(…)` });
    },
    NewExpression(node) {
      if (node.callee.type === 'Identifier' && node.callee.name === 'Function') evaluations.push({ line: line(node), message: 'new Function(…)' });
    },
    BinaryExpression(node) {
      if (node.operator !== 'instanceof' || node.right.type !== 'Identifier') return;
      const from = foreign.get(node.right.name);
      if (from !== undefined) instanceChecks.push({ line: line(node), message: `instanceof ${node.right.name}, which is imported from ${from}` });
    },
  }).visit(program);

  const state: Finding[] = [];
  for (const statement of program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (declaration?.type !== 'VariableDeclaration' || declaration.declare) continue;
    for (const { id, init } of declaration.declarations) {
      // A declared type other than these is a read-only one; a WeakMap remembers what follows from its keys.
      const annotation = id.typeAnnotation?.typeAnnotation;
      const mutable = !annotation || /^(Map|Set)\b/.test(source.slice(annotation.start, annotation.end));
      const collection = mutable && init?.type === 'NewExpression' && init.callee.type === 'Identifier' && /^(Map|Set)$/.test(init.callee.name) && init.arguments.length === 0;
      if (declaration.kind !== 'const') state.push({ line: line(declaration), message: `\`${declaration.kind}\` at the top of a module` });
      else if (collection) state.push({ line: line(declaration), message: 'a collection at the top of a module that starts empty' });
    }
  }
  return { imports, evaluations, state, instanceChecks };
}
