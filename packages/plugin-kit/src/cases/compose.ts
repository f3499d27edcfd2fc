/** Larger graphs from several instances: side by side, one after the other, with other operators between them. */
import type { Rule } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import { resize } from './axes.ts';
import type { Base, Exploration } from './explore.ts';
import { shapeOfType, typesOf, type Call, type Instance, type Leaf, type Term } from './instance.ts';
import { ask } from './verdict.ts';

export interface Taken extends Base {
  readonly rule: Rule;
}

export interface Composition {
  readonly about: string;
  readonly instance: Instance;
  /** Calls whose results leave the graph. */
  readonly results: readonly number[];
  /** How many rules' matches it holds at least. */
  readonly matches: number;
}

/** Different bases of all rules, those of each rule in turn. */
export function basesOf(explorations: readonly Exploration[], limit: number): readonly Taken[] {
  const all: Taken[] = [];
  for (let i = 0; all.length < limit && explorations.some((e) => e.bases.length > i); i++) {
    for (const e of explorations) if (e.bases[i] !== undefined) all.push({ ...e.bases[i]!, rule: e.rule });
  }
  return all.slice(0, limit);
}

class Merged {
  readonly leaves: Leaf[] = [];
  readonly calls: Call[] = [];

  /** Adds an instance; `given` stands in for some of its leaves. The root's call. */
  add(instance: Instance, given: ReadonlyMap<number, Term> = new Map()): number {
    const leafAt = new Map<number, Term>(given);
    instance.leaves.forEach((leaf, i) => {
      if (!leafAt.has(i)) leafAt.set(i, { kind: 'leaf', index: this.leaves.push({ ...leaf, name: null }) - 1 });
    });
    const base = this.calls.length;
    for (const call of instance.calls) {
      this.calls.push({ ...call, name: null, args: call.args.map((a) => a && (a.kind === 'leaf' ? leafAt.get(a.index)! : { kind: 'call', index: base + a.index })) });
    }
    return this.calls.length - 1;
  }

  call(op: string, args: readonly Term[], attrs: Call['attrs'] = {}): number {
    return this.calls.push({ op, args, attrs, name: null }) - 1;
  }

  get instance(): Instance {
    return { leaves: this.leaves, calls: this.calls };
  }
}

const rootOf = (index: number): Term => ({ kind: 'call', index });

/** An instance whose leaf has this type, and that its rule still takes; null where there is none. */
function withLeaf({ instance, classes, rule }: Taken, leaf: number, dtype: string, shape: readonly number[], session: Session): Instance | null {
  const l = instance.leaves[leaf]!;
  if (l.dtype !== dtype || l.shape.length !== shape.length || l.constant) return null;
  const sizes = classes.map((c) => {
    const found = c.axes.find(([at]) => at === leaf);
    return found === undefined ? c.size : shape[found[1]]!;
  });
  const next = resize(instance, classes, sizes);
  if (next.leaves[leaf]!.shape.join() !== shape.join() || typesOf(next, session) === null) return null;
  try {
    return ask(rule, next, session).kind === 'claimed' ? next : null;
  } catch {
    return null;
  }
}

