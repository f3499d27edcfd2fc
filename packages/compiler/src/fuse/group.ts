import type { Binding, GraphFunction, Value } from '@tenon/plugin';
import { usersOf } from '../graph.ts';
import { composeAccess, type Access, type Summary } from './access.ts';

/** Bindings that become one kernel. */
export interface Group {
  /** In program order. */
  readonly members: readonly Binding[];
  readonly kind: Summary['kind'];
  /** How the group reads the values that come from outside. */
  readonly access: ReadonlyMap<Value, Access>;
  /** Nodes of the expressions that the kernel stores, written out as trees. */
  readonly nodes: number;
  /** Loads of each value from outside in those trees. */
  readonly loads: ReadonlyMap<Value, number>;
}

/**
 * A kernel's expressions have at most this many nodes: beyond, the traffic that fusion saves is nothing beside the
 * arithmetic, and inlining values that are loaded more than once would make trees of exponential size.
 */
const nodeLimit = 512;

/**
 * Groups the operators of a function: elementwise and injective work goes into its only consumer, or into the reduction
 * whose result it works on. A group has one result, and at most one member that reduces.
 */
export function groupBindings(fn: GraphFunction, summaryOf: (b: Binding) => Summary | null, inputsOf: (b: Binding) => readonly string[]): readonly Group[] {
  const users = usersOf(fn);
  const results = new Set(fn.results);
  const groups = new Map<Binding, Group>();
  const order = new Map(fn.bindings.map((b, i) => [b, i]));
  const producers = new Map<Value, Binding>();
  for (const binding of fn.bindings) for (const r of binding.results) producers.set(r, binding);

  for (const binding of fn.bindings) {
    const summary = summaryOf(binding);
    if (summary === null) continue;
    let group = single(binding, summary, inputsOf(binding));
    groups.set(binding, group);
    for (let merged = true; merged; ) {
      merged = false;
      for (const [value, access] of group.access) {
        const producer = producers.get(value);
        const other = producer === undefined ? undefined : groups.get(producer);
        if (other === undefined || other === group || results.has(value)) continue;
        if (!users.get(value)!.every((user) => groups.get(user) === group)) continue;
        const joint = merge(group, value, access, other);
        if (joint === null) continue;
        group = joint;
        for (const member of group.members) groups.set(member, group);
        merged = true;
        break;
      }
    }
  }
  return Array.from(new Set(groups.values()), (group) => ({ ...group, members: [...group.members].sort((a, b) => order.get(a)! - order.get(b)!) }));
}

function single(binding: Binding, summary: Summary, inputs: readonly string[]): Group {
  const access = new Map<Value, Access>();
  const loads = new Map<Value, number>();
  let i = 0;
  for (const arg of binding.args) {
    if (arg === null) continue;
    const name = inputs[i++]!;
    if (arg.constant) continue;
    const here = summary.access.get(name) ?? 'once';
    access.set(arg, access.has(arg) && access.get(arg) !== here ? 'many' : here);
    loads.set(arg, (loads.get(arg) ?? 0) + (summary.size.loads.get(name) ?? 0));
  }
  return { members: [binding], kind: summary.kind, access, nodes: summary.size.nodes, loads };
}

/** `user` with the group that computes `value` taken in, or null where they stay apart. */
function merge(user: Group, value: Value, access: Access, producer: Group): Group | null {
  if (user.kind === 'opaque' || producer.kind === 'opaque') return null;
  if (producer.kind === 'reduction') {
    // An epilogue: everything between the reduction's result and the group's must happen in place.
    if (user.kind === 'reduction' || access !== 'identity') return null;
  } else if (access === 'many') return null;
  // The result of a reduction stays in memory; any other value is written out at each of its loads.
  const copies = producer.kind === 'reduction' ? 1 : (user.loads.get(value) ?? 0);
  const nodes = user.nodes + copies * producer.nodes;
  if (nodes > nodeLimit) return null;
  const loads = new Map(user.loads);
  loads.delete(value);
  for (const [input, n] of producer.loads) loads.set(input, (loads.get(input) ?? 0) + copies * n);
  const combined = new Map(user.access);
  combined.delete(value);
  for (const [input, inner] of producer.access) {
    const through = producer.kind === 'reduction' ? (inner === 'identity' ? 'once' : inner) : composeAccess(access, inner);
    const before = combined.get(input);
    combined.set(input, before === undefined ? through : before === through ? through : 'many');
  }
  return {
    members: [...producer.members, ...user.members],
    kind: producer.kind === 'reduction' || user.kind === 'reduction' ? 'reduction' : 'injective',
    access: combined, nodes, loads,
  };
}
