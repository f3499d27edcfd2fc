import { TenonError } from '@tenon/plugin';
import type { Toolchain, Unit } from '../toolchain.ts';

/** Format of blobs that hold C source in place of machine code: what `standaloneFiles` writes into files. No loader takes them. */
export const sourceFormat = 'cpu-c.source';
export const sourceFormatVersion = 1;

/** A translation unit, or an object file that is linked as it is. */
export interface SourceUnit {
  readonly name: string;
  readonly text: string;
  readonly object: Uint8Array | null;
}

export interface SourceBlob {
  readonly units: readonly SourceUnit[];
  /** The compiler that the code was generated for, and its options that choose the processor. */
  readonly cc: string;
  readonly machine: readonly string[];
}

interface Stored {
  readonly cc: string;
  readonly machine: readonly string[];
  readonly units: readonly { readonly name: string; readonly text: string; readonly object: string | null }[];
}

export function encodeSource(units: readonly Unit[], toolchain: Toolchain): Uint8Array {
  const stored: Stored = {
    cc: toolchain.cc, machine: toolchain.machine,
    units: units.map((unit) => ({ name: unit.name, text: unit.text, object: unit.object === undefined ? null : Buffer.from(unit.object).toString('base64') })),
  };
  return new TextEncoder().encode(JSON.stringify(stored));
}

export function decodeSource(bytes: Uint8Array, formatVersion: number): SourceBlob {
  if (formatVersion !== sourceFormatVersion) {
    throw new TenonError({ code: 'cpu-c/not-standalone', message: `the artifact holds C source in version ${formatVersion}, not ${sourceFormatVersion}`, hint: 'emit C from the model, with one version of Tenon' });
  }
  const { cc, machine, units } = JSON.parse(new TextDecoder().decode(bytes)) as Stored;
  return { cc, machine, units: units.map((unit) => ({ ...unit, object: unit.object === null ? null : new Uint8Array(Buffer.from(unit.object, 'base64')) })) };
}
