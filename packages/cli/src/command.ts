import type { Diagnostic } from 'tenon';
import type { ParsedArguments, OptionSpecs } from './arguments.ts';
import type { Style } from './terminal/style.ts';

/** What a command has besides its arguments. */
export interface CommandContext {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly env: { readonly [name: string]: string | undefined };
  /** Shows what a long step is doing. */
  progress(step: string, done?: number | null, total?: number | null): void;
  /** Shows a warning. */
  report(diagnostic: Diagnostic): void;
}

/** What a command found out: data for machines, text for people. */
export interface Report {
  readonly exitCode?: number;
  /** An object: warnings are added to it. */
  readonly json: { readonly [key: string]: unknown };
  readonly text: (style: Style) => string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Positional arguments, `NAME`, `[NAME]` where optional. */
  readonly positionals: readonly string[];
  readonly options: OptionSpecs;
  /** Further explanation and examples, for `tenon help COMMAND`. */
  readonly details: string;
  run(args: ParsedArguments, ctx: CommandContext): Promise<Report>;
}
