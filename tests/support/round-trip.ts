import type { IRModule } from '@tenon/plugin';
import { createExprs, diffModules, parseModule, printModule } from '@tenon/core';

/** What keeps a module from printing and parsing back structurally equal, or null. */
export function roundTripProblem(module: IRModule): string | null {
  const text = printModule(module);
  let again: IRModule;
  try {
    again = parseModule(text, createExprs());
  } catch (error) {
    return `it does not parse: ${(error as Error).message}`;
  }
  return diffModules(module, again);
}
