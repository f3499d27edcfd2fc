import type { EntryInfo, Instruction, Manifest } from '@tenon/artifact';
import type { Device, Loader, UserMemory } from '@tenon/plugin';

/** Memory of the user's that a run works in directly, where registers allow it. */
export interface Lending {
  /** Whether inputs may be read where they are, while the run is under way. */
  readonly inputs: boolean;
  /** By result, memory for it; null: the run allocates. */
  readonly outputs: readonly (Uint8Array | null)[];
}

/**
 * For each register of an entry what lets it lie in memory of the user's, or null: it must be the only register of its parameter
 * or result there, of a size that is known before the run, and touched by calls of one loader alone, one that works in such memory.
 * Copies and reads by the runtime do not matter. Results must be written by a call.
 */
export function lendable(entry: EntryInfo, manifest: Manifest, loaders: readonly (Loader | null)[], devices: readonly Device[]): readonly (UserMemory | null)[] {
  const users: { readonly loaders: Set<Loader>; written: boolean }[] = entry.values.map(() => ({ loaders: new Set(), written: false }));
  const visit = (program: readonly Instruction[]): void => {
    for (const instruction of program) {
      if (instruction.op === 'branch') [instruction.then, instruction.otherwise].forEach(visit);
      if (instruction.op === 'loop') visit(instruction.body);
      if (instruction.op !== 'call') continue;
      const called = manifest.regions[instruction.region]!.variants.flatMap(({ blob }) => loaders[blob] ?? []);
      for (const value of [...instruction.args, ...instruction.results]) for (const loader of called) users[value]!.loaders.add(loader);
      if (entry.program.includes(instruction)) for (const value of instruction.results) users[value]!.written = true;
    }
  };
  visit(entry.program);
  return entry.values.map(({ storage, device }, i) => {
    if (storage.kind !== 'param' && storage.kind !== 'result') return null;
    const { space } = devices[device]!;
    // Loaders of another space get a copy beside them.
    const direct = [...users[i]!.loaders].filter((loader) => loader.device.space === space);
    const again = entry.values.some((other, j) => j !== i && other.storage.kind === storage.kind && other.storage.index === storage.index && devices[other.device]!.space === space);
    return again || direct.length !== 1 || (storage.kind === 'result' && !users[i]!.written) ? null : (direct[0]!.userMemory ?? null);
  });
}
