import type { Expr, Value } from '@tenon/plugin';
import type { Conversion } from '../convert.ts';

/**
 * A dim of unknown size that broadcasts with a constant size other than 1 is either 1 or that size. Models that leave
 * the dim open mean that size: the dim is fixed to it, which the runtime checks at every call, and this is said.
 */
export function settleBroadcast(c: Conversion, values: readonly Value[]): void {
  const shapes = values.map((v) => (v.type.kind === 'tensor' ? v.type.shape : []));
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  for (let axis = 1; axis <= rank; axis++) {
    const dims = shapes.map((shape) => shape.at(-axis)).filter((d): d is Expr => d !== undefined && c.exprs.valueOf(d) !== 1);
    const size = dims.map((d) => c.exprs.valueOf(d)).find((d) => d !== null);
    if (size === undefined || size === null) continue;
    for (const dim of dims) {
      if (dim.op === 'var') settle(c, dim, size);
    }
  }
}

function settle(c: Conversion, dim: Expr, size: number): void {
  const decl = c.module.dims.get(dim.value as string);
  if (decl === undefined || decl.binding !== 'call' || size < decl.min || (decl.max !== null && size > decl.max) || (decl.min === size && decl.max === size)) return;
  c.module.dim({ name: decl.name, min: size, max: size });
  c.ctx.report({
    severity: 'note', code: 'onnx/dim-fixed', op: c.opType, loc: c.b.loc,
    message: `${decl.name} is ${size}: the model combines an axis of size ${decl.name} with one of size ${size}`,
  });
}
