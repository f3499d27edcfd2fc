export { equalAttr, fullAttrs, matchPattern, matchValue, producersOf } from './match.ts';
export { resolveArgs, rewriteModule, takenNames, type RewriteRule } from './rewrite.ts';
export { checkConstraints, describe } from './constraints.ts';
