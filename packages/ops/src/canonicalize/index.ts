import type { Pass } from '@tenon/plugin';
import { rewriteModule, type RewriteRule } from '@tenon/core';
import { rules as mathRules } from './math.ts';
import { rules as shapeRules } from './shape.ts';

export const canonicalizationRules: readonly RewriteRule[] = [...mathRules, ...shapeRules];

export const canonicalizeOps: Pass = {
  name: 'canonicalize-ops',
  phase: 'canonicalize',
  doc: 'Rewrites calls of the standard operators to simpler ones that compute the same values bit for bit.',
  run: (module, ctx) => rewriteModule(module, canonicalizationRules, ctx),
};
