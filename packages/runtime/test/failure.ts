import type { Diagnostic } from '@tenon/plugin';
import { diagnosticOf } from '@tenon/plugin';

/** The diagnostic that something throws or rejects with. */
export async function failure(run: () => unknown): Promise<Diagnostic> {
  try {
    await run();
  } catch (error) {
    const diagnostic = diagnosticOf(error);
    if (!diagnostic) throw error;
    return diagnostic;
  }
  throw new Error('nothing was thrown');
}
