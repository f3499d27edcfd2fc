import { diagnosticOf, type Attrs, type AttrValue, type Binding, type Context, type ConstantDecl, type Expr, type GraphFunction, type HostTensor, type IRModule, type Pass, type PassContext, type Phase, type Value } from '@tenon/plugin';
import { ModuleUnderConstruction, resolveArgs, takenNames, GraphFragment } from '@tenon/core';
import { bytesOf, fromBytes } from '@tenon/interp';
import { Contents, openFunctions, isPure } from '../graph.ts';

/** Results up to this many elements are kept inline in the module. */
const inlineLimit = 64;
/** Results more than twice as large as their arguments are folded up to this many bytes: folding must not blow a model up. */
const growthLimit = 16 * 1024 * 1024;
/** Results of operators without arguments, which cost nothing to compute again: up to this many bytes. */
const makerLimit = 64 * 1024;
/** Larger results are left to run time unless the configuration says otherwise: 1 GiB. */
const foldLimit = 2 ** 30;

/**
 * Evaluates operators whose arguments are all constants, by their reference evaluation, and replaces integer tensors
 * that shape data-flow knows by constants, or by the one operator that spells their dims out.
 */
export function foldConstants(name: string, phase: Phase, order: Pick<Pass, 'after' | 'before'> = {}): Pass {
  return {
    name, phase, ...order,
    doc: 'Evaluates operators on constants; replaces computations on shapes by their values.',
    run: foldModule,
  };
}

async function foldModule(module: IRModule, ctx: PassContext): Promise<IRModule> {
  const builder = new ModuleUnderConstruction(ctx, module);
  let changed = false;
  for (const fn of openFunctions(module, ctx)) {
    const folded = await foldFunction(fn, builder, ctx);
    if (folded === fn) continue;
    builder.add(folded);
    changed = true;
  }
  return changed ? builder.finish() : module;
}

async function foldFunction(fn: GraphFunction, module: ModuleUnderConstruction, ctx: PassContext): Promise<GraphFunction> {
  const limit = ctx.config.foldLimit ?? foldLimit;
  const replaced = new Map<Value, Value>();
  const current = (v: Value): Value => replaced.get(v) ?? v;
  const contents = new Contents(module.finish(), ctx);
  const names = takenNames(fn);
  const out: Binding[] = [];
  let changed = false;
  for (const original of fn.bindings) {
    const binding = resolveArgs(original, current);
    if (binding !== original) changed = true;
    contents.visit(binding);
    if (binding.kind === 'op' && isPure(binding, ctx)) {
      const spelled = spellOut(binding, contents, module, names, ctx);
      if (spelled !== null) {
        for (const made of spelled.bindings) contents.visit(made);
        out.push(...spelled.bindings);
        replaced.set(binding.results[0]!, spelled.value);
        changed = true;
        continue;
      }
      const folded = await evaluateConstant(binding, module, ctx, limit);
      if (folded !== null) {
        binding.results.forEach((result, i) => replaced.set(result, folded[i]!));
        changed = true;
        continue;
      }
    }
    out.push(binding);
  }
  return changed ? { ...fn, bindings: out, results: fn.results.map(current) } : fn;
}

/** An integer result with known contents, as a constant or as `shape.dims`. */
function spellOut(
  binding: Binding, contents: Contents, module: ModuleUnderConstruction, names: Set<string>, ctx: Context,
): { value: Value; bindings: readonly Binding[] } | null {
  const [result] = binding.results;
  if (binding.results.length !== 1 || result?.type.kind !== 'tensor' || !/^[iu]\d|^bool$/.test(result.type.dtype)) return null;
  const elements = contents.of(result);
  const shape = result.type.shape.map((d) => ctx.exprs.valueOf(d));
  if (elements === null || !shape.every((d) => d !== null)) return null;
  const numbers = elements.map((e) => (e.op === 'const' ? (e.value as number | bigint) : null));
  if (numbers.every((v) => v !== null)) return { value: module.inline(numbers, result.type.dtype, shape), bindings: [] };
  // A chain of computations on dims becomes one step; a single step already is one.
  if (binding.args.length === 0 || binding.args.every((a) => a === null || a.constant)) return null;
  if (result.type.dtype !== 'i64' || ctx.operator('shape.dims') === undefined) return null;
  const fragment = new GraphFragment(module, names);
  fragment.loc = binding.loc;
  return { value: fragment.dims(elements, shape), bindings: fragment.bindings };
}

