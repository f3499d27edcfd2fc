import type { Attrs, AttrValue, DimDecl, Expr, Type } from '@tenon/plugin';
import { doubleText } from './numbers.ts';
import { exprText } from './print-expr.ts';
import { keyText, nameText, type NameTypes } from './syntax.ts';

export function typeText(type: Type, types: NameTypes): string {
  switch (type.kind) {
    case 'tensor': {
      const annotations = Object.keys(type.annotations).length === 0 ? '' : `; ${fieldsText(type.annotations, types)}`;
      return `${nameText(type.dtype)}[${type.shape.map((dim) => exprText(dim, types)).join(', ')}${annotations}]`;
    }
    case 'sequence':
    case 'optional':
      return `${type.kind}<${typeText(type.element, types)}>`;
    case 'state':
      return `state<${typeText(type.content, types)}>`;
    case 'token':
      return 'token';
  }
}

/** `{a = 1, b = "x"}`. */
export function attrsText(attrs: Attrs, types: NameTypes): string {
  return `{${fieldsText(attrs, types)}}`;
}
function fieldsText(attrs: Attrs, types: NameTypes): string {
  return Object.entries(attrs).map(([key, value]) => `${keyText(key)} = ${attrText(value, types)}`).join(', ');
}

/** Expressions stand in parentheses, which tells `(3)` (an expression) from `3` (a number). */
function attrText(value: AttrValue, types: NameTypes): string {
  switch (typeof value) {
    case 'number':
      return doubleText(value);
    case 'bigint':
      return `${value}n`;
    case 'string':
      return JSON.stringify(value);
    case 'boolean':
      return String(value);
  }
  if (value === null) return 'null';
  if (isArray(value)) return `[${value.map((item) => attrText(item, types)).join(', ')}]`;
  return isExpr(value) ? `(${exprText(value, types)})` : attrsText(value, types);
}

export function isArray(value: AttrValue): value is readonly AttrValue[] {
  return Array.isArray(value);
}
export function isExpr(value: AttrValue): value is Expr {
  return typeof value === 'object' && value !== null && (value as Partial<Expr>).tag === 'expr';
}

export function dimText(dim: DimDecl): string {
  const name = nameText(dim.name);
  const clauses = [`${name} in ${dim.min}..${dim.max ?? ''}`];
  if (dim.multipleOf !== 1) clauses.push(`${name} % ${dim.multipleOf} == 0`);
  if (dim.binding !== 'call') clauses.push(`${name} at ${dim.binding}`);
  if (dim.hint !== null) clauses.push(`${name} hint ${dim.hint}`);
  return `dims ${clauses.join(', ')}`;
}
