import type { Location } from './types.ts';

export type Severity = 'error' | 'warning' | 'note';

/** One problem, told once: what, where in the user's model or text, and what to do next. Plain data. */
export interface Diagnostic {
  readonly severity: Severity;
  /** Stable and searchable, e.g. `onnx/unsupported-operator`. */
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  /** The operator concerned, if one is. */
  readonly op: string | null;
  /** Where in the model. */
  readonly loc: Location | null;
  /** Where in a text: a module in text form, a configuration file. */
  readonly text: { readonly file: string | null; readonly line: number; readonly column: number; readonly excerpt: string } | null;
  /** Further detail: other diagnostics that this one sums up. */
  readonly related: readonly Diagnostic[];
}
export type DiagnosticInit = Pick<Diagnostic, 'code' | 'message'> & Partial<Diagnostic>;

export function diagnostic(init: DiagnosticInit): Diagnostic {
  return { severity: 'error', hint: null, op: null, loc: null, text: null, related: [], ...init };
}

/**
 * The exception that carries a diagnostic. Recognised by its `diagnostic` property, not by its class, so that it may
 * cross between copies of this package.
 */
export class TenonError extends Error {
  override readonly name = 'TenonError';
  readonly diagnostic: Diagnostic;
  constructor(init: DiagnosticInit, options?: ErrorOptions) {
    super(`${init.message} [${init.code}]`, options);
    this.diagnostic = diagnostic(init);
  }
}

/** The diagnostic that an exception carries, or null for any other exception. */
export function diagnosticOf(error: unknown): Diagnostic | null {
  const d = (error as { diagnostic?: Diagnostic } | null)?.diagnostic;
  return d && typeof d.code === 'string' && typeof d.message === 'string' ? d : null;
}
