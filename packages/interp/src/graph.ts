import { TenonError, type Context, type GraphFunction, type HostTensor, type IRModule, type Value } from '@tenon/plugin';
import { concreteAttrs, descriptionOf, evaluateDim } from '@tenon/core';
import { fromBytes } from './host-tensor.ts';
import { evaluateTensorFunction } from './tensor-function.ts';

/**
 * Evaluates a graph function: operators by their reference evaluation, kernels by interpretation, regions, and externs
 * that name their operators as `source`, by recursion. `dims` gives values to dims that do not follow from the arguments.
 */
export async function evaluateGraph(
  module: IRModule, fn: GraphFunction, inputs: readonly HostTensor[], ctx: Context, dims: ReadonlyMap<string, number> = new Map(),
): Promise<HostTensor[]> {
  const known = new Map(dims);
  const values = new Map<Value, HostTensor>();
  fn.params.forEach((param, i) => {
    const tensor = inputs[i];
    if (tensor === undefined) throw new TenonError({ code: 'interp/arguments', message: `${fn.name}: argument ${param.name} is missing` });
    bindDims(param, tensor, known);
    values.set(param, tensor);
  });
  const constants = new Map<string, HostTensor>();
  const descriptions = new Map([...ctx.intrinsics()].map(([name, intrinsic]) => [name, descriptionOf(ctx.exprs, intrinsic)]));
  const get = async (value: Value): Promise<HostTensor> => {
    const found = values.get(value) ?? constants.get(value.constant ? value.name : '');
    if (found !== undefined) return found;
    const decl = value.constant ? module.constants.get(value.name) : undefined;
    if (decl === undefined) throw new TenonError({ code: 'interp/undefined', message: `${fn.name}: %${value.name} has no value` });
    const tensor = fromBytes(decl.type.dtype, decl.type.shape.map((d) => evaluateDim(d, known)), await ctx.constantBytes(module, decl));
    constants.set(value.name, tensor);
    return tensor;
  };
  for (const binding of fn.bindings) {
    const args: (HostTensor | null)[] = [];
    for (const arg of binding.args) args.push(arg === null ? null : await get(arg));
    const present = args.filter((a) => a !== null);
    let results: readonly HostTensor[] | null;
    switch (binding.kind) {
      case 'op':
        results = ctx.evaluate(binding.callee, args, concreteAttrs(binding.attrs, (e) => evaluateDim(e, known)));
        if (results === null) throw new TenonError({ code: 'interp/no-reference', message: `${binding.callee} has no reference evaluation`, op: binding.callee, loc: binding.loc });
        break;
      case 'kernel': {
        const callee = module.functions.get(binding.callee);
        if (callee?.kind !== 'tensor') throw new TenonError({ code: 'interp/callee', message: `@${binding.callee} is not a tensor function` });
        const scalars = new Map(known);
        callee.scalars.forEach((name, i) => scalars.set(name, evaluateDim(binding.scalars[i]!, known)));
        results = evaluateTensorFunction(callee, present, scalars, new Map(binding.effects?.aliases.map(([result, arg]) => [result, args[arg]!])), descriptions);
        break;
      }
      case 'region': {
        const callee = module.functions.get(binding.callee);
        if (callee?.kind !== 'graph') throw new TenonError({ code: 'interp/callee', message: `@${binding.callee} is not a graph function` });
        results = await evaluateGraph(module, callee, present, ctx, known);
        break;
      }
      case 'extern': {
        // What a library computes is what the operators mean that it replaced.
        const source = module.functions.get(String(binding.attrs['source']));
        if (source?.kind !== 'graph') throw new TenonError({ code: 'interp/binding', message: `the extern ${binding.callee} does not say what it computes`, loc: binding.loc });
        results = await evaluateGraph(module, source, args.filter((a, i) => a !== null && !binding.args[i]!.constant) as HostTensor[], ctx, known);
        break;
      }
      default:
        throw new TenonError({ code: 'interp/binding', message: `${binding.kind} bindings cannot be evaluated`, loc: binding.loc });
    }
    binding.results.forEach((result, i) => {
      values.set(result, results![i]!);
      bindDims(result, results![i]!, known);
    });
  }
  return Promise.all(fn.results.map(get));
}

/** Gives values to plain dims of a value's shape, and to dims that its contents name. */
function bindDims(value: Value, tensor: HostTensor, dims: Map<string, number>): void {
  if (value.type.kind !== 'tensor') return;
  value.type.shape.forEach((d, axis) => {
    if (d.op === 'var' && !dims.has(d.value as string)) dims.set(d.value as string, tensor.shape[axis]!);
  });
  const contents = value.type.annotations['contents'];
  if (Array.isArray(contents)) {
    contents.forEach((d, i) => {
      if (d.op === 'var') dims.set(d.value as string, Number((tensor.data as ArrayLike<number | bigint>)[i]));
    });
  }
}
