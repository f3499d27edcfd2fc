import { Session } from '@tenon/core';
import { diagnosticOf, TenonError, type Diagnostic, type Plugin } from '@tenon/plugin';
import { standardOps } from '../src/index.ts';

/** A session with the standard operators, without files. */
export function testSession(plugins: readonly Plugin[] = []): Session {
  return new Session({
    config: { plugins: [standardOps(), ...plugins] },
    host: {
      name: 'test', now: () => 0, resolve: (_, path) => path, cache: null,
      open: (uri) => Promise.reject(new TenonError({ code: 'host/not-found', message: `${uri}: tests have no files` })),
    },
  });
}

/** The diagnostic that a function throws. */
export function failureOf(run: () => unknown): Diagnostic {
  try {
    run();
  } catch (error) {
    const found = diagnosticOf(error);
    if (found !== null) return found;
    throw error;
  }
  throw new Error('nothing was thrown');
}
