import { standardDTypes } from '@tenon/plugin';
import type { ExprOp } from '@tenon/plugin';

/** Tables that the printer and the parser share, so that they cannot disagree. */

/** dtypes of the variables and buffers in scope. Variables that are not listed are i64: dims and loop variables. */
export interface NameTypes {
  readonly variables: ReadonlyMap<string, string>;
  readonly buffers: ReadonlyMap<string, string>;
}

export const noTypes: NameTypes = { variables: new Map(), buffers: new Map() };

export interface BinarySyntax {
  readonly op: ExprOp;
  readonly symbol: string;
  /** Higher binds tighter. */
  readonly level: number;
  /** `a < b < c` is not allowed without parentheses. */
  readonly associative: boolean;
}

const binaries: readonly BinarySyntax[] = [
  { op: 'or', symbol: '||', level: 1, associative: true },
  { op: 'and', symbol: '&&', level: 2, associative: true },
  { op: 'eq', symbol: '==', level: 3, associative: false },
  { op: 'ne', symbol: '!=', level: 3, associative: false },
  { op: 'lt', symbol: '<', level: 3, associative: false },
  { op: 'le', symbol: '<=', level: 3, associative: false },
  { op: 'add', symbol: '+', level: 4, associative: true },
  { op: 'sub', symbol: '-', level: 4, associative: true },
  { op: 'mul', symbol: '*', level: 5, associative: true },
  { op: 'div', symbol: '/', level: 5, associative: true },
  { op: 'mod', symbol: '%', level: 5, associative: true },
];
export const primaryLevel = 6;
export const binaryByOp: ReadonlyMap<string, BinarySyntax> = new Map(binaries.map((b) => [b.op, b]));
export const binaryBySymbol: ReadonlyMap<string, BinarySyntax> = new Map(binaries.map((b) => [b.symbol, b]));

/** Operations written as calls, with their number of arguments. */
export const functionOps: ReadonlyMap<string, number> = new Map([
  ['floordiv', 2], ['truncdiv', 2], ['truncmod', 2], ['min', 2], ['max', 2], ['select', 3],
]);

/** Element types that may be a literal's suffix and that are cast to by their name. */
export const literalKinds: ReadonlyMap<string, string> = new Map(standardDTypes.filter((d) => d.kind !== 'string' && d.kind !== 'block').map((d) => [d.name, d.kind]));

/** Words that are no bare name anywhere; a name that is one of them is quoted. */
export const reserved: ReadonlySet<string> = new Set([
  '_', 'true', 'false', 'nan', 'inf', 'for', 'in', 'block', 'init', 'if', 'else', 'while', 'let', 'alloc', 'seq', 'evaluate',
  'reads', 'writes', 'where', 'attrs', 'return',
]);
/** Further words that an operator's name is not mistaken for. */
const calleeWords: ReadonlySet<string> = new Set(['kernel', 'extern', 'region', 'loop', 'loc', 'effects']);

/** A call of one of these names is not an intrinsic's unless the name is quoted. */
export function isBuiltinCall(name: string): boolean {
  return functionOps.has(name) || name === 'cast' || literalKinds.has(name);
}

/** The dtype that an operation has where nothing else is written. Loads, variables, casts and constants are not decided here. */
export function inferredDType(op: ExprOp, value: number | bigint | string | null, args: readonly { readonly dtype: string }[]): string {
  switch (op) {
    case 'eq': case 'ne': case 'lt': case 'le': case 'and': case 'or': case 'not':
      return 'bool';
    case 'select':
      return args[1]?.dtype ?? 'i64';
    case 'call':
      return value === 'isnan' || value === 'isinf' ? 'bool' : args[0]?.dtype ?? 'i64';
    default:
      return args[0]?.dtype ?? 'i64';
  }
}

const word = /^[A-Za-z_]\w*(?:\.\w+)*$/;
const sigilWord = /^\w+(?:\.\w+)*$/;

function quote(name: string): string {
  return '`' + JSON.stringify(name).slice(1, -1).replace(/\\"/g, '"').replace(/`/g, '\\`') + '`';
}
/** A bare name: variable, dim, buffer, block, scope, dtype. */
export function nameText(name: string): string {
  return word.test(name) && !reserved.has(name) ? name : quote(name);
}
export function operatorText(name: string): string {
  return calleeWords.has(name) ? quote(name) : nameText(name);
}
export function intrinsicText(name: string): string {
  return isBuiltinCall(name) ? quote(name) : nameText(name);
}
/** The key of an attribute, or a result's name. */
export function keyText(name: string): string {
  return word.test(name) ? name : JSON.stringify(name);
}
export function valueText(name: string): string {
  return '%' + (sigilWord.test(name) ? name : JSON.stringify(name));
}
export function globalText(name: string): string {
  return '@' + (sigilWord.test(name) ? name : JSON.stringify(name));
}
