import { diagnosticOf } from '@tenon/plugin';
import type { AttrValue, Binding, Expr, GraphFunction, IRFunction, Operator, Type, Value } from '@tenon/plugin';
import { diffTypes } from '../structure/diff.ts';
import { printType } from '../text/index.ts';
import { eachAttrExpr, eachTypeExpr, type Verification } from './env.ts';
import { verifyKernelCall } from './kernel-call.ts';

/** Integer tensors up to this size are followed as dims. */
const maxContents = 1024;

export function verifyGraph(v: Verification, fn: GraphFunction): void {
  new GraphVerifier(v, fn).run();
}

class GraphVerifier {
  readonly #v: Verification;
  readonly #fn: GraphFunction;
  readonly #defined = new Set<Value>();
  readonly #names = new Set<string>();
  readonly #undeclared = new Set<string>();
  readonly #contents = new Map<Value, readonly Expr[] | null>();

  constructor(v: Verification, fn: GraphFunction) {
    this.#v = v;
    this.#fn = fn;
  }

  run(): void {
    const fn = this.#fn;
    for (const param of fn.params) {
      this.#define(param, 'its parameters', null);
      this.#contents.set(param, this.#annotatedContents(param.type));
    }
    for (const binding of fn.bindings) this.#binding(binding);
    for (const result of fn.results) this.#use(result, 'its results', null);
    if (fn.resultNames.length !== 0 && fn.resultNames.length !== fn.results.length) {
      this.#v.report('result-names', `@${fn.name} has ${fn.results.length} results and ${fn.resultNames.length} names for them`);
    } else if (new Set(fn.resultNames).size !== fn.resultNames.length) {
      this.#v.report('result-names', `@${fn.name} gives two results the same name`);
    }
    this.#dimsOf(fn.attrs, null);
  }

