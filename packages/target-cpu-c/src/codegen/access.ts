import type { Expr, Scope } from '@tenon/plugin';
import type { BufferPlace, Emitter, VectorContext } from './emitter.ts';
import { emit, emitMask } from './expressions.ts';
import { coefficientOf } from './linear.ts';

/** The row-major position of an element, in elements. */
function flatten(em: Emitter, place: BufferPlace, indices: readonly Expr[]): Expr {
  let flat = em.exprs.int(0);
  indices.forEach((index, axis) => {
    flat = em.exprs.add(em.exprs.mul(flat, place.shape[axis]!), index);
  });
  em.countUses(flat);
  return flat;
}

const atFirstLane = (em: Emitter, e: Expr, v: VectorContext): Expr => em.exprs.substitute(e, new Map([[v.variable, v.base]]));

/** An expression as lane `lane` (a C variable) of a vector context sees it: a scalar. */
export function atLane(em: Emitter, e: Expr, v: VectorContext, lane: string): Expr {
  const values = new Map<string, Expr>([[v.variable, em.exprs.add(v.base, em.exprs.variable(lane))]]);
  for (const [name, { dtype }] of v.lets) {
    values.set(name, em.exprs.variable(dtype === 'bool' ? `(${name}[${lane}] != 0)` : `${name}[${lane}]`, dtype));
  }
  return em.exprs.substitute(e, values);
}

/** Runs `body` in a loop over the lanes; it gets the lane's name. */
export function forLanes(em: Emitter, v: VectorContext, body: (lane: string) => void): void {
  const lane = em.fresh('l');
  em.facts.set(lane, { min: 0, max: v.lanes - 1 });
  em.block(`for (int ${lane} = 0; ${lane} < ${v.lanes}; ${lane}++)`, () => em.nested(() => body(lane)));
}

/** By how many elements an access moves from lane to lane; null where that is not one number. */
function laneStride(em: Emitter, flat: Expr, v: VectorContext): number | null {
  for (const name of v.lets.keys()) if (em.exprs.variables(flat).includes(name)) return null;
  // Where it is linear as it stands, its coefficient is the stride; others may become so by what is known of variables.
  const direct = coefficientOf(em.exprs, flat, v.variable);
  const known = direct === null ? null : em.exprs.valueOf(direct);
  if (known !== null) return known;
  const lane = '@lane';
  const scope: Scope = new Map([...em.facts, [lane, { min: 0, max: v.lanes - 1 }]]);
  const moved = em.exprs.substitute(flat, new Map([[v.variable, em.exprs.add(v.base, em.exprs.variable(lane))]]));
  const stride = coefficientOf(em.exprs, em.exprs.simplify(moved, scope), lane);
  return stride === null ? null : em.exprs.valueOf(stride);
}

/** An element or vector of a `registers` buffer. Where its place varies, the buffer becomes a misfit: another attempt follows. */
function registerAt(em: Emitter, buffer: string, place: BufferPlace, flat: Expr, v: VectorContext | null): string {
  const at = em.exprs.valueOf(v === null ? flat : atFirstLane(em, flat, v));
  const { lanes } = place;
  if (v === null) {
    if (at === null) em.misfits.add(buffer);
    return `${place.name}[${Math.floor((at ?? 0) / lanes)}][${(at ?? 0) % lanes}]`;
  }
  place.vectors = true;
  if (at === null || lanes !== v.lanes || at % lanes !== 0 || laneStride(em, flat, v) !== 1) em.misfits.add(buffer);
  return `${place.name}[${(at ?? 0) / lanes}]`;
}

const fromStorage = (em: Emitter, place: BufferPlace, text: string, lanes: number): string =>
  place.type.half ? `${em.support.use(`from_${place.type.name}`, 'u16', lanes)}(${text})` : text;

export function scalarLoad(em: Emitter, e: Expr): string {
  const buffer = e.value as string;
  const place = em.place(buffer);
  const flat = flatten(em, place, e.args);
  if (place.kind === 'registers') return registerAt(em, buffer, place, flat, null);
  const element = `${place.name}[${emit(em, flat, null)}]`;
  return place.type.kind === 'bool' ? `(${element} != 0)` : fromStorage(em, place, element, 1);
}

