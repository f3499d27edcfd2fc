import type { RewriteRule } from '@tenon/core';

export const rules: readonly RewriteRule[] = [];
