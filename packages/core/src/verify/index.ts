import type { Diagnostic, IRModule } from '@tenon/plugin';
import { verifyDeclarations } from './declarations.ts';
import { Verification, type VerifyEnv } from './env.ts';
import { verifyGraph } from './graph.ts';
import { verifyTensor } from './tensor.ts';

/**
 * Everything that is wrong with a module, at both levels; empty where nothing is. Shapes are compared as far as can be
 * proved: what is unknown is no error.
 */
export function verifyModule(module: IRModule, env: VerifyEnv): Diagnostic[] {
  const verification = new Verification(module, env);
  verifyDeclarations(verification);
  for (const fn of module.functions.values()) {
    if (fn.kind === 'graph') verifyGraph(verification, fn);
    else verifyTensor(verification, fn);
  }
  return verification.diagnostics;
}

export type { VerifyEnv };
