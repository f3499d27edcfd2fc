import { type DimInfo, type DimProgram, dimsOf, type EntryInfo, evaluateDim, formatDim, type ParamInfo } from '@tenon/artifact';
import type { Diagnostic, HostTensor, TypedArray } from '@tenon/plugin';
import { diagnostic, diagnosticOf, TenonError } from '@tenon/plugin';
import { arrayName, countOf, denseBytes, dtypeOfArray, elementsOf, hostLayout } from './dtypes.ts';
import { nearest } from './suggest.ts';
import { fromNumbers, type NestedNumbers, nestedShape } from './tensor.ts';

/** A tensor, a typed array where the shape follows from its length, or nested arrays of numbers. */
export type Input = HostTensor | TypedArray | NestedNumbers;
export type Inputs = { readonly [name: string]: Input };

/** Arguments of a call in the form that the program wants them. */
export interface BoundArguments {
  /** Dims known before the program starts. */
  readonly dims: ReadonlyMap<string, number>;
  /** Per parameter its elements as bytes. They may be the caller's own. */
  readonly bytes: readonly Uint8Array[];
}

interface Given {
  readonly param: ParamInfo;
  readonly data: TypedArray;
  shape: readonly number[] | null;
}

type Problems = Diagnostic[];

/**
 * Takes the arguments of one call: checks names, dtypes and shapes, and binds the dims of the entry from them. Throws
 * one error that lists everything that is wrong.
 */
export function bindArguments(entry: EntryInfo, inputs: Inputs, loadDims: ReadonlyMap<string, number>): BoundArguments {
  const problems: Problems = [];
  const given = takeInputs(entry, inputs, problems);
  const dims = new Map<string, number>();
  for (const dim of entry.dims) if (dim.binding.kind === 'load' && loadDims.has(dim.name)) dims.set(dim.name, loadDims.get(dim.name)!);
  if (problems.length === 0) bindDims(entry, given, dims, problems);
  if (problems.length === 0) for (const dim of entry.dims) checkDim(dim, dims, entry, problems);
  if (problems.length === 0) for (const { param, shape, data } of given) checkAgainst(param, shape!, data, dims, problems);
  if (problems.length > 0) throw asOneError(problems);
  return { dims, bytes: given.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) };
}

function asOneError(problems: Problems): TenonError {
  const [first] = problems;
  if (problems.length === 1) return new TenonError(first!);
  return new TenonError({ code: first!.code, message: problems.map((p) => p.message).join('; '), hint: problems.find((p) => p.hint)?.hint ?? null, related: problems });
}

export const describeParam = (param: { readonly dtype: string; readonly shape: readonly DimProgram[] }): string => `${param.dtype}[${param.shape.map(formatDim).join(', ')}]`;

function takeInputs(entry: EntryInfo, inputs: Inputs, problems: Problems): Given[] {
  const names = entry.params.map((param) => param.name);
  if (typeof inputs !== 'object' || inputs === null || ArrayBuffer.isView(inputs)) {
    problems.push(diagnostic({ code: 'runtime/inputs', message: `inputs are given by name, as { ${names.join(', ')} }` }));
    return [];
  }
  for (const name of Object.keys(inputs)) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    problems.push(diagnostic({
      code: 'runtime/unknown-input',
      message: `there is no input '${name}'`,
      hint: near ? `did you mean '${near}'?` : `the inputs are ${names.map((n) => `'${n}'`).join(', ') || 'none'}`,
    }));
  }
  const given: Given[] = [];
  for (const param of entry.params) {
    const value = Object.hasOwn(inputs, param.name) ? inputs[param.name] : undefined;
    if (value === undefined || value === null) {
      problems.push(diagnostic({ code: 'runtime/missing-input', message: `input '${param.name}' is missing: expected ${describeParam(param)}` }));
      continue;
    }
    try {
      given.push(takeInput(param, value));
    } catch (error) {
      const problem = diagnosticOf(error);
      if (!problem) throw error;
      problems.push(problem.message.startsWith('input ') ? problem : { ...problem, message: `input '${param.name}': ${problem.message}` });
    }
  }
  return given;
}

const wrongType = (param: ParamInfo, came: string, hint: string | null = null): TenonError =>
  new TenonError({ code: 'runtime/dtype', message: `input '${param.name}': expected ${describeParam(param)}, got ${came}`, hint });

function takeInput(param: ParamInfo, value: Input): Given {
  if (ArrayBuffer.isView(value)) return { param, data: convert(param, value as TypedArray, null), shape: null };
  if (isTensor(value)) {
    if (!ArrayBuffer.isView(value.data)) throw wrongType(param, `${value.dtype} in an array`, 'tensors of strings cannot be given yet');
    const data = convert(param, value.data as TypedArray, value.dtype);
    const bytes = denseBytes(param.dtype, countOf(value.shape));
    if (bytes !== null && data.byteLength !== bytes) {
      throw new TenonError({ code: 'runtime/shape', message: `input '${param.name}': a tensor of shape [${value.shape.join(', ')}] has ${bytes} bytes of ${param.dtype}; its data has ${data.byteLength}` });
    }
    return { param, data, shape: value.shape };
  }
  if (typeof value === 'object' && !Array.isArray(value)) throw wrongType(param, 'an object', 'give a Tensor, a typed array, or nested arrays of numbers');
  return { param, data: fromNumbers(value as NestedNumbers, param.dtype), shape: nestedShape(value as NestedNumbers) };
}

