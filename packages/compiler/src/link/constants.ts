import { alignment, type ConstantInfo } from '@tenon/artifact';
import type { IRModule } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import type { Packings } from '../pack.ts';

const align = (n: number): number => Math.ceil(n / alignment) * alignment;

/** Numbers the constants of an artifact in the order in which they are met, and notes who uses them. */
export class ConstantTable {
  readonly #users = new Map<string, Set<number | null>>();
  readonly #numbers = new Map<string, number>();

  /** `machine`: for which of several kinds of machine it is used; null: on all. */
  index(name: string, machine: number | null): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#numbers.size;
      this.#numbers.set(name, number);
    }
    const users = this.#users.get(name) ?? new Set<number | null>();
    this.#users.set(name, users.add(machine));
    return number;
  }

  get entries(): readonly (readonly [name: string, users: ReadonlySet<number | null>])[] {
    return [...this.#users];
  }
}

export interface ConstantSection {
  readonly name: string;
  readonly bytes: number;
  readonly constants: readonly ConstantInfo[];
}

/**
 * Gives constants their places. What only some of several kinds of machine use lies in sections of its own, which the others
 * do not read. Where kinds of machine pack the same tensor in different ways, it is stored as the best packs it, and
 * the others pack it anew from that when they load it: several kinds of machine make an artifact larger by code only.
 */
export function layOutConstants(table: ConstantTable, module: IRModule, session: Session, packings: Packings): { readonly constants: readonly ConstantInfo[]; readonly sections: readonly ConstantSection[] } {
  const sections = new Map<string, { bytes: number; constants: ConstantInfo[] }>();
  /** Stored tensors that others are made from, by the name of what they were packed from. */
  const stored = new Map<string, number>();
  const all = new Set(table.entries.flatMap(([, users]) => [...users].filter((u) => u !== null)));
  const constants = table.entries.map(([name, users], index): ConstantInfo => {
    const decl = module.constants.get(name)!;
    const bytes = session.exprs.valueOf(session.bytesOf(decl.type))!;
    const info = { name, dtype: decl.type.dtype, shape: decl.type.shape.map((d) => session.exprs.valueOf(d)!), bytes };
    const packed = packings.get(name);
    const of = packed === undefined ? undefined : stored.get(packed.original);
    if (packed !== undefined && of !== undefined && !users.has(0) && !users.has(null)) {
      return { ...info, data: { kind: 'repacked', of, shape: packed.shape, from: packings.get(table.entries[of]![0])!.packing, to: packed.packing } };
    }
    if (packed !== undefined && !stored.has(packed.original)) stored.set(packed.original, index);
    const shared = users.has(null) || users.size === all.size;
    const section = shared ? 'constants' : `constants of machine ${[...users].sort().join(', ')}`;
    const place = sections.get(section) ?? { bytes: 0, constants: [] };
    sections.set(section, place);
    const made: ConstantInfo = { ...info, data: { kind: 'section', section, offset: place.bytes } };
    place.bytes += align(bytes);
    place.constants.push(made);
    return made;
  });
  return { constants, sections: [...sections].map(([name, place]) => ({ name, ...place })) };
}
