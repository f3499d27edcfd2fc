export { createExprs, Exprs, isFloat, isInteger } from './exprs.ts';
export { evaluateDim } from './evaluate.ts';
export { compareExprs } from './intern.ts';
export { floordivInts, gcd, modInts, truncdivInts, truncmodInts, wrapInt } from './integers.ts';