export function compositions(bases: readonly Taken[], session: Session): readonly Composition[] {
  const all: Composition[] = [];
  if (bases.length === 0) return all;

  const parallel = new Merged();
  const roots = bases.slice(0, 5).map((b) => parallel.add(b.instance));
  all.push({ about: 'side by side', instance: parallel.instance, results: roots, matches: roots.length });

  const twice = new Merged();
  const first = twice.add(bases[0]!.instance);
  const shared = new Map(bases[0]!.instance.leaves.map((_, i) => [i, { kind: 'leaf', index: i } as Term] as const).filter(([i]) => i > 0));
  const second = twice.add(bases[0]!.instance, shared);
  all.push({ about: 'twice, with shared arguments', instance: twice.instance, results: [second, first], matches: 2 });

  all.push(...rows(bases, session));

  for (const [before, after, leaf, next] of chains(bases, session)) {
    const direct = new Merged();
    const a = direct.add(before.instance);
    const b = direct.add(next, new Map([[leaf, rootOf(a)]]));
    all.push({ about: `${after.rule.id} on the result of ${before.rule.id}`, instance: direct.instance, results: [b], matches: 2 });
    all.push({ about: `${after.rule.id} on the result of ${before.rule.id}, which is a result as well`, instance: direct.instance, results: [a, b], matches: 2 });
    const type = typesOf(before.instance, session)!.at(-1)!;
    if (type.shape.length === 0) continue;
    const apart = new Merged();
    const c = apart.add(before.instance);
    const turned = apart.call('shape.reverse', [rootOf(c)], { axes: [type.shape.length - 1] });
    const d = apart.add(next, new Map([[leaf, rootOf(turned)]]));
    all.push({ about: `${before.rule.id}, another operator, ${after.rule.id}`, instance: apart.instance, results: [d], matches: 2 });
  }

  // A result that goes two ways and meets itself again.
  const [base] = bases;
  const type = typesOf(base!.instance, session)?.at(-1);
  if (type !== undefined && type.shape.length > 0 && type.dtype !== 'bool') {
    const diamond = new Merged();
    const a = diamond.add(base!.instance);
    const turned = diamond.call('shape.reverse', [rootOf(a)], { axes: [type.shape.length - 1] });
    const sum = diamond.call('math.max', [rootOf(a), rootOf(turned)]);
    if (typesOf(diamond.instance, session) !== null) all.push({ about: `${base!.rule.id}, whose result goes two ways`, instance: diamond.instance, results: [sum, a], matches: 1 });
  }
  return all;
}

/** Up to six matches one after the other, from different beginnings: several temporaries that live at different times. */
function rows(bases: readonly Taken[], session: Session): readonly Composition[] {
  return bases.slice(0, 3).flatMap((start, from): Composition[] => {
    const row = new Merged();
    const roots = [row.add(start.instance)];
    let type = typesOf(start.instance, session)?.at(-1);
    for (let at = from + 1, tries = 0; roots.length < 6 && type !== undefined && tries < bases.length; at++, tries++) {
      const after = bases[at % bases.length]!;
      const shape = shapeOfType(type, session);
      if (shape === null) break;
      const { dtype } = type;
      const fit = after.instance.leaves.map((_, leaf) => [leaf, withLeaf(after, leaf, dtype, shape, session)] as const).find(([, next]) => next !== null);
      if (fit === undefined) continue;
      roots.push(row.add(fit[1]!, new Map([[fit[0], rootOf(roots.at(-1)!)]])));
      type = typesOf(fit[1]!, session)?.at(-1);
      tries = -1;
    }
    if (roots.length < 3) return [];
    const about = `${roots.length} matches in a row from ${start.rule.id} on`;
    const middle = roots[Math.floor(roots.length / 2)]!;
    return [
      { about, instance: row.instance, results: [roots.at(-1)!], matches: roots.length },
      { about: `${about}, one in the middle wanted`, instance: row.instance, results: [middle, roots.at(-1)!], matches: roots.length },
    ];
  });
}

/** Pairs of bases where the result of one fits the other. */
function* chains(bases: readonly Taken[], session: Session): Generator<readonly [Taken, Taken, number, Instance]> {
  let found = 0;
  for (const [i, before] of bases.entries()) {
    // Starting with a rule's neighbour: different rules meet first.
    for (let step = 1; step <= bases.length && found < 5; step++) {
      const after = bases[(i + step) % bases.length]!;
      const type = typesOf(before.instance, session)?.at(-1);
      const shape = type === undefined ? null : shapeOfType(type, session);
      if (type === undefined || shape === null) break;
      const fit = after.instance.leaves.map((_, leaf) => [leaf, withLeaf(after, leaf, type.dtype, shape, session)] as const).find(([, next]) => next !== null);
      if (fit === undefined) continue;
      found++;
      yield [before, after, fit[0], fit[1]!];
      break;
    }
  }
}
