import { diagnostic, standardDTypes } from '@tenon/plugin';
import type { AttrValue, Context, Diagnostic, DType, Expr, IRModule, Scope, Type } from '@tenon/plugin';

/** What the verifier knows beside the module; a session's context is one. Without `infer`, result types are taken as they are. */
export type VerifyEnv = Pick<Context, 'exprs' | 'operator'> & Partial<Pick<Context, 'infer' | 'shapeValue' | 'dtype'>>;

/** One run over a module: what is known, and what was found. */
export class Verification {
  readonly module: IRModule;
  readonly env: VerifyEnv;
  readonly diagnostics: Diagnostic[] = [];
  /** Ranges of the module's dims. */
  readonly scope: Scope;
  readonly #dtypes = new Map<string, DType | null>();

  constructor(module: IRModule, env: VerifyEnv) {
    this.module = module;
    this.env = env;
    this.scope = new Map([...module.dims.values()].map((d) => [d.name, { min: d.min, max: d.max, multipleOf: d.multipleOf }]));
  }

  report(code: string, message: string, at: { readonly op?: string | null; readonly loc?: string | null; readonly hint?: string } = {}): void {
    this.diagnostics.push(diagnostic({ code: `verify/${code}`, message, op: at.op ?? null, loc: at.loc ?? null, hint: at.hint ?? null }));
  }

  /** null for a dtype that nobody declared. */
  dtype(name: string): DType | null {
    let known = this.#dtypes.get(name);
    if (known === undefined) {
      known = this.#lookUp(name);
      this.#dtypes.set(name, known);
    }
    return known;
  }
  #lookUp(name: string): DType | null {
    if (this.env.dtype === undefined) return standardDTypes.find((d) => d.name === name) ?? null;
    try {
      return this.env.dtype(name);
    } catch {
      return null;
    }
  }

  /** Whether two dims provably differ. */
  differ(a: Expr, b: Expr): boolean {
    const { exprs } = this.env;
    const [x, y] = [exprs.intern(a), exprs.intern(b)];
    return x !== y && exprs.prove(exprs.eq(x, y), this.scope) === 'no';
  }

  /** Why a value of type `got` cannot stand where `want` is, as far as that can be proved; null where it can. */
  mismatch(want: Type, got: Type): string | null {
    if (want.kind === 'tensor' && got.kind === 'tensor') {
      if (want.dtype !== got.dtype) return `dtype ${got.dtype} where ${want.dtype} is expected`;
      if (want.shape.length !== got.shape.length) return `rank ${got.shape.length} where ${want.shape.length} is expected`;
      const axis = want.shape.findIndex((dim, i) => this.differ(dim, got.shape[i]!));
      return axis < 0 ? null : `another size of axis ${axis}`;
    }
    if (want.kind === 'state' && got.kind === 'state') return this.mismatch(want.content, got.content);
    if ((want.kind === 'sequence' && got.kind === 'sequence') || (want.kind === 'optional' && got.kind === 'optional')) return this.mismatch(want.element, got.element);
    return want.kind === got.kind ? null : `a ${got.kind} where a ${want.kind} is expected`;
  }
}

/** Calls `each` with every expression of a type, annotations included. */
export function eachTypeExpr(type: Type, each: (e: Expr) => void): void {
  switch (type.kind) {
    case 'tensor':
      type.shape.forEach(each);
      eachAttrExpr(type.annotations, each);
      break;
    case 'sequence':
    case 'optional':
      eachTypeExpr(type.element, each);
      break;
    case 'state':
      eachTypeExpr(type.content, each);
      break;
    case 'token':
  }
}

/** Calls `each` with every expression of an attribute. */
export function eachAttrExpr(value: AttrValue, each: (e: Expr) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) for (const item of value as readonly AttrValue[]) eachAttrExpr(item, each);
  else if ((value as Partial<Expr>).tag === 'expr') each(value as Expr);
  else for (const item of Object.values(value as { readonly [name: string]: AttrValue })) eachAttrExpr(item, each);
}
