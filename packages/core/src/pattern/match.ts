import type { Attrs, AttrValue, Binding, ConstantDecl, Context, GraphFunction, IRModule, Match, Pattern, Value } from '@tenon/plugin';

const producerMaps = new WeakMap<GraphFunction, ReadonlyMap<Value, Binding>>();

/** The binding that defines each value of a function. */
export function producersOf(fn: GraphFunction): ReadonlyMap<Value, Binding> {
  let map = producerMaps.get(fn);
  if (map === undefined) {
    const made = new Map<Value, Binding>();
    for (const binding of fn.bindings) for (const result of binding.results) made.set(result, binding);
    map = made;
    producerMaps.set(fn, map);
  }
  return map;
}

/** The attributes of a call, with the operator's defaults for those that are not written. */
export function fullAttrs(binding: Binding, operators: Operators): Attrs {
  return { ...operators.operator(binding.callee)?.signature.attrs, ...binding.attrs };
}

/** Where the defaults of attributes are looked up. */
export type Operators = Pick<Context, 'operator'>;

export function matchPattern(pattern: Pattern, value: Value, fn: GraphFunction, module: IRModule, operators: Operators): Match | null {
  const producers = producersOf(fn);
  return matchValue(pattern, value, (v) => producers.get(v), module.constants, operators);
}

/** Matches against any source of producers: a finished function, or one under construction. */
export function matchValue(
  pattern: Pattern, root: Value, producer: (v: Value) => Binding | undefined, constants: ReadonlyMap<string, ConstantDecl>, operators: Operators,
): Match | null {
  interface State {
    readonly values: ReadonlyMap<string, Value>;
    readonly bindings: readonly Binding[];
  }
  const bind = (state: State, name: string | null, value: Value): State | null => {
    if (name === null) return state;
    const before = state.values.get(name);
    if (before !== undefined) return sameValue(before, value) ? state : null;
    return { ...state, values: new Map(state.values).set(name, value) };
  };
  /** Tries the ways in which a pattern fits, in order; `rest` says whether what is left of the whole pattern fits too. */
  const match = (p: Pattern, value: Value, state: State, rest: (state: State) => State | null): State | null => {
    switch (p.kind) {
      case 'any': {
        const bound = bind(state, p.name, value);
        return bound && rest(bound);
      }
      case 'constant': {
        if (!value.constant || (p.value !== null && !everyElementIs(constants.get(value.name), p.value))) return null;
        const bound = bind(state, p.name, value);
        return bound && rest(bound);
      }
      case 'optional':
        return match(p.op, value, state, rest) ?? match(p.input, value, state, rest);
      case 'op': {
        const binding = producer(value);
        if (binding === undefined || binding.kind !== 'op') return null;
        if (!p.ops.includes('*') && !p.ops.includes(binding.callee)) return null;
        if (p.attrs !== null) {
          const attrs = fullAttrs(binding, operators);
          for (const [name, wanted] of Object.entries(p.attrs)) if (!equalAttr(attrs[name], wanted)) return null;
        }
        const bindings = state.bindings.includes(binding) ? state.bindings : [...state.bindings, binding];
        const named = bind({ ...state, bindings }, p.name, value);
        if (named === null) return null;
        if (p.args === null) return rest(named);
        const args = withoutTrailingNulls(binding.args);
        if (p.args.length !== args.length) return null;
        const inOrder = matchArgs(p.args, args, 0, named, rest);
        if (inOrder !== null || !p.commutative || args.length < 2) return inOrder;
        const [x, y, ...others] = args;
        return matchArgs(p.args, [y!, x!, ...others], 0, named, rest);
      }
    }
  };
  const matchArgs = (patterns: readonly Pattern[], args: readonly (Value | null)[], at: number, state: State, rest: (state: State) => State | null): State | null => {
    if (at === patterns.length) return rest(state);
    const arg = args[at];
    return arg ? match(patterns[at]!, arg, state, (next) => matchArgs(patterns, args, at + 1, next, rest)) : null;
  };
  const found = match(pattern, root, { values: new Map(), bindings: [] }, (state) => state);
  return found === null ? null : { root, values: found.values, bindings: found.bindings };
}

/** An optional argument that is left out may be written or not. */
function withoutTrailingNulls(args: readonly (Value | null)[]): readonly (Value | null)[] {
  let length = args.length;
  while (length > 0 && args[length - 1] === null) length--;
  return length === args.length ? args : args.slice(0, length);
}

function sameValue(a: Value, b: Value): boolean {
  return a === b || (a.constant && b.constant && a.name === b.name);
}

function everyElementIs(constant: ConstantDecl | undefined, value: number): boolean {
  return constant?.data.kind === 'inline' && constant.data.values.length > 0 && constant.data.values.every((v) => Number(v) === value);
}

/** Attributes are equal by content; expressions by identity within a session. */
export function equalAttr(a: AttrValue | undefined, b: AttrValue | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((x: AttrValue, i) => equalAttr(x, b[i] as AttrValue));
  }
  if ('tag' in a || 'tag' in b) return false;
  const x = a as { [name: string]: AttrValue };
  const y = b as { [name: string]: AttrValue };
  const keys = Object.keys(x);
  return keys.length === Object.keys(y).length && keys.every((k) => equalAttr(x[k], y[k]));
}
