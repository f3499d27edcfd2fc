import type { Block, Buffer, Expr, ExprBuilder, Stmt, TensorFunction } from '@tenon/plugin';
import { mapChildren, mapExpressions, type Exprs } from '@tenon/core';

/** The block annotation of tensorize: the intrinsic's name. */
export const tensorizeKey = 'tensorize';

/** One operand of an intrinsic at a place: a box of a buffer. */
export interface Operand {
  readonly name: string;
  readonly buffer: string;
  readonly dtype: string;
  /** Indices of the operand's first element. */
  readonly base: readonly Expr[];
  /** The axis of the buffer that each axis of the operand runs along. */
  readonly axes: readonly number[];
}

/** Blocks as what they stand for: iteration variables become their bindings, initial values a condition. */
export function withoutBlocks(exprs: ExprBuilder, stmt: Stmt): Stmt {
  const visit = (s: Stmt): Stmt => {
    if (s.kind !== 'block') return mapChildren(s, visit);
    const values = new Map(s.iters.map((i) => [i.name, i.binding]));
    const plain = (x: Stmt): Stmt => visit(mapExpressions(x, (e) => exprs.substitute(e, values)));
    const first = s.iters.filter((i) => i.type === 'reduce').map((i) => exprs.eq(i.binding, 0)).reduce((a, b) => exprs.and(a, b), exprs.constant(true, 'bool'));
    const body: Stmt = s.init === null ? plain(s.body) : { kind: 'seq', body: [{ kind: 'if', condition: first, then: plain(s.init), otherwise: null }, plain(s.body)] };
    return s.predicate === null ? body : { kind: 'if', condition: s.predicate, then: body, otherwise: null };
  };
  return visit(stmt);
}

/**
 * Matches statements with the description of an intrinsic: the same loops in the same order, the same computation. The
 * last axes of each buffer are the operand's, from a start that nothing inside changes. null where they differ, with the
 * reason in `why`.
 */
export function matchIntrinsic(exprs: Exprs, body: Stmt, description: TensorFunction, buffers: ReadonlyMap<string, Buffer>, why: string[] = []): Operand[] | null {
  const variables = new Map<string, Expr>();
  const own = new Set<string>();
  const found = new Map<string, { buffer: string; base: readonly Expr[]; axes: readonly number[] }>();
  const shapes = new Map([...description.inputs, ...description.outputs].map((b) => [b.name, b]));
  const differ = (reason: string): false => {
    why.push(reason);
    return false;
  };
  const access = (theirs: string, theirIndices: readonly Expr[], ours: string, indices: readonly Expr[]): boolean => {
    const operand = shapes.get(theirs);
    const buffer = buffers.get(ours);
    if (operand === undefined || buffer === undefined) return differ(`${ours} is not visible`);
    if (operand.dtype !== buffer.dtype) return differ(`${ours} holds ${buffer.dtype}, ${theirs} holds ${operand.dtype}`);
    const want = theirIndices.map((e) => exprs.substitute(e, variables));
    const moves = (e: Expr): boolean => exprs.variables(e).some((v) => own.has(v));
    const known = found.get(theirs);
    if (known !== undefined && known.buffer !== ours) return differ(`${theirs} is ${known.buffer} and ${ours}`);
    /** Axes of the buffer for those of the operand, in order; what is left of every index must not move. */
    const assign = (operand: number, from: number): number[] | null => {
      if (operand === want.length) return indices.slice(from).some(moves) ? null : [];
      for (let axis = from; axis < indices.length; axis++) {
        if (!moves(exprs.sub(indices[axis]!, want[operand]!))) {
          const rest = assign(operand + 1, axis + 1);
          if (rest !== null) return [axis, ...rest];
        }
        if (moves(indices[axis]!)) return null;
      }
      return null;
    };
    const axes = known?.axes ?? assign(0, 0);
    if (axes === null) return differ(`no axes of ${ours} run as those of ${theirs} do`);
    const base = indices.map((e, axis) => (axes.includes(axis) ? exprs.sub(e, want[axes.indexOf(axis)]!) : e));
    if (base.some(moves)) return differ(`${ours} does not always run as ${theirs} does`);
    if (known === undefined) found.set(theirs, { buffer: ours, base, axes });
    else if (!known.base.every((e, k) => e === base[k])) return differ(`${theirs} stands for different parts of ${ours}`);
    return true;
  };
  const expr = (ours: Expr, theirs: Expr): boolean => {
    if (theirs.op === 'load') return ours.op === 'load' ? access(theirs.value as string, theirs.args, ours.value as string, ours.args) : differ(`it reads ${String(theirs.value)} where the block computes`);
    if (ours.dtype === 'i64' && theirs.dtype === 'i64' && exprs.substitute(theirs, variables) === ours) return true;
    if (ours.op !== theirs.op || ours.dtype !== theirs.dtype || ours.value !== theirs.value || ours.args.length !== theirs.args.length) return differ(`${theirs.op} where the block has ${ours.op}`);
    if (ours.args.every((a, k) => expr(a, theirs.args[k]!))) return true;
    return ['add', 'mul', 'min', 'max'].includes(ours.op) && expr(ours.args[0]!, theirs.args[1]!) && expr(ours.args[1]!, theirs.args[0]!);
  };
  const stmt = (ours: Stmt, theirs: Stmt): boolean => {
    if (ours.kind === 'for' && theirs.kind === 'for') {
      if (exprs.intern(ours.extent) !== exprs.intern(theirs.extent)) return differ(`loop ${ours.variable} has another extent than loop ${theirs.variable}`);
      variables.set(theirs.variable, exprs.variable(ours.variable));
      own.add(ours.variable);
      return stmt(ours.body, theirs.body);
    }
    if (ours.kind === 'store' && theirs.kind === 'store') return access(theirs.buffer, theirs.indices, ours.buffer, ours.indices) && expr(ours.value, theirs.value);
    if (ours.kind === 'seq' && theirs.kind === 'seq' && ours.body.length === theirs.body.length) return ours.body.every((s, k) => stmt(s, theirs.body[k]!));
    if (ours.kind === 'if' && theirs.kind === 'if' && ours.otherwise === null && theirs.otherwise === null) return expr(ours.condition, theirs.condition) && stmt(ours.then, theirs.then);
    return differ(`a ${theirs.kind} where the block has a ${ours.kind}`);
  };
  if (!stmt(withoutBlocks(exprs, body), withoutBlocks(exprs, description.body))) return null;
  return [...description.inputs, ...description.outputs].map((b): Operand => ({ name: b.name, dtype: b.dtype, ...found.get(b.name)! }));
}