  #report(code: string, b: Binding | null, message: string, hint?: string): void {
    this.#v.report(code, `@${this.#fn.name}${b === null ? '' : `: ${nameOf(b)}`}: ${message}`, {
      op: b?.kind === 'op' ? b.callee : null, loc: b?.loc ?? null, ...(hint === undefined ? {} : { hint }),
    });
  }

  #define(value: Value, where: string, b: Binding | null): void {
    if (value.constant) this.#report('constant-defined', b, `%${value.name} in ${where} is marked as a reference to a constant`);
    if (this.#names.has(value.name)) this.#report('duplicate-value', b, `%${value.name} is defined twice`);
    this.#names.add(value.name);
    this.#defined.add(value);
    this.#type(value.type, b);
  }

  #type(type: Type, b: Binding | null): void {
    eachTypeExpr(type, (e) => this.#dims(e, b));
    let inner = type;
    while (inner.kind !== 'tensor' && inner.kind !== 'token') inner = inner.kind === 'state' ? inner.content : inner.element;
    if (inner.kind !== 'tensor') return;
    if (this.#v.dtype(inner.dtype) === null) this.#report('unknown-dtype', b, `nobody declares the dtype ${inner.dtype}`);
    const odd = inner.shape.find((dim) => dim.dtype !== 'i64');
    if (odd !== undefined) this.#report('dim-dtype', b, `a size in ${printType(type)} has dtype ${odd.dtype}; sizes are i64`);
  }

  #dims(e: Expr, b: Binding | null): void {
    for (const name of this.#v.env.exprs.variables(e)) {
      if (this.#v.module.dims.has(name) || this.#undeclared.has(name)) continue;
      this.#undeclared.add(name);
      this.#report('undeclared-dim', b, `the module declares no dim ${name}`);
    }
  }
  #dimsOf(attrs: AttrValue, b: Binding | null): void {
    eachAttrExpr(attrs, (e) => this.#dims(e, b));
  }

  #use(value: Value, where: string, b: Binding | null): void {
    if (value.constant) {
      const decl = this.#v.module.constants.get(value.name);
      if (decl === undefined) this.#report('unknown-constant', b, `${where} refer to @${value.name}, and the module has no such constant`);
      else if (diffTypes(decl.type, value.type) !== null) {
        this.#report('constant-type', b, `@${value.name} is used as ${printType(value.type)} and declared as ${printType(decl.type)}`);
      }
    } else if (!this.#defined.has(value)) {
      const namesake = this.#names.has(value.name) ? ' (another value has that name)' : '';
      this.#report('undefined-value', b, `${where} refer to %${value.name}, which is not defined before${namesake}`);
    }
  }

  #binding(b: Binding): void {
    for (const arg of b.args) if (arg !== null) this.#use(arg, 'its arguments', b);
    for (const scalar of b.scalars) this.#dims(scalar, b);
    this.#dimsOf(b.attrs, b);
    this.#effects(b);
    switch (b.kind) {
      case 'op':
        this.#op(b);
        break;
      case 'kernel': {
        const callee = this.#callee(b, b.callee, 'tensor');
        if (callee !== null) verifyKernelCall(this.#v, b, callee, (code, message) => this.#report(code, b, message));
        this.#source(b);
        break;
      }
      case 'region': {
        const callee = this.#callee(b, b.callee, 'graph');
        if (callee === null) break;
        if (typeof callee.attrs['target'] !== 'string') this.#report('region-target', b, `@${callee.name} does not say its target`);
        this.#signature(b, callee, b.args);
        break;
      }
      case 'if':
        this.#if(b);
        break;
      case 'loop': {
        const body = b.attrs['body'];
        if (typeof body !== 'string') this.#report('branch', b, 'the attribute `body` names no function');
        else this.#callee(b, body, 'graph');
        break;
      }
      case 'extern':
        if (b.callee === '') this.#report('extern-symbol', b, 'it names no symbol');
        this.#source(b);
    }
    if (b.results.length === 0 && (b.effects === null || b.effects.mutates.length === 0)) this.#report('no-result', b, 'it defines no value and changes none');
    for (const result of b.results) this.#define(result, 'its results', b);
  }

  /** The operators that a kernel or extern computes: a function of its arguments without the constants. */
  #source(b: Binding): void {
    const source = b.attrs['source'];
    if (source === undefined) return;
    if (typeof source !== 'string') return this.#report('source', b, 'the attribute `source` names no function');
    const fn = this.#callee(b, source, 'graph');
    if (fn !== null) this.#signature(b, fn, b.args.filter((a) => a !== null && !a.constant));
  }

  #effects(b: Binding): void {
    if (b.effects === null) return;
    const arg = (i: number) => Number.isInteger(i) && i >= 0 && i < b.args.length && b.args[i] !== null;
    for (const i of b.effects.mutates) if (!arg(i)) this.#report('effect-index', b, `it says to change argument ${i}, and has none`);
    for (const [result, i] of b.effects.aliases) {
      if (b.results[result] === undefined || !arg(i)) this.#report('effect-index', b, `it says that result ${result} is argument ${i}, and one of them is missing`);
    }
  }

  #callee<K extends IRFunction['kind']>(b: Binding, name: string, kind: K): (IRFunction & { readonly kind: K }) | null {
    const fn = this.#v.module.functions.get(name);
    if (fn === undefined) this.#report('unknown-function', b, `the module has no function @${name}`);
    else if (fn.kind !== kind) this.#report('function-kind', b, `@${name} is a ${fn.kind} function, and this calls ${kind} functions`);
    else return fn as IRFunction & { readonly kind: K };
    return null;
  }

  #signature(b: Binding, callee: GraphFunction, args: readonly (Value | null)[]): void {
    if (args.length !== callee.params.length) this.#report('operand-count', b, `@${callee.name} takes ${callee.params.length} arguments, found ${args.length}`);
    else {
      args.forEach((arg, i) => {
        const problem = arg === null ? null : this.#v.mismatch(callee.params[i]!.type, arg.type);
        if (problem !== null) this.#report('operand-type', b, `argument ${i} of @${callee.name}: ${problem}`);
      });
    }
    if (b.results.length !== callee.results.length) {
      this.#report('result-count', b, `@${callee.name} gives ${callee.results.length} results, found ${b.results.length}`);
      return;
    }
    b.results.forEach((result, i) => {
      const problem = this.#v.mismatch(callee.results[i]!.type, result.type);
      if (problem !== null) this.#report('result-type', b, `result ${i} of @${callee.name}: ${problem}`);
    });
  }

  #if(b: Binding): void {
    const condition = b.args[0]?.type;
    if (condition === undefined || condition.kind !== 'tensor' || condition.dtype !== 'bool') this.#report('condition', b, 'its first argument, the condition, is no bool tensor');
    for (const branch of ['then', 'else']) {
      const name = b.attrs[branch];
      if (typeof name !== 'string') {
        this.#report('branch', b, `the attribute \`${branch}\` names no function`);
        continue;
      }
      const callee = this.#callee(b, name, 'graph');
      if (callee !== null) this.#signature(b, callee, b.args.slice(1));
    }
  }

  #op(b: Binding): void {
    const operator = this.#v.env.operator(b.callee);
    if (operator === undefined) return this.#report('unknown-operator', b, `there is no operator ${b.callee}`, 'A plugin that declares it is missing.');
    if (!this.#operands(b, operator)) return;
    this.#infer(b);
    this.#contentsOfResults(b);
  }

  #operands(b: Binding, { signature: { params } }: Operator): boolean {
    const rest = params.at(-1)?.endsWith('*') ?? false;
    const required = params.filter((p) => !p.endsWith('?') && !p.endsWith('*'));
    const last = params.findLastIndex((p) => required.includes(p)) + 1;
    if (b.args.length < last || (!rest && b.args.length > params.length)) {
      this.#report('operand-count', b, `it takes (${params.join(', ')}), found ${b.args.length} argument${b.args.length === 1 ? '' : 's'}`);
      return false;
    }
    const missing = params.findIndex((p, i) => required.includes(p) && b.args[i] === null);
    if (missing >= 0) this.#report('operand-missing', b, `the argument ${params[missing]} is left out and is not optional`);
    return missing < 0;
  }

  #infer(b: Binding): void {
    const { env } = this.#v;
    if (env.infer === undefined) return;
    // A refusal for want of contents that only a run gives proves nothing.
    let asked = false;
    let inferred: readonly Type[];
    try {
      inferred = env.infer(b.callee, b.args.map((arg) => arg?.type ?? null), b.attrs, (i) => {
        const contents = this.#contentsOf(b.args[i] ?? null);
        asked ||= contents === null;
        return contents;
      });
    } catch (error) {
      if (!asked) this.#report('inference', b, diagnosticOf(error)?.message ?? String(error));
      return;
    }
    if (inferred.length !== b.results.length) {
      this.#report('result-count', b, `the operator gives ${inferred.length} results, found ${b.results.length}`);
      return;
    }
    b.results.forEach((result, i) => {
      const problem = this.#v.mismatch(inferred[i]!, result.type);
      if (problem !== null) this.#report('result-type', b, `result ${i} is ${printType(result.type)} and inference says ${printType(inferred[i]!)}: ${problem}`);
    });
  }

  /** Integer contents: of constants, of annotated parameters, and of what operators compute from these. */
  #contentsOf(value: Value | null): readonly Expr[] | null {
    if (value === null) return null;
    let known = this.#contents.get(value);
    if (known === undefined && value.constant) {
      known = this.#constantContents(value.name);
      this.#contents.set(value, known);
    }
    return known ?? null;
  }
  #constantContents(name: string): readonly Expr[] | null {
    const decl = this.#v.module.constants.get(name);
    if (decl === undefined || decl.data.kind !== 'inline' || decl.data.values.length > maxContents) return null;
    const kind = this.#v.dtype(decl.type.dtype)?.kind;
    if (kind !== 'int' && kind !== 'uint') return null;
    return decl.data.values.map((x) => this.#v.env.exprs.int(x));
  }
  #annotatedContents(type: Type): readonly Expr[] | null {
    const contents = type.kind === 'tensor' ? type.annotations['contents'] : undefined;
    if (!Array.isArray(contents)) return null;
    const { exprs } = this.#v.env;
    const dims = (contents as readonly AttrValue[]).map((item): Expr | null => {
      if (typeof item === 'string') return exprs.variable(item);
      if (typeof item === 'number') return exprs.int(item);
      return typeof item === 'object' && item !== null && (item as Partial<Expr>).tag === 'expr' ? (item as Expr) : null;
    });
    return dims.every((dim) => dim !== null) ? dims : null;
  }
  #contentsOfResults(b: Binding): void {
    const { env } = this.#v;
    const integers = b.results.some((r) => r.type.kind === 'tensor' && (r.type.dtype === 'i64' || r.type.dtype === 'i32'));
    if (env.shapeValue === undefined || !integers) return;
    try {
      const contents = env.shapeValue(b.callee, b.args.map((arg) => arg?.type ?? null), b.attrs, (i) => this.#contentsOf(b.args[i] ?? null));
      b.results.forEach((result, i) => this.#contents.set(result, contents[i] ?? null));
    } catch {
      // Then they are unknown; inference has had its say about this call.
    }
  }
}

/** `%y = nn.relu`. */
function nameOf(b: Binding): string {
  const callee = b.kind === 'op' ? b.callee : b.callee === '' ? b.kind : `${b.kind} ${b.callee}`;
  return b.results.length === 0 ? callee : `${b.results.map((r) => `%${r.name}`).join(', ')} = ${callee}`;
}
