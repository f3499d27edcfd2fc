import { TenonError } from '@tenon/plugin';

export type TokenKind =
  | 'name' // bare word or `quoted word`
  | 'value' // %name or %"quoted"
  | 'global' // @name or @"quoted"
  | 'number'
  | 'string'
  | 'punctuation'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** The name without sigil and quotes, the decoded string, the digits of a number, or the punctuation itself. */
  readonly text: string;
  readonly quoted: boolean;
  /** What is glued to a number: `f` in `1f`, `i32` in `3i32`; otherwise empty. */
  readonly suffix: string;
  /** Offsets into the text. */
  readonly start: number;
  readonly end: number;
}

/** A text with the name that error messages give it. */
export interface SourceText {
  readonly text: string;
  readonly file: string | null;
}

/** The error for a place in a text, with line, column (both from 1) and the line with a caret under the place. */
export function textError(source: SourceText, start: number, end: number, code: string, message: string, hint: string | null = null): TenonError {
  const before = source.text.slice(0, start);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  const newline = source.text.indexOf('\n', start);
  const lineText = source.text.slice(lineStart, newline < 0 ? source.text.length : newline).replace(/\r$/, '');
  const column = start - lineStart + 1;
  const pad = lineText.slice(0, column - 1).replace(/[^\t]/g, ' ').padEnd(column - 1);
  const carets = '^'.repeat(Math.max(1, Math.min(end, lineStart + lineText.length) - start));
  return new TenonError({ code: `text/${code}`, message, hint, text: { file: source.file, line, column, excerpt: `${lineText}\n${pad}${carets}` } });
}

/** Splits a whole text into tokens; the last is `end`. Throws `text/…` on characters that begin no token. */
export function tokenize(source: SourceText): Token[] {
  const { text } = source;
  // Sticky patterns keep a position, so every call has its own.
  const patterns = {
    space: /(?:\s+|\/\/[^\n]*)+/y,
    name: /[A-Za-z_]\w*(?:\.\w+)*/y,
    sigil: /[%@](?:\w+(?:\.\w+)*|(?="))/y,
    number: /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y,
    suffix: /[A-Za-z_]\w*/y,
    string: /"(?:[^"\\\n]|\\.)*"/y,
    quotedName: /`(?:[^`\\\n]|\\.)*`/y,
    punctuation: /\.\.|->|==|!=|<=|>=|&&|\|\||\+:|[()[\]{}<>,:;=+\-*/%!]/y,
  };
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return null;
    at += match[0].length;
    return match[0];
  };
  const push = (kind: TokenKind, start: number, value: string, quoted = false, suffix = '') =>
    tokens.push({ kind, text: value, quoted, suffix, start, end: at });
  const decode = (start: number, quoted: string): string => {
    try {
      return JSON.parse(quoted) as string;
    } catch {
      throw textError(source, start, at, 'bad-escape', 'this quoted text has an escape that is not one of JSON\'s');
    }
  };
  const unterminated = (start: number) => {
    const newline = text.indexOf('\n', start);
    return textError(source, start, newline < 0 ? text.length : newline, 'unterminated', 'the quote that opens here is not closed on its line');
  };

  for (;;) {
    take(patterns.space);
    const start = at;
    const c = text[at];
    if (c === undefined) break;
    if (c === '"') {
      const raw = take(patterns.string);
      if (raw === null) throw unterminated(start);
      push('string', start, decode(start, raw));
    } else if (c === '`') {
      const raw = take(patterns.quotedName);
      if (raw === null) throw unterminated(start);
      push('name', start, decode(start, `"${raw.slice(1, -1).replace(/\\`/g, '`').replace(/(\\.)|"/g, (all, escape: string | undefined) => escape ?? `\\${all}`)}"`), true);
    } else if (c === '@' || (c === '%' && !/[\w)\]`"]/.test(text[at - 1] ?? ''))) {
      // `a%b` is a remainder, ` %b` a value.
      const word = take(patterns.sigil);
      const kind = c === '@' ? 'global' : 'value';
      if (word === null) {
        if (c === '@') throw textError(source, start, start + 1, 'expected', 'expected a name after `@`');
        at++;
        push('punctuation', start, '%');
      } else if (word.length > 1) {
        push(kind, start, word.slice(1));
      } else {
        const raw = take(patterns.string);
        if (raw === null) throw unterminated(start);
        push(kind, start, decode(start, raw), true);
      }
    } else if (/\d/.test(c)) {
      const digits = take(patterns.number) ?? '';
      push('number', start, digits, false, take(patterns.suffix) ?? '');
    } else {
      const word = take(patterns.name);
      if (word !== null) {
        push('name', start, word);
        continue;
      }
      const mark = take(patterns.punctuation);
      if (mark === null) throw textError(source, start, start + 1, 'unexpected-character', `${JSON.stringify(String.fromCodePoint(text.codePointAt(start) ?? 0))} begins nothing in this language`);
      push('punctuation', start, mark);
    }
  }
  push('end', at, '');
  return tokens;
}
