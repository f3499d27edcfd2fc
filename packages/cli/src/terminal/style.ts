/** How text looks where it is going. */
export interface Style {
  /** Columns; Infinity in a pipe or file. */
  readonly width: number;
  readonly paint: Paint;
}

type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Paint = (colour: Colour, text: string) => string;

const codes: { readonly [C in Colour]: readonly [number, number] } = {
  bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39],
};

export const plainPaint: Paint = (_, text) => text;
const ansiPaint: Paint = (colour, text) => (text === '' ? '' : `\u001b[${codes[colour][0]}m${text}\u001b[${codes[colour][1]}m`);

/** The parts of a stream that matter for its looks. */
export interface Sink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Colours only on a terminal, and never where NO_COLOR (https://no-color.org) or a dumb terminal asks for none. */
export function styleFor(stream: Sink, env: { readonly [name: string]: string | undefined }): Style {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  const refused = Boolean(env['NO_COLOR']) || env['TERM'] === 'dumb' || env['FORCE_COLOR'] === '0';
  const terminal = stream.isTTY === true;
  return { width: terminal ? Math.max(20, stream.columns ?? 80) : Infinity, paint: (terminal || forced) && !refused ? ansiPaint : plainPaint };
}

const escapes = /\u001b\[[0-9;]*m/g;

/** Columns that a text takes, without colours. East Asian wide characters and emoji take two. */
export function textWidth(text: string): number {
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(text.replace(escapes, ''))) {
    const code = segment.codePointAt(0)!;
    width += code >= 0x1100 && /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u.test(segment) ? 2 : 1;
  }
  return width;
}

/** A text of at most `width` columns: what is too long ends in `…`. Only for text without colours. */
export function truncate(text: string, width: number): string {
  if (text.length <= width && /^[\x20-\x7e]*$/.test(text)) return text;
  if (textWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const wide = textWidth(segment);
    if (used + wide > width - 1) break;
    kept += segment;
    used += wide;
  }
  return width < 1 ? '' : `${kept}…`;
}

export function pad(text: string, width: number, right = false): string {
  const fill = ' '.repeat(Math.max(0, width - textWidth(text)));
  return right ? fill + text : text + fill;
}
