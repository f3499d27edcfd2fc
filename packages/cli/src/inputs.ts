import { readFile } from 'node:fs/promises';
import { TenonError, type HostTensor, type Model, type TensorInfo } from 'tenon';
import { dimsOf, evaluateFormula, nearest, readTensor } from 'tenon/tools';
import { filledTensor, parseFill, type Fill } from './fill.ts';
import { readNpy } from './npy.ts';

/** What `--input` says of one input. */
type Given =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'fill'; readonly dtype: string | null; readonly shape: readonly number[] | null; readonly fill: Fill };

const forms = 'NAME=FILE.npy, NAME=FILE.pb, NAME=random, NAME=[1,3,224,224]:zeros or NAME=f32[1,3,224,224]:random';

function parseGiven(text: string): Given | null {
  if (/\.(npy|pb)$/i.test(text)) return { kind: 'file', path: text };
  const match = /^(?:([a-z][a-z0-9]*)?\[([\d,\s]*)\]:?)?([^[\]:]*)$/.exec(text);
  const [, dtype, dims, contents] = match ?? [];
  const fill = contents === '' && dims !== undefined ? 'random' : contents === undefined ? null : parseFill(contents);
  if (fill === null) return null;
  const shape = dims === undefined ? null : dims.split(',').map((n) => n.trim()).filter((n) => n !== '').map(Number);
  return { kind: 'fill', dtype: dtype ?? null, shape, fill };
}

export interface InputOptions {
  /** The values of `--input`. */
  readonly given: readonly string[];
  /** Values for dims that made-up inputs take. */
  readonly dims: ReadonlyMap<string, number>;
  readonly seed: number;
  /** What inputs get that are not given; null: they stay missing, and the model says so. */
  readonly otherwise: Fill | null;
}

/** Reads and makes up the inputs of a model. Throws `usage/input`, `file/…`, `npy/…`, `onnx/…`. */
export async function readInputs(model: Pick<Model, 'inputs' | 'manifest'>, options: InputOptions): Promise<{ [name: string]: HostTensor }> {
  const { inputs } = model;
  const given = new Map<string, Given>();
  for (const text of options.given) {
    const at = text.indexOf('=');
    const name = at < 0 ? (inputs.length === 1 ? inputs[0]!.name : null) : text.slice(0, at);
    const value = parseGiven(at < 0 ? text : text.slice(at + 1));
    if (name === null || value === null) throw new TenonError({ code: 'usage/input', message: `--input ${text} is not understood`, hint: `write ${forms}` });
    if (!inputs.some((input) => input.name === name)) {
      const near = nearest(name, inputs.map((input) => input.name));
      throw new TenonError({ code: 'usage/input', message: `the model has no input ${JSON.stringify(name)}`, hint: near === null ? `its inputs are ${inputs.map((input) => input.name).join(', ') || 'none'}` : `did you mean ${near}?` });
    }
    if (given.has(name)) throw new TenonError({ code: 'usage/input', message: `the input ${name} is given twice` });
    given.set(name, value);
  }
  // Without a prototype: an input may be called `__proto__`.
  const tensors = Object.create(null) as { [name: string]: HostTensor };
  for (const [i, input] of inputs.entries()) {
    const value = given.get(input.name) ?? (options.otherwise === null ? null : { kind: 'fill', dtype: null, shape: null, fill: options.otherwise } as const);
    if (value === null) continue;
    if (value.kind === 'file') tensors[input.name] = await readTensorFile(value.path);
    else tensors[input.name] = filledTensor(value.dtype ?? input.dtype, value.shape ?? knownShape(model, i, input, options.dims), value.fill, options.seed + i);
  }
  return tensors;
}

function knownShape(model: Pick<Model, 'manifest'>, index: number, input: TensorInfo, dims: ReadonlyMap<string, number>): readonly number[] {
  const formulas = model.manifest.entries[0]!.params[index]!.shape;
  const unknown = [...new Set(formulas.flatMap(dimsOf))].filter((name) => !dims.has(name));
  if (unknown.length > 0) {
    throw new TenonError({
      code: 'usage/input', message: `input ${input.name} has the shape [${input.shape.join(', ')}], which says nothing of ${unknown.join(' and ')}`,
      hint: `give ${unknown.map((name) => `--dim ${name}=1`).join(' ')} or --input ${input.name}=[${input.shape.map((n) => (typeof n === 'number' ? n : 1)).join(',')}]:random`,
    });
  }
  return formulas.map((formula) => evaluateFormula(formula, dims));
}

/** A tensor from a `.npy` file, or from a `.pb` file that holds an ONNX TensorProto. */
export async function readTensorFile(path: string): Promise<HostTensor> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new TenonError({ code: code === 'ENOENT' ? 'file/not-found' : 'file/unreadable', message: code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read: ${message}` }, { cause });
  }
  return /\.npy$/i.test(path) ? readNpy(bytes, path) : readTensor(bytes);
}
