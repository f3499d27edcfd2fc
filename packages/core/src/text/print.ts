import type { Binding, ConstantDecl, Effects, Expr, GraphFunction, IRFunction, IRModule, SourceDecl, Type, Value } from '@tenon/plugin';
import { elementText } from './numbers.ts';
import { exprText } from './print-expr.ts';
import { tensorText } from './print-tensor.ts';
import { attrsText, dimText, typeText } from './print-types.ts';
import { globalText, keyText, nameText, noTypes, operatorText, valueText, type NameTypes } from './syntax.ts';

export interface PrintOptions {
  /** Print `loc("…")`. Default true. */
  readonly locations?: boolean;
  /** Print only this many elements of an inline constant. The text then does not parse. Default: all. */
  readonly maxElements?: number;
}

/** A module as text. `parseModule` gives a structurally equal module back. */
export function printModule(module: IRModule, options: PrintOptions = {}): string {
  const sections: string[] = [];
  const add = (lines: readonly string[]) => {
    if (lines.length > 0) sections.push(lines.join('\n'));
  };
  add([...module.dims.values()].map(dimText));
  add([...module.sources.values()].map(sourceText));
  add([...module.constants.values()].map((c) => constantText(c, options)));
  for (const fn of module.functions.values()) add([printFunction(fn, options)]);
  return sections.join('\n\n') + (sections.length > 0 ? '\n' : '');
}

export function printFunction(fn: IRFunction, options: PrintOptions = {}): string {
  return fn.kind === 'graph' ? graphText(fn, options) : tensorText(fn);
}

/** `types` gives the dtypes of variables and buffers by name; others than i64 variables carry their dtype in the text. */
export function printExpr(e: Expr, types?: ReadonlyMap<string, string>): string {
  return exprText(e, types === undefined ? noTypes : { variables: types, buffers: types });
}

export function printType(type: Type, types: NameTypes = noTypes): string {
  return typeText(type, types);
}

/** One binding on one line, for listings and messages. */
export function printBinding(b: Binding, options: PrintOptions = {}): string {
  const results = b.results.map((v) => `${valueText(v.name)}: ${typeText(v.type, noTypes)}`).join(', ');
  const args = b.args.map((v) => (v === null ? '_' : reference(v))).join(', ');
  const scalars = b.scalars.length === 0 ? '' : `; ${b.scalars.map((e) => exprText(e, noTypes)).join(', ')}`;
  const attrs = Object.keys(b.attrs).length === 0 ? '' : ` ${attrsText(b.attrs, noTypes)}`;
  const effects = b.effects === null ? '' : ` ${effectsText(b.effects)}`;
  const loc = b.loc === null || options.locations === false ? '' : ` loc(${JSON.stringify(b.loc)})`;
  return `${results}${results === '' ? '' : ' = '}${callee(b)}(${args}${scalars})${attrs}${effects}${loc}`;
}

function callee(b: Binding): string {
  switch (b.kind) {
    case 'op':
      return operatorText(b.callee);
    case 'kernel':
    case 'region':
      return `${b.kind} ${globalText(b.callee)}`;
    case 'extern':
      return `extern ${JSON.stringify(b.callee)}`;
    case 'if':
    case 'loop':
      return b.callee === '' ? b.kind : `${b.kind} ${JSON.stringify(b.callee)}`;
  }
}

function effectsText(effects: Effects): string {
  const parts: string[] = [];
  if (effects.mutates.length > 0) parts.push(`mutates ${effects.mutates.join(', ')}`);
  if (effects.aliases.length > 0) parts.push(`aliases ${effects.aliases.map(([result, arg]) => `${result} = ${arg}`).join(', ')}`);
  return `effects(${parts.join('; ')})`;
}

function reference(v: Value): string {
  return v.constant ? globalText(v.name) : valueText(v.name);
}

function graphText(fn: GraphFunction, options: PrintOptions): string {
  const params = fn.params.map((v) => `${valueText(v.name)}: ${typeText(v.type, noTypes)}`);
  const results = fn.results.map((v, i) => {
    const name = fn.resultNames[i];
    return (name === undefined ? '' : `${keyText(name)}: `) + typeText(v.type, noTypes);
  });
  const signature = fn.results.length === 1 && fn.resultNames.length === 0 ? results[0] : `(${results.join(', ')})`;
  const attrs = Object.keys(fn.attrs).length === 0 ? '' : ` attrs ${attrsText(fn.attrs, noTypes)}`;
  const lines = fn.bindings.map((b) => `  ${printBinding(b, options)}\n`).join('');
  const returned = fn.results.map((v) => ` ${reference(v)}`).join(',');
  return `graph ${globalText(fn.name)}(${params.join(', ')}) -> ${signature}${attrs} {\n${lines}  return${returned}\n}`;
}

function sourceText(s: SourceDecl): string {
  return `source ${nameText(s.name)} = file(${JSON.stringify(s.uri)}, id ${JSON.stringify(s.id)}, ${s.bytes} bytes)`;
}

function constantText(c: ConstantDecl, options: PrintOptions): string {
  const { data } = c;
  const view = c.view === null ? '' : ` view ${attrsText(c.view, noTypes)}`;
  const contents = data.kind === 'range' ? `${nameText(data.source)}[${data.offset}..${data.offset + data.bytes}]` : inlineText(data.values, c.type.dtype, options.maxElements);
  return `const ${globalText(c.name)}: ${typeText(c.type, noTypes)} = ${contents}${view}`;
}

const elementsPerLine = 16;

function inlineText(values: readonly (number | bigint)[], dtype: string, limit = Infinity): string {
  const shown = values.slice(0, Math.min(limit, values.length)).map((v) => elementText(v, dtype));
  if (shown.length < values.length) shown.push(`… ${values.length} elements`);
  if (shown.length <= elementsPerLine) return `[${shown.join(', ')}]`;
  const lines: string[] = [];
  for (let i = 0; i < shown.length; i += elementsPerLine) lines.push(`  ${shown.slice(i, i + elementsPerLine).join(', ')}`);
  return `[\n${lines.join(',\n')}\n]`;
}
