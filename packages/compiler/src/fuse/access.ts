import type { Expr, ExprBuilder, Scope, TensorFunction } from '@tenon/plugin';
import { loadsOf, visitExprs } from '@tenon/core';
import { computeForm, isVariable, stageScope, stagesOf, type Stage } from '@tenon/schedule';

/**
 * How a function reads an input, relative to its own iteration:
 * `identity`: one load, at the very index that is written, in a tensor of the output's shape;
 * `once`: no element is read more than a few times in all;
 * `many`: elements are read again and again (the operands of a matrix product, a broadcast).
 */
export type Access = 'identity' | 'once' | 'many';

/** What fusion needs to know of a tensor function, derived from its stages alone. */
export interface Summary {
  /** `injective`: a single stage `out[v…] = value`. `reduction`: several stages or a reduction. `opaque`: anything else. */
  readonly kind: 'injective' | 'reduction' | 'opaque';
  readonly access: ReadonlyMap<string, Access>;
  /** Each element of the result is one of the input, at an index that no data decide. */
  readonly moves: boolean;
  readonly size: Size;
}

/** The values that a function stores, written out as trees, which is what inlining multiplies. */
export interface Size {
  /** Nodes of all values. */
  readonly nodes: number;
  /** Loads of each input. */
  readonly loads: ReadonlyMap<string, number>;
}

/** Reading an input in more stages than this makes it worth storing. */
const stageLimit = 3;

export function summarize(fn: TensorFunction, exprs: ExprBuilder, dims: Scope): Summary {
  const opaque: Summary = { kind: 'opaque', access: new Map(), moves: false, size: { nodes: 0, loads: new Map() } };
  const staged = stagesOf(fn);
  if (staged === null || fn.outputs.length !== 1) return opaque;
  const forms = staged.stages.map((s) => computeForm(s.block));
  if (forms.some((f) => f === null)) return opaque;
  const [output] = fn.outputs;
  const last = forms.at(-1);
  if (output === undefined || last?.store.buffer !== output.name) return opaque;
  // A stage that works on in place what an earlier stage wrote cannot be taken apart.
  const written = forms.map((f) => f!.store.buffer);
  if (new Set(written).size !== written.length) return opaque;

  const access = new Map<string, Access>();
  for (const input of fn.inputs) {
    let kind: Access | null = null;
    let stages = 0;
    for (const [i, stage] of staged.stages.entries()) {
      const loads = loadsOf(stage.block).filter((l) => l.value === input.name);
      if (loads.length === 0) continue;
      stages += loads.length;
      const form = forms[i]!;
      const isLast = i === staged.stages.length - 1;
      for (const load of loads) {
        let here: Access;
        if (isLast && form.kind === 'compute' && load.args.every((e, axis) => isVariable(e, form.spatial[axis]!) || (exprs.valueOf(output.shape[axis] ?? e) === 1 && exprs.valueOf(e) === 0)) && sameShape(input.shape, output.shape)) here = 'identity';
        else here = readsOnce(stage, load, input.shape, exprs, dims) ? 'once' : 'many';
        kind = kind === null ? here : kind === here && here !== 'identity' ? here : worse(kind, here);
      }
    }
    if (kind !== null) access.set(input.name, stages > stageLimit && kind !== 'identity' ? 'many' : kind);
  }
  const { value } = last.store;
  return {
    moves: staged.stages.length === 1 && last.kind === 'compute' && value.op === 'load' && fn.inputs.length === 1 && loadsOf(staged.stages[0]!.block).length === 1,
    kind: staged.stages.length === 1 && last.kind === 'compute' ? 'injective' : 'reduction', access,
    size: sizeOf(forms.map((f) => f!.store.value)),
  };
}

function sizeOf(values: readonly Expr[]): Size {
  const sizes = new Map<Expr, Size>();
  const visit = (e: Expr): Size => {
    let size = sizes.get(e);
    if (size === undefined) {
      size = sum(e.args.map(visit));
      const loads = new Map(size.loads);
      if (e.op === 'load') loads.set(e.value as string, (loads.get(e.value as string) ?? 0) + 1);
      size = { nodes: size.nodes + 1, loads };
      sizes.set(e, size);
    }
    return size;
  };
  const sum = (parts: readonly Size[]): Size => {
    const loads = new Map<string, number>();
    for (const part of parts) for (const [name, n] of part.loads) loads.set(name, (loads.get(name) ?? 0) + n);
    return { nodes: parts.reduce((n, part) => n + part.nodes, 0), loads };
  };
  return sum(values.map(visit));
}

/** Two loads of the same input: at the same index they count as one; otherwise as the worse of the two. */
function worse(a: Access, b: Access): Access {
  const order: readonly Access[] = ['identity', 'once', 'many'];
  return order[Math.max(order.indexOf(a), order.indexOf(b))]!;
}

export function composeAccess(outer: Access, inner: Access): Access {
  if (outer === 'many' || inner === 'many') return 'many';
  return outer === 'identity' && inner === 'identity' ? 'identity' : 'once';
}

function sameShape(a: readonly Expr[], b: readonly Expr[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** Whether a load touches each element of its tensor about once over the whole stage. */
function readsOnce(stage: Stage, load: Expr, shape: readonly Expr[], exprs: ExprBuilder, dims: Scope): boolean {
  const plain = new Set<string>();
  const collect = (e: Expr): void => {
    if (e.op === 'var') plain.add(e.value as string);
    if (e.op === 'add' || e.op === 'sub' || e.op === 'mul') e.args.forEach(collect);
  };
  for (const index of load.args) collect(index);
  const iters = stage.block.iters.filter((i) => exprs.valueOf(i.extent) !== 1);
  if (iters.every((i) => plain.has(i.name))) return true;
  let data = false;
  for (const index of load.args) visitExprs(index, (e) => void (e.op === 'load' && (data = true)));
  const points = exprs.product(stage.block.iters.map((i) => i.extent));
  const elements = exprs.product(shape);
  return !data && exprs.prove(exprs.le(points, elements), stageScope(stage, dims, exprs)) === 'yes';
}
