import type { Context } from '@tenon/plugin';

/** The bytes of inline elements, little-endian. */
export function packInline(ctx: Context, dtype: string, values: readonly (number | bigint)[]): Uint8Array {
  const type = ctx.dtype(dtype);
  if (type.kind === 'string' || type.kind === 'block' || type.bits % 8 !== 0) {
    return ctx.fail({ code: 'constant/inline', message: `constants of dtype ${dtype} cannot be given inline` });
  }
  const width = type.bits / 8;
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    const at = i * width;
    if (type.kind === 'float') {
      if (dtype === 'f64') view.setFloat64(at, Number(value), true);
      else if (dtype === 'f32') view.setFloat32(at, Number(value), true);
      else ctx.fail({ code: 'constant/inline', message: `constants of dtype ${dtype} cannot be given inline` });
    } else if (width === 8) view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
    else if (width === 4) view.setInt32(at, Number(BigInt.asIntN(32, BigInt(value))), true);
    else if (width === 2) view.setInt16(at, Number(BigInt.asIntN(16, BigInt(value))), true);
    else view.setInt8(at, Number(BigInt.asIntN(8, BigInt(value))));
  });
  return bytes;
}
