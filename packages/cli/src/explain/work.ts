import { evaluateDim, type Binding, type Context, type IRModule } from 'tenon/tools';

/** Floating-point operations of operator calls, by the operators' cost facets, with open dims at typical values. */
export function workOf(module: IRModule, ctx: Context): (binding: Binding) => number | null {
  const dims = new Map([...module.dims.values()].map((d) => [d.name, d.hint ?? Math.min(d.max ?? Infinity, Math.ceil(Math.max(d.min, 1) / d.multipleOf) * d.multipleOf)]));
  return (binding) => {
    const cost = ctx.facet(binding.callee, 'cost');
    if (cost === undefined) return null;
    const types = binding.args.map((arg) => arg?.type ?? null);
    const fail = (code: string, message: string): never => ctx.fail({ code: `op/${code}`, message, op: binding.callee });
    try {
      const { flops } = cost({
        op: binding.callee, args: types, attrs: { ...ctx.operator(binding.callee)?.signature.attrs, ...binding.attrs }, exprs: ctx.exprs, fail,
        dtype: (name) => ctx.dtype(name),
        contents(i) {
          const arg = binding.args[i];
          const data = arg?.constant === true ? module.constants.get(arg.name)?.data : undefined;
          return data?.kind === 'inline' && data.values.every((v) => Number.isSafeInteger(Number(v))) ? data.values.map((v) => ctx.exprs.int(Number(v))) : null;
        },
        tensor(i) {
          const type = types[i];
          return type?.kind === 'tensor' ? type : fail('argument', `argument ${i} is no tensor`);
        },
      });
      return Number(evaluateDim(flops, dims));
    } catch {
      // An estimate: a cost that needs more than types says nothing here.
      return null;
    }
  };
}
