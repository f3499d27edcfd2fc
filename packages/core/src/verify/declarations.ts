import type { ConstantDecl, DimDecl } from '@tenon/plugin';
import type { Verification } from './env.ts';

/** Dims, sources and constants. */
export function verifyDeclarations(v: Verification): void {
  const { dims, sources, constants, functions } = v.module;
  for (const [what, map] of [['dim', dims], ['source', sources], ['constant', constants], ['function', functions]] as const) {
    for (const [key, { name }] of map) if (key !== name) v.report('name-mismatch', `the ${what} ${name} is kept under the name ${key}`);
  }
  for (const dim of dims.values()) verifyDim(v, dim);
  for (const source of sources.values()) {
    if (!Number.isSafeInteger(source.bytes) || source.bytes < 0) v.report('source-size', `source ${source.name}: ${source.bytes} is no size in bytes`);
  }
  for (const constant of constants.values()) verifyConstant(v, constant);
}

function verifyDim(v: Verification, dim: DimDecl): void {
  const integers = [dim.min, dim.max ?? 0, dim.multipleOf].every(Number.isSafeInteger);
  if (!integers || dim.multipleOf < 1 || (dim.max !== null && dim.max < dim.min)) {
    v.report('dim-range', `dim ${dim.name}: ${dim.min}..${dim.max ?? ''}, multiple of ${dim.multipleOf}, is no range of integers`);
  } else if (dim.max !== null && Math.floor(dim.max / dim.multipleOf) * dim.multipleOf < dim.min) {
    v.report('dim-range', `dim ${dim.name}: there is no multiple of ${dim.multipleOf} in ${dim.min}..${dim.max}`);
  }
}

function verifyConstant(v: Verification, c: ConstantDecl): void {
  const { exprs } = v.env;
  const about = `constant @${c.name}`;
  const dtype = v.dtype(c.type.dtype);
  if (dtype === null) return v.report('unknown-dtype', `${about}: nobody declares the dtype ${c.type.dtype}`);
  let elements = 1;
  for (const dim of c.type.shape) {
    const size = exprs.valueOf(dim);
    if (size === null || size < 0) return v.report('constant-shape', `${about}: the shape of a constant is static`);
    elements *= size;
  }
  const { data } = c;
  if (data.kind === 'inline') {
    if (data.values.length !== elements) v.report('constant-size', `${about}: ${data.values.length} elements for a shape of ${elements}`);
    if (dtype.kind === 'int' || dtype.kind === 'uint' || dtype.kind === 'bool') {
      const { kind, bits } = dtype;
      const bad = data.values.find((x) => !fits(x, kind, bits));
      if (bad !== undefined) v.report('constant-value', `${about}: ${bad} is no ${dtype.name}`);
    }
    return;
  }
  const source = v.module.sources.get(data.source);
  if (source === undefined) return v.report('unknown-source', `${about}: there is no source ${data.source}`);
  if (data.offset < 0 || data.bytes < 0 || data.offset + data.bytes > source.bytes) {
    v.report('constant-range', `${about}: bytes ${data.offset}..${data.offset + data.bytes} of ${data.source}, which has ${source.bytes}`);
  }
  if (c.view !== null || dtype.kind === 'string') return;
  const bytes = dtype.kind === 'block' ? Math.ceil(elements / dtype.elements) * dtype.bytes : Math.ceil((elements * dtype.bits) / 8);
  if (data.bytes !== bytes) v.report('constant-size', `${about}: ${data.bytes} bytes for ${elements} elements of ${c.type.dtype}, which take ${bytes}`);
}

function fits(x: number | bigint, kind: 'int' | 'uint' | 'bool', bits: number): boolean {
  if (typeof x === 'number' && !Number.isInteger(x)) return false;
  const value = BigInt(x);
  if (kind === 'bool') return value === 0n || value === 1n;
  const size = BigInt(bits);
  return kind === 'uint' ? value >= 0n && value < 1n << size : value >= -(1n << (size - 1n)) && value < 1n << (size - 1n);
}