const strideMark = 'schedule.stride';

/**
 * The call that a tensorized block becomes: `intrinsic(operand…, stride…)`, operands in the order of the description, each
 * a load of its first element whose address is meant, then the strides of all operands in elements. Strides are marks
 * until {@link withStrides} knows the shapes.
 */
export function intrinsicCall(exprs: ExprBuilder, name: string, operands: readonly Operand[]): Stmt {
  const args = [
    ...operands.map((o) => exprs.load({ name: o.buffer, dtype: o.dtype }, o.base)),
    ...operands.flatMap((o) => o.axes.map((axis) => exprs.make('call', 'i64', [exprs.int(axis)], strideMark))),
  ];
  return { kind: 'evaluate', value: exprs.make('call', 'i64', args, name) };
}

/** The operands of a call with marks: the load, and per axis of the operand that of the buffer. */
export function calledOperands(exprs: ExprBuilder, call: Expr, description: TensorFunction): { readonly load: Expr; readonly operand: Buffer; readonly axes: readonly number[] }[] {
  const operands = [...description.inputs, ...description.outputs];
  let at = operands.length;
  return operands.map((operand, k) => ({ load: call.args[k]!, operand, axes: operand.shape.map(() => exprs.valueOf(call.args[at++]!.args[0]!)!) }));
}

/** The call with strides of the buffers in place of marks. */
export function withStrides(exprs: ExprBuilder, call: Expr, description: TensorFunction, buffers: ReadonlyMap<string, Buffer>): Expr {
  const operands = calledOperands(exprs, call, description);
  const strides = operands.flatMap(({ load, axes }) => axes.map((axis) => exprs.product(buffers.get(load.value as string)!.shape.slice(axis + 1))));
  return exprs.make('call', call.dtype, [...operands.map((o) => o.load), ...strides], call.value);
}

export function tensorizedName(block: Block): string | null {
  const name = block.annotations[tensorizeKey];
  return typeof name === 'string' ? name : null;
}
