import type { Block, Buffer, Expr, For, Stmt, Store, TensorFunction } from '@tenon/plugin';
import { seq } from '@tenon/core';

/** One nest of a function: perfectly nested loops around a single block. */
export interface Stage {
  /** Outermost first. */
  readonly loops: readonly For[];
  readonly block: Block;
}

/** A function as a sequence of stages over temporaries; what fusion and schedules start from. */
export interface StagedFunction {
  readonly temporaries: readonly Buffer[];
  readonly stages: readonly Stage[];
}

/** The stages of a function, or null where its body has another form (it has been scheduled already). */
export function stagesOf(fn: TensorFunction): StagedFunction | null {
  const temporaries: Buffer[] = [];
  let body: Stmt = fn.body;
  while (body.kind === 'alloc') {
    temporaries.push(body.buffer);
    body = body.body;
  }
  const stages: Stage[] = [];
  for (const stmt of body.kind === 'seq' ? body.body : [body]) {
    const stage = stageOf(stmt);
    if (stage === null) return null;
    stages.push(stage);
  }
  return { temporaries, stages };
}

/** The stage that a statement is, or null. */
export function stageOf(stmt: Stmt): Stage | null {
  const loops: For[] = [];
  let inner = stmt;
  while (inner.kind === 'for') {
    loops.push(inner);
    inner = inner.body;
  }
  return inner.kind === 'block' ? { loops, block: inner } : null;
}

/** The loops of a stage around another body. */
export function nest(loops: readonly For[], body: Stmt): Stmt {
  return loops.reduceRight<Stmt>((inside, loop) => ({ ...loop, body: inside }), body);
}

export function stageStmt(stage: Stage): Stmt {
  return nest(stage.loops, stage.block);
}

/** A function from stages again. */
export function fromStages(fn: TensorFunction, staged: StagedFunction): TensorFunction {
  let body = seq(staged.stages.map(stageStmt));
  for (const buffer of [...staged.temporaries].reverse()) body = { kind: 'alloc', buffer, body };
  return { ...fn, body };
}

/** What a stage computes, where it is `out[spatial…] = value` or a reduction of that form. */
export interface ComputeForm {
  readonly kind: 'compute' | 'reduce';
  readonly store: Store;
  readonly init: Store | null;
  /** The names of the spatial iteration variables that index the output, in order. */
  readonly spatial: readonly string[];
  readonly reduce: readonly string[];
}

/**
 * The form of a block that writes one element per point of its spatial domain, in order, or at a constant distance (inside
 * of a frame); null for opaque blocks.
 */
export function computeForm(block: Block): ComputeForm | null {
  if (block.predicate !== null || block.body.kind !== 'store') return null;
  if (block.init !== null && block.init.kind !== 'store') return null;
  const spatial = block.iters.filter((i) => i.type === 'spatial').map((i) => i.name);
  const reduce = block.iters.filter((i) => i.type === 'reduce').map((i) => i.name);
  const { indices } = block.body;
  if (indices.length !== spatial.length || !indices.every((e, i) => isShifted(e, spatial[i]!))) return null;
  if ((block.init === null) !== (reduce.length === 0)) return null;
  return { kind: reduce.length === 0 ? 'compute' : 'reduce', store: block.body, init: block.init, spatial, reduce };
}

/** A variable, or a constant more than it. */
export function isShifted(e: Expr, name: string): boolean {
  return isVariable(e, name) || (e.op === 'add' && e.args.some((a) => isVariable(a, name)) && e.args.some((a) => a.op === 'const'));
}

export function isVariable(e: Expr, name: string): boolean {
  return e.op === 'var' && e.value === name;
}
