import type { Expr, ExprBuilder, Scope } from '@tenon/plugin';

/** A buffer to place: alive from step `first` to step `last`, both included. */
export interface Request {
  readonly bytes: Expr;
  readonly first: number;
  readonly last: number;
}
export interface Arena {
  /** Byte offset of each request, a multiple of 64. */
  readonly offsets: readonly Expr[];
  readonly bytes: Expr;
}

const alignment = 64;

/**
 * Places buffers so that two that are alive at the same time never overlap. Sizes may be formulas in dims.
 *
 * Static sizes: greedily by size, each at the lowest gap that its conflicts leave (Pisarchyk & Lee, "Efficient Memory
 * Management for Deep Neural Net Inference", 2020, greedy by size for offset calculation). Symbolic sizes: shared slots
 * on top of that, a slot as large as its largest member, chosen by estimated size.
 */
export function planArena(requests: readonly Request[], exprs: ExprBuilder, dims: Scope, hint: (dim: string) => number): Arena {
  const zero = exprs.int(0);
  const offsets: Expr[] = requests.map(() => zero);
  const size = (r: Request): number | null => exprs.valueOf(r.bytes);
  const conflict = (a: Request, b: Request): boolean => a.first <= b.last && b.first <= a.last;
  const index = requests.map((_, i) => i);

  const fixed = index.filter((i) => size(requests[i]!) !== null)
    .sort((a, b) => size(requests[b]!)! - size(requests[a]!)! || requests[a]!.first - requests[b]!.first || a - b);
  const placed: { at: number; end: number; request: Request }[] = [];
  let top = 0;
  for (const i of fixed) {
    const request = requests[i]!;
    const bytes = roundUp(size(request)!);
    let at = 0;
    for (const other of placed) {
      if (!conflict(other.request, request)) continue;
      if (other.at - at >= bytes) break;
      at = Math.max(at, other.end);
    }
    offsets[i] = exprs.int(at);
    const entry = { at, end: at + bytes, request };
    const where = placed.findIndex((p) => p.at > at);
    if (where < 0) placed.push(entry);
    else placed.splice(where, 0, entry);
    top = Math.max(top, at + bytes);
  }

  const proofs = new Map<string, boolean>();
  const atMost = (x: Expr, y: Expr): boolean => {
    const key = `${x.id} ${y.id}`;
    let known = proofs.get(key);
    if (known === undefined) {
      known = exprs.prove(exprs.le(x, y), dims) === 'yes';
      proofs.set(key, known);
    }
    return known;
  };
  /** Takes a size into a slot's, of which none is known to be at most another: their maximum stays small. */
  const addSize = (sizes: Expr[], bytes: Expr): void => {
    if (sizes.some((s) => s === bytes || atMost(bytes, s))) return;
    sizes.splice(0, sizes.length, ...sizes.filter((s) => !atMost(s, bytes)), bytes);
  };

  const estimates = new Map<Expr, number>();
  const estimate = (e: Expr): number => {
    let value = estimates.get(e);
    if (value === undefined) {
      const values = new Map(exprs.variables(e).map((name) => [name, exprs.int(hint(name))]));
      value = exprs.valueOf(exprs.substitute(e, values)) ?? 0;
      estimates.set(e, value);
    }
    return value;
  };
  const symbolic = index.filter((i) => size(requests[i]!) === null)
    .sort((a, b) => estimate(requests[b]!.bytes) - estimate(requests[a]!.bytes) || requests[a]!.first - requests[b]!.first || a - b);
  const slots: { sizes: Expr[]; members: number[] }[] = [];
  for (const i of symbolic) {
    const request = requests[i]!;
    const slot = slots.find((s) => s.members.every((m) => !conflict(requests[m]!, request)));
    if (slot === undefined) slots.push({ sizes: [request.bytes], members: [i] });
    else {
      addSize(slot.sizes, request.bytes);
      slot.members.push(i);
    }
  }
  let end: Expr = exprs.int(top);
  for (const slot of slots) {
    for (const i of slot.members) offsets[i] = end;
    const bytes = slot.sizes.reduce((a, b) => exprs.max(a, b));
    end = exprs.simplify(exprs.add(end, exprs.mul(exprs.ceildiv(bytes, alignment), alignment)), dims);
  }
  return { offsets, bytes: end };
}

const roundUp = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
