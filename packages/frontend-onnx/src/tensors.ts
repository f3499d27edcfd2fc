import type { ByteSource, ConstantData, Context, HostTensor, ModuleBuilder, SourceDecl, Value } from '@tenon/plugin';
import { TenonError } from '@tenon/plugin';
import { externalFiles, type ExternalFiles, type ExternalRange } from './external.ts';
import type { OnnxSparseTensor, OnnxTensor, Span } from './model.ts';
import { byteLength, elements, typedArray } from './proto/numeric.ts';
import { decodeData, hostTensor, layoutOf, placeOf, tensorError, type TensorLayout } from './proto/tensor.ts';
import type { ModelFile } from './read.ts';

/** Constants up to this size stand in the module itself, so that their contents are known. */
const inlineBytes = 4096;
/** Element types whose values a module can state exactly. */
const inlineDTypes: ReadonlySet<string> = new Set(['f32', 'f64', 'i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64', 'bool']);
/** The largest dense tensor that a sparse one may expand to. */
const densifyBytes = 2 ** 30;

/** A tensor of the model after its data were found and checked. */
interface Loaded {
  readonly layout: TensorLayout;
  /** Set where the elements are in memory: small tensors, strings, and whatever needed decoding. */
  readonly tensor: HostTensor | null;
  /** Set where they are used in place. */
  readonly range: { readonly source: ByteSource; readonly name: string; readonly offset: number } | null;
}

/** All tensors of a model: loaded once ahead of the conversion, which is synchronous. */
export class Tensors {
  private readonly file: ModelFile;
  private readonly ctx: Context;
  private readonly external: ExternalFiles;
  private readonly loaded = new Map<OnnxTensor | OnnxSparseTensor, Loaded>();
  private readonly sources = new Map<ByteSource, SourceDecl>();

  constructor(file: ModelFile, ctx: Context) {
    this.file = file;
    this.ctx = ctx;
    this.external = externalFiles(file.source.uri, ctx);
  }

  /** `inMemory`: the elements are needed while importing. */
  async load(tensor: OnnxTensor, inMemory: boolean): Promise<void> {
    if (!this.loaded.has(tensor)) this.loaded.set(tensor, await this.find(tensor, inMemory));
  }

  async loadSparse(sparse: OnnxSparseTensor): Promise<void> {
    if (this.loaded.has(sparse)) return;
    const { values, indices } = sparse;
    if (!values || !indices) throw new TenonError({ code: 'onnx/tensor-data', message: 'a sparse tensor has no values or no indices' });
    await this.load(values, true);
    await this.load(indices, true);
    const layout = layoutOf({ ...values, dims: sparse.dims });
    const tensor = densify(values, this.host(values)!, this.host(indices)!, layout);
    this.loaded.set(sparse, { layout, tensor, range: null });
  }

  private async find(tensor: OnnxTensor, inMemory: boolean): Promise<Loaded> {
    const layout = layoutOf(tensor);
    const small = inMemory || layout.bytes <= inlineBytes;
    if (layout.dtype === 'string') return { layout, tensor: hostTensor(tensor, () => new Uint8Array(0)), range: null };
    if (tensor.dataLocation === 1) {
      const range: ExternalRange = await this.external.range(tensor, layout);
      if (!small) return { layout, tensor: null, range: { source: range.source, name: range.location, offset: range.offset } };
      return { layout, tensor: dense(layout, await range.source.read(range.offset, range.bytes)), range: null };
    }
    const place = placeOf(tensor, layout);
    if (place.kind === 'dense') {
      if (!small) return { layout, tensor: null, range: { source: this.file.source, name: 'model', offset: place.span.offset } };
      return { layout, tensor: dense(layout, await this.file.read(place.span)), range: null };
    }
    const parts = new Map<Span, Uint8Array>();
    for (const span of place.spans) parts.set(span, await this.file.read(span));
    return { layout, tensor: dense(layout, decodeData(tensor, layout, place.spans, (span) => parts.get(span)!)), range: null };
  }

  /** The elements, where they are in memory. */
  host(tensor: OnnxTensor | OnnxSparseTensor): HostTensor | null {
    return this.found(tensor).tensor;
  }