async function evaluateConstant(binding: Binding, module: ModuleUnderConstruction, ctx: Context, limit: number): Promise<readonly Value[] | null> {
  if (!binding.args.every((a) => a === null || a.constant)) return null;
  if (ctx.facet(binding.callee, 'reference') === undefined || mentionsDims(binding.attrs, ctx)) return null;
  let resultBytes = 0;
  for (const result of binding.results) {
    if (result.type.kind !== 'tensor' || result.type.dtype === 'string') return null;
    const bytes = ctx.exprs.valueOf(ctx.bytesOf(result.type));
    if (bytes === null) return null;
    resultBytes += bytes;
  }
  let argumentBytes = 0;
  const decls: (ConstantDecl | null)[] = binding.args.map((a) => (a === null ? null : module.constants.get(a.name)!));
  for (const decl of decls) {
    if (decl === null) continue;
    if (decl.view !== null) return null;
    argumentBytes += decl.data.kind === 'range' ? decl.data.bytes : decl.data.values.length * 8;
  }
  if (resultBytes > limit || (resultBytes > 2 * argumentBytes && resultBytes > growthLimit)) return null;
  if (binding.args.length === 0 && resultBytes > makerLimit) return null;

  let results: readonly HostTensor[] | null;
  try {
    const args: (HostTensor | null)[] = [];
    for (const decl of decls) args.push(decl === null ? null : await readConstant(decl, module.finish(), ctx));
    results = ctx.evaluate(binding.callee, args, binding.attrs);
  } catch (error) {
    // An element type that reference evaluation does not know: the operator stays as it is.
    if (unknownDType.has(diagnosticOf(error)?.code ?? '')) return null;
    throw error;
  }
  if (results === null) return null;
  return results.map((tensor, i) => {
    const type = binding.results[i]!.type;
    if (type.kind !== 'tensor') throw new TypeError('checked above');
    if (tensor.data.length <= inlineLimit && !/^(f16|bf16|f8)/.test(tensor.dtype)) {
      return module.inline(Array.from(tensor.data as ArrayLike<number | bigint>), tensor.dtype, tensor.shape);
    }
    const bytes = bytesOf(tensor);
    const source = ctx.addBytes(`folded_${module.sources.size}`, bytes);
    module.source(source);
    return module.constant(`${binding.callee.replace(/^.*\./, '')}_${module.constants.size}`, type, { kind: 'range', source: source.name, offset: 0, bytes: bytes.length });
  });
}

const unknownDType: ReadonlySet<string> = new Set(['interp/dtype', 'constant/inline']);

async function readConstant(decl: ConstantDecl, module: IRModule, ctx: Context): Promise<HostTensor> {
  return fromBytes(decl.type.dtype, decl.type.shape.map((d) => ctx.exprs.valueOf(d)!), await ctx.constantBytes(module, decl));
}

/** Whether attributes depend on dims that have no value yet. */
function mentionsDims(a: AttrValue, ctx: Context): boolean {
  if (a === null || typeof a !== 'object') return false;
  if (Array.isArray(a)) return a.some((x: AttrValue) => mentionsDims(x, ctx));
  if ((a as Expr).tag === 'expr') return ctx.exprs.variables(a as Expr).length > 0;
  return Object.values(a as Attrs).some((x) => mentionsDims(x, ctx));
}
