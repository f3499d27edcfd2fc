import type { Context, Dim, ImportOptions, ModuleBuilder, TensorType } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { dtypeOf } from './convert.ts';
import type { OnnxDimension, OnnxValueInfo } from './model.ts';

/** Integer inputs up to this many elements bind dims by their contents. */
const contentsLimit = 16;

type DimOption = ImportOptions['dims'][string];

/** The dims of a module, by the names that the ONNX model has for them. */
export class InputDims {
  private readonly module: ModuleBuilder;
  private readonly ctx: Context;
  private readonly options: ImportOptions['dims'];
  private readonly byParam = new Map<string, Dim>();
  private readonly taken = new Set<string>();
  private readonly offered = new Set<string>();
  /** Dims as the model calls them: each once. */
  private readonly told = new Set<string>();

  constructor(module: ModuleBuilder, ctx: Context, options: ImportOptions['dims']) {
    this.module = module;
    this.ctx = ctx;
    this.options = options;
  }

  private option(name: string): DimOption | null {
    this.offered.add(name);
    return Object.hasOwn(this.options, name) ? (this.options[name] ?? null) : null;
  }

  /** A dim under a free name made from `prefix`, or the number to which options fix it. */
  private newDim(prefix: string, option: DimOption | null): Dim {
    if (typeof option === 'number') {
      if (!Number.isSafeInteger(option) || option < 0)
        throw new TenonError({ code: 'onnx/dim-option', message: `the dim ${prefix} is to be ${option}, which is no size` });
      return this.ctx.exprs.int(option);
    }
    const name = this.name(prefix);
    return this.module.dim({
      name, binding: 'call', min: option?.min ?? 0, max: option?.max ?? null, multipleOf: option?.multipleOf ?? 1,
    });
  }

  /** A name that no other dim has. Core renames dims that look like the loop variables of tensor functions. */
  private name(prefix: string): string {
    const base = /^[a-z]_\d+$/.test(prefix) ? `${prefix}_dim` : prefix;
    let name = base;
    for (let n = 1; this.taken.has(name); n++) name = `${base}_${n}`;
    this.taken.add(name);
    return name;
  }

  private of(dimension: OnnxDimension, input: string, axis: number): Dim {
    const { dimValue, dimParam } = dimension;
    if (dimValue !== null && dimValue >= 0) {
      if (!Number.isSafeInteger(dimValue)) throw new TenonError({ code: 'onnx/invalid-shape', message: `axis ${axis} has the size ${dimValue}` });
      return this.ctx.exprs.int(dimValue);
    }
    // Some exporters write −1 for a size that they do not know.
    if (dimValue !== null && dimValue < -1) throw new TenonError({ code: 'onnx/invalid-shape', message: `axis ${axis} has the negative size ${dimValue}` });
    if (dimParam) {
      let dim = this.byParam.get(dimParam);
      if (!dim) {
        const name = identifier(dimParam);
        this.told.add(dimParam);
        dim = this.newDim(name, this.option(dimParam) ?? this.option(name));
        this.byParam.set(dimParam, dim);
      }
      return dim;
    }
    const name = `${identifier(input)}_${axis}`;
    this.told.add(name);
    return this.newDim(name, this.option(name));
  }

  /** The type of a graph input. Small integer inputs get the annotation `contents`. */
  parameter(info: OnnxValueInfo): TensorType {
    const tensor = info.type?.tensor;
    if (!tensor) {
      const kind = info.type?.sequence ? 'a sequence' : info.type?.optional ? 'an optional' : info.type?.map ? 'a map' : info.type?.sparseTensor ? 'a sparse tensor' : 'a value without type';
      throw new TenonError({ code: 'onnx/unsupported-type', message: `it is ${kind}; only tensors are supported` });
    }
    const dtype = dtypeOf(tensor.elemType);
    if (!tensor.shape)
      throw new TenonError({ code: 'onnx/unknown-rank', message: 'its rank is not stated', hint: 'export the model with the shapes of its inputs' });
    const shape = tensor.shape.dims.map((d, axis) => this.of(d, info.name, axis));
    const contents = this.contents(info.name, dtype, shape);
    return this.ctx.types.tensor(dtype, shape, contents ? { contents } : {});
  }

  private contents(input: string, dtype: string, shape: readonly Dim[]): readonly Dim[] | null {
    if ((dtype !== 'i64' && dtype !== 'i32') || shape.length > 1) return null;
    const size = shape[0] ? this.ctx.exprs.valueOf(shape[0]) : 1;
    if (size === null || size > contentsLimit) return null;
    const name = identifier(input);
    const facts = dtype === 'i64' ? { min: Number.MIN_SAFE_INTEGER, max: null } : { min: -(2 ** 31), max: 2 ** 31 - 1 };
    return Array.from({ length: size }, (_, i) => this.module.dim({ name: this.name(`${name}_${i}`), binding: 'call', ...facts }));
  }

  /** Warns of options that no dim of the model takes. Call once all parameters are made. */
  checkOptions(): void {
    for (const name of Object.keys(this.options)) {
      if (this.offered.has(name)) continue;
      const known = [...this.told].join(', ');
      this.ctx.report({
        severity: 'warning', code: 'onnx/unknown-dim', message: `no input of the model has a dim ${JSON.stringify(name)}`,
        hint: known ? `its dims are: ${known}` : 'all its dims are fixed',
      });
    }
  }
}

/** A name as an identifier of letters, digits and underscores, at most 64 long. */
export function identifier(name: string): string {
  const clean = name.slice(0, 64).replace(/[^A-Za-z0-9_]/g, '_');
  return /^[A-Za-z_]/.test(clean) ? clean : `d_${clean}`;
}
