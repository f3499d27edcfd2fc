/** A part of a section. */
export interface Part {
  /** In the section. */
  readonly offset: number;
  readonly bytes: number;
  /** Equal identities are equal bytes; null: not known. */
  readonly identity: string | null;
}

/** Of what sections are made, by their names: parts in their order, with zeros between them. Plain data. */
export interface Contents {
  readonly [section: string]: readonly Part[];
}

/** Says what a range of a section holds, such that equal answers are equal bytes; null where it has a part of which that is not known. */
export function identifyRange(parts: readonly Part[], begin: number, end: number): string | null {
  let text = `${end - begin}`;
  for (let i = firstEndingAfter(parts, begin); i < parts.length && parts[i]!.offset < end; i++) {
    const { offset, bytes, identity } = parts[i]!;
    if (identity === null) return null;
    const from = Math.max(begin, offset);
    text += ` ${from - begin} ${identity} ${from - offset} ${Math.min(end, offset + bytes) - from}`;
  }
  return text;
}

/** The part that holds a place of the section, or the first behind it. */
export function firstEndingAfter(parts: readonly Part[], place: number): number {
  let [low, high] = [0, parts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (parts[middle]!.offset + parts[middle]!.bytes > place) high = middle;
    else low = middle + 1;
  }
  return low;
}
