import type { Emitter } from './emitter.ts';
import { indent } from './indent.ts';

/**
 * Writes `body` as a C function of its own, and a call of it. The compiler allocates registers for a whole function: where
 * loops of different kinds stand in one, what it keeps for some (constants, addresses) is missing in the others.
 * Where the body needs registers from outside, it stays where it is.
 */
export function outline(em: Emitter, body: () => void): void {
  const name = em.fresh('part');
  // C names are numbered, besides those of arguments: what has a smaller number was there before.
  const mark = Number(name.slice('part'.length));
  const lines = em.capture(body);
  const used = new Set(lines.join('\n').match(/\b[a-z]+\d*\b/g));
  const outside = [...used].filter((n) => n === 'scratch' || /^[an]\d+$/.test(n) || (/^[a-z]+\d+$/.test(n) && em.cTypes.has(n) && Number(/\d+$/.exec(n)![0]) < mark));
  if (outside.some((n) => em.cTypes.get(n) === null)) {
    for (const line of lines) em.push(line);
    return;
  }
  em.functions.push(`static __attribute__((noinline)) void ${name}(${outside.map((n) => `${em.cTypes.get(n)!} ${n}`).join(', ')}) {\n${indent(lines)}\n}`);
  em.push(`${name}(${outside.join(', ')});`);
}