  /** A constant of the module under construction, and its elements where they are few. */
  constant(tensor: OnnxTensor | OnnxSparseTensor, name: string, module: ModuleBuilder): { readonly value: Value; readonly host: HostTensor | null } {
    const { layout, tensor: host, range } = this.found(tensor);
    if (layout.dtype === 'string')
      throw new TenonError({ code: 'onnx/unsupported-dtype', message: `constant ${JSON.stringify(name)}: string constants are not supported` });
    const type = this.ctx.types.tensor(layout.dtype, layout.shape);
    if (host && layout.bytes <= inlineBytes && inlineDTypes.has(layout.dtype))
      return { value: module.constant(name, type, { kind: 'inline', values: elements(host) }), host };
    let data: ConstantData;
    if (range) data = { kind: 'range', source: this.source(range.source, range.name, module).name, offset: range.offset, bytes: layout.bytes };
    else {
      const raw = host!.data as Uint8Array;
      const decl = this.ctx.addBytes(name, new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
      module.source(decl);
      data = { kind: 'range', source: decl.name, offset: 0, bytes: layout.bytes };
    }
    return { value: module.constant(name, type, data), host: layout.bytes <= inlineBytes ? host : null };
  }

  private source(source: ByteSource, name: string, module: ModuleBuilder): SourceDecl {
    let decl = this.sources.get(source);
    if (!decl) {
      decl = module.addSource(name, source);
      this.sources.set(source, decl);
    }
    return decl;
  }

  private found(tensor: OnnxTensor | OnnxSparseTensor): Loaded {
    const found = this.loaded.get(tensor);
    if (!found) throw new TenonError({ code: 'onnx/internal', message: 'a tensor is used that was not loaded' });
    return found;
  }

  /** Closes the external files that no constant of the module is read from; the session closes the others. */
  closeUnused(): void {
    this.external.close((source) => !this.sources.has(source));
  }
}

function dense(layout: TensorLayout, bytes: Uint8Array): HostTensor {
  return { dtype: layout.dtype, shape: layout.shape, data: typedArray(layout.dtype, bytes) };
}

/** Indices are linear ([NNZ]) or one per axis ([NNZ, rank]). */
function densify(proto: OnnxTensor, values: HostTensor, indices: HostTensor, layout: TensorLayout): HostTensor {
  if (layout.bytes > densifyBytes) throw tensorError(proto, `the sparse tensor expands to ${layout.bytes} bytes, more than ${densifyBytes}`);
  if (layout.dtype === 'string' || layout.dtype === 'i4' || layout.dtype === 'u4') throw tensorError(proto, `sparse ${layout.dtype} tensors are not supported`);
  const { shape } = layout;
  const count = values.shape[0] ?? 0;
  const perAxis = indices.shape.length === 2;
  if (values.shape.length !== 1 || indices.dtype !== 'i64' || indices.shape[0] !== count || indices.shape.length > 2 || (perAxis && indices.shape[1] !== shape.length))
    throw tensorError(proto, 'the indices of the sparse tensor do not fit its values');
  const out = new Uint8Array(byteLength(layout.dtype, layout.elements));
  const width = byteLength(layout.dtype, 1);
  const from = values.data as Uint8Array;
  const bytes = new Uint8Array(from.buffer, from.byteOffset, from.byteLength);
  const at = indices.data as BigInt64Array;
  for (let k = 0; k < count; k++) {
    let linear = 0n;
    if (perAxis) {
      for (let a = 0; a < shape.length; a++) {
        const index = at[k * shape.length + a]!;
        if (index < 0n || index >= shape[a]!) throw tensorError(proto, `the sparse tensor has an index ${index} on axis ${a} of ${shape[a]}`);
        linear = linear * BigInt(shape[a]!) + index;
      }
    } else linear = at[k]!;
    if (linear < 0n || linear >= layout.elements) throw tensorError(proto, `the sparse tensor has an index ${linear} in ${layout.elements} elements`);
    out.set(bytes.subarray(k * width, (k + 1) * width), Number(linear) * width);
  }
  return dense(layout, out);
}
