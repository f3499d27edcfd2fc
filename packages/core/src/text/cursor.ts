import type { ExprBuilder, TenonError } from '@tenon/plugin';
import { textError, tokenize, type SourceText, type Token } from './lexer.ts';

/** A place in a token list, with the questions that a recursive-descent parser asks of it. */
export class Cursor {
  readonly exprs: ExprBuilder;
  readonly #source: SourceText;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(source: SourceText, exprs: ExprBuilder) {
    this.exprs = exprs;
    this.#source = source;
    this.#tokens = tokenize(source);
  }

  get position(): number {
    return this.#at;
  }
  /** Goes back to, or on to, a position. */
  seek(position: number): void {
    this.#at = position;
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
  }
  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  /** Whether the next token is this punctuation mark or bare word. */
  at(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token.text === text && (token.kind === 'punctuation' || (token.kind === 'name' && !token.quoted));
  }
  accept(text: string): boolean {
    if (!this.at(text)) return false;
    this.#at++;
    return true;
  }
  expect(text: string, where = ''): Token {
    if (!this.at(text)) throw this.expected(`\`${text}\`${where}`);
    return this.next();
  }

  /** `what` says what was expected: `a name`. */
  expected(what: string, hint: string | null = null): TenonError {
    return this.error('expected', `expected ${what}, found ${describe(this.peek())}`, this.peek(), hint);
  }
  error(code: string, message: string, token: Token, hint: string | null = null): TenonError {
    return textError(this.#source, token.start, token.end, code, message, hint);
  }

  name(what: string): string {
    if (this.peek().kind !== 'name') throw this.expected(what);
    return this.next().text;
  }
  global(what: string): string {
    if (this.peek().kind !== 'global') throw this.expected(what);
    return this.next().text;
  }
  string(what: string): string {
    if (this.peek().kind !== 'string') throw this.expected(what);
    return this.next().text;
  }
  /** A bare word or a string: the key of an attribute, the name of a result. */
  key(what: string): string {
    const { kind } = this.peek();
    if (kind !== 'name' && kind !== 'string') throw this.expected(what);
    return this.next().text;
  }
  /** A safe integer, negative where allowed. */
  integer(what: string, negative = false): number {
    const start = this.peek();
    const sign = negative && this.accept('-') ? -1 : 1;
    const token = this.peek();
    if (token.kind !== 'number') throw this.expected(what);
    this.next();
    const value = Number(token.text);
    if (!Number.isSafeInteger(value) || token.suffix !== '') throw this.error('bad-number', `expected ${what}, found ${token.text}${token.suffix}`, start);
    return value === 0 ? 0 : sign * value;
  }

  /** Items with commas between them, up to the closing mark, which is taken. */
  list(close: string, item: () => void): void {
    if (this.accept(close)) return;
    for (;;) {
      item();
      if (this.accept(close)) return;
      if (!this.accept(',')) throw this.expected(`\`,\` or \`${close}\``);
    }
  }
}

export function describe(token: Token): string {
  switch (token.kind) {
    case 'end':
      return 'the end of the text';
    case 'value':
      return `the value \`%${token.text}\``;
    case 'global':
      return `\`@${token.text}\``;
    case 'number':
      return `the number \`${token.text}${token.suffix}\``;
    case 'string':
      return `the string ${JSON.stringify(token.text)}`;
    default:
      return `\`${token.text}\``;
  }
}