const isTensor = (value: Input): value is HostTensor =>
  typeof value === 'object' && !Array.isArray(value) && 'dtype' in value && 'shape' in value && 'data' in value;

/** The data in the array class of the parameter: 64-bit integers may come as 32-bit ones, half floats as a Float16Array. */
function convert(param: ParamInfo, data: TypedArray, dtype: string | null): TypedArray {
  const array = arrayName(data);
  const known = hostLayout(param.dtype);
  const narrow = narrowOf(param.dtype);
  if (dtype !== null && dtype !== param.dtype && dtype !== narrow?.dtype) throw wrongType(param, dtype);
  if (narrow && array === narrow.array && dtype !== param.dtype) return widen(data as Int32Array | Uint32Array);
  if (known === null || array === known.array) return param.dtype === 'bool' ? booleans(data as Uint8Array) : data;
  if (param.dtype === 'f16' && array === 'Float16Array') return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  if (array === 'Uint8ClampedArray' && param.dtype === 'u8') return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const accepted = [known.array, ...(narrow ? [narrow.array] : []), ...(param.dtype === 'f16' ? ['Float16Array'] : [])];
  throw wrongType(param, `a ${array}`, `${param.dtype} is given as ${accepted.join(' or ')}${dtypeOfArray(array) === null ? '' : `; a ${array} holds ${dtypeOfArray(array)}`}`);
}

function narrowOf(dtype: string): { readonly dtype: string; readonly array: string } | null {
  if (dtype === 'i64') return { dtype: 'i32', array: 'Int32Array' };
  return dtype === 'u64' ? { dtype: 'u32', array: 'Uint32Array' } : null;
}

function widen(data: Int32Array | Uint32Array): TypedArray {
  const signed = arrayName(data) === 'Int32Array';
  const words = new Int32Array(data.length * 2);
  for (let i = 0; i < data.length; i++) {
    words[2 * i] = data[i]!;
    words[2 * i + 1] = signed ? data[i]! >> 31 : 0;
  }
  return signed ? new BigInt64Array(words.buffer) : new BigUint64Array(words.buffer);
}

/** Kernels rely on 0 and 1. */
function booleans(data: Uint8Array): Uint8Array {
  return data.some((value) => value > 1) ? data.map((value) => Number(value !== 0)) : data;
}

/** Binds call-time dims from shapes and contents, and shapes of plain arrays from their lengths, until nothing more follows. */
function bindDims(entry: EntryInfo, given: readonly Given[], dims: Map<string, number>, problems: Problems): void {
  for (const { param, shape } of given) {
    if (shape && shape.length !== param.shape.length) {
      problems.push(diagnostic({ code: 'runtime/shape', message: `input '${param.name}': expected ${describeParam(param)}, got rank ${shape.length}: [${shape.join(', ')}]` }));
    }
  }
  if (problems.length > 0) return;
  for (let changed = true; changed; ) {
    changed = false;
    for (const dim of entry.dims) {
      if (dims.has(dim.name)) continue;
      const value = boundValue(dim, given, dims);
      if (value !== null) {
        dims.set(dim.name, value);
        changed = true;
      }
    }
    for (const argument of given) {
      if (argument.shape) continue;
      argument.shape = inferShape(argument, dims);
      if (argument.shape) changed = true;
    }
    if (!changed) changed = bindFromElsewhere(entry, given, dims);
  }
  for (const { param, shape } of given) {
    if (shape) continue;
    problems.push(diagnostic({
      code: 'runtime/shape-unknown',
      message: `input '${param.name}': the shape of ${describeParam(param)} does not follow from the length of an array`,
      hint: 'give a tensor: tensor(data, shape)',
    }));
  }
}

function boundValue(dim: DimInfo, given: readonly Given[], dims: ReadonlyMap<string, number>): number | null {
  const { binding } = dim;
  if (binding.kind === 'axis') return given[binding.param]?.shape?.[binding.axis] ?? null;
  if (binding.kind !== 'element') return null;
  const argument = given[binding.param]!;
  // The length must be right before an element means anything.
  const shape = argument.shape ?? inferShape(argument, dims);
  const element = shape && argument.data[binding.element];
  return element === null || element === undefined ? null : Number(element);
}

