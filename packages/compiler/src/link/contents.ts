import { firstEndingAfter, identifyRange, sha256, toHex, type Contents, type EarlierArtifact, type MadeContent, type Part } from '@tenon/artifact';
import type { ConstantDecl, IRModule } from '@tenon/plugin';
import type { Session } from '@tenon/core';
import type { PackedConstant, Packings } from '../pack.ts';
import type { ConstantSection } from './constants.ts';

/** Contents that are read at a time to identify them. */
const readAtOnce = 4;

/** What sections are made of, without saying what that is. */
export function unidentified(sections: readonly ConstantSection[]): Contents {
  return Object.fromEntries(sections.map(({ name, constants }) => [name, constants.map(({ bytes, data }): Part => {
    if (data.kind !== 'section') throw new TypeError(`a constant of section ${name} lies elsewhere`);
    return { offset: data.offset, bytes, identity: null };
  })]));
}

/** What sections are made of. `own` is the URI of the model's file. */
export async function identifyContents(sections: readonly ConstantSection[], module: IRModule, session: Session, packings: Packings, own: string | null): Promise<Contents> {
  const names = sections.flatMap(({ constants }) => constants.map(({ name }) => name));
  const identities = new Map<string, string>();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < names.length) {
      const name = names[next++]!;
      identities.set(name, await identify(module.constants.get(name)!, module, session, packings.get(name), own));
    }
  };
  await Promise.all(Array.from({ length: readAtOnce }, work));
  const parts = unidentified(sections);
  return Object.fromEntries(sections.map(({ name, constants }) => [name, parts[name]!.map((part, i) => ({ ...part, identity: identities.get(constants[i]!.name)! }))]));
}

/**
 * What the bytes of a constant depend on, but for the code that packs them. A file beside the model is known by its identity, as where
 * whole artifacts are looked up. The model's own changes with every node: what lies in it, or in memory, is known by its bytes.
 */
async function identify(decl: ConstantDecl, module: IRModule, session: Session, packed: PackedConstant | undefined, own: string | null): Promise<string> {
  const origin = packed?.of ?? decl;
  const { data, type } = origin;
  const source = data.kind === 'range' ? session.source(data.source) : undefined;
  const beside = data.kind === 'range' && source !== undefined && source.uri !== own && !source.uri.startsWith('memory:');
  const from = beside ? [source.uri, source.id, data.offset, data.bytes] : await digest(await session.constantBytes(module, origin));
  const layout = packed === undefined ? null : [type.dtype, type.shape.map((d) => session.exprs.valueOf(d)), packed.maps, packed.packing];
  return digest(new TextEncoder().encode(JSON.stringify([from, layout])));
}

const digest = async (bytes: Uint8Array): Promise<string> => toHex(await sha256(bytes));

/** The content of a section. Parts that an earlier artifact has are taken from there. */
export function constantContent({ bytes, constants }: ConstantSection, module: IRModule, session: Session, parts: readonly Part[], earlier: EarlierArtifact | null): MadeContent {
  return {
    bytes,
    identify: (begin, end) => identifyRange(parts, begin, end),
    async readInto(begin, destination) {
      const end = begin + destination.length;
      let filled = begin;
      for (let i = firstEndingAfter(parts, begin); i < parts.length && parts[i]!.offset < end; i++) {
        const { offset, bytes: size, identity } = parts[i]!;
        const from = Math.max(begin, offset);
        const to = Math.min(end, offset + size);
        const piece = destination.subarray(from - begin, to - begin);
        if (from === to) continue;
        const taken = earlier !== null && identity !== null && await earlier.readPart(identity, from - offset, piece);
        if (!taken) await session.readConstant(module, module.constants.get(constants[i]!.name)!, from - offset, piece);
        destination.fill(0, filled - begin, from - begin);
        filled = to;
      }
      destination.fill(0, filled - begin);
    },
  };
}
