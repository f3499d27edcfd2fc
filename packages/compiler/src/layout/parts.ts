import type { AttrValue, Buffer, Expr, TensorFunction } from '@tenon/plugin';
import { blockRegions, type Exprs } from '@tenon/core';
import { boundariesOf, computeForm, fromStages, isVariable, restricted, stagesOf, type ComputeForm, type Stage } from '@tenon/schedule';

/** A kernel's result in ranges along one axis, as a concatenation or a slice makes it. */
export interface Parts {
  readonly axis: number;
  /** Ascending, from the first index to the last. */
  readonly ranges: readonly Range[];
}

export interface Range {
  readonly from: number;
  readonly to: number;
  /** The input that it is a copy of, from index `at` of the axis on, and whole along all other axes; null: it is computed. */
  readonly copy: { readonly input: string; readonly at: number } | null;
}

/** The ranges of a kernel of one stage; null where it copies nothing. */
export function partsOf(fn: TensorFunction, exprs: Exprs): Parts | null {
  const found = stageOfResult(fn);
  if (found === null) return null;
  const { stage, form, output } = found;
  const boundaries = form.spatial.map((name, axis) => {
    const extent = exprs.valueOf(output.shape[axis]!);
    return extent === null ? [] : boundariesOf(exprs, form.store.value, name).filter((at) => at > 0 && at < extent).sort((a, b) => a - b);
  });
  const cut = boundaries.flatMap((at, axis) => (at.length > 0 ? [axis] : []));
  if (cut.length > 1) return null;
  const axis = cut[0] ?? slicedAxis(form, fn, exprs);
  const extent = axis === null ? null : exprs.valueOf(output.shape[axis]!);
  if (axis === null || extent === null || extent === 0) return null;
  const ends = [...boundaries[axis]!, extent];
  const ranges = ends.map((to, i): Range => {
    const from = i === 0 ? 0 : ends[i - 1]!;
    const { value } = rangeOf(stage, form, axis, from, to, exprs).body;
    return { from, to, copy: copyOf(value, form, axis, to - from, output, fn, exprs) };
  });
  return ranges.some((r) => r.copy !== null) ? { axis, ranges } : null;
}

/** The kernel that computes one range alone, as a value of its own. It has the inputs that it reads. */
export function rangeKernel(fn: TensorFunction, axis: number, { from, to }: Range, exprs: Exprs): TensorFunction {
  const { stage, form, output: whole } = stageOfResult(fn)!;
  const output: Buffer = { ...whole, shape: whole.shape.map((d, a) => (a === axis ? exprs.int(to - from) : d)) };
  const block = rangeOf(stage, form, axis, from, to, exprs);
  const loops = stage.loops.map((loop) => {
    const iter = block.iters.find((i) => isVariable(i.binding, loop.variable));
    return iter === undefined ? loop : { ...loop, extent: iter.extent };
  });
  const regions = blockRegions(null, block.body, [...fn.inputs, output], exprs);
  const inputs = fn.inputs.filter((b) => regions.reads.some((r) => r.buffer === b.name));
  return fromStages({ ...fn, inputs, outputs: [output] }, { temporaries: [], stages: [{ loops, block: { ...block, ...regions } }] });
}

interface ResultStage {
  readonly stage: Stage;
  readonly form: ComputeForm;
  readonly output: Buffer;
}

/** The one stage of a kernel, which writes each element of its one result once. */
function stageOfResult(fn: TensorFunction): ResultStage | null {
  const staged = stagesOf(fn);
  const [output] = fn.outputs;
  if (staged === null || staged.stages.length !== 1 || staged.temporaries.length > 0 || fn.outputs.length !== 1 || fn.scalars.length > 0) return null;
  const stage = staged.stages[0]!;
  const form = computeForm(stage.block);
  if (form?.kind !== 'compute' || form.store.buffer !== output!.name || !form.store.indices.every((e, axis) => isVariable(e, form.spatial[axis]!))) return null;
  if (!stage.block.iters.every((i, axis) => i.extent === output!.shape[axis])) return null;
  const plain = (e: Expr): boolean => e.op === 'const' || stage.loops.some((l) => isVariable(e, l.variable));
  return stage.block.iters.every((i) => plain(i.binding)) ? { stage, form, output: output! } : null;
}

function rangeOf({ block }: Stage, form: ComputeForm, axis: number, from: number, to: number, exprs: Exprs): ReturnType<typeof restricted> {
  const range = restricted(exprs, block, form.store, block.iters[axis]!, from, to);
  return { ...range, body: { ...range.body, indices: form.store.indices } };
}

/** The axis along which a kernel without conditions copies a part of its input. */
function slicedAxis(form: ComputeForm, fn: TensorFunction, exprs: Exprs): number | null {
  const { value } = form.store;
  const input = value.op === 'load' ? fn.inputs.find((b) => b.name === value.value) : undefined;
  if (input === undefined || input.shape.length !== form.spatial.length) return null;
  const axes = form.spatial.flatMap((_, axis) => (input.shape[axis] === fn.outputs[0]!.shape[axis] ? [] : [axis]));
  return axes.length === 1 && exprs.valueOf(input.shape[axes[0]!]!) !== null ? axes[0]! : null;
}

function copyOf(value: Expr, form: ComputeForm, axis: number, extent: number, output: Buffer, fn: TensorFunction, exprs: Exprs): Range['copy'] {
  const input = value.op === 'load' ? fn.inputs.find((b) => b.name === value.value) : undefined;
  if (input === undefined || input.dtype !== output.dtype || input.shape.length !== output.shape.length) return null;
  const along = value.args.every((e, a) => a === axis || (isVariable(e, form.spatial[a]!) && input.shape[a] === output.shape[a]));
  const at = exprs.valueOf(exprs.sub(value.args[axis]!, exprs.variable(form.spatial[axis]!)));
  const size = exprs.valueOf(input.shape[axis]!);
  return along && at !== null && size !== null && at >= 0 && at + extent <= size ? { input: input.name, at } : null;
}

/** What a function says of buffers that lie inside of larger ones. */
export interface Placed {
  /** Outputs of which it writes a part: the input by which the memory that others have written comes in. It is not read. */
  readonly updates: { readonly [output: string]: string };
  /** Buffers of which it touches a part: along which axes, and of what extent. */
  readonly touched: { readonly [buffer: string]: readonly (readonly [axis: number, extent: number])[] };
}

export function placedOf(fn: TensorFunction): Placed {
  const { updates = {}, touched = {} } = fn.attrs as { readonly [key: string]: AttrValue };
  return { updates, touched } as unknown as Placed;
}

/** The function's attributes with, or without, what there is to say of such buffers. */
export function withPlaced(fn: TensorFunction, { updates, touched }: Placed): TensorFunction {
  const { updates: _u, touched: _t, ...rest } = fn.attrs;
  const some = <T extends object>(key: string, all: T): { [key: string]: T } => (Object.keys(all).length === 0 ? {} : { [key]: all });
  return { ...fn, attrs: { ...rest, ...some('updates', updates), ...some('touched', touched) } as TensorFunction['attrs'] };
}