/** A dim whose own parameter is a plain array may stand by itself in another parameter's shape or contents. */
function bindFromElsewhere(entry: EntryInfo, given: readonly Given[], dims: Map<string, number>): boolean {
  for (const dim of entry.dims) {
    if (dims.has(dim.name) || dim.binding.kind === 'run' || dim.binding.kind === 'load') continue;
    const alone = (formula: DimProgram | null): boolean => formula?.length === 1 && formula[0] === `$${dim.name}`;
    for (const { param, shape, data } of given) {
      const axis = shape ? param.shape.findIndex(alone) : -1;
      const element = shape ? (param.contents?.findIndex(alone) ?? -1) : -1;
      const value = axis >= 0 ? shape![axis] : element >= 0 ? data[element] : undefined;
      if (value === undefined) continue;
      dims.set(dim.name, Number(value));
      return true;
    }
  }
  return false;
}

/** The shape of a plain array: known where all axes but one are, and its length divides. */
function inferShape({ param, data }: Given, dims: ReadonlyMap<string, number>): readonly number[] | null {
  const shape = param.shape.map((axis) => (dimsOf(axis).every((name) => dims.has(name)) ? evaluateDim(axis, dims) : null));
  const unknown = shape.filter((n) => n === null).length;
  if (unknown === 0) return shape as number[];
  if (unknown > 1) return null;
  const packed = hostLayout(param.dtype)?.packed ?? 1;
  const rest = shape.reduce<number>((product, n) => product * (n ?? 1), 1);
  const n = (data.length * packed) / rest;
  return Number.isInteger(n) ? shape.map((axis) => axis ?? n) : null;
}

function checkDim(dim: DimInfo, dims: ReadonlyMap<string, number>, entry: EntryInfo, problems: Problems): void {
  if (dim.binding.kind === 'run') return;
  const value = dims.get(dim.name);
  const where = dim.binding.kind === 'axis' ? `axis ${dim.binding.axis} of input '${entry.params[dim.binding.param]!.name}'`
    : dim.binding.kind === 'element' ? `element ${dim.binding.element} of input '${entry.params[dim.binding.param]!.name}'`
    : 'loading';
  if (value === undefined) {
    problems.push(diagnostic({
      code: 'runtime/unbound-dim',
      message: `dim '${dim.name}' has no value: it comes from ${where}`,
      hint: dim.binding.kind === 'load' ? `load with { dims: { ${dim.name}: … } }` : null,
    }));
    return;
  }
  const problem = rangeProblem(dim, value);
  if (problem) problems.push(diagnostic({ code: 'runtime/dim-range', message: `dim '${dim.name}' (${where}) is ${value}: ${problem}` }));
}

/** What is wrong with the value of a dim, or null. */
export function rangeProblem(dim: DimInfo, value: number): string | null {
  if (!Number.isSafeInteger(value)) return 'it must be an integer of at most 53 bits';
  if (value < dim.min || (dim.max !== null && value > dim.max)) return `it must be ${dim.max === null ? `at least ${dim.min}` : `in ${dim.min} … ${dim.max}`}`;
  return value % dim.multipleOf === 0 ? null : `it must be a multiple of ${dim.multipleOf}`;
}

/** Compares an argument with its parameter, now that all dims have values. */
function checkAgainst(param: ParamInfo, shape: readonly number[], data: TypedArray, dims: ReadonlyMap<string, number>, problems: Problems): void {
  const expected = param.shape.map((axis) => evaluateDim(axis, dims));
  const values = [...new Set(param.shape.flatMap(dimsOf))].map((name) => `${name} = ${dims.get(name)}`).join(', ');
  const where = values && ` where ${values}`;
  const bytes = denseBytes(param.dtype, countOf(expected));
  if (expected.some((n, i) => n !== shape[i])) {
    problems.push(diagnostic({ code: 'runtime/shape', message: `input '${param.name}': expected ${describeParam(param)}${where}, got [${shape.join(', ')}]` }));
  } else if (bytes !== null && bytes !== data.byteLength) {
    const length = bytes / data.BYTES_PER_ELEMENT;
    problems.push(diagnostic({ code: 'runtime/shape', message: `input '${param.name}': expected ${describeParam(param)}${where}, that is ${length} elements, got ${data.length}` }));
  } else {
    checkContents(param, data, dims, problems);
  }
}

function checkContents(param: ParamInfo, data: TypedArray, dims: ReadonlyMap<string, number>, problems: Problems): void {
  param.contents?.forEach((formula, i) => {
    if (formula === null) return;
    const expected = evaluateDim(formula, dims);
    if (Number(data[i]) !== expected) {
      problems.push(diagnostic({ code: 'runtime/contents', message: `input '${param.name}': element ${i} is ${data[i]}, but ${formatDim(formula)} is ${expected} by the other inputs` }));
    }
  });
}

/** Throws `runtime/contents` where the elements of a parameter are no longer those that dims were bound from. */
export function checkBoundContents(entry: EntryInfo, bytes: readonly Uint8Array[], dims: ReadonlyMap<string, number>): void {
  const problems: Problems = [];
  entry.params.forEach((param, i) => {
    if (param.contents) checkContents(param, elementsOf(param.dtype, bytes[i]!), dims, problems);
  });
  if (problems.length > 0) throw asOneError(problems);
}