/** A load whose element differs from lane to lane. Bools come as masks of 1 byte per lane. */
export function vectorLoad(em: Emitter, e: Expr, v: VectorContext): string {
  const buffer = e.value as string;
  const place = em.place(buffer);
  const { type } = place;
  const flat = flatten(em, place, e.args);
  if (place.kind === 'registers') return registerAt(em, buffer, place, flat, v);
  if (laneStride(em, flat, v) === 1) {
    const text = `*(const ${em.support.vector(type.storage, v.lanes)}_u*)(${place.name} + ${emit(em, atFirstLane(em, flat, v), null)})`;
    if (type.kind !== 'bool') return fromStorage(em, place, `(${text})`, v.lanes);
    return `((${em.support.vector('i8', v.lanes)})(${text} != 0))`;
  }
  const name = em.fresh('t');
  em.push(`${em.support.vector(type.kind === 'bool' ? 'i8' : type.value, v.lanes)} ${name};`);
  forLanes(em, v, (lane) => {
    const element = emit(em, atLane(em, e, v, lane), null);
    em.push(`${name}[${lane}] = ${type.kind === 'bool' ? `-${element}` : element};`);
  });
  return name;
}

/** Asks for the cache line of an element, in the second level: it will be read again and again. */
export function prefetch(em: Emitter, load: Expr): string {
  const place = em.place(load.value as string);
  if (place.kind === 'registers') return ';';
  return `__builtin_prefetch(${place.name} + ${emit(em, flatten(em, place, load.args), null)}, 0, 2);`;
}

/**
 * The text of a tensor intrinsic with its operands in place: `{A}` is the address of operand A's first element,
 * `{A.stride0}` the stride of its axis 0 in elements.
 */
export function tensorIntrinsic(em: Emitter, call: Expr): string {
  const name = call.value as string;
  const known = em.intrinsics.get(name);
  if (known === undefined) return em.fail('unsupported-intrinsic', `there is no tensor intrinsic ${name} for the C target`);
  const { intrinsic: { implementation }, description } = known;
  if (implementation.kind !== 'text') return em.fail('unsupported-intrinsic', `${name} is a call of ${implementation.symbol}: the C target takes intrinsics as text`);
  const operands = [...description.inputs, ...description.outputs];
  const values = new Map<string, string>();
  let next = operands.length;
  operands.forEach((operand, i) => {
    const load = call.args[i]!;
    const place = em.place(load.value as string);
    // What has an address is no register.
    if (place.kind === 'registers') em.misfits.add(load.value as string);
    values.set(operand.name, `(${place.name} + ${emit(em, flatten(em, place, load.args), null)})`);
    operand.shape.forEach((_, axis) => values.set(`${operand.name}.stride${axis}`, `(${emit(em, em.canonical(call.args[next++]!), null)})`));
  });
  return implementation.text.replaceAll(/\{([A-Za-z_]\w*(?:\.stride\d+)?)\}/g, (text, key: string) => values.get(key) ?? text);
}

export function store(em: Emitter, buffer: string, indices: readonly Expr[], value: Expr, v: VectorContext | null): void {
  const place = em.place(buffer);
  const { type } = place;
  const flat = flatten(em, place, indices);
  const lanes = v === null ? 1 : v.lanes;
  const toStorage = (text: string): string => (type.half ? `${em.support.use(`to_${type.name}`, 'f32', lanes)}(${text})` : text);
  if (v === null) {
    if (place.kind === 'registers') em.push(`${registerAt(em, buffer, place, flat, null)} = ${emit(em, value, null)};`);
    else em.push(`${place.name}[${emit(em, flat, null)}] = ${toStorage(emit(em, value, null))};`);
    return;
  }
  if (place.kind === 'registers') {
    em.push(`${registerAt(em, buffer, place, flat, v)} = ${emit(em, value, v)};`);
    return;
  }
  const stored = em.support.vector(type.storage, lanes);
  const vector = type.kind === 'bool' ? `((${stored})(${emitMask(em, value, v, 1)}) & 1)` : toStorage(emit(em, value, v));
  if (laneStride(em, flat, v) === 1) {
    em.push(`*(${stored}_u*)(${place.name} + ${emit(em, atFirstLane(em, flat, v), null)}) = ${vector};`);
    return;
  }
  const all = em.define(stored, vector);
  forLanes(em, v, (lane) => em.push(`${place.name}[${emit(em, atLane(em, flat, v, lane), null)}] = ${all}[${lane}];`));
}
